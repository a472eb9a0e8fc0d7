"""``srbench compare``: the paired bootstrap against a plain one, refusals that say why, infinite and missing values."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from srbench.compare_command import run
from srbench.comparison import compare, why_apart
from srbench.errors import InputError
from srbench.leaderboard import Entry, build_leaderboard
from srbench.records import ImageRow, MetricResult, RunRecord, record_folder, write_record
from srbench.statistics import RESAMPLES, paired_bootstrap

MakeEntry = Callable[..., Entry]
MakeRecord = Callable[..., RunRecord]
SCENES = [28 + 3 * math.sin(i) for i in range(20)]


def shifted(gap: float, noise: int = 0) -> list[float]:
    return [value + gap + 0.3 * math.cos(7 * i + noise) for i, value in enumerate(SCENES)]


def put(root: Path, entry: Entry) -> Path:
    r = entry.record
    folder = record_folder(
        root, protocol=r.protocol, test_set=r.test_set, scale=r.scale, method=r.method, fingerprint=r.fingerprint
    )
    return write_record(folder, r, entry.rows).parent


# ------------------------------------------------------------------------------------------------------ the numbers


def test_the_interval_is_that_of_a_plain_paired_bootstrap(make_entry: MakeEntry) -> None:
    a, b = shifted(0.2), shifted(0.0, 3)
    (metric,) = compare(make_entry({"psnr_y219": a}, method="a"), make_entry({"psnr_y219": b}, method="b")).metrics
    differences = np.array(a) - np.array(b)
    rng = np.random.default_rng(5)
    means = differences[rng.integers(0, 20, (RESAMPLES, 20))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    assert metric.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert metric.low == pytest.approx(low, abs=0.01)
    assert metric.high == pytest.approx(high, abs=0.01)
    assert metric.p == pytest.approx(2 * min((means <= 0).mean(), (means >= 0).mean()), abs=0.02)
    assert metric.mean_a == pytest.approx(float(np.mean(a)))
    assert metric.mean_b == pytest.approx(float(np.mean(b)))
    assert metric.n == 20


def test_turning_the_two_round_turns_everything_round(make_entry: MakeEntry) -> None:
    one, two = make_entry({"psnr_y219": shifted(0.3)}, method="a"), make_entry({"psnr_y219": shifted(0, 2)}, method="b")
    (ab,), (ba,) = compare(one, two).metrics, compare(two, one).metrics
    assert (ab.verdict, ba.verdict) == ("A is better", "B is better")
    assert ab.difference == pytest.approx(-(ba.difference or 0))
    assert ab.low == pytest.approx(-(ba.high or 0))
    assert ab.p == ba.p


def test_where_lower_is_better_the_smaller_mean_wins(make_entry: MakeEntry) -> None:
    one = make_entry({"lpips_alex": [0.2] * 12}, method="a", higher=False)
    two = make_entry({"lpips_alex": [0.3] * 12}, method="b", higher=False)
    assert compare(one, two).metrics[0].verdict == "A is better"


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.1, 0.15, 0.3])
def test_verdicts_agree_with_the_leaderboards_tie_groups(make_entry: MakeEntry, gap: float) -> None:
    one = make_entry({"psnr_y219": shifted(gap)}, method="a")
    two = make_entry({"psnr_y219": shifted(0.0, 3)}, method="b")
    (group,) = build_leaderboard([one, two]).groups
    tied = len({row.tie_group for row in group.rows}) == 1
    assert (compare(one, two).metrics[0].verdict == "cannot be told apart") == tied


def test_equal_runs_cannot_be_told_apart(make_entry: MakeEntry) -> None:
    entry = make_entry({"psnr_y219": shifted(0)}, method="a")
    found = compare(entry, entry)
    (metric,) = found.metrics
    assert (metric.difference, metric.low, metric.high, metric.p) == (0, 0, 0, 1)
    assert metric.verdict == "cannot be told apart"
    assert "A and B are the same run" in found.warnings


def test_few_images_are_warned_of_and_give_no_verdict(make_entry: MakeEntry) -> None:
    one, two = make_entry({"psnr_y219": [40.0] * 9}, method="a"), make_entry({"psnr_y219": [30.0] * 9}, method="b")
    found = compare(one, two)
    assert found.metrics[0].verdict == "too few images"
    assert found.metrics[0].low == 10
    assert any("only 9 common images" in text for text in found.warnings)
    single = compare(make_entry({"m": [1.0]}, method="a"), make_entry({"m": [2.0]}, method="b"))
    assert single.metrics[0].low is None


def test_infinite_values(make_entry: MakeEntry) -> None:
    exact = make_entry({"psnr_y219": [math.inf] * 12}, method="exact")
    same = make_entry({"psnr_y219": [math.inf] * 12}, method="same")
    finite = make_entry({"psnr_y219": [30.0 + i for i in range(12)]}, method="finite")
    (tie,), (better,) = compare(exact, same).metrics, compare(exact, finite).metrics
    assert (tie.difference, tie.verdict) == (0, "cannot be told apart")
    assert (tie.mean_a, tie.mean_b) == (math.inf, math.inf)
    assert (better.difference, better.low, better.verdict) == (math.inf, None, "A is better")
    assert "12 of 12 differences are infinite" in better.remark
    mixed = make_entry({"psnr_y219": [math.inf] + [30.5 + i for i in range(1, 12)]}, method="mixed")
    (one,) = compare(mixed, finite).metrics
    assert (one.difference, one.verdict) == (math.inf, "A is better")
    assert "1 of 12" in one.remark


def test_undefined_values_leave_the_comparison(make_entry: MakeEntry) -> None:
    values = shifted(0.5)
    one = make_entry({"psnr_y219": [math.nan, *values[1:]]}, method="a")
    two = make_entry({"psnr_y219": shifted(0, 2)}, method="b")
    assert compare(one, two).metrics[0].n == 19
    nothing = make_entry({"psnr_y219": [math.nan] * 20}, method="n")
    assert compare(nothing, two).metrics[0].remark == "no image has a value in both"


def test_missing_and_set_level_metrics_are_listed(make_record: MakeRecord) -> None:
    def entry(method: str, fid: float) -> Entry:
        metrics = {
            "psnr_y219": MetricResult(30.0, 2, 29.0, 31.0, True, "srbench"),
            "fid_clean": MetricResult(fid, 2, None, None, False, "torchmetrics"),
            "nrqm": MetricResult(None, 0, None, None, True, "pyiqa", (), "unavailable: nrqm.bin."),
        }
        rows = [ImageRow(name, {"psnr_y219": value}) for name, value in (("x", 29.0), ("y", 31.0))]
        return Entry(make_record(method=method, metrics=metrics), rows)

    psnr, fid, nrqm = compare(entry("a", 30.0), entry("b", 40.5)).metrics
    assert psnr.verdict is not None
    assert (fid.mean_a, fid.mean_b, fid.verdict, fid.remark) == (30.0, 40.5, None, "one value per set: no paired test")
    assert (nrqm.mean_a, nrqm.verdict) == (None, None)
    assert nrqm.remark == "A: unavailable: nrqm.bin; B: unavailable: nrqm.bin"


def test_one_value_per_set_says_of_which_images_it_is(make_record: MakeRecord) -> None:
    def entry(method: str, *notes: str) -> Entry:
        fid = MetricResult(30.0, 2, None, None, False, "torch-fidelity")
        rows = [ImageRow("x", {}), ImageRow("y", {})]
        return Entry(make_record(method=method, metrics={"fid_clean": fid}, notes=("x: grey to RGB", *notes)), rows)

    two, one = "n=2, images full, border 0", "n=1, images full, border 0"
    [fid] = compare(entry("a", f"fid_clean: {two}"), entry("b", f"fid_clean: {two}")).metrics
    assert fid.remark == f"one value per set: no paired test; {two}"
    [fid] = compare(entry("a", f"fid_clean: {two}"), entry("b", f"fid_clean: {one}")).metrics
    assert fid.remark == f"one value per set: no paired test; A: {two}; B: {one}"


def test_images_and_metrics_that_only_one_has(make_entry: MakeEntry) -> None:
    one = make_entry({"psnr_y219": shifted(0.5), "ssim_y219": shifted(0)}, method="a")
    two = make_entry({"psnr_y219": shifted(0, 2)}, method="b")
    two = Entry(two.record, two.rows[:15])
    found = compare(one, two)
    assert found.n == 15
    assert found.metrics[0].n == 15
    assert "5 images of A have no partner and do not count" in found.warnings
    assert found.metrics[1].remark == "B lacks it"


def test_marks_are_warned_of(make_entry: MakeEntry) -> None:
    cheat = make_entry({"psnr_y219": shifted(1)}, method="a", marks=("oracle", "random_backbones"))
    warnings = compare(cheat, make_entry({"psnr_y219": shifted(0)}, method="b")).warnings
    assert {"A saw the ground truth (oracle)", "part of A ran on random weights"} <= set(warnings)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        paired_bootstrap(np.array([]))


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"protocol": "rgb_crop4", "protocol_sha256": "d" * 64},
            "rows of different protocols are never ranked or compared",
        ),
        ({"protocol_version": 2, "protocol_sha256": "d" * 64}, "y219_crop4@2#dddddddd (psnr_y219)"),
        ({"scale": 2}, "one is ×4 and the other ×2, two different tasks"),
        ({"testset_fingerprint": "d" * 64}, "different files (Set5), so a difference may come from the images alone"),
        ({"testset_fingerprint": "d" * 64, "test_set": "Set14"}, "different files (Set5 and Set14)"),
    ],
)
def test_what_was_measured_otherwise_is_refused_with_the_reason(
    make_entry: MakeEntry, changes: dict[str, object], says: str
) -> None:
    one, two = make_entry({"psnr_y219": [1.0]}, method="a"), make_entry({"psnr_y219": [1.0]}, method="b", **changes)
    assert says in str(why_apart(one.record, two.record))
    with pytest.raises(InputError) as caught:
        compare(one, two)
    assert says in str(caught.value)
    assert str(caught.value).startswith("a and b: ")


def test_shipped_protocols_are_told_apart_by_their_crops(make_entry: MakeEntry) -> None:
    from srbench.protocol import load_protocol

    entries = []
    for name in ("y219_crop4", "y219_crop0"):
        protocol = load_protocol(name)
        entries.append(make_entry({"psnr_y219": [1.0]}, protocol=name, protocol_sha256=protocol.sha256))
    sentence = str(why_apart(entries[0].record, entries[1].record))
    assert "y219_crop4 (psnr_y219 without a border of 4" in sentence
    assert "y219_crop0 (psnr_y219 without a border of 0" in sentence


# -------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def records(tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two methods on two sets, as the working folder's results/records."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results" / "records"
    for test_set, fingerprint in (("Set14", "e" * 64), ("Set5", "0123456789abcdef" * 4)):
        for noise, (method, gap) in enumerate((("Good", 0.5), ("Bad", 0.0))):
            put(root, make_entry({"psnr_y219": shifted(gap, noise)}, method=method, test_set=test_set,
                                 testset_fingerprint=fingerprint))  # fmt: skip
    return root


def test_by_name_and_by_folder(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["Good", "Bad", "--set", "Set5"]) == 0
    by_name = capsys.readouterr().out
    assert "Set5 ×4, y219_crop4, 20 common images" in by_name
    assert by_name.splitlines()[-1].endswith("A is better")
    assert by_name.splitlines()[-1].startswith("psnr_y219  higher")
    good, bad = (next(records.glob(f"*/Set5_x4/{name}-*")) for name in ("Good", "Bad"))
    assert run([str(good), str(bad / "record.json")]) == 0
    assert capsys.readouterr().out == by_name
    assert run([str(bad), str(good)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("B is better")


def test_what_names_cannot_say_is_asked(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="2 records fit: Good on Set14 x4, y219_crop4; Good on Set5 x4") as caught:
        run(["Good", "Bad"])
    assert "--set" in str(caught.value)
    with pytest.raises(InputError, match="unknown method 'Goood'; did you mean 'Good'"):
        run(["Goood", "Bad", "--set", "Set5"])
    with pytest.raises(InputError, match="no record fits --set, --scale and --protocol; there is: Good on Set14"):
        run(["Good", "Bad", "--set", "Set6"])
    with pytest.raises(InputError, match="4 records fit"):
        run([str(records), "Bad", "--records", str(records)])
    with pytest.raises(InputError, match="different files"):
        run([str(next(records.glob("*/Set5_x4/Good-*"))), str(next(records.glob("*/Set14_x4/Bad-*")))])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no such record folder"):
        run(["Good", "Bad"])
    assert run(["Good", "Bad", "--records", str(records), "--set", "Set14"]) == 0
    with pytest.raises(InputError, match="there is no record in it"):
        run([".", "Bad"])


def test_json_and_csv(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["Good", "Bad", "--set", "Set5", "--json", "--csv", "out/c.csv"]) == 0
    found = json.loads(capsys.readouterr().out)
    (metric,) = found["metrics"]
    assert found["a"]["method"] == "Good"
    assert (found["n"], found["protocol"], metric["verdict"]) == (20, "y219_crop4", "A is better")
    (line,) = csv.DictReader(io.StringIO(Path("out/c.csv").read_text()))
    assert float(line["difference"]) == metric["difference"]
    assert line["verdict"] == "A is better"
    assert run(["Good", "Bad", "--set", "Set5", "--csv", "-"]) == 0
    assert capsys.readouterr().out == Path("out/c.csv").read_text()


def test_infinite_values_in_json_are_named(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        put(tmp_path, make_entry({"psnr_y219": [value] * 3}, method=name))
        for name, value in (("exact", math.inf), ("near", 40.0))
    ]
    assert run([*map(str, folders), "--json"]) == 0
    captured = capsys.readouterr()
    (metric,) = json.loads(captured.out)["metrics"]
    assert (metric["mean_a"], metric["difference"], metric["ci_lo"]) == ("inf", "inf", None)
    assert "only 3 common images" in captured.err
    assert run(list(map(str, folders))) == 0
    assert "+inf" in capsys.readouterr().out


def test_two_runs_of_one_name_are_told_apart(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [
        make_entry({"psnr_y219": shifted(g)}, method="m", weights_sha256=c * 64) for g, c in ((0, "c"), (1, "d"))
    ]
    assert run([str(put(tmp_path, entry)) for entry in entries]) == 0
    shown = capsys.readouterr().out
    assert "A: m (weights cccccccc)" in shown
    assert "B: m (weights dddddddd)" in shown


def test_hostile_names_reach_no_terminal_or_sheet(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = make_entry({"psnr_y219": shifted(0)}, method="plain")
    odd = Entry(dataclasses.replace(entry.record, method="a\x1b[31m"), entry.rows)
    from srbench.compare_command import to_text

    assert "\x1b" not in to_text(compare(odd, entry))
