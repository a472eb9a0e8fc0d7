"""``srbench weights list|fetch|check``: the outside weights that metrics and methods use."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.command_parser import CommandParser
from srbench.images import file_sha256
from srbench.list_command import table
from srbench.weight_files import WeightFile, find, locate, names, own_folder, places, remedy

_DESCRIPTION = """\
The outside weights that metrics and methods use.

  list   what there is, under which licence, and where it lies on this machine; with names, all that is known of them
  fetch  download files by name, https only; nothing gets its name before its published hash is confirmed
  check  hash the files that are here and compare with what is published; status 1 when one is wrong

srbench weights ACTION --help explains one. Files are looked for in $SRBENCH_WEIGHTS and in the caches of srbench,
torch, CLIP and the Hugging Face hub."""


def run(argv: Sequence[str]) -> int:
    """Runs one of the three; returns 1 when ``check`` finds a wrong file, else 0."""
    parser = CommandParser("srbench weights", _DESCRIPTION)
    parser.add_argument("action", choices=("check", "fetch", "list"))
    action = parser.parse_args(list(argv[:1])).action
    return {"list": _list, "fetch": _fetch, "check": _check}[action](list(argv[1:]))


# ------------------------------------------------------------------------------------------------------- list


def _list(argv: list[str]) -> int:
    parser = CommandParser("srbench weights list", "Every file of the catalogue and whether it is here.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="say all that is known of these instead")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    given = parser.parse_args(argv)
    rows = [entry(find(name)) for name in dict.fromkeys(given.names) or names()]
    if given.json:
        print(json.dumps(rows, indent=2))
    elif given.names:
        print("\n\n".join(_detailed(row) for row in rows))
    else:
        print(table([_shown(row) for row in rows]) + "\n\n" + _counted(rows))
    return 0


def entry(weight: WeightFile) -> dict[str, Any]:
    """What ``list`` says of a file: its catalogue entry, where it lies and is looked for, and who uses it."""
    path = locate(weight.name)
    return {
        "name": weight.name,
        "file": weight.file,
        "size": weight.size or None,
        "licence": weight.licence,
        "noncommercial": weight.noncommercial,
        "state": "missing" if path is None else "present",
        "path": None if path is None else str(path),
        "used_by": used_by(weight),
        "source": weight.url or weight.manual,
        "sha256": weight.sha256 or None,
        "sha256_prefix": weight.sha256_prefix or None,
        "note": weight.note,
        "looked_for": [str(place) for place in places(weight)],
    }


def used_by(weight: WeightFile) -> list[str]:
    """The metrics whose ``weights`` name the file, then the methods that the catalogue names."""
    from srbench import metrics

    return [name for name in metrics.names() if weight.name in metrics.find(name).weights] + list(weight.used_by)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    licence = row["licence"] if len(row["licence"]) <= 40 else row["licence"][:37] + "..."
    return {
        "name": row["name"],
        "file": row["file"],
        "size": size(row["size"]),
        "licence": ("non-commercial: " if row["noncommercial"] else "") + licence,
        "where": row["path"] or "missing",
        "used by": ", ".join(row["used_by"]),
    }


def _detailed(row: dict[str, Any]) -> str:
    """Every field that says something, one on each line; of a list, one item on each line."""
    known = row["sha256"] or (f"starts with {row['sha256_prefix']}" if row["sha256_prefix"] else "not publicly known")
    said = {**row, "size": size(row["size"]), "sha256": known}
    said["noncommercial"] = "no commercial use" if row["noncommercial"] else None
    del said["sha256_prefix"]
    lines = {key.replace("_", " "): value if isinstance(value, list) else [value] for key, value in said.items()}
    width = max(map(len, lines)) + 2
    return "\n".join(
        f"{key if not i else '':<{width}}{item}" for key, items in lines.items() for i, item in enumerate(items) if item
    )


def _counted(rows: list[dict[str, Any]]) -> str:
    here = sum(row["state"] == "present" for row in rows)
    return f"{here} of {len(rows)} files are here; srbench weights fetch NAME puts one into {own_folder()}"


def size(count: int | None) -> str:
    """Bytes for people: ``91.2 MiB``; ``?`` when not known."""
    if not count:
        return "?"
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


# ------------------------------------------------------------------------------------------------------ fetch


def _fetch(argv: list[str]) -> int:
    from srbench.weight_fetch import check_fetchable, fetch

    parser = CommandParser("srbench weights fetch", "Downloads files of the catalogue.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a name that srbench weights list shows")
    parser.add_argument("--to", type=Path, metavar="DIR", help=f"the folder; the default is {own_folder()}")
    parser.add_argument("--trust", action="store_true", help="take a file of which no hash is publicly known")
    given = parser.parse_args(argv)
    wanted = [find(name) for name in dict.fromkeys(given.names)]
    for weight in wanted:
        check_fetchable(weight, trust=given.trust)
    for weight in wanted:
        if weight.noncommercial:
            print(f"{weight.name}: {weight.licence}; no commercial use", file=sys.stderr)
        done = fetch(weight, given.to or own_folder(), trust=given.trust, report=Progress(weight.file))
        known = "as published" if weight.digest() else "no hash is published: compare it with one you trust"
        print(f"{done.path}  {'was there' if done.was_there else 'fetched'}, sha256 {done.sha256}, {known}")
    return 0


class Progress:
    """How much of a file has arrived: on a terminal one line that is rewritten, elsewhere one every tenth.

    Args:
        file: its name.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._last = (-1, 0.0)

    def __call__(self, done: int, total: int) -> None:
        """Shows ``done`` of ``total`` bytes; a total of 0 is not known."""
        tenth, seen = done * 10 // total if total else done >> 28, time.monotonic()
        share = f"{100 * done // total:3} % of {size(total)}" if total else size(done)
        if sys.stderr.isatty():
            if seen - self._last[1] > 0.2 or done == total:
                print(f"\r{self.file}  {share} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
                self._last = tenth, seen
        elif tenth != self._last[0]:
            print(f"{self.file}  {share}", file=sys.stderr, flush=True)
            self._last = tenth, seen


# ------------------------------------------------------------------------------------------------------ check


def _check(argv: list[str]) -> int:
    parser = CommandParser("srbench weights check", "Hashes the files that are here anew.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the default is every file that is here")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")
    given = parser.parse_args(argv)
    asked = [find(name) for name in dict.fromkeys(given.names)] or [find(n) for n in names() if locate(n) is not None]
    rows = [checked(weight) for weight in asked]
    print(json.dumps(rows, indent=2) if given.json else _verdicts(rows))
    return int(any(row["state"] == "mismatch" for row in rows))


def checked(weight: WeightFile) -> dict[str, str]:
    """The verdict on one file: ``ok``, ``mismatch``, ``unknown hash`` or ``missing``."""
    path = locate(weight.name)
    if path is None:
        return {"name": weight.name, "state": "missing", "path": "", "detail": remedy(weight)}
    found, published = file_sha256(path), weight.digest(path.name)
    if not published:
        return {"name": weight.name, "state": "unknown hash", "path": str(path), "detail": f"sha256 {found}"}
    if found.startswith(published):
        detail = f"sha256 {found}" + ("" if len(published) == 64 else f", of which {published} is published")
        return {"name": weight.name, "state": "ok", "path": str(path), "detail": detail}
    detail = f"sha256 {found}, published is {published}"
    return {"name": weight.name, "state": "mismatch", "path": str(path), "detail": detail}


def _verdicts(rows: list[dict[str, str]]) -> str:
    return table(rows) if rows else "no file of the catalogue is here; see srbench weights list"
