"""A paper's table: what the plan says, that nothing is computed twice, and how measured and printed numbers meet."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from srbench.catalog import config_names, find_config
from srbench.datamodules.published import SETS
from srbench.errors import InputError, MetricUnavailable
from srbench.leaderboard import Entry
from srbench.protocol import load_protocol
from srbench.published import Reported, load_published, our_test_sets
from srbench.records import MetricResult, RunRecord, record_folder, write_record
from srbench.tables import (
    Plan,
    TableSpec,
    Terms,
    disagreements,
    launch_plan,
    load_table,
    make_plan,
    measure_costs,
    run_plan,
    table_names,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    to_text,
)
from srbench.tables.plan import Locate
from srbench.tables.runs import Outcome, lock_of, outcome
from srbench.tables.values import Value, table_values

MakeEntry = Callable[..., Entry]
MakeRecord = Callable[..., RunRecord]
ROOT = Path(__file__).resolve().parents[2]

TABLE = """\
table: mine/1
title: A trial
protocol: y219_crop4
metrics: [psnr_y219]
test_sets:
  - {name: Photos, configs: [data/photos.yaml]}
  - {name: Set5, printed: Five, configs: [data/classical.yaml], root: sets, arguments: {data.init_args.sets: '[Set5]'}}
  - {name: Lost, lacks: it is nowhere}
methods:
  - {name: Bicubic, printed: Cubic, configs: [methods/bicubic/test.yaml], arguments: {model.init_args.eight_bit: true}}
  - {name: ESRGAN, configs: [methods/spandrel/esrgan.yaml], weights: esrgan}
  - {printed: Theirs, variant: +More, lacks: Theirs is not in srbench yet}
"""


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    (tmp_path / "mine.yaml").write_text(TABLE)
    return load_table(str(tmp_path / "mine.yaml"))


def nothing_here(name: str) -> Path:
    raise MetricUnavailable(f"unavailable: {name}.pth (srbench weights fetch {name})")


def planned(
    spec: TableSpec, tmp_path: Path, entries: Sequence[Entry] = (), *, locate: Locate = nothing_here, **terms: Any
) -> Plan:
    return make_plan(spec, entries, Terms(tmp_path / "records", tmp_path, **terms), locate=locate)


def states(plan: Plan) -> dict[tuple[str, str], str]:
    return {(cell.method.name, cell.test_set.name): cell.state for cell in plan.cells}


@pytest.fixture
def cell_entry(make_entry: MakeEntry) -> MakeEntry:
    """A record of Bicubic on Photos under the table's protocol."""

    def make(values: Sequence[float] = (29.0, 31.0), **fields: object) -> Entry:
        sha = load_protocol("y219_crop4").sha256
        return make_entry(
            {"psnr_y219": values}, **{"method": "Bicubic", "test_set": "Photos", "protocol_sha256": sha, **fields}
        )

    return make


# ------------------------------------------------------------------------------------------------------------ the YAML


@pytest.mark.parametrize("name", table_names())
def test_shipped_tables_fit_what_the_paper_printed(name: str) -> None:
    spec = load_table(name)
    assert spec.name == name
    printed = [n for n in load_published([spec.paper], ROOT / "results" / "published") if n.table == spec.table]
    assert printed
    assert {(m.printed, m.variant) for m in spec.methods} == {(n.method, n.variant) for n in printed}
    sets = {n.test_set for n in printed if n.test_set}
    scores = bool(spec.metrics or spec.outside) and bool(sets)  # what else is printed are costs, ranges, or lost
    assert not scores or {s.printed for s in spec.test_sets} == sets
    ours = our_test_sets(ROOT / "results" / "published")
    for test_set in spec.test_sets:
        if test_set.note:  # the paper's own images are not published
            assert test_set.name.endswith("@srbench-seed0")
        else:  # as records of our data modules name it
            assert test_set.name == ours.get((spec.paper, test_set.printed), test_set.printed)
            assert test_set.name in SETS
    ids = {n.metric_id for n in printed if n.metric_id}
    assert ids <= set(spec.metrics)
    assert {*spec.costs, *spec.outside, *spec.reads.values()} <= {n.metric for n in printed}
    for configs in [*(m.configs + m.trial for m in spec.methods), *(s.configs for s in spec.test_sets)]:
        for config in configs:
            assert find_config(config).is_file()


