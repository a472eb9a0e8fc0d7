"""A table as CSV, Markdown, LaTeX and text: measured with its interval, printed, their difference."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

from srbench.leaderboard.columns import rounded, score
from srbench.leaderboard.formats import aligned, escape_markdown
from srbench.naming import printable
from srbench.published import Reported
from srbench.records.codec import guarded
from srbench.tables.plan import BETWEEN_REASONS, Plan
from srbench.tables.spec import RANGES
from srbench.tables.values import Value

COLUMNS = (
    "table", "test_set", "scale", "method", "variant", "metric", "measured", "ci_lo", "ci_hi", "n", "reported",
    "metric_id_basis", "difference", "beyond", "status", "remark",
)  # fmt: skip
BEYOND = "*"
TRIAL = "†"
LEGEND = (
    "measured [95 % interval], reported as printed, difference measured - reported. "
    f"{BEYOND}: the printed number lies outside the interval; ?: that the metric is the printed one is inferred; "
    f"{TRIAL}: a trial, part of which ran on random weights."
)

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "×": r"$\times$", "†": r"$\dagger$",
    "*": r"$^{*}$", "✔": r"$\checkmark$", "✘": r"$\times$", "σ": r"$\sigma$", "β": r"$\beta$", "ε": r"$\epsilon$",
}  # fmt: skip


def to_csv(plan: Plan, values: Sequence[Value]) -> str:
    """One line per number, in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for v in values:
        result = v.measured
        basis = "" if v.reported is None or not v.reported.metric_id else _basis(v.reported)
        cells = [
            plan.spec.name, v.test_set, v.scale or "", v.method, v.variant, v.metric,
            *(_number(x) for x in ((result.mean, result.ci_low, result.ci_high) if result else (None, None, None))),
            result.n if result else "", v.reported.value if v.reported else "", basis, _number(v.difference),
            "" if v.beyond is None else ("yes" if v.beyond else "no"), v.status, v.remark,
        ]  # fmt: skip
        writer.writerow([guarded(str(cell)) for cell in cells])
    return out.getvalue()


