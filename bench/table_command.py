"""``srbench table PAPER/N``: a paper's table, measured here beside what was printed; only what is missing is run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from srbench.atomic import write_whole
from srbench.command_parser import CommandParser
from srbench.errors import InputError
from srbench.leaderboard import Entry, load_entries
from srbench.naming import printable
from srbench.published import Reported, load_published, papers
from srbench.tables import Plan, TableSpec, load_table, make_plan, measure_costs, run_plan, to_csv, to_markdown, to_text
from srbench.tables.render import Value, table_values

RECORDS = Path("results") / "records"

_DESCRIPTION = """\
Builds a paper's table (srbench list tables, or a YAML of your own). Cells that are recorded below --records or in --out
are taken from there; the others are run by srbench test, one at a time, where method, weights and images are here; the
rest is listed with its reason. Interrupted, the same command goes on where it stopped. What follows a lone -- goes to
every run, for instance -- --trainer.accelerator cpu."""


def run(argv: Sequence[str]) -> int:
    """Run the command with its arguments.

    Returns:
        The exit status: 0, or 1 when a cell that should run failed.

    Raises:
        InputError: an option, the table, a folder of records or an output cannot be used.
    """
    own, extra = _split(argv)
    options = _parser().parse_args(own)
    spec = load_table(options.table)
    out = options.out or Path("runs") / "tables" / spec.name.replace("/", "_")
    records = out / "records"
    plan = make_plan(spec, _entries(options.records, records), out=records, data=options.data, extra=extra)
    print(_summary(plan))
    if options.dry_run:
        print(_steps(plan))
        return 0
    plan, values = _measure(spec, plan, out, records)
    for path, text in ((out / "table.csv", to_csv(plan, values)), (out / "table.md", to_markdown(plan, values))):
        write_whole(path, text.encode("utf-8"))
    print(f"\n{to_text(plan, values)}\nwrote {out / 'table.csv'}\nwrote {out / 'table.md'}")
    return 1 if any(cell.state == "failed" for cell in plan.cells) else 0


def _measure(spec: TableSpec, plan: Plan, out: Path, records: Path) -> tuple[Plan, list[Value]]:
    from srbench.cli import main  # which imports the commands by name, this one among them
    from srbench.describe_command import describe

    costs, why = measure_costs(spec, out, describe=describe)
    plan = run_plan(plan, records, main)
    return plan, table_values(plan, _published(spec), costs, why)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("srbench table", _DESCRIPTION)
    add = parser.add_argument
    add("table", metavar="PAPER/N", help="a shipped table, or the path of a YAML file")
    add("--records", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help="folders of records")
    add("--out", type=Path, metavar="DIR", help="records, costs and the table go here (runs/tables/PAPER_N)")
    add(
        "--data",
        type=Path,
        default=Path(os.environ.get("SRBENCH_DATA") or "data"),
        metavar="DIR",
        help="folder of the test sets ($SRBENCH_DATA, else data)",
    )
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return parser


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    given = list(argv)
    if "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]


def _entries(folders: Sequence[Path], own: Path) -> list[Entry]:
    places = list(folders) or ([RECORDS] if RECORDS.is_dir() else [])
    if own.is_dir():
        places.append(own)
    return load_entries(places)


def _published(spec: TableSpec) -> list[Reported]:
    """What the paper printed; nothing outside a checkout, or for a table of one's own."""
    try:
        return load_published([spec.paper]) if spec.paper in papers() else []
    except InputError as error:
        print(f"printed numbers are left out: {error}")
        return []


def _summary(plan: Plan) -> str:
    states = [cell.state for cell in plan.cells]
    counts = [f"{states.count(state)} {state}" for state in ("recorded", "to run", "cannot run")]
    return f"{plan.spec.name}: {len(states)} cells, {', '.join(counts)}"


def _steps(plan: Plan) -> str:
    lines = []
    for cell in plan.cells:
        place = f"{cell.method.name} on {cell.test_set.name} x{cell.test_set.scale}"
        detail = " ".join(("srbench", *cell.arguments)) if cell.state == "to run" else cell.reason
        lines.append(printable(f"{cell.state:<10}  {place}" + (f": {detail}" if detail else "")))
    for method in plan.spec.methods if plan.spec.costs else ():
        state, detail = ("to count", "") if method.configs else ("cannot run", ": srbench has no config of it")
        lines.append(printable(f"{state:<10}  {method.printed}, {' and '.join(plan.spec.costs)}{detail}"))
    return "\n".join(lines)
