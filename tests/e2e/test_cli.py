"""The command's face: quick answers without torch, and a neighbour for every misspelt word."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TINY, Run
from .test_bad_input import refused

PROBE = """
import sys
from srbench.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code or 0
heavy = {"torch", "lightning", "jsonargparse", "numba"} & set(sys.modules)
print("IMPORTED", sorted(heavy), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list", "methods"],
        ["list", "modules"],
        ["list"],
        ["list", "datasets"],
        ["list", "degradations"],
        ["list", "analyses"],
        ["list", "metrics"],
        ["list", "protocols"],
        ["list", "configs"],
        ["list", "tables"],
        ["list", "--help"],
        ["fit", "--help"],
        ["test", "--help"],
        ["score", "--help"],
        ["leaderboard", "--help"],
        ["compare", "--help"],
        ["weights", "list"],
        ["data", "list"],
        ["table", "--help"],
        ["describe", "--help"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_answers_without_torch_in_under_a_second(arguments: list[str], tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], cwd=tmp_path, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "IMPORTED []" in done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("arguments", [["tset"], ["test", "--model", "EDSRR"], ["fit", "--config", "demo.yml"]])
def test_wrong_names_are_refused_without_torch_too(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert "IMPORTED []" in done.stderr


def test_the_help_of_fit_tells_every_argument_of_the_callbacks(run: Run) -> None:
    text = run("fit", "--help").out
    for word in ("--config", "--ckpt_path", "save_images", "every_n_train_steps", "max_steps", "--help-all"):
        assert word in text
    assert "every_n_train_steps" not in run("test", "--help").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modle", "EDSR"], "unknown key 'modle'; did you mean 'model'?"),
        (["--trainer.max_epoch", "3"], "unknown key 'max_epoch'; did you mean 'max_epochs'?"),
        (["--trainr.max_steps", "3"], "did you mean 'trainer'?"),
        (["--seed_everythin", "3"], "did you mean 'seed_everything'?"),
        (["--print_confg"], "did you mean 'print_config'?"),
        (["--model.feature", "3"], "did you mean 'features'?"),
        (["--model.init_args.feature", "3"], "did you mean 'features'?"),
        (["--model.init_arg.features", "3"], "did you mean 'init_args'?"),
        (["--data.batchsize", "3"], "did you mean 'batch_size'?"),
        (["--benchmark.protokol", "x"], "did you mean 'protocol'?"),
        (["--benchmark.protocol", "y219_crop"], "did you mean 'y219_crop4'?"),
        (["--checkpoint.monitr", "x"], "did you mean 'monitor'?"),
        (["--data", "Photoss"], "did you mean 'Photos'?"),
        (["--data", "srbench.datamodules.Photoss"], "did you mean 'Photos'?"),
        (["--config", "data/photo.yaml"], "did you mean 'data/photos.yaml'?"),
        (["--trainer.logger", "CSVLoggerr"], "did you mean 'CSVLogger'?"),
        (["--trainer.logger", "CSVLogger", "--trainer.logger.save_dirr", "x"], "did you mean 'save_dir'?"),
        (["--trainer.callbacks+=EarlyStoping"], "did you mean 'EarlyStopping'?"),
        (["--model.optimizer", "Adamm"], "did you mean 'Adam'?"),
        (["--model.optimizer", "torch.optim.Adamm"], "did you mean 'torch.optim.Adam'?"),
        (["--model.optimizer", "Adam", "--model.optimizer.lrr", "1"], "did you mean 'lr'?"),
        (["--model.optimizer", "torch.optim.Adam", "--model.optimizer.init_args.lrr", "1"], "did you mean 'lr'?"),
        (["--model.optimizer", "{class_path: torch.optim.Adam, init_args: {lrr: 1}}"], "did you mean 'lr'?"),
        (["--config", "methods/srresnet/fit.yaml", "--model.scheduler.T_00", "3"], "did you mean 'T_0'?"),
        (["--model.help", "EDSRR"], "did you mean 'EDSR'?"),
    ],
)
def test_a_misspelt_word_is_told_its_neighbour(run: Run, tests: list[str], arguments: list[str], said: str) -> None:
    assert said in refused(run, "test", *TINY, *tests, *arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modell: {class_path: SRResNet}", "did you mean 'model'?"),
        ("model: {class_path: SRResnett}", "did you mean 'SRResNet'?"),
        ("model: {class_path: SRResNet, init_arg: {}}", "did you mean 'init_args'?"),
        ("model: {class_path: SRResNet, init_args: {feature: 3}}", "did you mean 'features'?"),
        ("model: {class_path: SRResNet, init_args: {optimizer: {class_path: Adamm}}}", "did you mean 'Adam'?"),
        (
            "model: {class_path: SRResNet, init_args: {optimizer: {class_path: Adam, init_args: {lrr: 1}}}}",
            "model.init_args.optimizer.init_args.lrr: unknown key 'lrr'; did you mean 'lr'?",
        ),
        ("trainer: {max_step: 3}", "did you mean 'max_steps'?"),
        ("trainer: {callbacks: [{class_path: EarlyStoping}]}", "did you mean 'EarlyStopping'?"),
        ("trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitr: a}}]}", "did you mean 'monitor'?"),
        ("data: {class_path: Photos, init_args: {batch_siz: 3}}", "did you mean 'batch_size'?"),
    ],
)
def test_in_a_config_too(run: Run, tests: list[str], text: str, said: str) -> None:
    Path("own.yaml").write_text(text)
    assert said in refused(run, "test", "--config", "own.yaml", *TINY, *tests)


