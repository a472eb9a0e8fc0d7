"""A program of somebody else through ``srbench test``: permitted on the command line alone, resumed, seeded."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from srbench.cli import main
from srbench.errors import InputError
from srbench.images import read_image, write_png
from srbench.modules import ExternalCommand
from srbench.permission import commands
from srbench.records import RunRecord, find_records, read_rows

FOREIGN = Path(__file__).with_name("foreign.py")
NAMES = ("baby", "bird", "head")
Run = Callable[..., str]


def config(mode: str, **more: object) -> dict[str, Any]:
    command = [sys.executable, "-S", "-E", str(FOREIGN), "{lq_dir}", "{out_dir}", "{scale}", "{seed}", mode]
    arguments = {"scale": 2, "name": "Theirs", "command": command, **more}
    return {"model": {"class_path": "srbench.modules.ExternalCommand", "init_args": arguments}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in a mode on a set of three 24x20 images; gives what was printed, or the error's line."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in NAMES:
        write_png(tmp_path / "Set" / f"{name}.png", rng.integers(0, 256, (24, 20, 3), dtype=np.uint8))

    def command(mode: str, *arguments: str, status: int = 0, does: str = "test", **more: object) -> str:
        Path("theirs.yaml").write_text(yaml.safe_dump(config(mode, **more)))
        capsys.readouterr()
        data = ["--config", "data/image_pairs.yaml", "--data.test_gt", "Set", "--data.scale", "2"]
        quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
        given = main([does, "--config", "theirs.yaml", *data, *quiet, "--benchmark.out", "out", *arguments])
        printed = capsys.readouterr()
        assert given == status, printed.err + printed.out
        return printed.err if status else printed.out

    return command


def starts() -> list[Path]:
    return sorted(Path("runs/externalcommand/commands/Theirs").glob("*/start_*"))


def records() -> list[tuple[Path, RunRecord]]:
    return sorted(find_records([Path("out")]), key=lambda found: found[1].draw or 0)


def test_without_permission_the_argument_list_is_shown(run: Run) -> None:
    line = run("ok", status=2)
    assert line.startswith("srbench: error: Theirs: this method runs a program of somebody else: ")
    assert f"-S -E {FOREIGN} '{{lq_dir}}' '{{out_dir}}' 2 '{{seed}}' ok; read it, and add --allow-commands" in line
    assert len(line.splitlines()) == 1
    assert starts() == []


@pytest.mark.parametrize("place", ["top", "trainer", "benchmark", "init_args"])
@pytest.mark.parametrize("key", ["allow_commands", "allow-commands"])
def test_no_config_gives_the_permission(run: Run, place: str, key: str) -> None:
    Path("grant.yaml").write_text(
        yaml.safe_dump(
            {
                "top": {key: True},
                "trainer": {"trainer": {key: True}},
                "benchmark": {"benchmark": {key: True}},
                "init_args": {"model": {"init_args": {key: True}}},
            }[place]
        )
    )
    assert f"unknown key '{key}'" in run("ok", "--config", "grant.yaml", status=2)
    assert starts() == []


def test_the_permission_ends_with_the_run(run: Run) -> None:
    run("ok", "--allow-commands")
    assert "add --allow-commands" in run("ok", "--benchmark.out", "other", status=2)


def test_training_is_refused(run: Run) -> None:
    assert "--allow-commands: training runs no programs" in run("ok", "--allow-commands", does="fit", status=2)
    assert "nothing to train" in run("ok", does="fit", status=2)


def test_a_run_that_broke_goes_on_and_is_scored(run: Run, tmp_path: Path) -> None:
    mark = {"MARK": str(tmp_path / "mark")}
    line = run("crash once", "--allow-commands", status=2, variables=mark)
    assert "status 3 (RuntimeError: out of memory); 2 of 3 images are undone; the same command goes on" in line
    assert "start_001/log.txt: Theirs ended" in line
    assert records() == []
    printed = run("crash once", "--allow-commands", variables=mark)
    assert "1 of 3 images are there from before" in printed
    assert "'crash once'" in printed
    first, second = starts()
    assert {p.stem for p in (first / "lq").iterdir()} == set(NAMES)
    assert {p.stem for p in (second / "lq").iterdir()} == {"bird", "head"}
    [(path, record)] = records()
    assert (record.method, record.n, record.marks) == ("Theirs", 3, ())
    assert (record.cost.ms_per_image, record.cost.params) == (None, None)
    assert {row.name: row.notes for row in read_rows(path)} == {
        "baby": ("its program ended with status 3 later",),
        "bird": ("made by start 2 of the program",),
        "head": ("made by start 2 of the program",),
    }


def test_half_written_images_are_made_again(run: Run) -> None:
    run("ok", "--allow-commands")
    [start] = starts()
    (start / "ended.json").unlink()
    bird = start / "out" / "bird.png"
    whole = read_image(bird).pixels
    bird.write_bytes(bird.read_bytes()[:60])
    printed = run("ok", "--allow-commands", "--benchmark.force", "true")
    assert "2 of 3 images are there from before" in printed
    assert "bird is made again, for" in printed
    again = starts()[1]
    assert [p.name for p in (again / "lq").iterdir()] == ["bird.png"]
    assert np.array_equal(read_image(again / "out" / "bird.png").pixels, whole)


def test_what_is_recorded_needs_no_program(run: Run) -> None:
    run("ok", "--allow-commands")
    shutil.rmtree(starts()[0].parent)
    run("ok", "--allow-commands")
    assert starts() == []
    assert len(records()) == 1


def test_a_program_without_a_seed_draws_nothing(run: Run) -> None:
    command = [w if w != "{seed}" else "7" for w in config("ok")["model"]["init_args"]["command"]]
    module = ExternalCommand(name="Theirs", command=command)
    assert not module.stochastic
    assert "Theirs draws nothing" in run(
        "ok", "--allow-commands", "--benchmark.repeats", "2", status=2, command=command
    )


def test_every_draw_has_its_seed_and_its_record(run: Run) -> None:
    run("ok", "--allow-commands", "--benchmark.repeats", "2", "--seed_everything", "42")
    first, second = records()
    assert (first[1].draw, second[1].draw) == (0, 1)
    assert first[1].config_sha256 != second[1].config_sha256
    logs = [(start / "log.txt").read_text().split()[2] for start in starts()]
    assert "42" in logs
    assert len({*logs}) == 2
    assert len({start.parent for start in starts()}) == 2


def test_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    module = ExternalCommand(**config("ok")["model"]["init_args"])
    assert module.seed_of() == 5
    by_image = [module.seed_of(name) for name in NAMES]
    module.repeat = 1
    seeds = [*by_image, module.seed_of(), *(module.seed_of(name) for name in NAMES)]
    assert len(set(seeds)) == 7
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("does", ["predict", "validate"])
def test_it_predicts_and_validates(run: Run, does: str) -> None:
    printed = run("ok", "--allow-commands", does=does)
    [start] = starts()
    assert sorted(p.stem for p in (start / "out").iterdir()) == list(NAMES)
    if does == "predict":
        for name in NAMES:
            [made] = Path("out").glob(f"*/{name}.png")
            assert np.array_equal(read_image(made).pixels, read_image(start / "out" / f"{name}.png").pixels)
    else:
        assert "psnr_y219" in printed


def test_the_folder_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ExternalCommand(name="T", command=["x"], home_variable="THEIR_HOME", setup="git clone them")
    monkeypatch.delenv("THEIR_HOME", raising=False)
    with commands(allowed=True):
        with pytest.raises(InputError, match=r"T: .* not given; git clone them; give it by .* variable THEIR_HOME"):
            module.prepare()
        monkeypatch.setenv("THEIR_HOME", str(tmp_path / "gone"))
        with pytest.raises(InputError, match=r"gone: .* not there; git clone them"):
            ExternalCommand(name="T", command=["x"], home_variable="THEIR_HOME", setup="git clone them").prepare()
        monkeypatch.setenv("THEIR_HOME", str(tmp_path))
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "HEAD").write_text("abc\n")
        module = ExternalCommand(name="T", command=["x"], home_variable="THEIR_HOME")
        module.prepare()
    assert module.hparams["commit"] == "abc"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"command": []}, "the command is empty"),
        ({"command": ["x", "{lr_dir}"]}, r"'\{lr_dir\}' is not known"),
        ({"time_limit_s": 0.0}, "time_limit_s: 0.0 is impossible"),
        ({"stall_limit_s": -1.0}, "stall_limit_s: -1.0 is impossible"),
        ({"retries": -1}, "retries: it cannot be negative"),
        ({"out_below": "../x"}, "out_below: it leads out of the folder"),
        ({"venv": "v", "prefix": ["docker"]}, "one environment"),
    ],
)
def test_impossible_arguments(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ExternalCommand(**{"name": "T", "command": ["x"], **given})


@pytest.mark.slow
def test_two_processes_start_it_once(run: Run, tmp_path: Path) -> None:
    run("ok", "--allow-commands")
    shutil.rmtree(starts()[0].parent)
    arguments = [
        *("test", "--config", "theirs.yaml", "--config", "data/image_pairs.yaml", "--data.test_gt", "Set"),
        *("--data.scale", "2", "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"),
        *("--benchmark.out", "out", "--benchmark.force", "true", "--allow-commands"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "srbench.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(starts()) == 1
    [(path, record)] = records()
    assert record.environment["processes"] == "2"
    assert sorted(row.name for row in read_rows(path)) == list(NAMES)
