"""``srbench compare A B``: which of two runs is better, per metric, and whether the images can tell."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.atomic import write_whole
from srbench.command_parser import CommandParser
from srbench.comparison import Comparison, MetricComparison, compare
from srbench.errors import InputError
from srbench.leaderboard import Entry, load_entries
from srbench.leaderboard.columns import score
from srbench.leaderboard.formats import aligned
from srbench.naming import printable, unknown_name
from srbench.records import read_record, read_rows
from srbench.records.codec import guarded
from srbench.statistics import RESAMPLES

RECORDS = Path("results") / "records"

_DESCRIPTION = """\
Compares two runs of the same test set, scale and protocol by the paired bootstrap over their common images. A and B are
record folders, or names of methods that have records below --records (a checkout's results/records by default)."""
_CSV = ("metric", "better", "n", "mean_a", "mean_b", "difference", "ci_lo", "ci_hi", "p", "verdict", "remark")


def run(argv: Sequence[str]) -> int:
    """Run the command with its arguments; returns the exit status, 0.

    Raises:
        InputError: a run is not found, a name means several, or the two may not be compared.
    """
    options = _parser().parse_args(list(argv))
    found = compare(_entry(options.a, options), _entry(options.b, options))
    if options.csv and options.csv != "-":
        write_whole(Path(options.csv), to_csv(found).encode("utf-8"))
    if options.json:
        print(json.dumps(as_dict(found), indent=2, allow_nan=False))
    elif options.csv == "-":
        sys.stdout.write(to_csv(found))
    else:
        sys.stdout.write(to_text(found))
        return 0
    sys.stderr.write("".join(f"warning: {printable(text)}\n" for text in found.warnings))
    return 0


def to_text(found: Comparison) -> str:
    """The comparison for a terminal."""
    record, (a, b) = found.a.record, _labels(found)
    lines = [printable(f"A: {a}"), printable(f"B: {b}")]
    lines += [printable(f"{record.test_set} ×{record.scale}, {record.protocol}, {found.n} common images"), ""]
    head = ["metric", "better", "A", "B", "A - B", "95 % interval", "p", "verdict"]
    lines += aligned(head, [_cells(metric) for metric in found.metrics], left=("metric", "better", "verdict"))
    lines += [f"warning: {printable(text)}" for text in found.warnings]
    return "\n".join(lines) + "\n"


def to_csv(found: Comparison) -> str:
    """One line per metric, numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for metric in as_dict(found)["metrics"]:
        writer.writerow([guarded("" if metric[name] is None else str(metric[name])) for name in _CSV])
    return out.getvalue()


def as_dict(found: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON values; numbers that are not finite by name."""
    record = found.a.record
    return {
        "a": _run_dict(found.a),
        "b": _run_dict(found.b),
        "test_set": record.test_set,
        "scale": record.scale,
        "protocol": record.protocol,
        "n": found.n,
        "resamples": RESAMPLES,
        "warnings": list(found.warnings),
        "metrics": [_metric_dict(metric) for metric in found.metrics],
    }


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("srbench compare", _DESCRIPTION)
    add = parser.add_argument
    add("a", metavar="A", help="record folder, its record.json, or a method's name")
    add("b", metavar="B", help="what to compare it with")
    add("--records", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help="where names are looked up")
    add("--set", metavar="NAME", help="the test set, where a name has records on several")
    add("--scale", type=int, metavar="N", help="the scale, likewise")
    add("--protocol", metavar="NAME", help="the protocol, likewise")
    add("--json", action="store_true", help="print JSON")
    add("--csv", metavar="PATH", help="write a line per metric as CSV; - for standard output")
    return parser


def _entry(name: str, options: argparse.Namespace) -> Entry:
    path = Path(name)
    if path.name == "record.json" or (path / "record.json").is_file():
        record = read_record(path)
        return Entry(record, read_rows(path), path)
    if path.is_dir():
        return _only(load_entries([path]), name, options)
    folders = options.records or ([RECORDS] if RECORDS.is_dir() else [])
    if not folders:
        raise InputError(
            "no such record folder", where=name, remedy="give a folder of a record, or --records DIR for names"
        )
    entries = load_entries(folders)
    methods = {entry.record.method for entry in entries}
    if name not in methods:
        raise unknown_name("method", name, methods, where=", ".join(map(str, folders)))
    return _only([entry for entry in entries if entry.record.method == name], name, options)


def _only(entries: Sequence[Entry], name: str, options: argparse.Namespace) -> Entry:
    """The one that fits ``--set``, ``--scale`` and ``--protocol``."""
    wanted = {"test_set": options.set, "scale": options.scale, "protocol": options.protocol}
    fitting = [
        entry
        for entry in entries
        if all(value is None or getattr(entry.record, field) == value for field, value in wanted.items())
    ]
    if len(fitting) == 1:
        return fitting[0]
    shown = sorted(_place(entry) for entry in (fitting or entries))
    listed = "; ".join(shown[:8]) + ("; ..." if len(shown) > 8 else "")
    if fitting:
        remedy = "choose with --set, --scale and --protocol, or give the record's folder"
        raise InputError(f"{len(fitting)} records fit: {listed}", where=name, remedy=remedy)
    what = "no record fits --set, --scale and --protocol" if entries else "there is no record in it"
    raise InputError(what, where=name, remedy=f"there is: {listed}" if entries else "srbench test writes records")


def _place(entry: Entry) -> str:
    record = entry.record
    weights = f", weights {record.weights_sha256[:8]}" if record.weights_sha256 else ""
    return f"{record.method} on {record.test_set} x{record.scale}, {record.protocol}{weights}"


def _labels(found: Comparison) -> tuple[str, str]:
    names = []
    for entry in (found.a, found.b):
        weights = entry.record.weights_sha256
        names.append(f"{entry.record.method} (weights {weights[:8]})" if weights else entry.record.method)
    if names[0] == names[1]:
        names = [
            f"{name} #{entry.record.fingerprint[:8]}" for name, entry in zip(names, (found.a, found.b), strict=True)
        ]
    return names[0], names[1]


def _cells(metric: MetricComparison) -> list[str]:
    interval = "–"
    if metric.low is not None:
        interval = f"[{score(metric.metric, metric.low)}, {score(metric.metric, metric.high)}]"
    difference = "–"
    if metric.difference is not None:
        difference = ("+" if metric.difference > 0 else "") + score(metric.metric, metric.difference)
    verdict = "; ".join(filter(None, (metric.verdict, printable(metric.remark))))
    return [
        metric.metric,
        _direction(metric),
        score(metric.metric, metric.mean_a),
        score(metric.metric, metric.mean_b),
        difference,
        interval,
        _p_text(metric.p),
        verdict,
    ]


def _p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.4f}" if p else f"<{2 / RESAMPLES:.4f}"


def _direction(metric: MetricComparison) -> str:
    return "higher" if metric.higher_is_better else "lower"


def _metric_dict(metric: MetricComparison) -> dict[str, Any]:
    return {
        "metric": metric.metric,
        "better": _direction(metric),
        "n": metric.n,
        "mean_a": _plain(metric.mean_a),
        "mean_b": _plain(metric.mean_b),
        "difference": _plain(metric.difference),
        "ci_lo": _plain(metric.low),
        "ci_hi": _plain(metric.high),
        "p": metric.p,
        "verdict": metric.verdict,
        "remark": metric.remark,
    }


def _run_dict(entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        "method": record.method,
        "weights_sha256": record.weights_sha256,
        "fingerprint": record.fingerprint,
        "marks": list(record.marks),
    }


def _plain(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else repr(float(value))
