"""The leaderboard is a pure function of records, ranks only what may be compared, and escapes what it shows."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from srbench.errors import InputError
from srbench.leaderboard import Entry, build_leaderboard, load_entries, to_csv, to_frame, to_markdown, to_text
from srbench.leaderboard.columns import exact_millions, rounded
from srbench.records import Cost, ImageRow, MetricResult, RunRecord, write_record

MakeRecord = Callable[..., RunRecord]
MakeEntry = Callable[..., Entry]
SCENES = [28 + 3 * math.sin(i) for i in range(20)]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def shifted(gap: float, noise: int = 0) -> list[float]:
    return [value + gap + 0.1 * math.cos(7 * i + noise) for i, value in enumerate(SCENES)]


def test_columns_and_cells(make_entry: MakeEntry) -> None:
    values = {"psnr_y219": [32.0, 32.362], "ssim_y219": [0.9, 0.8]}
    cost = Cost(params=424_428, macs=19_670_000_000, ms_per_image=33.5, peak_mem_mb=812.34, device="cpu")
    board = build_leaderboard([make_entry(values, method="DVMSR", cost=cost, weights_sha256="c" * 64)])
    header, line = to_csv(board).splitlines()
    assert header == (
        "rank,tie_group,method,test_set,scale,protocol,n,psnr_y219,psnr_y219_ci_lo,psnr_y219_ci_hi,"
        "ssim_y219,ssim_y219_ci_lo,ssim_y219_ci_hi,params_m,macs_g,ms_per_image,peak_mem_mb,device,weights_sha256,"
        "srbench_version,git_revision,date"
    )
    assert line == (
        "1,,DVMSR,Set5,4,y219_crop4,2,32.1810,32.0000,32.3620,0.8500,0.8000,0.9000,0.424428,19.670,33.500,812.3,cpu,"
        f"{'c' * 64},0.1.0,{'a' * 40},2026-01-01T00:00:00Z"
    )


def test_a_frame_holds_numbers_as_numbers(make_entry: MakeEntry) -> None:
    values = {"psnr_y219": [30.0, 30.5]}
    board = build_leaderboard([make_entry(values, method="NA"), make_entry(values, method="b", marks=("oracle",))])
    frame = to_frame(board)
    assert list(frame.columns) == to_csv(board).splitlines()[0].split(",")
    assert list(frame["method"]) == ["NA", "b [oracle]"]  # a method may be called NA without being none
    assert list(frame["rank"].isna()) == [False, True]
    assert frame["psnr_y219"].dtype.kind == "f"
    assert frame["psnr_y219"].iloc[0] == pytest.approx(30.25)


def test_the_order_of_records_does_not_matter(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": shifted(gap, noise)}, method=f"m{noise}", test_set=test_set)
        for test_set in ("Set14", "Set5")
        for noise, gap in enumerate((0.0, 0.5, 0.51, -1.0))
    ]
    wanted = [f(build_leaderboard(entries)) for f in (to_csv, to_markdown, to_text)]
    for seed in range(5):
        random.Random(seed).shuffle(entries)
        assert [f(build_leaderboard(entries)) for f in (to_csv, to_markdown, to_text)] == wanted


def test_sets_stand_in_reading_order(make_entry: MakeEntry) -> None:
    sets = ["Set14", "5", "BSD100", "Set5", "Set14b", "set2"]
    board = build_leaderboard([make_entry({"psnr_y219": [30.0]}, test_set=name) for name in sets])
    assert [group.test_set for group in board.groups] == ["5", "BSD100", "set2", "Set5", "Set14", "Set14b"]


def test_ranks_and_tie_groups(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": shifted(gap, noise)}, method=name)
        for noise, (name, gap) in enumerate((("best", 0.51), ("tied", 0.5), ("third", 0.0), ("last", -1.0)))
    ]
    rows = read(to_csv(build_leaderboard(entries)))
    assert [(row["rank"], row["tie_group"], row["method"]) for row in rows] == [
        ("1", "a", "best"),
        ("2", "a", "tied"),
        ("3", "b", "third"),
        ("4", "c", "last"),
    ]


def test_equal_means_share_a_rank_and_few_images_give_no_groups(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": [30.0, value]}, method=name) for name, value in (("b", 31), ("a", 31), ("c", 29))
    ]
    rows = read(to_csv(build_leaderboard(entries)))
    assert [(row["rank"], row["tie_group"], row["method"]) for row in rows] == [
        ("1", "", "a"),
        ("1", "", "b"),
        ("3", "", "c"),
    ]


def test_lower_is_better_where_the_metric_says_so(make_entry: MakeEntry) -> None:
    entries = [make_entry({"lpips": [v, v]}, method=name, higher=False) for name, v in (("a", 0.3), ("b", 0.1))]
    assert [row["method"] for row in read(to_csv(build_leaderboard(entries)))] == ["b", "a"]


def test_a_reason_for_no_rank_is_told_once_with_all_its_places(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": [50.0 + i] * 12}, method="trial", test_set=name, marks=("random_backbones",))
        for i, name in enumerate(("Set5", "Set14"))
    ]
    board = build_leaderboard(entries)
    told = [remark for remark in board.remarks if "is not ranked" in remark]
    assert told == [
        "Set5 ×4, y219_crop4; Set14 ×4, y219_crop4: trial [random backbones] is not ranked, because part of it ran on "
        "random weights."
    ]
    text = to_markdown(board)
    assert r"No row is ranked by psnr\_y219" in text
    assert "Too few images" not in text, "there are twelve"


def test_rows_that_may_not_be_ranked_stand_last_without_a_rank(make_entry: MakeEntry) -> None:
    entry = make_entry({"psnr_y219": [30.0, 31.0]}, method="plain")
    oracle = make_entry({"psnr_y219": [60.0, 61.0]}, method="cheat", marks=("oracle",))
    trial = make_entry({"psnr_y219": [50.0, 51.0]}, method="trial", marks=("random_backbones",))
    reason = MetricResult(None, 0, None, None, True, "srbench", (), "no gt")
    lacking = Entry(dataclasses.replace(entry.record, method="lacking", metrics={"psnr_y219": reason}), ())
    undefined = make_entry({"psnr_y219": [math.nan, math.nan]}, method="undefined")
    board = build_leaderboard([oracle, trial, lacking, undefined, entry])
    rows = read(to_csv(board))
    assert [(row["rank"], row["method"]) for row in rows] == [
        ("1", "plain"),
        ("", "cheat [oracle]"),
        ("", "lacking"),
        ("", "trial [random backbones]"),
        ("", "undefined"),
    ]
    remarks = "\n".join(board.remarks)
    for sentence in (
        "cheat [oracle] is not ranked, because it saw the ground truth (oracle).",
        "trial [random backbones] is not ranked, because part of it ran on random weights.",
        "psnr_y219 is missing for lacking (Set5 ×4, y219_crop4): no gt.",
        "undefined is not ranked, because psnr_y219 is not a number.",
    ):
        assert sentence in remarks


def test_an_infinite_mean_ranks_first(make_entry: MakeEntry) -> None:
    entries = [make_entry({"psnr_y219": [v, v]}, method=name) for name, v in (("a", 30.0), ("same", math.inf))]
    rows = read(to_csv(build_leaderboard(entries)))
    assert [(row["rank"], row["method"], row["psnr_y219"]) for row in rows] == [
        ("1", "same", "inf"),
        ("2", "a", "30.0000"),
    ]


def test_a_value_of_the_whole_set_ranks_without_ties_and_says_how_many_images_and_which_crop(
    make_record: MakeRecord,
) -> None:
    note = "fid_clean: n=12, images full, border 0; strongly biased under 1000 images"

    def entry(method: str, fid: float) -> Entry:
        result = MetricResult(fid, 12, None, None, False, "torchmetrics")
        record = make_record(method=method, n=12, metrics={"fid_clean": result}, notes=(note,))
        return Entry(record, [ImageRow(f"im{i}", {}) for i in range(12)])

    board = build_leaderboard([entry("A", 40.0), entry("B", 30.0)])
    assert [(row.rank, row.tie_group, row.record.method) for row in board.groups[0].rows] == [
        (1, None, "B"),
        (2, None, "A"),
    ]
    assert board.remarks == (f"Set5 ×4, y219_crop4: {note}.",)


def test_rank_by_another_metric(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": [p, p], "ssim_y219": [s, s]}, method=name)
        for name, p, s in (("a", 31, 0.8), ("b", 30, 0.9))
    ]
    assert [row["method"] for row in read(to_csv(build_leaderboard(entries)))] == ["a", "b"]
    assert [row["method"] for row in read(to_csv(build_leaderboard(entries, "ssim_y219")))] == ["b", "a"]
    with pytest.raises(InputError, match="unknown metric 'ssim_y'; did you mean 'ssim_y219'"):
        build_leaderboard(entries, "ssim_y")


def test_protocols_are_never_ranked_together(make_entry: MakeEntry) -> None:
    first = make_entry({"psnr_y219": [30.0, 30.0]}, method="a")
    second = make_entry({"psnr_rgb": [99.0, 99.0]}, method="b", protocol="rgb_crop4", protocol_sha256="d" * 64)
    assert [row["rank"] for row in read(to_csv(build_leaderboard([first, second])))] == ["1", "1"]
    board = build_leaderboard([first, second], "psnr_y219")
    assert {row["protocol"]: row["rank"] for row in read(to_csv(board))} == {"rgb_crop4": "", "y219_crop4": "1"}
    assert board.remarks == (
        "Set5 ×4, rgb_crop4: not ranked, because its protocol does not measure psnr_y219; "
        "rows of different protocols are never ranked together.",
    )


def test_who_ranks_by_a_metric_of_two_protocols_is_told_why_there_are_two_rankings(make_entry: MakeEntry) -> None:
    first = make_entry({"psnr_y219": [30.0, 30.0]}, method="a")
    second = make_entry({"psnr_y219": [31.0, 31.0]}, method="b", protocol="y219_crop0", protocol_sha256="d" * 64)
    assert build_leaderboard([first, second]).remarks == ()
    board = build_leaderboard([first, second], "psnr_y219")
    assert [row["rank"] for row in read(to_csv(board))] == ["1", "1"]
    (remark,) = board.remarks
    assert remark.startswith("Set5 ×4: ranked under y219_crop0, y219_crop4 apart, never together, for border and crop")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"testset_fingerprint": "d" * 64}, {"Set5#01234567", "Set5#dddddddd"}),
        ({"scale": 2}, {"Set5"}),
    ],
)
def test_other_files_or_scales_are_ranked_apart(
    make_entry: MakeEntry, changes: dict[str, object], names: set[str]
) -> None:
    entries = [
        make_entry({"psnr_y219": [30.0, 31.0]}, method="a"),
        make_entry({"psnr_y219": [1.0, 2.0]}, method="b", **changes),
    ]
    rows = read(to_csv(build_leaderboard(entries)))
    assert [row["rank"] for row in rows] == ["1", "1"]
    assert {row["test_set"] for row in rows} == names


def test_other_rules_under_one_name_are_ranked_apart(make_entry: MakeEntry) -> None:
    entries = [
        make_entry({"psnr_y219": [30.0, 31.0]}, method="a"),
        make_entry({"psnr_y219": [1.0, 2.0]}, method="b", protocol_version=2, protocol_sha256="d" * 64),
        make_entry({"psnr_y219": [1.0, 2.0]}, method="c", protocol_sha256="e" * 64),
    ]
    rows = read(to_csv(build_leaderboard(entries)))
    assert {row["protocol"] for row in rows} == {"y219_crop4#01234567", "y219_crop4#eeeeeeee", "y219_crop4@2"}
    assert [row["rank"] for row in rows] == ["1"] * 3


def test_of_one_run_the_newest_record_counts_and_other_weights_are_other_rows(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    runs = (
        ("2026-01-02T00:00:00Z", None, 31.0),
        ("2026-01-03T01:00:00Z", None, 32.0),
        ("2026-01-01T00:00:00Z", None, 30.0),
        ("2026-01-01T00:00:00Z", "c" * 64, 29.0),
    )
    for index, (date, weights, value) in enumerate(runs):
        entry = make_entry({"psnr_y219": [value, value]}, date=date, weights_sha256=weights)
        write_record(tmp_path / str(index), entry.record, entry.rows)
    rows = read(to_csv(board := build_leaderboard(load_entries([tmp_path]))))
    assert [(row["psnr_y219"], row["weights_sha256"]) for row in rows] == [("32.0000", ""), ("29.0000", "c" * 64)]
    assert len(set(board.groups[0].labels)) == 2, "labels tell the rows apart"


def test_the_same_files_under_two_names_are_two_rows(tmp_path: Path, make_entry: MakeEntry) -> None:
    for name in ("Level-I", "Level-II"):
        entry = make_entry({"psnr_y219": [30.0, 31.0]}, test_set=name)
        write_record(tmp_path / name, entry.record, entry.rows)
    assert [entry.record.test_set for entry in load_entries([tmp_path])] == ["Level-I", "Level-II"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([30.0], "1 rows for 2 images"),
        ([30.0, 31.5], "the mean of psnr_y219 is not the record's 30.5"),
        ([30.0, math.inf], "the mean of psnr_y219"),
        ([30.0, None], "psnr_y219 has 1 values per image, the record counts 2"),
    ],
)
def test_a_record_that_its_rows_contradict_is_refused(
    tmp_path: Path, make_entry: MakeEntry, rows: list[float | None], says: str
) -> None:
    record = make_entry({"psnr_y219": [30.0, 31.0]}).record
    images = [ImageRow(f"im{i}", {} if value is None else {"psnr_y219": value}) for i, value in enumerate(rows)]
    path = write_record(tmp_path, record, images)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        load_entries([tmp_path])
    assert str(path) in str(caught.value)


HOSTILE = "=cmd|'/C calc'!A0 <script>alert(1)</script> [x](javascript:1) | `a` @all *b* http://evil.example"


def test_csv_cells_cannot_be_formulas(make_entry: MakeEntry) -> None:
    for name in ("=1+1", "+1+1", "-1+1", "@x", "'x"):
        line = to_csv(build_leaderboard([make_entry({"psnr_y219": [-30.0, -31.0]}, method=name)])).splitlines()[1]
        cells = next(csv.reader([line]))
        assert cells[2] == "'" + name
        assert cells[7] == "-30.5000", "plain numbers stay numbers"


def test_markdown_shows_names_as_they_are(make_entry: MakeEntry) -> None:
    text = to_markdown(build_leaderboard([make_entry({"psnr_y219": [30.0, 31.0]}, method=HOSTILE)]))
    row = next(line for line in text.splitlines() if "cmd" in line)
    assert "<script" not in text
    assert "](" not in text.replace("\\](", "")
    assert "http://" not in text
    assert "@all" not in text
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", text.splitlines()[6])), "no cell is split"


def test_terminal_text_holds_no_control_characters(make_entry: MakeEntry) -> None:
    entry = make_entry({"psnr_y219": [30.0, 31.0]}, method="plain")
    odd = Entry(dataclasses.replace(entry.record, method="a\x1b[31m\nb\u202e"), entry.rows)
    text = to_text(build_leaderboard([odd]))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 4


def test_numbers_for_people() -> None:
    assert [exact_millions(n) for n in (424_428, 16_697_987, 0, 2_000_000, None)] == [
        "0.424428",
        "16.697987",
        "0",
        "2",
        "",
    ]
    assert [rounded(v) for v in (0.424428, 16.698, 1176.2, 0.0, None)] == ["0.424", "16.7", "1176", "0", "–"]


def test_a_large_board_takes_seconds(make_entry: MakeEntry) -> None:
    """1,000 methods of 100 images on one set; seconds here, minutes were every pair resampled by itself."""
    import time

    rng = np.random.default_rng(0)
    scene = rng.normal(28, 3, 100)
    entries = [
        make_entry({"psnr_y219": list(scene + rng.normal(0, 0.5) + rng.normal(0, 0.3, 100))}, method=f"m{k:04d}")
        for k in range(1000)
    ]
    start = time.process_time()
    board = build_leaderboard(entries)
    to_csv(board)
    assert time.process_time() - start < 20
    assert len(board.groups[0].rows) == 1000
