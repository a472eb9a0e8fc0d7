"""Somebody else's program as a method, run in its own environment on the images of each test set."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from srbench.contracts import Batch
from srbench.datamodule import SRDataModule, TestSet
from srbench.errors import InputError
from srbench.images import to_uint8
from srbench.modules.external import program
from srbench.modules.external.errand import done_by_first
from srbench.modules.external.finished import FinishedSR, NamedSet
from srbench.modules.external.runner import Runner
from srbench.modules.external.starts import Asked, Made, Starts
from srbench.naming import safe_name
from srbench.permission import FLAG, commands_allowed
from srbench.sampling import image_seed, run_seed


class ExternalCommand(FinishedSR):
    """A program of somebody else as a method: run where it lives, checked, scored and ranked.

    To add a program, write a config and say how it is called; nothing of it is imported, and no shell is involved::

        model:
          class_path: srbench.modules.ExternalCommand
          init_args:
            name: Theirs
            home: ../their-checkout          # or home_variable: THEIRS, and the user sets $THEIRS
            conda: theirs                    # or venv: DIR, or prefix: [docker, run, ...]; else the PATH as it is
            command: [python, test.py, --in, "{lq_dir}", --out, "{out_dir}", --scale, "{scale}", --seed, "{seed}"]

        srbench test --config theirs.yaml --config data/classical.yaml --data.root DIR --allow-commands

    The permission stands on the command line alone, no config can give it; without it the run stops and shows what it
    would have started. For each set the program finds in ``{lq_dir}`` the images that are not restored yet, 8-bit RGB
    PNG named like the set's images, and leaves ``x4`` images of the same names (see ``suffix``) in ``{out_dir}``, of
    any format that srbench reads. Its output goes to ``log.txt``, while a bar shows how many images there are. What it
    leaves is judged image by image, by name, readability and size. Whatever ends a run (a crash, a limit, Ctrl-C, a
    power cut), the same command starts the program again on the images that do not pass yet.

    A program that has ``{seed}`` in its command is stochastic. It gets the run's seed (``--seed_everything``) in the
    first draw, and a function of the seed and ``repeat`` in others (``--benchmark.repeats``). Programs draw for one
    image after the other, so that an image restored by a second start gets other numbers than in an undisturbed run,
    which its note in the record tells; ``per_image`` starts the program anew for each image, whose seed then depends on
    the image's name as well, and neither order nor interruptions change anything.

    A program that judges images instead of restoring them is no method. OpenSeeD, for DeeDSR's Table 2: restore the set
    with ``srbench predict``, let it look at the PNGs in its own environment, and hand its figures to ``srbench table
    deedsr/2 --outside FILE``.

    In a run of several processes the first one runs the program and the others wait; they must see one ``folder``.

    Args:
        command: the program and its arguments, one by one. In braces may stand ``lq_dir``, ``out_dir``, ``scale``,
            ``seed`` and ``home``.
        home: the program's folder; its git commit becomes part of the configuration.
        home_variable: environment variable that gives ``home`` where that is null.
        setup: how the user gets the program; told when ``home`` is missing.
        working: the folder it runs in; None is ``home``, or ``out_dir`` where there is none.
        venv: folder of the Python virtual environment to run in.
        conda: name or folder of the conda environment to run in.
        prefix: arguments in front of ``command``, e.g. a container's.
        variables: environment variables for it; braces as in ``command``.
        lq_below: where below ``{lq_dir}`` it expects the images.
        out_below: where below ``{out_dir}`` it leaves them.
        per_image: start it once per image.
        time_limit_s: seconds that a start may take; None is no limit.
        stall_limit_s: seconds that may pass without a new image, loading included; None is no limit.
        retries: how often it is started again, on what is missing, before the run gives up.
        folder: for lq, outputs and logs; None is ``commands`` in the run folder.
        kwargs: ``name`` and ``suffix`` of :class:`~srbench.modules.external.finished.FinishedSR`; see also
            :class:`~srbench.module.SRModule`.

    Raises:
        InputError: the command is empty or has an unknown word in braces, or an argument makes no sense.
    """

    unhashed = (
        *("weights", "home", "home_variable", "setup", "working", "venv", "conda", "lq_below", "out_below", "suffix"),
        *("time_limit_s", "stall_limit_s", "retries", "folder"),
    )

    def __init__(
        self,
        *,
        command: list[str],
        home: str | None = None,
        home_variable: str | None = None,
        setup: str | None = None,
        working: str | None = None,
        venv: str | None = None,
        conda: str | None = None,
        prefix: list[str] | None = None,
        variables: dict[str, str] | None = None,
        lq_below: str = "",
        out_below: str = "",
        per_image: bool = False,
        time_limit_s: float | None = None,
        stall_limit_s: float | None = 3600.0,
        retries: int = 0,
        folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = list(command)
        self.home = home
        self.home_variable = home_variable
        self.setup_line = setup
        self.working = working
        self.environment = program.Environment(venv=venv, conda=conda, prefix=prefix or (), variables=variables or {})
        self.lq_below, self.out_below = lq_below, out_below
        self.per_image = per_image
        self.limits = program.Limits(time_s=time_limit_s, stall_s=stall_limit_s)
        self.retries = retries
        self.folder = folder
        self._check_arguments()
        self.stochastic = any("{seed}" in text for text in self._template)  # type: ignore[misc]
        self._made: dict[str, dict[str, Made]] = {}

    @property
    def _template(self) -> list[str]:
        """The argument list with its places still open."""
        return [*self.environment.before, *self.command]

    def _check_arguments(self) -> None:
        if not self.command:
            raise InputError("the command is empty", where="model.init_args.command", remedy="give a program")
        program.check_places([*self._template, *self.environment.variables.values(), self.working or ""])
        for key, value in (("time_limit_s", self.limits.time_s), ("stall_limit_s", self.limits.stall_s)):
            if value is not None and value <= 0:
                raise InputError(
                    f"{value} is impossible", where=f"model.init_args.{key}", remedy="use seconds, or null"
                )
        if self.retries < 0:
            raise InputError("it cannot be negative", where="model.init_args.retries", remedy="use 0, 1, 2, ...")
        for key, below in (("lq_below", self.lq_below), ("out_below", self.out_below)):
            if Path(below).is_absolute() or ".." in Path(below).parts:
                raise InputError(
                    "it leads out of the folder", where=f"model.init_args.{key}", remedy="name a subfolder"
                )

    # ------------------------------------------------------------------------------------------- may it, and from where

    def setup(self, stage: str) -> None:
        """Refuses training; see the base's.

        Raises:
            InputError: nothing can be trained here, or see :meth:`prepare`.
        """
        if stage == "fit":
            self.training_step()
        super().setup(stage)

    def prepare(self) -> None:
        """Asks for the permission and the program's folder, before anything is restored.

        Raises:
            InputError: the command line does not permit it; it shows the argument list. Or the folder is not there.
        """
        super().prepare()
        if not commands_allowed():
            known = {"scale": str(self.scale)} | ({} if self.home is None else {"home": self.home})
            shown = shlex.join(program.fill(text, known) for text in self._template)
            raise InputError(
                f"this method runs a program of somebody else: {shown}",
                where=self.name,
                remedy=f"read it, and add {FLAG} to the command line to permit it",
            )
        self.hparams["commit"] = program.commit_of(self._home()) if self._needs_home else None

    @property
    def _needs_home(self) -> bool:
        return bool(self.home or self.home_variable or any("{home}" in text for text in self._template))

    def _home(self) -> Path:
        variable = self.home_variable
        given = self.home or (os.environ.get(variable) if variable else None)
        remedy = "give it by --model.init_args.home DIR" + (
            f" or by the environment variable {variable}" if variable else ""
        )
        if self.setup_line:
            remedy = f"{self.setup_line}; {remedy}"
        if not given:
            raise InputError("the program's folder is not given", where=self.name, remedy=remedy)
        if not Path(given).expanduser().is_dir():
            raise InputError("the program's folder is not there", where=given, remedy=remedy)
        return Path(given).expanduser().resolve()

    def seed_of(self, name: str = "") -> int:
        """What ``{seed}`` is in this draw, 31 bits where it is not the run's own; for one image under ``per_image``."""
        if not name and self.repeat == 0:
            return run_seed()
        return image_seed(run_seed(), self.repeat, name) % 2**31

    # ------------------------------------------------------------------------------------------------ images of a set

    def file(self, name: str) -> Path:
        """Where the restoration of image ``name`` of the set in hand lies.

        Raises:
            InputError: it was not made.
        """
        made = self._made.get(self.set_in_hand or "", {})
        if name not in made:
            raise InputError("the program was not asked for this image", where=name, remedy="use srbench test")
        return made[name].file

    def restore(self, batch: Batch) -> Tensor:
        """As the base's; what is known of how an image was made goes into its record."""
        sr = super().restore(batch)
        for name in batch["name"]:
            for note in self._made[self.set_in_hand or ""][name].notes:
                self.remark(name, note)
        return sr

    def complete(self, sets: Sequence[NamedSet]) -> None:
        """Runs the program on what is missing of each set, in the first process; see the class.

        Raises:
            InputError: it could not be started, failed, hung, or left what is not one image per lq; it names the log.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, SRDataModule)
        self._made.clear()
        for test_set in sets:
            assert isinstance(test_set, TestSet)
            names = data.left(test_set)
            if not names:
                continue
            starts = self._starts(test_set.name)

            def work(test_set: TestSet = test_set, names: Sequence[str] = names, starts: Starts = starts) -> Any:
                with starts.alone() as lock:
                    asked = _asked(test_set, names, starts)
                    made = self._runner(test_set.name, starts, lock).complete(asked)
                return {name: [str(image.file), *image.notes] for name, image in made.items()}

            found = done_by_first(self.trainer, starts.folder, work)
            self._made[test_set.name] = {name: Made(Path(f), tuple(notes)) for name, (f, *notes) in found.items()}

    def _starts(self, set_name: str) -> Starts:
        """The folder of this set's starts; another command, seed or commit has another one."""
        what = {
            "command": self.command,
            "prefix": list(self.environment.prefix),
            "variables": dict(self.environment.variables),
            "per_image": self.per_image,
            "seed": [run_seed(), self.repeat] if self.stochastic else None,
            "commit": self.hparams.get("commit"),
        }
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:10]
        root = Path(self.folder) if self.folder else Path(self.trainer.default_root_dir) / "commands"
        return Starts(
            folder=root.expanduser().absolute() / self.name / f"{set_name}_x{self.scale}_{digest}",
            scale=self.scale,
            suffixes=self.suffixes,
            lq_below=self.lq_below,
            out_below=self.out_below,
        )

    def _runner(self, set_name: str, starts: Starts, lock: int) -> Runner:
        return Runner(
            title=f"{self.name} on {set_name}",
            name=self.name,
            template=self._template,
            environment=self.environment,
            working=self.working,
            home=self._home() if self._needs_home else None,
            limits=self.limits,
            retries=self.retries,
            per_image=self.per_image,
            seed_of=self.seed_of if self.stochastic else None,
            starts=starts,
            lock=lock,
            silent=getattr(self._trainer, "progress_bar_callback", None) is None,
        )


def _asked(test_set: TestSet, names: Sequence[str], starts: Starts) -> dict[str, Asked]:
    """Writes the lq of the images and says what is asked of their restorations."""
    place = {name: i for i, name in enumerate(test_set.names)}
    return {
        safe_name(name, kind="image name"): starts.keep(name, to_uint8(test_set[place[name]]["lq"])) for name in names
    }
