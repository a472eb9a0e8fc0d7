"""The page is one file that loads nothing, runs no text of a record, and shows the pictures that were kept."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.errors import InputError
from srbench.images import write_png
from srbench.leaderboard import Entry, Leaderboard, build_leaderboard, load_entries
from srbench.records import record_folder, write_record
from srbench.report import PictureSet, collect_pictures, leaderboard_svg, write_report
from srbench.report.crops import crops, data_uri
from srbench.report.gallery import gallery
from srbench.report.pictures import Pixels
from srbench.report.plot import dot_plot, ticks

MakeEntry = Callable[..., Entry]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def noise(seed: int, height: int = 40, width: int = 48) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def board(make_entry: MakeEntry) -> Leaderboard:
    return build_leaderboard(
        [
            make_entry({"psnr_y219": [30.0 + gap + i / 10 for i in range(12)]}, method=name, **marks)
            for name, gap, marks in (("A", 1.0, {}), ("B", 0.0, {}), (HOSTILE, 9.0, {"marks": ("oracle",)}))
        ]
    )


class Elements(HTMLParser):
    """Collects the elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def test_page_is_one_file_that_loads_and_runs_nothing_foreign(tmp_path: Path, board: Leaderboard) -> None:
    scene = PictureSet(HOSTILE, HOSTILE, {"lq": noise(0, 10, 12), HOSTILE: noise(1), "gt": noise(2)}, {HOSTILE: {}})
    write_report(tmp_path / "page.html", board, [scene])
    text = (tmp_path / "page.html").read_text()
    parser = Elements()
    parser.feed(text)
    tags = [tag for tag, _ in parser.found]
    assert tags.count("script") == 2, "the data and the page's own script"
    for _, attributes in parser.found:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "data", "action"):
            assert name not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for t, a in parser.found if a.get("http-equiv") == "Content-Security-Policy")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert html.escape(HOSTILE) in text
    assert page_data(text)["sets"][0]["scenes"][0]["name"] == HOSTILE


def test_tables_of_the_page_show_ranks_scores_and_reasons(tmp_path: Path, board: Leaderboard) -> None:
    write_report(tmp_path / "page.html", board, [])
    text = (tmp_path / "page.html").read_text()
    rows = re.findall(r"<tr( class=\"unranked\")?>(<td.*?)</tr>", text, re.DOTALL)
    assert [bool(unranked) for unranked, _ in rows] == [False, False, True]
    assert '<td data-v="1">1</td>' in rows[0][1]
    assert 'class="best" data-v="31.55"' in rows[0][1]
    assert "31.55<small>31.00 to 32.10</small>" in rows[0][1]
    assert 'title="it saw the ground truth (oracle)"' in rows[2][1]
    assert "is not ranked, because it saw the ground truth" in text
    assert page_data(text)["sets"] == []


def test_pictures_beside_records_are_found_in_order(tmp_path: Path, make_entry: MakeEntry) -> None:
    for method, worse in (("B", 1.0), ("A", 0.0)):
        entry = make_entry({"psnr_y219": [31.0 - worse, 30.0 - worse]}, method=method)
        record = entry.record
        folder = record_folder(
            tmp_path, protocol=record.protocol, test_set="Set5", scale=4, method=method, fingerprint=record.fingerprint
        )
        write_record(folder, record, entry.rows)
        for name in ("im000", "im001"):
            write_png(folder / "images" / f"{name}.png", noise(ord(method)))
    reference = tmp_path / "reference" / "Set5_x4"
    write_png(reference / "im001_lq.png", noise(1, 10, 12))
    write_png(reference / "im001_gt.png", noise(2))
    pictures = collect_pictures(build_leaderboard(load_entries([tmp_path])))
    assert [scene.name for scene in pictures] == ["im001", "im000"], "the worst first"
    assert list(pictures[0].images) == ["lq", "A", "B", "gt"]
    assert list(pictures[1].images) == ["A", "B"]
    np.testing.assert_array_equal(pictures[0].images["A"], noise(ord("A")))
    assert pictures[0].scores == {"A": {"psnr_y219": 30.0}, "B": {"psnr_y219": 29.0}}
    (tmp_path / "reference" / "Set5_x4" / "im001_gt.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"im001_gt\.png"):
        pictures[0]


def test_crops_lie_where_the_methods_are_wrong() -> None:
    truth = noise(0, 300, 400)
    made = truth.copy()
    made[200:240, 320:360] ^= 255
    windows = crops(PictureSet("s", "n", {"lq": truth[::4, ::4], "A": made, "gt": truth}, {}), side=64)
    assert {window.shape for window in windows.values()} == {(64, 64, 3)}
    assert (windows["A"] != windows["gt"]).any(axis=2).sum() == 40 * 40, "the whole patch is inside"
    blocks = windows["lq"].reshape(16, 4, 16, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all(), "lq is enlarged in blocks of the scale"


def test_small_images_stay_whole_and_unequal_ones_are_refused() -> None:
    assert crops(PictureSet("s", "n", {"A": noise(0)}, {}))["A"].shape == (40, 48, 3)
    with pytest.raises(InputError, match="different sizes: A 48x40, gt 44x40"):
        crops(PictureSet("s", "n", {"A": noise(0), "gt": noise(0, 40, 44)}, {}))
    with pytest.raises(InputError, match="only lq"):
        crops(PictureSet("s", "n", {"lq": noise(0)}, {}))


def test_lossless_pictures_come_back() -> None:
    kind, _, payload = data_uri(noise(5), lossless=True).partition(",")
    assert kind in ("data:image/webp;base64", "data:image/png;base64")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(payload))).convert("RGB"))
    np.testing.assert_array_equal(back, noise(5))
    assert len(data_uri(noise(5), lossless=False)) < len(data_uri(noise(5), lossless=True))


