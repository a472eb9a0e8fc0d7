"""``srbench data``: published sets on disk (list, check) and synthetic ones made from a seed (make)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from srbench.command_parser import CommandParser
from srbench.errors import InputError
from srbench.naming import printable, unknown_name

_USAGE = """usage: srbench data {list,check,make} ...

  list    every published set: what is on disk, number of images, scales, licence
  check   say exactly what is wrong with a set on disk; every image is decoded
  make    make a synthetic set from a folder of images and a seed

srbench data COMMAND --help explains one. Sets are looked for in --root, else $SRBENCH_DATA, else ./data."""


def run(argv: Sequence[str]) -> int:
    """Runs ``list``, ``check`` or ``make``.

    Args:
        argv: what follows ``srbench data`` on the command line.

    Returns:
        The exit status: 0; of ``check`` 1 when a set is not whole.

    Raises:
        InputError: an unknown command, option or set, or a root that is no folder.
    """
    arguments = list(argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0
    commands: dict[str, Callable[[Sequence[str]], int]] = {"list": list_sets, "check": check_sets, "make": _make}
    if arguments[0] not in commands:
        raise unknown_name("command", arguments[0], commands, where="srbench data")
    return commands[arguments[0]](arguments[1:])


def _make(argv: Sequence[str]) -> int:
    made: int = import_module("srbench.data_make_command").run(argv)
    return made


# --------------------------------------------------------------------------------------------------------------- list


def list_sets(argv: Sequence[str]) -> int:
    """Prints every declared set with what is on disk; returns 0."""
    parser = CommandParser("srbench data list", "Every published set, and what of it is on disk.")
    _add_root(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    given = parser.parse_args(list(argv))
    root = _root(given.root)
    rows = [_row(layout, root) for layout in _sets().values()]
    if given.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(f"sets in {printable(str(root))}" + ("" if root.is_dir() else " (there is no such folder)"))
    print(_table(rows))
    return 0


def _row(layout: Any, root: Path) -> dict[str, Any]:
    scans = {scale: _scan(layout, root, scale) for scale in layout.scales}
    return {
        "name": layout.name,
        "use": "train" if layout.training else "test",
        "on_disk": {f"x{scale}": _state(found) for scale, found in scans.items()},
        "found": {f"x{scale}": len(found.files) for scale, found in scans.items()},
        "images": {f"x{scale}": count for scale, count in layout.counts.items()},
        "licence": layout.licence,
        "source": layout.source,
        "citation": layout.citation,
        "caveats": list(layout.caveats),
    }


def _state(found: Any) -> str:
    return "lq made" if found.state == "found" and found.lq_made else str(found.state)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [("set", "use", "images", "on disk", "licence")]
    for row in rows:
        lines.append((row["name"], row["use"], _images(row), _on_disk(row), row["licence"]))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    shown = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]) for line in lines
    ]
    return "\n".join([*shown, "", "srbench data check SET says what is missing, and where to get it"])


def _images(row: Mapping[str, Any]) -> str:
    """``50 at x2 x3 x4``, ``83 at x2, 84 at x3``; ``?`` where no number is published."""
    by_count: dict[int | None, list[str]] = {}
    for scale, count in row["images"].items():
        by_count.setdefault(count, []).append(scale)
    return ", ".join(f"{'?' if n is None else n} at {' '.join(scales)}" for n, scales in by_count.items())


def _on_disk(row: Mapping[str, Any]) -> str:
    states = row["on_disk"]
    if len(set(states.values())) == 1 and "partial" not in states.values():
        return str(next(iter(states.values())))
    return ", ".join(
        f"{scale} {state}" + (f" ({row['found'][scale]})" if state == "partial" else "")
        for scale, state in states.items()
        if state != "missing"
    )


# -------------------------------------------------------------------------------------------------------------- check


def check_sets(argv: Sequence[str]) -> int:
    """Checks sets on disk and prints what is wrong, or the fingerprint; returns 0 when all are whole, else 1."""
    parser = CommandParser(
        "srbench data check", "Say exactly what is wrong with a published set on disk. Every image is decoded."
    )
    parser.add_argument("sets", metavar="SET", nargs="+", help="name of a set, see srbench data list")
    parser.add_argument("--scale", type=int, metavar="N", help="this scale alone (every scale that is on disk)")
    _add_root(parser)
    given = parser.parse_args(list(argv))
    known = _sets()
    for name in given.sets:
        if name not in known:
            raise unknown_name("set", name, known, where="srbench data check")
    root = _root(given.root)
    whole = [_check(known[name], root, given.scale) for name in given.sets]
    return 0 if all(whole) else 1


def _check(layout: Any, root: Path, scale: int | None) -> bool:
    """Checks one set, at one scale or at all that are on disk."""
    scales = layout.scales if scale is None else (layout.checked_scale(scale),)
    scans = [_scan(layout, root, scale) for scale in scales]
    here = [found for found in scans if found.home is not None]
    if not here:
        _say_absent(scans[-1], root)
        return False
    if _one_sided(layout):
        here = here[-1:]  # the same files at every scale
    here = [found for found in here if not found.lq_made] or here[-1:]
    return min([_check_scale(found) for found in here])


def _one_sided(layout: Any) -> bool:
    return not (layout.gt and layout.lq)


def _check_scale(found: Any) -> bool:
    title = found.layout.name + ("" if _one_sided(found.layout) else f" x{found.scale}")
    check = import_module("srbench.datamodules.layout_check")
    total = sum(file is not None for files in found.files for file in (files.gt, files.lq))
    problems = [*found.problems, *check.sizes(found), *check.pixels(found, _counter(title, total))]
    for problem in problems:
        print(f"{title}: {problem.kind}: {printable(str(problem.error()))}")
    if problems:
        print(f"{title}: not whole: {_amount(len(problems), 'problem')}, {_amount(len(found.files), 'image')} complete")
        return False
    print(f"{title}: whole, {_amount(len(found.files), 'image')} in {printable(str(found.home))}")
    for caveat in found.layout.caveats:
        print(f"{title}: note: {caveat}")
    if found.lq_made:
        print(f"{title}: lq is made when it is tested; records carry a fingerprint of gt and of how lq is made")
    else:
        print(f"{title}: fingerprint {check.files_fingerprint(found)}")
    return True


def _say_absent(found: Any, root: Path) -> None:
    layout = found.layout
    print(f"{layout.name}: not in {printable(str(root))}; expected there:")
    for line in layout.expected(found.scale):
        print(f"  {line}")
    print(f"get it from {layout.source}")
    print(f"licence: {layout.licence}")
    print(f"cite: {layout.citation}")


def _amount(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")


def _counter(title: str, total: int) -> Callable[[Path], None]:
    """Counts files on one line of a terminal; silent in pipes and logs."""
    numbers: Iterator[int] = iter(range(1, total + 1))

    def count(file: Path) -> None:
        number = next(numbers, total)
        if sys.stderr.isatty():
            print(f"{title}: {number} of {total} files", end="\n" if number == total else "\r", file=sys.stderr)

    return count


# --------------------------------------------------------------------------------------------------------------- both


def _sets() -> Mapping[str, Any]:
    """Every declared set; the declarations live with the data modules and import no torch."""
    sets: Mapping[str, Any] = import_module("srbench.datamodules.published").SETS
    return sets


def _scan(layout: Any, root: Path, scale: int) -> Any:
    return import_module("srbench.datamodules.layout_scan").scan(layout, root, scale)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", metavar="DIR", help="folder that holds the sets ($SRBENCH_DATA, else data)")


def _root(given: str | None) -> Path:
    root: Path = import_module("srbench.datamodules.layout").default_root(given)
    if given is not None and not root.is_dir():
        raise InputError("there is no such folder", where=root, remedy="give the folder that holds the sets as --root")
    return root
