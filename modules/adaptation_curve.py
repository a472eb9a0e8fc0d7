"""``srbench analyze adaptation-curve``: a metric over the iterations of adaptations (Fig. 9 of HR-aware)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srbench.errors import InputError
from srbench.findings import Findings, read_csv
from srbench.modules.line_chart import Panel, line_chart

ANALYSIS = {
    "name": "adaptation-curve",
    "summary": "a validated metric over the iterations of adaptations, from their logs (HR-aware, Fig. 9)",
    "model": False,
}


class Seen(NamedTuple):
    """One validation of one run.

    Attributes:
        run: the run's label.
        test_set: what was validated on.
        iteration: steps that were done by then.
        value: of the metric.
    """

    run: str
    test_set: str
    iteration: int
    value: float


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--run", metavar="LABEL=DIR", action="append", default=[],
        help="the run folder of a srbench fit with --data.init_args.split, or its metrics.csv; may be repeated",
    )  # fmt: skip
    parser.add_argument("--metric", default="lpips_alex", help="which of those validated (%(default)s)")


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Reads the logs.

    Returns:
        ``curve.csv``, a row per run, set and iteration, and ``curve.svg``, a panel per set.

    Raises:
        InputError: no run is given, a folder holds no log, or a log lacks the metric.
    """
    if not given.run:
        raise InputError("no run is given", where="--run", remedy="write LABEL=DIR, the folder of a srbench fit")
    seen: list[Seen] = []
    for done, text in enumerate(given.run, 1):
        label, _, folder = text.partition("=")
        if not label or not folder:
            raise InputError(f"'{text}' names no run", where="--run", remedy="write LABEL=DIR, e.g. LWay=runs/lway")
        seen += curve_of(label, Path(folder), given.metric)
        progress(done, len(given.run))
    rows: list[dict[str, Any]] = [one._asdict() for one in seen]
    return Findings({"curve.csv": rows, "curve.svg": _chart(seen, given.metric)}, _words(seen))


def curve_of(label: str, place: Path, metric: str) -> list[Seen]:
    """The validations of a run, by set and iteration; where a run was resumed, what was logged last counts.

    Raises:
        InputError: there is no log, or nothing of the metric in it.
    """
    logs = [place] if place.is_file() else sorted(place.glob("logs/*/metrics.csv"), key=_version)
    if not logs:
        raise InputError(
            "it holds no logs/version_*/metrics.csv", where=place, remedy="give the folder of a srbench fit"
        )
    found: dict[tuple[str, int], float] = {}
    for log in logs:
        for row in read_csv(log, ["step"]):
            for name, value in row.items():
                if value and name.startswith("metrics/") and name.endswith(f"/{metric}"):
                    found[name.split("/")[1], int(row["step"]) + 1] = _number(value, name, log)
    if not found:
        raise InputError(
            f"nothing of {metric} was validated",
            where=logs[-1],
            remedy="fit with --data.init_args.split 10 and a --benchmark.protocol that has it",
        )
    return [Seen(label, name, iteration, value) for (name, iteration), value in sorted(found.items())]


def _version(log: Path) -> tuple[int, str]:
    number = log.parent.name.rpartition("_")[2]
    return (int(number) if number.isdigit() else -1), log.parent.name


def _number(text: str, column: str, log: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"'{text}' in column '{column}' is no number", where=log, remedy="mend it") from error


def _chart(seen: Sequence[Seen], metric: str) -> str:
    panels = []
    for test_set in dict.fromkeys(one.test_set for one in seen):
        lines: dict[str, list[tuple[float, float]]] = {}
        for one in seen:
            if one.test_set == test_set:
                lines.setdefault(one.run, []).append((one.iteration, one.value))
        panels.append(Panel(f"{metric} on {test_set}", "iterations", lines))
    return line_chart(panels, f"{metric} over the iterations of an adaptation")


def _words(seen: Sequence[Seen]) -> list[str]:
    lines = []
    for run_label, test_set in dict.fromkeys((one.run, one.test_set) for one in seen):
        mine = [one for one in seen if (one.run, one.test_set) == (run_label, test_set)]
        low, high = min(mine, key=lambda one: one.value), max(mine, key=lambda one: one.value)
        lines.append(
            f"{run_label} on {test_set}: {mine[0].value:.4f} at {mine[0].iteration}, {mine[-1].value:.4f} at "
            f"{mine[-1].iteration}; least {low.value:.4f} at {low.iteration}, most {high.value:.4f} at {high.iteration}"
        )
    return lines