def test_shipped_tables_are_configs_of_their_own_kind() -> None:
    assert {f"tables/{name}.yaml" for name in table_names()} == set(config_names("tables"))
    tables = {"cassr": "123", "dacesr": "123456", "deedsr": "123467", "hraware": "1234"}
    assert set(table_names()) == {f"{paper}/{n}" for paper, numbers in tables.items() for n in numbers}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title:", "titel:", "unknown key of a table 'titel'; did you mean 'title'"),
        ("mine/1", "mine", "'table' must be PAPER/N"),
        ("y219_crop4", "y219_crop", "unknown protocol 'y219_crop'; did you mean"),
        ("[psnr_y219]", "[psnr_rgb]", "unknown metric of y219_crop4 'psnr_rgb'"),
        ("[psnr_y219]", "[psnr]", "unknown metric 'psnr'"),
        ("weights: esrgan", "weights: esrgam", "unknown weights file 'esrgam'; did you mean 'esrgan'"),
        ("lacks: it is nowhere", "scale: 4", "Lost has neither configs nor a reason"),
        ("lacks: Theirs is not in srbench yet", "arguments: {}", "Theirs has neither configs nor a reason"),
        ("root: sets", "root: ../sets", "must be a folder below --data"),
        ("root: sets", "scale: big", "the scale of Set5 must be a whole number"),
        ("name: Lost", "name: Photos", "the test set Photos 4 stands there twice"),
        ("printed: Cubic", "printed: ESRGAN", "the method ESRGAN stands there twice"),
        ("name: ESRGAN,", "name: Bicubic, printed: ESRGAN,", "the method name Bicubic stands there twice"),
        ("eight_bit: true}", "eight_bit: [1]}", "'arguments' must map dotted keys to values"),
        ("weights: esrgan", "other_weights: {a: esrgam}", "unknown weights file 'esrgam'; did you mean 'esrgan'"),
        ("weights: esrgan", "folders: {a: Set5}", "the folders of ESRGAN must map dotted keys to lists"),
        ("weights: esrgan", "folders: {a: [../x]}", "a folder of ESRGAN must lie below --data, not '../x'"),
        ("methods:", "costs: {Params: parameters}\nmethods:", "unknown cost 'parameters'; did you mean 'params'"),
        ("test_sets:", "test_sets: all\nx:", "unknown key of a table 'x'"),
    ],
)
def test_mistakes_in_a_table_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert TABLE.count(old) >= 1
    path = tmp_path / "bad.yaml"
    path.write_text(TABLE.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_table(str(path))
    assert says in str(caught.value)
    assert "bad.yaml" in str(caught.value)


def test_unknown_tables_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown table 'hrawar/1'; did you mean 'hraware/1'"):
        load_table("hrawar/1")
    with pytest.raises(InputError, match="there is no such config"):
        load_table("none.yaml")


# ------------------------------------------------------------------------------------------------------------ the plan


def test_every_cell_is_recorded_runnable_or_impossible(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    plan = planned(spec, tmp_path, [cell_entry()])
    assert states(plan) == {
        ("Bicubic", "Photos"): "recorded",
        ("Bicubic", "Set5"): "cannot run",
        ("Bicubic", "Lost"): "cannot run",
        ("ESRGAN", "Photos"): "cannot run",
        ("ESRGAN", "Set5"): "cannot run",
        ("ESRGAN", "Lost"): "cannot run",
        ("Theirs +More", "Photos"): "cannot run",
        ("Theirs +More", "Set5"): "cannot run",
        ("Theirs +More", "Lost"): "cannot run",
    }
    reasons = {(cell.method.name, cell.test_set.name): cell.reason for cell in plan.cells}
    assert reasons["Bicubic", "Set5"].startswith(f"{tmp_path / 'sets'}: no such folder of test images")
    assert reasons["Bicubic", "Lost"] == "it is nowhere"
    assert reasons["ESRGAN", "Photos"] == "unavailable: esrgan.pth (srbench weights fetch esrgan)"
    assert "no such folder" in reasons["ESRGAN", "Set5"], "all reasons at once"
    assert " / unavailable: esrgan.pth" in reasons["ESRGAN", "Set5"]
    assert reasons["Theirs +More", "Photos"] == "Theirs is not in srbench yet"


def test_what_can_run_is_called_as_one_would_type_it(spec: TableSpec, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    weights = tmp_path / "w.pth"
    plan = planned(spec, tmp_path, locate=lambda name: weights, extra=["--trainer.accelerator", "cpu"])
    cells = {(cell.method.name, cell.test_set.name): cell for cell in plan.cells}
    assert cells["ESRGAN", "Set5"].state == "to run"
    assert list(cells["ESRGAN", "Set5"].arguments) == [
        "test", "--config", "methods/spandrel/esrgan.yaml", "--config", "data/classical.yaml",
        "--data.init_args.root", str(tmp_path / "sets"), "--model.init_args.weights", str(weights),
        "--data.init_args.sets", "[Set5]", "--benchmark.protocol", "y219_crop4", "--benchmark.method", "ESRGAN",
        "--benchmark.out", str(tmp_path / "records"), "--trainer.accelerator", "cpu",
    ]  # fmt: skip
    photos = cells["Bicubic", "Photos"].arguments
    assert photos[photos.index("--model.init_args.eight_bit") + 1] == "true"
    assert "--data.init_args.root" not in photos


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "bicubic2"},
        {"test_set": "Photos2"},
        {"scale": 2},
        {"protocol_sha256": "d" * 64},
        {"marks": ("random_backbones",)},
    ],
)
def test_another_run_is_not_taken_for_the_cell(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry, changes: dict[str, object]
) -> None:
    plan = planned(spec, tmp_path, [cell_entry(**changes)])
    assert states(plan)["Bicubic", "Photos"] == "to run"


