"""The catalogue of outside weights: what each file is, where it comes from, and where it lies on this machine.

A family of files is one YAML file in ``configs/weights``, found by being there. Nothing here imports torch or touches
the network; ``srbench weights fetch`` does the latter, and only when asked.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from srbench.catalog import room_folder
from srbench.errors import InputError, MetricUnavailable
from srbench.images import file_sha256
from srbench.naming import safe_name, unknown_name
from srbench.score_cache import cache_folder, cache_key, open_cache

FOLDER = "SRBENCH_WEIGHTS"
"""Environment variable: the folder to look in first."""

_KINDS = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": tuple, "Mapping[str, str]": Mapping}


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A file that somebody else trained.

    Attributes:
        name: its id in this catalogue (``alexnet``); letters, digits and ``_``.
        family: the YAML file that lists it, and the subfolder of ``$SRBENCH_WEIGHTS`` it may lie in.
        file: the name its authors gave it.
        url: where it is published, https; empty when it cannot be had by a plain download.
        licence: of the weights, in words.
        noncommercial: the licence forbids commercial use.
        size: in bytes; 0 when not known.
        sha256: 64 hex digits; empty when not publicly known.
        sha256_prefix: its first digits where only these are known (PyTorch writes them into file names).
        homes: other places to look in: ``torch:hub/checkpoints`` below ``$TORCH_HOME``, ``clip:`` for OpenAI's own
            cache, ``hf:OWNER/REPOSITORY/FILE`` in the Hugging Face hub's cache.
        also: other files that do as well (the same bytes under another name, the same values in another format), each
            with its sha256, empty when not publicly known.
        member: the file to take out of the archive at ``url``; ``sha256`` and ``size`` are the archive's then, and
            ``member_sha256`` is the member's.
        manual: how to get it where ``url`` is empty.
        used_by: the methods that need it; metrics name theirs themselves.
        note: what else one should know.
    """

    name: str
    family: str
    file: str
    licence: str
    url: str = ""
    noncommercial: bool = False
    size: int = 0
    sha256: str = ""
    sha256_prefix: str = ""
    homes: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    member: str = ""
    member_sha256: str = ""
    manual: str = ""
    used_by: tuple[str, ...] = ()
    note: str = ""

    def digest(self, file: str = "") -> str:
        """The hex digits that the sha256 of ``file`` must start with; empty when nothing is publicly known of it."""
        if file in self.also:
            return self.also[file]
        return self.member_sha256 if self.member else self.sha256 or self.sha256_prefix


def find(name: str) -> WeightFile:
    """The entry of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    try:
        return _catalogue()[name]
    except KeyError:
        raise unknown_name("weights file", name, _catalogue()) from None


def names() -> list[str]:
    """Every name of the catalogue, sorted."""
    return sorted(_catalogue())


def locate(name: str) -> Path | None:
    """Where the file lies on this machine; None when it does not. Whether it is the right one, :func:`fault` says."""
    return next((path for path in places(find(name)) if _is_there(path)), None)


def need(name: str) -> Path:
    """The file, present and of the published hash where one is known.

    Raises:
        MetricUnavailable: it is absent, or another file bears its name; the text says how to mend it.
    """
    weight = find(name)
    path = locate(name)
    if path is None:
        raise MetricUnavailable(f"{weight.file} ({remedy(weight)})")
    wrong = fault(weight, path)
    if wrong is not None:
        raise MetricUnavailable(f"{path.name} {wrong} (srbench weights check {name})")
    return path


def remedy(weight: WeightFile) -> str:
    """The command or the steps that bring the file."""
    return f"srbench weights fetch {weight.name}" if weight.url else weight.manual


def fault(weight: WeightFile, path: Path) -> str | None:
    """What is wrong with a file that was found; None when it has the published hash, or none is known."""
    found, published = digest(path), weight.digest(path.name)
    if found.startswith(published):
        return None
    return f"is another file of that name, its sha256 starts {found[:8]}, not {published[:8]}"


def digest(path: Path) -> str:
    """sha256 of a file, remembered (in the user's cache too) while its size and times of change stay what they were.

    Raises:
        InputError: it cannot be read.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="check its permissions") from error
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def places(weight: WeightFile) -> Iterator[Path]:
    """Where the file is looked for, in that order."""
    roots = [own_folder()]
    if fetched_folder() not in roots:
        roots.append(fetched_folder())
    for root in roots:
        for file in (weight.file, *weight.also):
            yield root / file
            yield root / weight.family / file
    for home in weight.homes:
        yield from _home(home, weight)


