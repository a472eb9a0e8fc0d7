"""Printed numbers beside measured ones: in every format, marked, never ranked, and nothing changes without them."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.leaderboard import (
    Entry,
    Leaderboard,
    build_leaderboard,
    to_csv,
    to_frame,
    to_markdown,
    to_text,
    with_reported,
)
from srbench.leaderboard_command import run
from srbench.published import COLUMNS, Reported
from srbench.records import record_folder, write_record
from srbench.report import leaderboard_svg, write_report

MakeEntry = Callable[..., Entry]
HOSTILE = "<script>alert(1)</script>|=1+1"


def printed(metric: str = "PSNR", value: str = "30.10", **fields: object) -> Reported:
    number = Reported(
        paper="p", table="1", row=1, test_set="Set5", scale=4, method="EDSR", variant="", metric=metric,
        metric_id="psnr_y219", inferred=False, value=value, unit="dB", protocol="y219_crop4", note="",
    )  # fmt: skip
    return dataclasses.replace(number, **fields)  # type: ignore[arg-type]


@pytest.fixture
def board(make_entry: MakeEntry) -> Leaderboard:
    return build_leaderboard(
        [
            make_entry({"psnr_y219": [30.0, 31.0]}, method=method, test_set=test_set, testset_fingerprint=mark * 64)
            for method, test_set, mark in (("A", "Set5", "a"), ("B", "Set5", "a"), ("A", "Set14", "b"))
        ]
    )


def lines(board: Leaderboard) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(board))))


def test_without_printed_numbers_every_byte_stays(board: Leaderboard) -> None:
    same = with_reported(board, [], {})
    assert [f(same) for f in (to_csv, to_markdown, to_text)] == [f(board) for f in (to_csv, to_markdown, to_text)]
    assert "kind" not in to_csv(board).splitlines()[0]


def test_printed_rows_follow_the_measured_ones_of_their_set_without_a_rank(board: Leaderboard) -> None:
    shown = with_reported(board, [printed(), printed(test_set="Set9", value="99.9", protocol=None)], {})
    rows = lines(shown)
    assert [(r["kind"], r["rank"], r["method"], r["test_set"], r["psnr_y219"], r["protocol"]) for r in rows] == [
        ("measured", "1", "A", "Set5", "30.5000", "y219_crop4"),
        ("measured", "1", "B", "Set5", "30.5000", "y219_crop4"),
        ("reported", "", "EDSR", "Set5", "30.10", "y219_crop4"),
        ("measured", "1", "A", "Set14", "30.5000", "y219_crop4"),
        ("reported", "", "EDSR", "Set9", "99.9", "unknown"),
    ]
    assert rows[2]["source"] == "p, Table 1"
    assert shown.groups == board.groups
    assert shown.remarks == board.remarks
    assert leaderboard_svg(shown) == leaderboard_svg(board), "no dot stands for a printed number"


def test_other_scales_are_other_sets(board: Leaderboard) -> None:
    (block,) = with_reported(board, [printed(scale=2)], {}).reported
    assert block.after is None


def test_a_set_is_found_by_our_name_and_in_every_version_of_its_files(make_entry: MakeEntry) -> None:
    versions = [make_entry({"psnr_y219": [30.0]}, testset_fingerprint=mark * 64) for mark in "ab"]
    shown = with_reported(build_leaderboard(versions), [printed(test_set="five")], {("p", "five"): "Set5"})
    (block,) = shown.reported
    assert (block.test_set, block.after) == ("Set5", 1)


def test_what_is_no_score_is_left_out(board: Leaderboard) -> None:
    numbers = [
        printed("Params", "1.5", test_set="", metric_id=None, protocol=None),
        printed("Blur σ1", "0.2", metric_id=None, protocol=None),
        printed(value="", note="lost in extraction"),
        printed(scale=None),
    ]
    assert with_reported(board, numbers, {}).reported == ()


def test_a_metric_whose_id_is_open_has_a_column_of_its_own(board: Leaderboard) -> None:
    shown = with_reported(board, [printed(metric_id=None), printed("LPIPS", "0.1", metric_id="lpips_alex")], {})
    head = to_csv(shown).splitlines()[0].split(",")
    assert head.index("psnr_y219_ci_hi") < head.index("PSNR (as printed)") < head.index("params_m")
    assert head[-3:] == ["kind", "source", "note"]
    row = next(row for row in lines(shown) if row["kind"] == "reported")
    assert (row["psnr_y219"], row["PSNR (as printed)"], row["lpips_alex"]) == ("", "30.10", "0.1")


def test_a_frame_holds_them_too(board: Leaderboard) -> None:
    frame = to_frame(with_reported(board, [printed(metric_id=None, note="so")], {}))
    row = frame[frame["kind"] == "reported"].iloc[0]
    assert (row["method"], row["PSNR (as printed)"], row["note"]) == ("EDSR", 30.1, "PSNR: so")
    assert list(frame["rank"].isna()) == [False, False, True, False]


NOTED = [
    printed(inferred=True, note="metric_id inferred: the default; scale inferred"),
    printed("LPIPS", "0.1", metric_id="lpips_alex", note="scale inferred"),
    printed(method="RRDB", variant="+Ours", note="scale inferred; Table 2 prints 30.2"),
]


def test_tables_for_people_mark_and_explain(board: Leaderboard) -> None:
    shown = with_reported(board, NOTED, {})
    for text in (to_text(shown), to_markdown(shown)):
        assert "Set5 ×4, reported in papers" in text
        assert "30.10 ?" in text
        assert "reported: p, Table 1" in text
    plain = to_text(shown)
    block = plain[plain.index("Set5 ×4, reported") : plain.index("Set14")]
    assert "every row: scale inferred" not in block, "of RRDB's one metric it is said with the metric's name"
    assert re.search(r"\n  \(1\) PSNR: metric_id inferred: the default\n", block)
    assert re.search(r"EDSR +30\.10 \? +0\.1 +reported: p, Table 1 +y219_crop4 +1, 2\n", block)
    assert "PSNR: Table 2 prints 30.2" in block
    markdown = to_markdown(shown)
    assert markdown.index("## Set5 ×4, y219") < markdown.index("### Set5 ×4, reported") < markdown.index("## Set14")


def test_a_note_of_every_row_is_said_once(board: Leaderboard) -> None:
    shown = with_reported(board, [printed(note="same"), printed(method="B", note="same; other")], {})
    (block,) = shown.reported
    assert block.shared_notes == ["PSNR: same"]
    assert block.notes == ["PSNR: other"]
    assert [block.marks(row) for row in block.rows] == ["", "1"]


def test_the_page_shows_them_in_a_section_of_their_own(tmp_path: Path, board: Leaderboard) -> None:
    write_report(tmp_path / "page.html", with_reported(board, [*NOTED, printed(method=HOSTILE)], {}), [])
    text = (tmp_path / "page.html").read_text()
    sections = re.findall(r"<section.*?</section>", text, re.DOTALL)
    assert ["reported in papers" in section for section in sections[:3]] == [False, True, False]
    assert '<td data-v="30.1" title="metric_id inferred: the default; scale inferred">30.10 ?</td>' in sections[1]
    assert "reported: p, Table 1" in sections[1]
    assert 'class="best"' not in sections[1]
    assert '<a href="#reported-0">Set5 ×4, reported in papers</a>' in text
    assert sections[1].startswith('<section class="reported" id="reported-0">')
    assert "<script>alert" not in text
    assert "30.10" not in sections[0], "measured tables hold measured numbers"


def test_hostile_names_are_escaped_everywhere(board: Leaderboard) -> None:
    shown = with_reported(board, [printed(method=HOSTILE, variant="\x1b[31m"), printed(method="=1+1")], {})
    assert "<script>" not in to_markdown(shown)
    assert "\x1b" not in to_text(shown)
    assert [row["method"] for row in lines(shown) if row["kind"] == "reported"][1] == "'=1+1"


# -------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def checkout(tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch) -> Path:
    for method, protocol, sha in (("Bicubic", "y219_crop4", "c"), ("Other", "rgb_crop4", "d")):
        entry = make_entry({"psnr_y219": [30.0, 31.0]}, method=method, protocol=protocol, protocol_sha256=sha * 64)
        r = entry.record
        folder = record_folder(
            tmp_path / "results" / "records", protocol=protocol, test_set=r.test_set, scale=4, method=method,
            fingerprint=r.fingerprint,
        )  # fmt: skip
        write_record(folder, r, entry.rows)
    published = tmp_path / "results" / "published"
    published.mkdir()
    for paper in ("one", "two"):
        cells = f"{paper},1,1,Five,4,EDSR,,PSNR,psnr_y219,stated,30.62,dB,y219_crop4,as printed"
        (published / f"{paper}.csv").write_text(",".join(COLUMNS) + f"\n{cells}\n")
    (published / "test_sets.csv").write_text("paper,test_set,ours,note\none,Five,Set5,\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_look_at_printed_numbers_leaves_the_committed_tables_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([]) == 0
    before = (checkout / "results" / "leaderboard.md").read_bytes()
    capsys.readouterr()
    assert run(["--published"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("Set5 ×4, y219_crop4") < shown.index("Set5 ×4, reported") < shown.index("Five ×4, reported")
    assert run(["--published", "two"]) == 0
    assert "one, Table 1" not in capsys.readouterr().out
    assert (checkout / "results" / "leaderboard.md").read_bytes() == before
    assert run(["--check"]) == 0
    with pytest.raises(InputError, match="leave --published and --protocol out"):
        run(["--check", "--published"])
    with pytest.raises(InputError, match="unknown paper 'tow'; did you mean 'two'"):
        run(["--published", "tow"])


def test_printed_numbers_go_into_every_file_asked_for(checkout: Path) -> None:
    outputs = [part for kind in ("csv", "md", "html") for part in (f"--{kind}", f"out/b.{kind}")]
    assert run(["--published", "--records", "results/records", *outputs]) == 0
    for kind in ("csv", "md", "html"):
        assert "30.62" in (checkout / "out" / f"b.{kind}").read_text()
    assert run(["--published", "--check", "--csv", "out/b.csv"]) == 0
    assert run(["--check", "--csv", "out/b.csv"]) == 1


def test_protocols_are_shown_one_at_a_time(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--protocol", "rgb_crop4"]) == 0
    shown = capsys.readouterr().out
    assert "Other" in shown
    assert "Bicubic" not in shown
    assert not (checkout / "results" / "leaderboard.csv").exists()
    with pytest.raises(InputError, match="rows of different protocols are never ranked or compared") as caught:
        run(["--protocol", "rgb_crop4", "y219_crop4"])
    assert "psnr_rgb without a border of 4" in str(caught.value)
    assert "variant of a metric move scores by more than methods do" in str(caught.value)
    with pytest.raises(InputError, match="unknown protocol 'rgb_crop'; did you mean 'rgb_crop4'"):
        run(["--protocol", "rgb_crop"])
