"""A method at full size whose base is absent: refused before its networks are made, and never where it need not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from srbench.cli import main
from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd

from .plain_latent import PlainLatent

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu", "--trainer.logger", "false"]
PLAIN = "plain_latent.PlainLatent"


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for variable in ("SRBENCH_WEIGHTS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    Path("whole.pth").touch()


@pytest.fixture
def _made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first network of gigabytes is not made, but told of."""

    def make(*_: Any, **__: Any) -> None:
        raise InputError("the network would be made now", where="test", remedy="none")

    monkeypatch.setattr(sd, "make_unet", make)


@pytest.mark.usefixtures("_made")
@pytest.mark.parametrize("command", ["fit", "test", "predict"])
@pytest.mark.parametrize(
    ("method", "settings", "told"),
    [
        (PLAIN, {}, "v2-1_512-ema-pruned.safetensors: {} needs these weights"),
        (PLAIN, {"family": "sd15"}, "v1-5-pruned-emaonly.safetensors: {} needs these weights"),
        (PLAIN, {"weights": "whole.pth"}, "v2-1_512-ema-pruned.safetensors: {} needs these weights"),
        (PLAIN, {"base": "absent"}, "absent: there is no such folder or file"),
        (PLAIN, {"base": "absent", "allow_random_backbones": "true"}, "absent: there is no such folder or file"),
        (PLAIN, {"allow_random_backbones": "true"}, "made now"),
        (PLAIN, {"size": "tiny"}, "made now"),
        ("CasSR", {}, "v1-5-pruned-emaonly.safetensors: {} needs these weights"),
        ("CasSRActivation", {}, "v1-5-pruned-emaonly.safetensors: {} needs these weights"),
        ("DeeDSR", {}, "v2-1_512-ema-pruned.safetensors: {} needs these weights"),
        ("DeeDSR", {"weights": "whole.pth"}, "made now"),
    ],
)
def test_a_run_is_refused_before_the_networks_are_made(
    command: str, method: str, settings: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"--model.init_args.{name}={value}" for name, value in settings.items()]
    data = ["--data", "ImagePairs", "--data.test_gt", "gt", "--data.train_gt", "gt"]
    assert main([command, "--model", method, *given, *data, *QUIET]) == 2
    assert told.format(method.split(".")[-1]) in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.usefixtures("_made")
def test_in_python_the_weights_may_come_later() -> None:
    with pytest.raises(InputError, match="made now"):
        PlainLatent()


def test_what_is_only_described_needs_no_base(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--model", PLAIN, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"]["unet"]["params"] == 865_910_724