def own_folder() -> Path:
    """``$SRBENCH_WEIGHTS``; where it is not set, what :func:`fetched_folder` says."""
    given = os.environ.get(FOLDER)
    return Path(given).expanduser() if given else fetched_folder()


def fetched_folder() -> Path:
    """The folder below srbench's caches where fetched files lie when ``$SRBENCH_WEIGHTS`` is not set."""
    return (cache_folder() or Path.home() / ".cache" / "srbench") / "weights"


def torch_home() -> Path:
    """Where torch keeps what it fetches, by torch's own rules."""
    given = os.environ.get("TORCH_HOME")
    return Path(given).expanduser() if given else _user_cache() / "torch"


def hub_cache() -> Path:
    """Where the Hugging Face hub keeps what it fetches, by its own rules."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if given := os.environ.get(variable):
            return Path(given).expanduser() / below
    return _user_cache() / "huggingface" / "hub"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _home(home: str, weight: WeightFile) -> Iterator[Path]:
    kind, _, rest = home.partition(":")
    if kind == "hf":
        owner, repository, inside = rest.split("/", 2)
        root = hub_cache() / f"models--{owner}--{repository}"
        main = root / "refs" / "main"
        first = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
        snapshots = sorted((root / "snapshots").glob("*"), key=lambda folder: (folder.name != first, folder.name))
        yield from (folder / inside for folder in snapshots)
        return
    root = torch_home() if kind == "torch" else Path("~/.cache/clip").expanduser()
    yield from (root / rest / file for file in (weight.file, *weight.also))


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:  # a folder that may not be entered
        return False


@functools.cache
def _digest(path: Path, size: int, changed: int, moved: int) -> str:
    cache = open_cache()
    if cache is None:
        return file_sha256(path)
    key = cache_key("sha256 of a file", str(path), size, changed, moved)
    found = cache.get(key)
    if found is None:
        found = file_sha256(path)
        cache.put({key: found})
    cache.close()
    return found


# --------------------------------------------------------------------------------------------------- reading


@functools.cache
def _catalogue() -> dict[str, WeightFile]:
    found: dict[str, WeightFile] = {}
    for path in sorted((room_folder("configs") / "weights").glob("*.yaml")):
        for weight in read_family(path):
            if weight.name in found:
                raise _broken(path, f"'{weight.name}' stands in {found[weight.name].family}.yaml too")
            found[weight.name] = weight
    return found


def read_family(path: Path) -> list[WeightFile]:
    """The entries of one YAML file: a mapping of names to the fields of :class:`WeightFile`.

    Raises:
        InputError: an unknown or missing field, a hash that is none, or an address that is not https.
    """
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(held, dict) or not all(isinstance(entry, dict) for entry in held.values()):
        raise _broken(path, "a family maps names to mappings")
    return [_entry(path, str(name), entry) for name, entry in held.items()]


def _entry(path: Path, name: str, entry: dict[str, Any]) -> WeightFile:
    known = {known.name for known in fields(WeightFile)} - {"name", "family"}
    for key in entry:
        if key not in known:
            raise unknown_name("field", str(key), known, where=f"{path.name}: {name}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    try:
        weight = WeightFile(name=name, family=path.stem, **values)
    except TypeError as error:
        raise _broken(path, f"{name}: {error}") from error
    _check(path, weight)
    return weight


def _check(path: Path, weight: WeightFile) -> None:
    for known in fields(weight):
        if not isinstance(getattr(weight, known.name), _KINDS[str(known.type)]):
            raise _broken(path, f"{weight.name}: {known.name} is to be {known.type}")  # digits without quotes, say
    for file in (weight.file, *weight.also):
        safe_name(file, kind="file name")
    if not re.fullmatch(r"[a-z0-9_]+", weight.name):
        raise _broken(path, f"{weight.name!r} is not made of a-z, 0-9 and _")
    for value in (weight.sha256, weight.member_sha256, *weight.also.values()):
        if value and not re.fullmatch(r"[0-9a-f]{64}", str(value)):
            raise _broken(path, f"{weight.name}: {value!r} is no sha256 of 64 digits")
    if weight.sha256_prefix and not re.fullmatch(r"[0-9a-f]{8,63}", weight.sha256_prefix):
        raise _broken(path, f"{weight.name}: {weight.sha256_prefix!r} is no beginning of a sha256")
    if not weight.licence:
        raise _broken(path, f"{weight.name}: no licence, or 'none stated'")
    if bool(weight.url) == bool(weight.manual) or (weight.url and not weight.url.startswith("https://")):
        raise _broken(path, f"{weight.name}: give an https url, or say under manual how to get it")


def _broken(path: Path, what: str) -> InputError:
    return InputError(what, where=f"weights/{path.name}", remedy="mend the catalogue")