def test_a_page_has_a_size_and_says_what_it_left_out(board: Leaderboard) -> None:
    scenes = [
        PictureSet("s", f"n{i}", {"A": noise(i), "gt": noise(i)}, {"A": {"psnr_y219": float("inf")}}) for i in range(5)
    ]
    whole = gallery(board, scenes)
    assert len(whole.data["pictures"]) == 5, "equal pictures are embedded once"
    assert "The page is full" not in whole.note
    assert whole.data["sets"][0]["scenes"][0]["scores"] == {"A": {"psnr_y219": "inf"}}
    full = gallery(board, scenes, limit=whole.size // 2)
    kept = len(full.data["sets"][0]["scenes"])
    assert 0 < kept < 5
    assert f"The page is full: {kept} of 5 scenes are shown" in full.note


def test_an_empty_board_makes_a_page_and_a_picture(tmp_path: Path) -> None:
    empty = build_leaderboard([])
    write_report(tmp_path / "page.html", empty, [])
    assert "There are no records yet." in (tmp_path / "page.html").read_text()
    assert "There are no records yet." in leaderboard_svg(empty)


def test_the_picture_draws_means_and_intervals_to_scale(board: Leaderboard) -> None:
    root = ET.fromstring(leaderboard_svg(board))
    space = {"s": "http://www.w3.org/2000/svg"}
    marks = [g for g in root.iterfind(".//s:g", space) if g.get("class")]
    assert [g.get("class") for g in marks] == ["lead", "other", "out"]
    dots = [float(g.find("s:circle", space).get("cx", "")) for g in marks]  # type: ignore[union-attr]
    bars = [g.find("s:line", space) for g in marks]
    ends = [(float(b.get("x1", "")), float(b.get("x2", ""))) for b in bars if b is not None]
    means, lows, highs = (31.55, 30.55, 39.55), (31.0, 30.0, 39.0), (32.1, 31.1, 40.1)
    slope = (dots[2] - dots[1]) / (means[2] - means[1])
    for mean, low, high, dot, (left, right) in zip(means, lows, highs, dots, ends, strict=True):
        assert dot == pytest.approx(dots[0] + slope * (mean - means[0]), abs=0.1)
        assert left == pytest.approx(dot + slope * (low - mean), abs=0.2)
        assert right == pytest.approx(dot + slope * (high - mean), abs=0.2)
    titles = [g.findtext("s:title", "", space) for g in marks]
    assert titles[2].startswith(HOSTILE)


def test_nothing_to_draw_draws_nothing(make_entry: MakeEntry) -> None:
    group = build_leaderboard([make_entry({"psnr_y219": [float("inf")] * 2})]).groups[0]
    assert dot_plot(group, "psnr_y219") == ""
    assert dot_plot(group, None) == ""
    alone = build_leaderboard([make_entry({"psnr_y219": [30.0, 30.0]})]).groups[0]
    ET.fromstring(dot_plot(alone, "psnr_y219"))


@pytest.mark.parametrize(("low", "high"), [(27.9, 32.4), (0.001, 0.0013), (-5, 900), (0.6, 0.61), (1e-9, 2e-9)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 7
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks)
    steps = np.diff(marks)
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
