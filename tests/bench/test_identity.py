"""What of a configuration says what a module is, and what only says where its files lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from srbench.errors import InputError
from srbench.evaluation import config_hash
from srbench.identity import configuration
from srbench.module import SRModule


class Plain(SRModule):
    """Nothing but what the base class has."""

    def upscale(self, lq: Tensor) -> Tensor:
        return lq


class Held(Plain):
    """With files of its own."""

    unhashed = ("weights", "classifier")


def _made(**arguments: Any) -> SRModule:
    module = Held(scale=1)
    for name, value in arguments.items():
        module.hparams[name] = value
    return module


def test_places_of_files_are_left_out_of_a_method_and_of_one_given_to_it() -> None:
    def given(folder: str, blocks: int = 2) -> dict[str, Any]:
        inner = {
            "class_path": "srbench.modules.DeeDSR",
            "init_args": {"weights": f"{folder}/a.pth", "base": f"{folder}/b", "blocks": blocks, "tile": None},
        }
        return configuration(_made(classifier=f"{folder}/c.pt", model=inner, _instantiator="x", tile=8))

    assert given("here") == given("there")
    assert given("here") == {
        "tile": 8,
        "model": {"class_path": "srbench.modules.DeeDSR", "init_args": {"blocks": 2, "tile": None}},
    }
    assert config_hash(given("here")) != config_hash(given("here", blocks=3))


@pytest.mark.parametrize(
    "value",
    [
        {"class_path": "torch.optim.Adam", "init_args": {"weights": 1}},  # of no module
        {"class_path": "torch.optim.Adam"},
        {"init_args": {"weights": 1}},
        {"class_path": "nowhere", "init_args": {"weights": 1}},
        ["weights"],
    ],
)
def test_what_is_no_module_stays_whole(value: Any) -> None:
    assert configuration(_made(model=value)) == {"model": value}


def test_files_and_marks_of_a_method_come_over_with_its_weights() -> None:
    inner, outer = Plain(scale=1), Plain(scale=1)
    inner.weights_sha256 = "a" * 64
    inner.rests_on("base/unet", sha256="b" * 64)
    inner.stamp("random_backbones")
    outer.rests_on("classifier", sha256="c" * 64)
    outer.inherit(inner, "reference")
    assert outer.marks == ("random_backbones",)
    assert outer.files == {
        "classifier": "c" * 64,
        "reference/weights": "a" * 64,
        "reference/base/unet": "b" * 64,
    }


def test_a_backbone_is_one_of_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path))
    module = Plain(scale=1)
    with pytest.raises(InputError):
        module.backbone("srtta_classifier")
    assert module.files == {}
    (tmp_path / "srtta_classifier.pt").write_bytes(b"x")
    module.backbone("srtta_classifier")
    assert module.files == {"srtta_classifier": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
