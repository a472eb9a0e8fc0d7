from pathlib import Path

import pytest
import torch

from srbench.arguments import read, run_folder, value_of
from srbench.errors import InputError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_configs_are_stacked_and_the_rest_is_left() -> None:
    found = read(["fit", "--config", "methods/edsr/fit.yaml", "-c", "data/photos.yaml", "--trainer.max_steps", "3"])
    assert found.subcommand == "fit"
    assert found.stack["model"]["class_path"].endswith(".EDSR")
    assert found.stack["data"]["class_path"].endswith(".Photos")
    assert found.stack["data"]["init_args"]["batch_size"] == 16  # the method's, kept when the data set was named
    assert found.rest == ["--trainer.max_steps", "3"]


@pytest.mark.parametrize("flag", [["--model", "Bicubic"], ["--model=Bicubic"], ["--model", "srbench.modules.Bicubic"]])
def test_class_names_are_completed(flag: list[str]) -> None:
    assert read(["test", *flag]).rest[-1].endswith("srbench.modules.bicubic.Bicubic")


@pytest.mark.parametrize("name", ["Bicubik", "srbench.modules.Bicubik"])
def test_a_misspelt_class_is_told_its_neighbour(name: str) -> None:
    with pytest.raises(InputError, match="unknown model class 'Bicubik'; did you mean 'Bicubic'"):
        read(["test", "--model", name])


def test_a_class_of_the_users_own_is_left_alone() -> None:
    assert read(["test", "--model", "mine.Net"]).rest == ["--model", "mine.Net"]


NESTED = """
model:
  class_path: srbench.modules.CasSR
  init_args:
    reference_model: {class_path: srbench.modules.CasSRActivation, init_args: {weights: a.ckpt, steps: 5}}
"""


@pytest.mark.parametrize("spelt", [" ", "="])
def test_a_null_within_a_class_within_a_class_is_none(tmp_path: Path, spelt: str) -> None:
    """Of jsonargparse it would be the word None."""
    (tmp_path / "nested.yaml").write_text(NESTED)
    flag = "--model.init_args.reference_model.init_args.weights"
    arguments = ["--model.init_args.weights", "null", *f"{flag}{spelt}null".split(), "--trainer.max_steps", "1"]
    found = read(["test", "--config", "nested.yaml", *arguments])
    held = found.stack["model"]["init_args"]["reference_model"]
    assert held["init_args"] == {"weights": None, "steps": 5}
    assert held["class_path"].endswith("CasSRActivation")
    assert found.rest == ["--model.init_args.weights", "null", "--trainer.max_steps", "1"]
    assert read(["test", "--config", "nested.yaml", f"{flag}=b"]).rest == [f"{flag}=b"]


def test_a_null_of_a_class_that_the_stack_does_not_name_stays_where_it_is() -> None:
    arguments = ["--data.init_args.degradation.init_args.pool", "null"]
    assert read(["test", "--model", "Bicubic", *arguments]).rest[2:] == arguments


def test_the_command_line_wins_over_the_stack() -> None:
    stack = {"trainer": {"max_steps": 3}}
    assert value_of(stack, ["--trainer.max_steps=9"], "trainer.max_steps") == "9"
    assert value_of(stack, ["--trainer.max_steps", "7", "--trainer.max_steps", "8"], "trainer.max_steps") == "8"
    assert value_of(stack, [], "trainer.max_steps") == 3
    assert value_of(stack, [], "trainer.devices") is None


def test_the_run_folder_is_named_after_the_class() -> None:
    assert run_folder({"model": {"class_path": "srbench.modules.EDSR"}}, []) == "runs/edsr"
    assert run_folder({}, ["--model", "srbench.modules.Bicubic"]) == "runs/bicubic"
    assert run_folder({"trainer": {"default_root_dir": "a"}}, []) == "a"
    assert run_folder({}, []) == "runs/run"


def _save_checkpoint(folder: Path, name: str = "last.ckpt") -> Path:
    path = folder / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    hparams = {
        "_class_path": "srbench.modules.edsr.EDSR",
        "_instantiator": "x",
        "preset": "full",
        "tile": 64,
        "weights": "w",
    }
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.0", "hyper_parameters": hparams}, path)
    return path


def test_command_line_beats_config_beats_checkpoint(tmp_path: Path) -> None:
    path = _save_checkpoint(tmp_path / "run")
    (tmp_path / "c.yaml").write_text("model: {class_path: EDSR, init_args: {preset: baseline}}\n")
    found = read(["fit", "--config", "c.yaml", "--ckpt_path", str(path), "--model.init_args.tile", "32"])
    assert found.stack["model"]["init_args"] == {"preset": "baseline", "tile": 64}  # remembered below, config above
    assert found.rest == ["--model.init_args.tile", "32"]  # parsed after the stack, so it wins
    assert found.stack["ckpt_path"] == str(path)


def test_a_checkpoint_replaces_the_weights_that_a_config_starts_from(tmp_path: Path) -> None:
    path = _save_checkpoint(tmp_path / "run")
    (tmp_path / "c.yaml").write_text("model: {class_path: EDSR, init_args: {weights: runs/1/last.ckpt}}\n")
    config = ["--config", str(tmp_path / "c.yaml")]
    assert "weights" not in read(["fit", *config, "--ckpt_path", str(path)]).stack["model"]["init_args"]
    assert read(["fit", *config]).stack["model"]["init_args"]["weights"] == "runs/1/last.ckpt"


def test_last_is_the_newest_of_the_run_folder(tmp_path: Path) -> None:
    import os

    _save_checkpoint(tmp_path / "run")
    newer = _save_checkpoint(tmp_path / "run", "last-v1.ckpt")
    os.utime(newer, (2e9, 2e9))
    found = read(["test", "--ckpt_path", "last", "--trainer.default_root_dir", "run"])
    assert Path(found.stack["ckpt_path"]).name == "last-v1.ckpt"


def test_last_without_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"no last checkpoint.*srbench fit"):
        read(["test", "--model", "EDSR", "--ckpt_path", "last"])
    assert "ckpt_path" not in read(["fit", "--model", "EDSR", "--ckpt_path=last"]).stack
    assert "starts from the beginning" in capsys.readouterr().out


def test_config_needs_a_value() -> None:
    with pytest.raises(InputError, match="--config needs a value"):
        read(["fit", "--config"])
