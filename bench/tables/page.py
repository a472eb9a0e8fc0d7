"""A table as a page of one file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from srbench import __version__
from srbench.naming import printable
from srbench.tables.plan import Plan
from srbench.tables.render import LEGEND, blocks, remarks_of
from srbench.tables.values import Value

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="srbench $version">
<title>$name</title>
<style>$style</style>
</head>
<body>
<header><h1>$name</h1><p class="lede">$title. Protocol $protocol.</p>
<p class="lede">Columns: $legend</p></header>
<main>
$tables
$remarks
</main>
<footer>Built by srbench $version from records and printed numbers. This page loads nothing from a network.</footer>
</body>
</html>
""")


def to_html(plan: Plan, values: Sequence[Value]) -> str:
    """The page: a table per test set, and below what is not measured and why."""
    spec = plan.spec
    remarks = "".join(f"<li>{_safe(text)}</li>" for text in remarks_of(plan, values))
    return _PAGE.substitute(
        version=escape(__version__),
        name=_safe(spec.name),
        title=_safe(spec.title),
        protocol=_safe(spec.protocol),
        legend=_safe(LEGEND),
        style=files("srbench.report").joinpath("page.css").read_text(encoding="utf-8"),
        tables="\n".join(_section(*block) for block in blocks(plan, values)),
        remarks=f"<section><h2>Not measured, or to be known</h2><ul>{remarks}</ul></section>" if remarks else "",
    )


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th{_words(i)}><span>{_safe(name)}</span></th>" for i, name in enumerate(head))
    lines = ("".join(f"<td{_words(i)}>{_safe(cell)}</td>" for i, cell in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<section><h2>{_safe(title)}</h2><div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _words(column: int) -> str:
    """The first column, the methods' names, stands on the left."""
    return ' class="words method"' if column == 0 else ""


def _safe(text: str) -> str:
    return escape(printable(text))
