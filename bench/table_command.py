"""``srbench table PAPER/N``: a paper's table, measured here beside what was printed; only what is missing is run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from srbench.atomic import write_whole
from srbench.command_parser import CommandParser
from srbench.errors import InputError
from srbench.leaderboard import Entry, load_entries
from srbench.naming import printable
from srbench.published import Reported, load_published, papers
from srbench.tables import (
    LAUNCHERS,
    Plan,
    TableSpec,
    Terms,
    Value,
    compared,
    disagreements,
    load_table,
    make_plan,
    measure_costs,
    plain_costs,
    run_plan,
    table_values,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    to_text,
)

RECORDS = Path("results") / "records"

FORMATS = ("csv", "md", "tex", "html")

_DESCRIPTION = """\
Builds a paper's table (srbench list tables, or a YAML of your own). Cells that are recorded below --records or in --out
are taken from there; the others are run by srbench test where method, weights and images are here, one after the other
or as jobs; the rest is listed with its reason. Interrupted, the same command goes on where it stopped. What follows a
lone -- goes to every run, for instance -- --trainer.accelerator cpu."""


def run(argv: Sequence[str]) -> int:
    """Run the command with its arguments.

    Returns:
        The exit status: 0, or 1 when a cell that should run failed, or measured and printed numbers disagree under
        ``--check``.

    Raises:
        InputError: an option, the table, a folder of records or an output cannot be used.
    """
    own, extra = _split(argv)
    options = _parser().parse_args(own)
    spec = load_table(options.table)
    out = options.out or Path("runs") / "tables" / spec.name.replace("/", "_")
    records = out / "records"
    if options.allow_commands:
        extra = ["--allow-commands", *extra]
    weights = {method: Path(file) for method, file in _pairs(options.weights, "--weights").items()}
    terms = Terms(records, options.data, tuple(extra), weights, options.trial)
    plan = make_plan(spec, _entries(options.records, records), terms)
    print(_summary(plan))
    if options.dry_run:
        print(_steps(plan))
        return 0
    if not options.check:
        plan = _run(plan, records, options)
    values = _values(spec, plan, out, {} if options.outside is None else _outside(options.outside))
    if options.check:
        return _check(spec, values)
    shown = (to_csv(plan, values), to_markdown(plan, values), to_latex(plan, values), to_html(plan, values))
    paths = [out / f"table.{ending}" for ending in FORMATS]
    for path, text in zip(paths, shown, strict=True):
        write_whole(path, text.encode("utf-8"))
    print("\n".join(["", to_text(plan, values), *(f"wrote {path}" for path in paths)]))
    return 1 if any(cell.state == "failed" for cell in plan.cells) else 0


def _run(plan: Plan, records: Path, options: argparse.Namespace) -> Plan:
    if options.launcher == "here":
        from srbench.cli import main  # which imports the commands by name, this one among them

        return run_plan(plan, records, main)
    from srbench.tables.launch import launch_plan

    return launch_plan(plan, records.resolve(), options.launcher, _pairs(options.job, "--job"))


def _values(spec: TableSpec, plan: Plan, out: Path, outside: Mapping[tuple[str, str, str], float]) -> list[Value]:
    from srbench.describe_command import describe

    costs, why = measure_costs(spec, out, describe=describe)
    for place, more in plain_costs(plan).items():
        costs.setdefault(place, {}).update(more)
    return table_values(plan, _published(spec), costs, why, outside)


def _outside(path: Path) -> dict[tuple[str, str, str], float]:
    from srbench.findings import read_csv

    figures = {}
    for row in read_csv(path, ("method", "variant", "metric", "value")):
        try:
            figures[row["method"], row["variant"], row["metric"]] = float(row["value"])
        except ValueError:
            raise InputError(
                f"{row['value']!r} is no number", where=path, remedy="write figures as the paper prints them"
            ) from None
    return figures


def _check(spec: TableSpec, values: Sequence[Value]) -> int:
    found = disagreements(spec, values)
    for line in found:
        print(printable(line))
    print(f"{compared(values)} numbers are measured and printed, {len(found)} disagree")
    return 1 if found else 0


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
    add(
        "--weights",
        action="append",
        default=[],
        metavar="METHOD=FILE",
        help="weights of your own for a row: a checkpoint of srbench fit (.ckpt), or a file in the authors' layout",
    )
    add("--trial", action="store_true", help="random networks, mostly small, where weights are absent: stamped")
    add("--launcher", choices=LAUNCHERS, default="here", help="where cells run (%(default)s)")
    add("--job", action="append", default=[], metavar="KEY=VALUE", help="an option of submitit's jobs: timeout_min=60")
    add("--allow-commands", action="store_true", help="let methods run programs of their authors")
    add(
        "--outside",
        type=Path,
        metavar="CSV",
        help="figures of somebody else's program: columns method, variant, metric (as printed) and value",
    )
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--check", action="store_true", help="run nothing; fail where what is recorded disagrees with print")
    return parser


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"'{text}' is not NAME=VALUE", where=option, remedy="write NAME=VALUE")
        pairs[name] = value
    return pairs


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
    """What would be done: a line per run, and one for the cells of a method that share their state and its reason."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for cell in plan.cells:
        detail = " ".join(("srbench", *cell.arguments)) if cell.state == "to run" else cell.reason
        places.setdefault((cell.state, cell.method.name, detail), []).append(
            f"{cell.test_set.name} x{cell.test_set.scale}"
        )
    lines = []
    for (state, name, detail), sets in places.items():
        lines.append(printable(f"{state:<10}  {name} on {', '.join(sets)}" + (f": {detail}" if detail else "")))
    for method in plan.spec.methods if plan.spec.costs else ():
        state, detail = ("to count", "") if method.configs else ("cannot run", ": srbench has no config of it")
        lines.append(printable(f"{state:<10}  {method.printed}, {' and '.join(plan.spec.costs)}{detail}"))
    return "\n".join(lines)
