"""``srbench leaderboard``: rebuild the tables from the records, or check that they have not drifted."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from srbench.atomic import write_whole
from srbench.command_parser import CommandParser
from srbench.comparison import protocols_apart, rules
from srbench.errors import InputError
from srbench.leaderboard import (
    Entry,
    Leaderboard,
    build_leaderboard,
    load_entries,
    to_csv,
    to_markdown,
    to_text,
    with_reported,
)
from srbench.naming import printable, unknown_name
from srbench.protocol import protocol_names
from srbench.published import load_published, our_test_sets

RESULTS = Path("results")
RECORDS = RESULTS / "records"

_DESCRIPTION = """\
Builds tables from the records of test runs. A row is one method on one test set under one protocol; rows are ranked
only with rows that were measured the same way on the same files. With no option, in a checkout: reads results/records
and rewrites results/leaderboard.csv and results/leaderboard.md."""


def run(argv: Sequence[str]) -> int:
    """Run the command with its arguments; returns the exit status, 1 when ``--check`` finds a difference.

    Raises:
        InputError: an option is unknown, or a folder, a record, a metric's name or an output cannot be used.
    """
    options = _parser().parse_args(argv)
    committed = not options.records
    targets = _targets(options, committed)
    entries = _entries(options.records or [RECORDS], committed)
    board = build_leaderboard(_of_protocol(entries, options.protocol), options.rank_by)
    if options.published is not None:
        board = with_reported(board, load_published(options.published), our_test_sets())
    if options.check:
        return _check(board, targets)
    for path, text in targets.items():
        _put(path, _text(text, board))
    _pictures(board, options)
    _show(board, options, targets)
    if options.wandb:
        from srbench.tracking import log_leaderboard

        print(log_leaderboard(options.wandb, board))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("srbench leaderboard", _DESCRIPTION)
    add = parser.add_argument
    add("--records", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help="folders of records")
    add("--csv", metavar="PATH", help="write the table as CSV; - for standard output")
    add("--md", metavar="PATH", help="write the tables as Markdown; - for standard output")
    add("--html", type=Path, metavar="PATH", help="write a page with the images side by side that opens offline")
    add("--svg", type=Path, metavar="PATH", help="write a picture of the ranking: dots with 95 %% intervals")
    add("--check", action="store_true", help="write nothing; exit 1 when the CSV or Markdown file has drifted")
    add("--rank-by", metavar="METRIC", help="rank by this metric instead of each protocol's first")
    add("--protocol", nargs="+", action="extend", default=[], metavar="NAME", help="only rows of this protocol")
    add(
        "--published",
        nargs="*",
        metavar="PAPER",
        help="show beside them, unranked, what these papers printed (all that results/published holds)",
    )
    add("--wandb", metavar="PROJECT", help="log tables, per-image scores and pictures as one Weights & Biases run")
    return parser


def _targets(options: argparse.Namespace, committed: bool) -> dict[str, str]:
    """Path -> kind of each table to write or check."""
    targets = {path: kind for path, kind in ((options.csv, "csv"), (options.md, "md")) if path}
    asked = bool(targets or options.html or options.svg or options.wandb)
    another_view = options.rank_by or options.protocol or options.published is not None
    if another_view and committed and not asked and not options.check:
        return {}  # a look at another view leaves the committed tables alone
    if options.check and not targets and (options.protocol or options.published is not None):
        raise InputError(
            "the committed tables hold measured rows of every protocol, and no printed ones",
            where="--check",
            remedy="leave --published and --protocol out, or name the files with --csv and --md",
        )
    if (committed and not asked) or (options.check and not targets):
        targets = {str(RESULTS / "leaderboard.csv"): "csv", str(RESULTS / "leaderboard.md"): "md"}
    if options.check and "-" in targets:
        raise InputError("--check compares files, not standard output", remedy="give --csv and --md as paths")
    return targets


def _entries(folders: Sequence[Path], committed: bool) -> list[Entry]:
    if committed and not RECORDS.is_dir():
        raise InputError(
            "no such folder", where=RECORDS, remedy="run this in a checkout, or give --records with a run's folder"
        )
    entries = load_entries(folders)
    if not entries and not committed:
        where = ", ".join(map(str, folders))
        raise InputError("no records", where=where, remedy="srbench test and srbench score --out write them")
    for entry in entries:
        if committed and "random_backbones" in entry.record.marks:
            raise InputError(
                "part of this method ran on random weights",
                where=entry.path,
                remedy="such records stay out of results/",
            )
    return entries


def _of_protocol(entries: list[Entry], names: Sequence[str]) -> list[Entry]:
    """The entries of the one protocol asked for; all where none is.

    Raises:
        InputError: nobody knows the name, or several are asked for, whose rows can never stand in one ranking.
    """
    wanted = list(dict.fromkeys(names))
    known = {entry.record.protocol for entry in entries}
    for name in wanted:
        if name not in known | set(protocol_names()):
            raise unknown_name("protocol", name, known | set(protocol_names()), where="--protocol")
    if len(wanted) > 1:
        one, two = (rules(name) if name in protocol_names() else name for name in wanted[:2])
        raise InputError(
            protocols_apart(one, two),
            where="--protocol",
            remedy="name one, or none for a table of each",
        )
    return [entry for entry in entries if not wanted or entry.record.protocol in wanted]


def _text(kind: str, board: Leaderboard) -> str:
    return to_csv(board) if kind == "csv" else to_markdown(board)


def _put(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(path), text.encode("utf-8"))


def _show(board: Leaderboard, options: argparse.Namespace, targets: dict[str, str]) -> None:
    if "-" in targets:  # standard output holds the table that was asked for and nothing else
        sys.stderr.write("".join(f"{printable(remark)}\n" for remark in board.remarks))
        return
    sys.stdout.write(to_text(board) if board.groups or board.reported else "There are no records yet.\n")
    for path in (*targets, options.html, options.svg):
        if path:
            print(f"wrote {path}")


def _pictures(board: Leaderboard, options: argparse.Namespace) -> None:
    if not (options.html or options.svg):
        return
    from srbench.report import collect_pictures, leaderboard_svg, write_report

    if options.svg:
        write_whole(options.svg, leaderboard_svg(board).encode("utf-8"))
    if options.html:
        write_report(options.html, board, collect_pictures(board))


def _check(board: Leaderboard, targets: dict[str, str]) -> int:
    drifted = 0
    for path, kind in targets.items():
        wanted = _text(kind, board)
        try:
            found = Path(path).read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", where=path, remedy="run srbench leaderboard"
            ) from error
        if found == wanted.encode("utf-8"):
            print(f"{path}: agrees with the records")
            continue
        drifted += 1
        print(f"{path}: has drifted from the records; run srbench leaderboard and commit it")
        for line in _differences(found.decode("utf-8", "replace"), wanted, kind):
            print(f"  {printable(line)}")
    return 1 if drifted else 0


def _differences(found: str, wanted: str, kind: str, most: int = 20) -> list[str]:
    """Which rows differ, by their names where the file is a CSV."""
    if found.replace("\r\n", "\n") == wanted:
        return ["line ends differ: the file must end its lines with LF"]
    old, new = found.splitlines(), wanted.splitlines()
    lost, gained = [line for line in old if line not in set(new)], [line for line in new if line not in set(old)]
    name = _row_name if kind == "csv" else str.strip
    before, after = [name(line) for line in lost], [name(line) for line in gained]
    lines = [f"differs: {row}" for row in after if row in before]
    lines += [f"in the file, not in the records: {row}" for row in before if row not in after]
    lines += [f"in the records, not in the file: {row}" for row in after if row not in before]
    if not lines:
        lines = ["the rows stand in another order"]
    return lines[:most] + ([f"... and {len(lines) - most} more"] if len(lines) > most else [])


def _row_name(line: str) -> str:
    cells = next(csv.reader(io.StringIO(line)), [])
    return "the header" if cells[:1] == ["rank"] else ", ".join(cells[2:6])