def test_a_trial_on_random_weights_fills_a_cell_with_a_stamp_until_there_is_better(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry
) -> None:
    trial = cell_entry(marks=("random_backbones",), date="2026-02-01T00:00:00Z")
    plan = planned(spec, tmp_path, [trial])
    assert states(plan)["Bicubic", "Photos"] == "to run"  # the real thing can run here
    [value] = [v for v in table_values(plan, [], {}, {}) if v.trial]
    assert value.remark == "a trial: part of it ran on random weights"
    assert " †" in to_text(plan, [value])
    real = cell_entry(date="2026-01-01T00:00:00Z", config_sha256="e" * 64)
    assert [cell.entry for cell in planned(spec, tmp_path, [trial, real]).cells if cell.entry] == [real]


def test_what_a_record_notes_of_a_metric_stands_below_the_table(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry
) -> None:
    """FID says nothing without the number of images and their crop."""
    notes = ("psnr_y219: n=2, images full, border 0", "ssim_y219: another metric's", "im0: grey to RGB")
    plan = planned(spec, tmp_path, [cell_entry(notes=notes)])
    values = table_values(plan, [], {}, {})
    [value] = [v for v in values if v.measured is not None and v.metric == "psnr_y219"]
    assert value.remark == "psnr_y219: n=2, images full, border 0"
    for shown in (to_text(plan, values), to_markdown(plan, values), to_latex(plan, values), to_csv(plan, values)):
        assert "n=2, images full, border 0" in shown


def test_a_run_with_other_weights_is_not_taken_for_the_cell(tmp_path: Path, cell_entry: MakeEntry) -> None:
    from srbench.weight_files import find

    (tmp_path / "mine.yaml").write_text(TABLE.replace("weights: esrgan", "weights: realesrgan"))
    spec, right = load_table(str(tmp_path / "mine.yaml")), find("realesrgan").digest()
    assert len(right) == 64
    for sha, state in ((right, "recorded"), ("f" * 64, "cannot run")):
        plan = planned(spec, tmp_path, [cell_entry(method="ESRGAN", weights_sha256=sha)])
        assert states(plan)["ESRGAN", "Photos"] == state


