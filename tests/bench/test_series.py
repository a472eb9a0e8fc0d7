"""Series that nobody can mistake for each other, also without colour."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

from srbench.series import ROW, legend, mark, stroke

SVG = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'


def _dashes(number: int) -> str:
    found = re.search(r'stroke-dasharray="([^"]*)"', stroke(number))
    return found[1] if found else ""


def _outline(number: int) -> str:
    found = re.search(r' d="([^"]*)"', mark(number, 0, 0))
    assert found
    return found[1]


def test_lines_and_marks_differ_without_colour() -> None:
    assert len({_dashes(number) for number in range(6)}) == 6
    assert len({_outline(number) for number in range(6)}) == 6
    assert len({(_dashes(number), _outline(number)) for number in range(36)}) == 36


def test_a_mark_stands_where_it_is_told_and_says_what_it_is() -> None:
    [drawn] = ElementTree.fromstring(SVG.format(mark(2, 10.04, 20, 4, "a<b: 0.5", opacity=0.5)))
    assert drawn.attrib["transform"] == "translate(10.0 20.0) scale(4)"
    assert drawn.attrib["fill-opacity"] == "0.5"
    assert drawn[0].text == "a<b: 0.5"


def test_a_legend_breaks_its_lines_and_nothing_overlaps() -> None:
    labels = [f"a method of a long name {number}" for number in range(7)] + ["x", "DAPE-FT-1"]
    drawn, rows = legend(labels, 10, 36, 700)
    words = [element for element in ElementTree.fromstring(SVG.format(drawn)) if element.text]
    places = [(float(word.attrib["x"]), float(word.attrib["y"]), len(word.text or "")) for word in words]
    assert [word.text for word in words] == labels
    assert rows == 1 + round((places[-1][1] - places[0][1]) / ROW) > 1
    for (x, y, length), (following, below, _) in pairwise(places):
        assert below > y or following - 32 >= x + 7 * length, "the next sample begins behind this label"
        assert x + 7 * length <= 700


def test_a_label_that_is_longer_than_a_line_is_kept() -> None:
    drawn, rows = legend(["y" * 200, "z"], 10, 36, 300)
    assert rows == 2
    assert "y" * 200 in drawn
