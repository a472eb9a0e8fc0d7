"""Two runs of one test set, metric by metric: which is better, by the paired bootstrap over their common images.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from srbench.errors import InputError
from srbench.leaderboard.entries import Entry
from srbench.protocol import load_protocol, protocol_names
from srbench.records import MetricResult, RunRecord
from srbench.statistics import FEWEST_IMAGES, paired_bootstrap

Verdict = Literal["A is better", "B is better", "cannot be told apart", "too few images"]


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two runs.

    Attributes:
        metric: its id.
        higher_is_better: its direction.
        n: images that have a value in both; 0 where there is no paired test.
        mean_a: mean over those images; of a metric with one value per set, that value; None where it is missing.
        mean_b: likewise.
        difference: mean of A - B over the images; infinite where a difference is.
        low: lower end of the difference's 95 % interval; None where there is none.
        high: upper end.
        p: two-sided, by resampling the images; None where there is no paired test.
        verdict: None where there is no paired test.
        remark: why there is no test, or what else one must know.
    """

    metric: str
    higher_is_better: bool
    n: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    verdict: Verdict | None = None
    remark: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two runs that may be compared.

    Attributes:
        a: the first.
        b: the second.
        metrics: in the protocol's order.
        n: images that both runs scored.
        warnings: what makes the comparison say less than it seems to.
    """

    a: Entry
    b: Entry
    metrics: tuple[MetricComparison, ...]
    n: int
    warnings: tuple[str, ...]


def compare(a: Entry, b: Entry) -> Comparison:
    """Compare two runs of the same files, scale and protocol.

    Raises:
        InputError: they were measured on other files, at another scale or under another protocol; it says why that
            cannot be compared.
    """
    why = why_apart(a.record, b.record)
    if why is not None:
        raise InputError(why, where=f"{a.record.method} and {b.record.method}", remedy="measure both the same way")
    names = dict.fromkeys([*a.record.metrics, *b.record.metrics])
    common = {row.name for row in a.rows} & {row.name for row in b.rows}
    return Comparison(a, b, tuple(_metric(name, a, b) for name in names), len(common), _warnings(a, b, len(common)))


def why_apart(a: RunRecord, b: RunRecord) -> str | None:
    """Why two runs may not stand in one ranking, in a sentence without a full stop; None when they may."""
    if a.protocol_sha256 != b.protocol_sha256:
        return protocols_apart(_rules(a), _rules(b))
    if a.scale != b.scale:
        return f"one is ×{a.scale} and the other ×{b.scale}, two different tasks"
    if a.testset_fingerprint != b.testset_fingerprint:
        names = a.test_set if a.test_set == b.test_set else f"{a.test_set} and {b.test_set}"
        return f"they were measured on different files ({names}), so a difference may come from the images alone"
    return None


def protocols_apart(one: str, other: str) -> str:
    """The sentence that refuses to rank under two protocols, whose rules are given in words."""
    return (
        f"rows of different protocols are never ranked or compared ({one}, against {other}), for colour, border and "
        "the variant of a metric move scores by more than methods do"
    )


def rules(protocol: str) -> str:
    """A shipped protocol with its crops, in words: ``y219_crop4 (psnr_y219 without a border of 4, ...)``."""
    found = load_protocol(protocol)
    specs = [f"{spec.metric} without a border of {spec.crop_border}" for spec in found.metrics]
    image = "" if found.center is None else f"the middle {found.center}x{found.center} px, "
    return f"{found.name} ({image}{', '.join(specs[:4])}{', ...' if len(specs) > 4 else ''})"


def _rules(record: RunRecord) -> str:
    name = record.protocol
    if name in protocol_names() and load_protocol(name).sha256 == record.protocol_sha256:
        return rules(name)
    version = "" if record.protocol_version == 1 else f"@{record.protocol_version}"
    return f"{name}{version}#{record.protocol_sha256[:8]} ({', '.join(list(record.metrics)[:4])})"


def _metric(name: str, a: Entry, b: Entry) -> MetricComparison:
    one, two = a.record.metrics.get(name), b.record.metrics.get(name)
    either = one or two
    assert either is not None
    higher = either.higher_is_better
    means = _mean(one), _mean(two)
    if None in means:
        remark = "; ".join(
            _absent(label, result) for label, result in (("A", one), ("B", two)) if _mean(result) is None
        )
        return MetricComparison(name, higher, 0, *means, remark=remark)
    first = {row.name: row.values[name] for row in a.rows if name in row.values}
    second = {row.name: row.values[name] for row in b.rows if name in row.values}
    if not first and not second:
        return MetricComparison(name, higher, 0, *means, remark=_of_the_set(name, a.record, b.record))
    both = sorted(first.keys() & second.keys())
    shared = [key for key in both if not (math.isnan(first[key]) or math.isnan(second[key]))]
    return _paired(name, higher, [first[key] for key in shared], [second[key] for key in shared])


def _of_the_set(name: str, a: RunRecord, b: RunRecord) -> str:
    """Why one value per set has no test, and of which images it is."""
    one, two = ("; ".join(record.notes_on(name)) for record in (a, b))
    notes = [one] if one == two else [f"A: {one or 'unknown'}", f"B: {two or 'unknown'}"]
    return "; ".join(filter(None, ["one value per set: no paired test", *notes]))


def _mean(result: MetricResult | None) -> float | None:
    return None if result is None else result.mean


def _absent(label: str, result: MetricResult | None) -> str:
    return f"{label} lacks it" if result is None or not result.missing else f"{label}: {result.missing.rstrip('.')}"


def _paired(name: str, higher: bool, first: list[float], second: list[float]) -> MetricComparison:
    if not first:
        return MetricComparison(name, higher, 0, None, None, remark="no image has a value in both")
    n = len(first)
    # Equal values differ by nothing, also where both are infinite.
    differences = np.array([0.0 if x == y else x - y for x, y in zip(first, second, strict=True)])
    low, high, p = paired_bootstrap(differences)
    difference, remark = float(differences.mean()), ""
    if not np.isfinite(differences).all():
        count = int((~np.isfinite(differences)).sum())
        remark = f"{count} of {n} differences are infinite (equal to gt in one run): no interval"
    has_interval = n > 1 and not remark
    return MetricComparison(
        name,
        higher,
        n,
        math.fsum(first) / n,
        math.fsum(second) / n,
        difference=difference,
        low=low if has_interval else None,
        high=high if has_interval else None,
        p=p,
        verdict=_verdict(n, low, high, p, higher),
        remark=remark,
    )


def _verdict(n: int, low: float, high: float, p: float, higher: bool) -> Verdict:
    if p >= 0.05:
        return "cannot be told apart"
    if n < FEWEST_IMAGES:
        return "too few images"
    return "A is better" if (low + high > 0) == higher else "B is better"


def _warnings(a: Entry, b: Entry, common: int) -> tuple[str, ...]:
    found = []
    if common < FEWEST_IMAGES:
        found.append(
            f"only {common} common images: under {FEWEST_IMAGES} an interval says little, and no verdict is given"
        )
    for label, entry in (("A", a), ("B", b)):
        left = len(entry.rows) - common
        if left:
            found.append(f"{left} images of {label} have no partner and do not count")
        if "oracle" in entry.record.marks:
            found.append(f"{label} saw the ground truth (oracle)")
        if "random_backbones" in entry.record.marks:
            found.append(f"part of {label} ran on random weights")
    if a.record.fingerprint == b.record.fingerprint:
        found.append("A and B are the same run")
    return tuple(found)
