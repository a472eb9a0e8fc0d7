"""Fig. 9: curves over iterations from the logs of adaptations, and the chart they are drawn in."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from srbench.cli import main
from srbench.errors import InputError
from srbench.modules.adaptation_curve import Seen, curve_of
from srbench.modules.line_chart import Panel, line_chart, steps, ticks

HEAD = "step,losses/l_l1,metrics/Set-split10/lpips_alex\n"


def _log(run: Path, version: int, text: str) -> None:
    folder = run / "logs" / f"version_{version}"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(HEAD + text)


def test_a_resumed_run_is_one_curve(tmp_path: Path) -> None:
    _log(tmp_path, 0, "-1,,0.5\n49,0.1,\n49,,0.4\n99,,0.9\n")
    _log(tmp_path, 10, "149,,0.2\n")
    _log(tmp_path, 2, "99,,0.3\n")
    found = curve_of("LWay", tmp_path, "lpips_alex")
    assert found == [Seen("LWay", "Set-split10", i, v) for i, v in ((0, 0.5), (50, 0.4), (100, 0.3), (150, 0.2))]


def test_the_command_writes_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _log(tmp_path / "a", 0, "-1,,0.5\n49,,0.4\n99,,0.45\n")
    _log(tmp_path / "b", 0, "-1,,0.5\n49,,0.6\n")
    runs = ["--run", f"Ours={tmp_path / 'a'}", "--run", f"LWay={tmp_path / 'b' / 'logs' / 'version_0' / 'metrics.csv'}"]
    assert main(["analyze", "adaptation-curve", *runs, "--out", str(tmp_path / "out")]) == 0
    assert "Ours on Set-split10: 0.5000 at 0, 0.4500 at 100; least 0.4000 at 50" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "curve.csv").open()))
    assert [(row["run"], row["iteration"]) for row in rows][-1] == ("LWay", "50")
    assert len(rows) == 5
    drawn = ElementTree.parse(tmp_path / "out" / "curve.svg").getroot()
    assert len([e for e in drawn.iter() if e.tag.endswith("polyline")]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no run is given"),
        (["--run", "x"], "'x' names no run"),
        (["--run", "x=nowhere"], "it holds no logs/"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "adaptation-curve", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_log_without_the_metric_or_with_a_word_in_it_is_refused(tmp_path: Path) -> None:
    _log(tmp_path, 0, "49,,0.4\n99,,high\n")
    with pytest.raises(InputError, match="nothing of psnr_y219 was validated"):
        curve_of("x", tmp_path, "psnr_y219")
    with pytest.raises(InputError, match="'high' in column"):
        curve_of("x", tmp_path, "lpips_alex")


def test_a_chart_shows_every_panel_and_label() -> None:
    panels = [
        Panel("dB", "i", {"with <s>": [(0.0, 20.0), (1.0, 21.0)]}),
        Panel("share", "FAR", {"with <s>": steps([0, 1], [2])}, dots=False),
    ]
    drawn = ElementTree.fromstring(line_chart(panels, "A & B"))
    words = ["".join(e.itertext()) for e in drawn.iter() if e.tag.endswith("text")]
    assert {"A & B", "with <s>", "dB", "share", "i", "FAR"} <= set(words)
    one, other = (e for e in drawn.iter() if e.tag.endswith("polyline"))
    first, last = (tuple(map(float, p.split(","))) for p in one.attrib["points"].split())
    assert first[0] < last[0]
    assert first[1] > last[1], "higher values stand higher"
    assert len(other.attrib["points"].split()) == 4
    marks = [e for e in drawn.iter() if "scale(" in e.attrib.get("transform", "")]
    assert len(marks) == 1 + 2, "one in the legend, two points"


def test_ticks_hold_the_range() -> None:
    for low, high in ((0.231, 0.2534), (-3.0, 12.0), (1e-6, 3e-6)):
        found = ticks(low, high)
        assert found[0] <= low
        assert found[-1] >= high
        assert 3 <= len(found) <= 12