def test_of_several_runs_the_newest_counts(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    entries = [
        cell_entry([v, v], date=f"2026-01-0{day}T00:00:00Z", config_sha256=str(day) * 64)
        for day, v in ((1, 20.0), (3, 30.0), (2, 25.0))
    ]
    found = planned(spec, tmp_path, entries).cells[0].entry
    assert found is not None
    assert found.record.metrics["psnr_y219"].mean == 30.0


def test_a_metric_whose_weights_have_come_since_is_measured_again(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    entry = cell_entry()
    lpips = MetricResult(None, 0, None, None, False, "lpips", ("alexnet",), "unavailable: alexnet.pth")
    record = dataclasses.replace(entry.record, metrics={**entry.record.metrics, "lpips_alex": lpips})
    entry = Entry(record, entry.rows)
    monkeypatch.setattr("srbench.weight_files.locate", lambda name: None)
    assert planned(spec, tmp_path, [entry]).cells[0].state == "recorded"
    (tmp_path / "alexnet").write_bytes(b"another file")
    monkeypatch.setattr("srbench.weight_files.locate", lambda name: tmp_path / name)
    assert planned(spec, tmp_path, [entry]).cells[0].state == "recorded"
    monkeypatch.setattr("srbench.weight_files.fault", lambda weight, path: None)
    again = planned(spec, tmp_path, [entry]).cells[0]
    assert (again.state, again.entry) == ("to run", entry)


# ------------------------------------------------------------------------------------------------------------ the runs


def put(root: Path, entry: Entry) -> None:
    r = entry.record
    folder = record_folder(
        root, protocol=r.protocol, test_set=r.test_set, scale=r.scale, method=r.method, fingerprint=r.fingerprint
    )
    write_record(folder, r, entry.rows)


def test_a_cell_that_fails_leaves_the_others_alone(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    (tmp_path / "sets").mkdir()
    plan = planned(spec, tmp_path)
    called: list[list[str]] = []

    def command(arguments: Sequence[str]) -> int:
        called.append(list(arguments))
        assert sys.argv[1:] == list(arguments), "what Lightning would start again"
        if "[Set5]" in arguments:
            print("srbench: error: it broke", file=sys.stderr)
            return 1
        put(tmp_path / "records", cell_entry())
        return 0

    said: list[str] = []
    kept = list(sys.argv)
    done = run_plan(plan, tmp_path / "records", command, said.append)
    assert sys.argv == kept
    assert len(called) == 2
    assert states(done)["Bicubic", "Photos"] == "recorded"
    failed = next(cell for cell in done.cells if cell.state == "failed")
    assert failed.reason == "it broke"
    assert said == ["[1/2] Bicubic on Photos x4", "[2/2] Bicubic on Set5 x4", f"  failed: {failed.reason}"]


def test_a_set_that_two_kinds_of_methods_miss_is_not_tried_again(tmp_path: Path) -> None:
    kinds = ("bicubic", "bicubic", "edsr", "rrdb")
    rows = "".join(f"  - {{name: M{i}, configs: [methods/{kind}/test.yaml]}}\n" for i, kind in enumerate(kinds))
    (tmp_path / "t.yaml").write_text(
        "table: t/1\ntitle: T\nprotocol: y219_crop4\ntest_sets:\n  - {name: A, configs: [data/photos.yaml]}\n"
        "  - {name: B, configs: [data/images.yaml]}\nmethods:\n" + rows
    )
    called: list[Sequence[str]] = []

    def command(arguments: Sequence[str]) -> int:
        called.append(arguments)
        on_a = any("photos" in argument for argument in arguments)
        print(f"srbench: error: {'the set is not here' if on_a else len(called)}", file=sys.stderr)
        return 2

    done = run_plan(planned(load_table(str(tmp_path / "t.yaml")), tmp_path), tmp_path, command, lambda text: None)
    assert {cell.state for cell in done.cells} == {"cannot run"}
    assert [c.reason for c in done.cells if c.test_set.name == "A"] == ["the set is not here"] * 4
    assert len(called) == 3 + 4, "methods of one kind may lack the same; B gave another reason each time"


def test_whatever_breaks_a_cell_is_its_reason_and_the_next_one_runs(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sets").mkdir()

    def command(arguments: Sequence[str]) -> int:
        if "[Set5]" not in arguments:
            raise RuntimeError("CUDA out of\nmemory")
        put(tmp_path / "records", cell_entry(test_set="Set5"))
        return 0

    done = run_plan(planned(spec, tmp_path), tmp_path / "records", command, lambda text: None)
    assert states(done)["Bicubic", "Photos"] == "failed"
    assert done.cells[0].reason == "RuntimeError: CUDA out of memory"
    assert states(done)["Bicubic", "Set5"] == "recorded"
    assert "Traceback" in capsys.readouterr().err, "whoever has to mend it sees where"


def test_a_run_without_its_record_failed(spec: TableSpec, tmp_path: Path) -> None:
    done = run_plan(planned(spec, tmp_path), tmp_path / "records", lambda arguments: 0, lambda text: None)
    assert done.cells[0].state == "failed"
    assert "it left no record of Photos x4" in done.cells[0].reason


def test_an_interrupted_cell_ends_the_table(spec: TableSpec, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_plan(planned(spec, tmp_path), tmp_path / "records", lambda arguments: 130, lambda text: None)


# ------------------------------------------------------------------------------------------------------------ the costs


def test_costs_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TABLE.replace("test_sets:", "costs: {Params: params, FLOPS: macs_g}\ntest_sets:"))
    spec = load_table(str(path))
    counted: list[tuple[object, ...]] = []

    def describe(configs: Sequence[str], arguments: Sequence[str], size: tuple[int, int]) -> dict[str, object]:
        counted.append((tuple(configs), tuple(arguments), size))
        if "esrgan" in configs[0]:
            raise InputError("it has no weights")
        return {"params": 1_500_000, "macs_g": None}

    costs, why = measure_costs(spec, tmp_path, describe=describe, say=lambda text: None)
    assert costs == {("Cubic", ""): {"params": 1.5}}
    assert why == {"ESRGAN": "it has no weights"}
    assert counted[0] == (("methods/bicubic/test.yaml",), ("--model.init_args.eight_bit", "true"), (256, 256))
    again, _ = measure_costs(spec, tmp_path, describe=describe, say=lambda text: None)
    assert again == costs
    assert [configs for configs, *_ in counted].count(("methods/bicubic/test.yaml",)) == 1
    (tmp_path / "costs.json").write_text("{")
    assert measure_costs(spec, tmp_path, describe=describe, say=lambda text: None)[0] == costs, (
        "a damaged file is redone"
    )
    assert measure_costs(load_table("hraware/1"), tmp_path)[0] == {}, "a table without costs asks for none"


def test_values_of_costs(tmp_path: Path) -> None:
    spec = load_table("dacesr/2")
    bare = [dataclasses.replace(m, configs=()) if m.printed == "SwinIR" else m for m in spec.methods]
    plan = planned(dataclasses.replace(spec, methods=tuple(bare)), tmp_path)
    numbers = load_published(["dacesr"], ROOT / "results" / "published")
    values = table_values(plan, numbers, {("Mamba-based", ""): {"params": 3.651159, "macs_g": 266.04}}, {})
    params, macs = (next(v for v in values if (v.method, v.metric) == ("Mamba-based", m)) for m in ("Params", "FLOPS"))
    assert params.difference == pytest.approx(3.651159 - 3.65)
    assert macs.difference == pytest.approx(0.04)
    assert macs.beyond is None, "a count has no interval"
    swinir = next(v for v in values if (v.method, v.metric) == ("SwinIR", "Params"))
    assert (swinir.measured, swinir.remark) == (None, "srbench has no config of this network")
    assert "| Mamba-based | 3.65 | 3.65 | +0.00116 | 266 | 266 | +0.04 |" in to_markdown(plan, values)


# ------------------------------------------------------------------------------------------------------------ the table


def printed(value: str, **fields: object) -> Reported:
    held = {
        "paper": "mine", "table": "1", "row": 1, "test_set": "Photos", "scale": 4, "method": "Cubic", "variant": "",
        "metric": "PSNR", "metric_id": "psnr_y219", "inferred": False, "value": value, "unit": "dB",
        "protocol": "y219_crop4", "note": "",
    }  # fmt: skip
    return Reported(**{**held, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "beyond"),
    [
        ("30.00", False),
        ("29.00", False),
        ("31.01", True),
        ("31.004", True),
        ("31.0", False),
        ("28.994", True),
        ("31", False),
    ],
)
def test_beyond_means_outside_the_interval_and_its_own_rounding(
    spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry, value: str, beyond: bool
) -> None:
    plan = planned(spec, tmp_path, [cell_entry()])  # the fixture's interval is [29, 31]
    found = table_values(plan, [printed(value)], {}, {})[0]
    assert found.difference == pytest.approx(30 - float(value))
    assert found.beyond is beyond


def test_the_table_in_every_format(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    plan = planned(spec, tmp_path, [cell_entry()])
    numbers = [
        printed("32.10", inferred=True, note="metric_id inferred: the default"),
        printed("27.00", method="Theirs", variant="+More"),
        printed("1.00", table="2"),
        printed("2.00", paper="other"),
    ]
    values = table_values(plan, numbers, {}, {})
    rows = list(csv.DictReader(io.StringIO(to_csv(plan, values))))
    assert len(rows) == 9
    first = rows[0]
    assert (first["table"], first["method"], first["measured"], first["ci_lo"], first["ci_hi"], first["n"]) == (
        "mine/1", "Cubic", "30.0", "29.0", "31.0", "2",
    )  # fmt: skip
    assert (first["reported"], first["metric_id_basis"], first["beyond"], first["status"]) == (
        "32.10", "inferred", "yes", "recorded",
    )  # fmt: skip
    assert float(first["difference"]) == pytest.approx(-2.1)
    theirs = next(row for row in rows if row["method"] == "Theirs" and row["test_set"] == "Photos")
    assert (theirs["variant"], theirs["measured"], theirs["reported"], theirs["status"]) == (
        "'+More", "", "27.00", "cannot run",
    )  # fmt: skip
    markdown, text = to_markdown(plan, values), to_text(plan, values)
    assert "| Cubic | 30.00 \\[29.00, 31.00\\] | 32.10 ? | -2.10 \\* |" in markdown
    assert "| Theirs +More | – | 27.00 | – |" in markdown
    assert "- Theirs +More: Theirs is not in srbench yet" in markdown, "one sentence for all its sets"
    assert "- printed numbers (Cubic psnr\\_y219 on Photos): metric\\_id inferred: the default" in markdown
    assert "30.00 [29.00, 31.00]" in text
    assert "- Cubic on Lost, ESRGAN on Lost: it is nowhere" in markdown
    assert "Five ×4" in text


def test_infinite_and_missing_values(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    plan = planned(spec, tmp_path, [cell_entry([math.inf, math.inf])])
    values = table_values(plan, [printed("30.00")], {}, {})
    assert values[0].difference == math.inf
    assert "inf" in to_csv(plan, values).splitlines()[1]
    assert "+inf" in to_markdown(plan, values)
    empty = Value("Photos", 4, "Cubic", "", "psnr_y219", None, printed(""), "cannot run")
    assert empty.difference is None


def test_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from srbench.list_command import run, tables

    assert [row["name"] for row in tables()] == table_names()
    assert run(["tables"]) == 0
    assert "hraware/1" in capsys.readouterr().out


def test_every_table_is_planned_with_nothing_there_and_without_torch(tmp_path: Path) -> None:
    import os
    import subprocess

    code = (
        "import sys; from srbench.cli import main; from srbench.tables import table_names; "
        "done = [main(['table', name, '--dry-run', *more]) for name in table_names() for more in ([], ['--trial'])]; "
        "sys.exit(len(done) != 38 or any(done) or 'torch' in sys.modules)"
    )
    bare = {
        **os.environ,
        "SRBENCH_WEIGHTS": str(tmp_path / "none"),
        "XDG_CACHE_HOME": str(tmp_path),
        "SRBENCH_DATA": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"
    headings = [line for line in done.stdout.splitlines() if " cells, " in line]
    assert len(headings) == 38
    assert all(" 0 recorded, 0 to run, " in line for line in headings), "neither weights nor images are here"
    assert "no such folder of test images" in done.stdout
    assert "srbench weights fetch realesrgan" in done.stdout


@pytest.mark.parametrize("command", ["compare", "table", "leaderboard", "list"])
def test_these_commands_start_without_torch(command: str, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from srbench.cli import main; "
        f"sys.exit(main(['{command}', 'x', 'y', '--records', 'none']) and ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "torch was imported"
    assert "srbench: error: " in done.stderr


# --------------------------------------------------------------------------------------- own weights, trials, and print


def test_own_weights_make_a_cell_runnable(spec: TableSpec, tmp_path: Path) -> None:
    checkpoint, network = tmp_path / "last.ckpt", tmp_path / "net.pth"
    checkpoint.touch()
    network.touch()
    plan = planned(spec, tmp_path, weights={"ESRGAN": checkpoint})
    cell = next(c for c in plan.cells if (c.method.name, c.test_set.name) == ("ESRGAN", "Photos"))
    assert cell.state == "to run"
    assert cell.arguments[cell.arguments.index("--ckpt_path") + 1] == str(checkpoint)
    theirs = dataclasses.replace(spec, methods=tuple(dataclasses.replace(m, ckpt="weights") for m in spec.methods))
    cell = planned(theirs, tmp_path, weights={"ESRGAN": checkpoint}).cells[3]
    assert cell.arguments[cell.arguments.index("--model.init_args.weights") + 1] == str(checkpoint)
    cell = planned(spec, tmp_path, weights={"ESRGAN": network}).cells[3]
    assert cell.arguments[cell.arguments.index("--model.init_args.weights") + 1] == str(network)
    cell = planned(spec, tmp_path, weights={"ESRGAN": tmp_path / "gone.pth"}).cells[3]
    assert (cell.state, "there is no such file" in cell.reason) == ("cannot run", True)
    with pytest.raises(InputError, match=r"unknown method of the table 'ESRGAM'; did you mean 'ESRGAN'"):
        planned(spec, tmp_path, weights={"ESRGAM": network})


def test_trials_stand_in_for_absent_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TABLE.replace("weights: esrgan}", "weights: esrgan, trial: [methods/rrdb/test.yaml]}"))
    spec = load_table(str(path))
    tried = planned(spec, tmp_path, trial=True).cells[3]
    assert tried.state == "to run"
    assert tried.arguments[1:5] == ("--config", "methods/spandrel/esrgan.yaml", "--config", "methods/rrdb/test.yaml")
    assert planned(spec, tmp_path).cells[3].state == "cannot run"
    found = planned(spec, tmp_path, trial=True, locate=lambda name: tmp_path / name).cells[3]
    assert "methods/rrdb/test.yaml" not in found.arguments, "what is published wins"


ADAPTED = """\
  - name: Adapted
    configs: [methods/srtta/realesrgan.yaml]
    weights: esrgan
    other_weights: {model.init_args.classifier: srtta_classifier}
    folders: {model.init_args.clean_lq: [Set5/here, Set5/there]}
"""


def test_a_method_of_several_files_needs_each(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TABLE + ADAPTED)
    spec = load_table(str(path))
    lacking = planned(spec, tmp_path).cells[9]
    assert lacking.state == "cannot run"
    reasons = lacking.reason.split(" / ")
    assert [name in reason for name, reason in zip(("Set5/here", "esrgan", "srtta"), reasons, strict=True)] == [
        True
    ] * 3
    (tmp_path / "Set5" / "there").mkdir(parents=True)
    path.write_text(TABLE + ADAPTED + "    trial: [trials/srtta/test.yaml]\n")

    def one_of_two(name: str) -> Path:
        return tmp_path / "esrgan.pth" if name == "esrgan" else nothing_here(name)

    tried = planned(load_table(str(path)), tmp_path, trial=True, locate=one_of_two).cells[9]
    assert tried.state == "to run"
    assert str(tmp_path / "esrgan.pth") not in tried.arguments, "a trial's networks are not the published ones"
    ready = planned(spec, tmp_path, locate=lambda name: tmp_path / f"{name}.pth").cells[9]
    assert ready.state == "to run"
    given = dict(zip(ready.arguments[5::2], ready.arguments[6::2], strict=True))
    assert given["--model.init_args.weights"] == str(tmp_path / "esrgan.pth")
    assert given["--model.init_args.classifier"] == str(tmp_path / "srtta_classifier.pth")
    assert given["--model.init_args.clean_lq"] == str(tmp_path / "Set5" / "there")


def _value(spec: TableSpec, measured: float, printed: str, **fields: Any) -> Value:
    number = Reported(
        paper="mine", table="1", row=1, test_set="Photos", scale=4, method="Cubic", variant="", metric="PSNR",
        metric_id="psnr_y219", inferred=False, value=printed, unit="dB", protocol=None, note="",
    )  # fmt: skip
    result = MetricResult(measured, 2, measured - 0.1, measured + 0.1, True, "srbench")
    given = {"test_set": "Photos", "scale": 4, "metric": "psnr_y219", "status": "recorded", **fields}
    return Value(method="Cubic", variant="", measured=result, reported=number, **given)


@pytest.mark.parametrize(
    ("measured", "printed", "options", "fields", "wrong"),
    [
        (30.0, "30.05", {}, {}, False),
        (30.0, "30.20", {}, {}, True),
        (30.0, "30.20", {"tolerances": {"psnr_y219": 0.2}}, {}, False),
        (30.0, "30.20", {"tolerances": {"psnr_y219": 0.19}}, {}, True),
        (30.0, "30.20", {"mismatches": {"Cubic, psnr_y219, Photos": "why"}}, {}, False),
        (30.0, "30.20", {"mismatches": {"Cubic, psnr_y219": "why"}}, {}, False),
        (30.0, "30.05", {"mismatches": {"Cubic, psnr_y219": "why"}}, {}, True),
        (30.0, "40.00", {}, {"trial": True}, False),
        (1.518, "1.52", {}, {"test_set": "", "metric": "Params"}, False),
        (1.526, "1.52", {}, {"test_set": "", "metric": "Params"}, True),
    ],
)
def test_a_check_holds_numbers_against_print(
    spec: TableSpec, measured: float, printed: str, options: dict[str, Any], fields: dict[str, Any], wrong: bool
) -> None:
    spec = dataclasses.replace(spec, **options)
    assert bool(disagreements(spec, [_value(spec, measured, printed, **fields)])) is wrong


def test_latex_and_page_show_the_same_numbers(spec: TableSpec, tmp_path: Path, cell_entry: MakeEntry) -> None:
    plan = planned(spec, tmp_path, [cell_entry()])
    values = table_values(plan, [], {}, {})
    latex, page = to_latex(plan, values), to_html(plan, values)
    assert r"Cubic & 30.00 {[}29.00, 31.00{]} & -- & -- \\" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    assert "% Theirs +More: Theirs is not in srbench yet" in latex
    assert "<td>30.00 [29.00, 31.00]</td>" in page
    assert page.count('<td class="words method">') == page.count("<tr><td"), "the methods' names stand on the left"
    assert "http" not in page.replace("http-equiv", "")


def test_latex_prints_what_stands_there(spec: TableSpec, tmp_path: Path) -> None:
    odd = dataclasses.replace(spec.methods[0], printed=r"A_b & {c} 50 % \x")
    plan = planned(dataclasses.replace(spec, methods=(odd,)), tmp_path)
    assert r"A\_b \& \{c\} 50 \% \textbackslash{}x &" in to_latex(plan, table_values(plan, [], {}, {}))


def test_two_runs_never_write_one_record(spec: TableSpec, tmp_path: Path) -> None:
    plan = planned(spec, tmp_path)
    lock = lock_of(tmp_path, plan.cells[0])
    inner: list[Outcome] = []

    def command(arguments: Sequence[str]) -> int:
        inner.append(outcome(arguments, lock, lambda again: 0))
        return 0

    assert outcome(("test",), lock, command) == Outcome(0, "")
    assert inner == [Outcome(1, "another run is at this cell and writes its record")]
    assert outcome(("test",), lock, lambda again: 0) == Outcome(0, ""), "the lock is let go"


def test_slurm_is_asked_for_where_there_is_none(
    spec: TableSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no SLURM here"):
        launch_plan(planned(spec, tmp_path), tmp_path, "slurm", {})
    with pytest.raises(InputError, match=r"submitit refuses an option"):
        launch_plan(planned(spec, tmp_path), tmp_path, "processes", {"gpus_per_nod": "1"})