def test_configs_that_name_a_class_in_two_ways_stack(run: Run, tests: list[str]) -> None:
    Path("a.yaml").write_text("model: {class_path: srbench.modules.SRResNet, init_args: {features: 8}}\n")
    Path("b.yaml").write_text("model: {class_path: SRResNet, init_args: {blocks: 1}}\n")
    shown = run("describe", "--config", "a.yaml", "--config", "b.yaml", "--json").out
    assert '"params": 6867' in shown


def test_print_config_prints_and_runs_nothing(run: Run, tests: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("test", *TINY, *tests, "--print_config")
    assert ended.value.code in (0, None)
    assert not Path("runs").exists()


def test_paths_with_spaces_and_letters_of_any_language(run: Run, tests: list[str], folder: Path) -> None:
    place = folder.parent / "ein Ordner é"
    (folder / "test").rename(place)
    data = ["--data", "ImagePairs", "--data.test_gt", str(place), *tests[6:]]
    run("test", "--model", "Bicubic", *data, "--benchmark.out", "aus gabe ü")
    run("leaderboard", "--records", "aus gabe ü", "--html", "Seite ü.html")
    assert Path("Seite ü.html").is_file()


def test_testing_a_checkpoint_is_quiet_and_stays_with_its_method(
    run: Run, training: list[str], tests: list[str]
) -> None:
    run("fit", *training, "--trainer.max_steps", "1", "--trainer.default_root_dir", "elsewhere")
    ran = run("test", *tests, "--ckpt_path", "elsewhere/checkpoints/last.ckpt")
    assert [line for line in (ran.out + ran.err).splitlines() if not line.startswith("SRResNet on six")] == []
    assert Path("runs/srresnet/y219_crop4/six_x4").is_dir()
    assert not list(Path("runs").rglob("*.ckpt"))


def test_a_run_says_how_large_its_network_is(run: Run, training: list[str]) -> None:
    ran = run("fit", *training, "--trainer.max_steps", "1")
    assert "SRResNet: 6,867 parameters" in ran.out
    assert "GPU available" not in ran.err


def test_predict_goes_on_where_it_was_killed(run: Run, tests: list[str]) -> None:
    command = ["predict", "--model", "Bicubic", *tests, "--benchmark.out", "out"]
    run(*command)
    images = sorted(Path("out/six_x4").glob("*.png"))
    kept = images[1].read_bytes()
    images[0].unlink()
    images[1].write_bytes(b"of the same run, so it is not made again")
    assert "six: 5 of 6 images made already" in run(*command).out
    assert images[0].is_file()
    assert images[1].read_bytes().startswith(b"of the same run")
    other = run("predict", "--model", "Bicubic", "--model.border", "replicate", *tests, "--benchmark.out", "out").out
    assert "made already" not in other, "another method, or another configuration, makes all of them"
    run(*command, "--benchmark.force", "true")
    assert images[1].read_bytes() == kept


def test_predict_says_where_the_images_are(run: Run, tests: list[str]) -> None:
    assert "images: out/six_x4" in run("predict", "--model", "Bicubic", *tests, "--benchmark.out", "out").out
    assert len(list(Path("out/six_x4").glob("*.png"))) == 6