def to_markdown(plan: Plan, values: Sequence[Value]) -> str:
    """A table per test set, and below what is not measured and why."""
    spec = plan.spec
    lines = [f"# {escape_markdown(spec.name)}: {escape_markdown(spec.title)}", ""]
    lines += [f"Protocol `{spec.protocol}`. {escape_markdown(LEGEND)} Built by `srbench table {spec.name}`.", ""]
    for title, head, rows in blocks(plan, values):
        names = [escape_markdown(name) for name in head]
        rule = ["---"] + ["---:"] * (len(head) - 1)
        lines += [f"## {escape_markdown(title)}", ""]
        lines += [
            f"| {' | '.join(cells)} |" for cells in (names, rule, *([escape_markdown(c) for c in r] for r in rows))
        ]
        lines += [""]
    remarks = remarks_of(plan, values)
    if remarks:
        lines += ["## Not measured, or to be known", "", *(f"- {escape_markdown(text)}" for text in remarks)]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_latex(plan: Plan, values: Sequence[Value]) -> str:
    r"""A booktabs table per test set, to be put into a paper with ``\input``; what is not measured is a comment."""
    parts = [
        f"% {plan.spec.name}, protocol {plan.spec.protocol}, built by srbench table {plan.spec.name}",
        f"% {LEGEND}",
    ]
    for title, head, rows in blocks(plan, values):
        columns = "l" + "r" * (len(head) - 1)
        lines = [r"\begin{tabular}{" + columns + "}", r"\toprule", _latex_row(head), r"\midrule"]
        lines += [_latex_row(row) for row in rows]
        parts.append("\n".join([f"% {printable(title)}", *lines, r"\bottomrule", r"\end{tabular}"]))
    remarks = [f"% {printable(text)}" for text in remarks_of(plan, values)]
    return "\n\n".join(["\n".join(parts[:2]), *parts[2:], *(["\n".join(remarks)] if remarks else [])]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    shown = "".join(_LATEX.get(character, character) for character in printable(text))
    return shown.replace("[", "{[}").replace("]", "{]}")


def to_text(plan: Plan, values: Sequence[Value]) -> str:
    """The same for a terminal."""
    parts = [f"{plan.spec.name}, {plan.spec.protocol}\n{LEGEND}"]
    for title, head, rows in blocks(plan, values):
        shown = [[printable(cell) for cell in row] for row in rows]
        parts.append("\n".join([printable(title), *aligned([printable(h) for h in head], shown, left=("method",))]))
    remarks = [f"  {printable(text)}" for text in remarks_of(plan, values)]
    return "\n\n".join([*parts, *(["\n".join(["not measured, or to be known", *remarks])] if remarks else [])]) + "\n"


def blocks(plan: Plan, values: Sequence[Value]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(title, heads, rows) per test set, the costs first."""
    places = dict.fromkeys((v.test_set, v.scale) for v in values)
    for test_set, scale in places:
        here = [v for v in values if (v.test_set, v.scale) == (test_set, scale)]
        metrics = list(dict.fromkeys(v.metric for v in here))
        head = ["method", *(name for metric in metrics for name in (metric, "reported", "difference"))]
        rows: dict[tuple[str, str], list[str]] = {}
        for v in here:
            label = f"{v.method} {v.variant}".strip()
            rows.setdefault((v.method, v.variant), [label]).extend(_shown(v))
        other = "Ranges" if all(c.startswith(RANGES) for c in plan.spec.costs.values()) else "Costs"
        yield (f"{test_set} ×{scale}" if test_set else other), head, list(rows.values())


def _shown(v: Value) -> list[str]:
    def text(value: float | None) -> str:
        return score(v.metric, value) if v.test_set else rounded(value)

    measured = "–"
    if v.measured is not None and v.measured.mean is not None:
        measured = text(v.measured.mean) + (f" {TRIAL}" if v.trial else "")
        if v.measured.ci_low is not None:
            measured += f" [{text(v.measured.ci_low)}, {text(v.measured.ci_high)}]"
    printed = "–" if v.reported is None or not v.reported.value else v.reported.value
    if v.inferred and v.reported is not None and v.reported.value:
        printed += " ?"
    difference = "–"
    if v.difference is not None:
        shown = text(v.difference) if v.test_set else f"{v.difference:.3g}"
        difference = ("+" if v.difference > 0 else "") + shown + (f" {BEYOND}" if v.beyond else "")
    return [measured, printed, difference]


def remarks_of(plan: Plan, values: Sequence[Value]) -> list[str]:
    """One sentence per reason, with all the methods and sets it concerns, then the notes of printed numbers."""
    reasons: dict[str, dict[str, None]] = {}
    for v in values:
        if v.remark:
            place = f"{v.method} {v.variant}".strip() + (f" on {v.test_set}" if v.test_set else "")
            for reason in v.remark.split(BETWEEN_REASONS):
                reasons.setdefault(reason, {})[place] = None
    every = len(plan.spec.test_sets)
    found = [f"{_places(list(places), every)}: {reason}" for reason, places in reasons.items()]
    return [*found, *_notes(values)]


def _notes(values: Sequence[Value], most: int = 3) -> Iterator[str]:
    """The notes of printed numbers, each with the numbers it is about unless these are many."""
    about: dict[str, list[str]] = {}
    for v in values:
        for note in v.reported.note.split("; ") if v.reported is not None else ():
            place = f" on {v.test_set}" if v.test_set else ""
            about.setdefault(note, []).append(f"{v.method} {v.variant}".strip() + f" {v.metric}{place}")
    for note, places in about.items():
        if note:
            yield (
                f"printed numbers ({', '.join(places)}): {note}" if len(places) <= most else f"printed numbers: {note}"
            )


def _places(places: list[str], every: int) -> str:
    """``A on X, A on Y`` as ``A`` where all sets are concerned."""
    methods: dict[str, list[str]] = {}
    for place in places:
        method, _, test_set = place.partition(" on ")
        methods.setdefault(method, []).append(test_set)
    parts = [
        m if len([s for s in sets if s]) in (0, every) else f"{m} on {', '.join(s for s in sets if s)}"
        for m, sets in methods.items()
    ]
    return ", ".join(parts)


def _basis(number: Reported) -> str:
    return "inferred" if number.inferred else "stated"


def _number(value: float | None) -> str:
    return "" if value is None else (repr(float(value)) if math.isfinite(value) else str(float(value)))
