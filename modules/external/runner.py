"""Completes a test set by starting a program as often as it may be, and says in one line what went wrong."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.modules.external import program
from srbench.modules.external.finished import lacking
from srbench.modules.external.starts import Asked, Found, Made, Starts


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One program on one test set.

    Attributes:
        title: program and set, in front of what is printed.
        name: of the program.
        template: its argument list, places open.
        environment: what it runs in.
        working: the folder it runs in; None is ``home``, or where there is none ``out_dir``.
        home: the program's own folder.
        limits: of a start.
        retries: further starts on what is missing.
        per_image: a start for each image.
        seed_of: seed of a start, given the image's name under ``per_image`` and else nothing; None where it takes none.
        starts: the set's folder.
        lock: file descriptor of its lock.
        silent: shows no bar.
    """

    title: str
    name: str
    template: Sequence[str]
    environment: program.Environment
    working: str | None
    home: Path | None
    limits: program.Limits
    retries: int
    per_image: bool
    seed_of: Callable[[str], int] | None
    starts: Starts
    lock: int
    silent: bool

    def complete(self, asked: Mapping[str, Asked]) -> Mapping[str, Made]:
        """The restorations of all images, made where earlier starts left none that passes.

        Raises:
            InputError: the last start that was allowed failed, hung, or left what is not one image per lq.
        """
        found = self.starts.look(asked)
        if found.made or found.unfit:
            print(f"{self.title}: {len(found.made)} of {len(asked)} images are there from before")
        for name, error in found.unfit.items():
            print(f"{self.title}: {name} is made again, for {error.where}: {error.what}")
        fault = self._surplus(found)
        for turn in range(self.retries + 1):
            missing = {name: image for name, image in asked.items() if name not in found.made}
            if not missing:
                break
            if turn and fault is not None:
                print(f"{fault.where}: {fault.what}; it is started again")
            fault, found = self._attempt(asked, missing)
        if fault is not None:
            raise fault
        return found.made

    def _attempt(self, asked: Mapping[str, Asked], missing: Mapping[str, Asked]) -> tuple[InputError | None, Found]:
        """One start for all images that are missing, or one for each; what went wrong, and what is there now."""
        groups = [{name: image} for name, image in missing.items()] if self.per_image else [dict(missing)]
        failed: InputError | None = None
        log = self.starts.folder
        for group in groups:
            log, bad = self._start(group)
            failed = failed or bad
        found = self.starts.look(asked)
        undone = [name for name in missing if name not in found.made]
        if failed is None:
            return self._gap(found, undone, log) or self._surplus(found), found
        left = f"{len(undone)} of {len(missing)} images are undone" if undone else "all images are there and pass"
        remedy = f"the same command {'goes on with what is missing' if undone else 'takes them as they are'}"
        return InputError(f"{failed.what}; {left}", where=failed.where, remedy=remedy), found

    def _start(self, group: Mapping[str, Asked]) -> tuple[Path, InputError | None]:
        """Runs the program once on a group of images; its log, and how it failed if it did."""
        seed = self.seed_of(next(iter(group)) if self.per_image else "") if self.seed_of else None
        start = self.starts.begin(group, {"seed": seed, "of_many": seed is not None and not self.per_image})
        places = {"lq_dir": str(start / "lq"), "out_dir": str(start / "out"), "scale": str(self.starts.scale)}
        if seed is not None:
            places["seed"] = str(seed)
        if self.home is not None:
            places["home"] = str(self.home)
        argv = [program.fill(text, places) for text in self.template]
        log = start / "log.txt"
        status, how = self._watched(argv, start, places, log, len(group))
        self.starts.ended(start, status, how)
        return log, None if status == 0 else InputError(f"{self.name} {how}{last_words(log)}", where=log)

    def _watched(
        self, argv: Sequence[str], start: Path, places: Mapping[str, str], log: Path, total: int
    ) -> tuple[int | None, str]:
        working = Path(program.fill(self.working or ("{home}" if self.home else "{out_dir}"), places)).expanduser()
        if not working.is_dir():
            raise InputError(f"{self.name} is to run there, and there is no such folder", where=working)
        variables = self.environment.variables_for(places)
        print(f"{self.title}: {shlex.join(argv)}\n  runs in {working}; log: {log}", flush=True)
        write_whole(start / "command.txt", f"{shlex.join(argv)}\nin {working}\n".encode())
        with tqdm(total=total, desc=self.name, unit="image", leave=False, disable=self.silent) as bar:

            def count() -> int:
                made = len(self.starts.images(start))
                bar.update(min(made, total) - bar.n)
                return made

            return program.run(
                argv,
                folder=working,
                variables=variables,
                log=log,
                limits=self.limits,
                count=count,
                keep=[self.lock],
            )

    def _gap(self, found: Found, undone: Sequence[str], log: Path) -> InputError | None:
        """What is missing of what a program left that ended as if all were well."""
        if not undone:
            return None
        if unfit := [found.unfit[name] for name in undone if name in found.unfit]:
            return InputError(
                f"{self.name} ended with status 0, but {len(unfit)} of its images do not pass: "
                f"{unfit[0].where}: {unfit[0].what}",
                where=log,
                remedy="read the log; the same command makes them again",
            )
        surplus = f"; {len(found.extra)} others belong to no lq, such as {found.extra[-1].name}" if found.extra else ""
        return InputError(
            f"{self.name} ended with status 0, but {lacking(undone, self.starts.suffixes)}{surplus}",
            where=log,
            remedy="read the log; set suffix or out_below if they are named otherwise or lie elsewhere",
        )

    def _surplus(self, found: Found) -> InputError | None:
        """Refuses images too many, which say that names were not understood."""
        if not found.extra:
            return None
        first = found.extra[0]
        return InputError(
            f"{len(found.extra)} images that {self.name} made belong to no lq, the first is {first.name}",
            where=self.starts.start_of(first) / "log.txt",
            remedy="set suffix or out_below, or take them out of its folder if they are no restorations",
        )


def last_words(log: Path) -> str:
    """The last line that a program printed, for the end of a sentence."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    printable = "".join(c if c.isprintable() else "?" for c in lines[-1][-200:]) if lines else ""
    return f" ({printable})" if printable else ""
