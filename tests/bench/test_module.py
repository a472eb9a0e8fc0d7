"""The contract that every method inherits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.module import SRModule


class Twice(SRModule):
    """Repeats pixels, times a factor."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**{"scale": 2, **kwargs})
        self.net = nn.ParameterDict({"factor": nn.Parameter(torch.tensor([factor]))})
        self.calls = 0

    def upscale(self, lq: Tensor) -> Tensor:
        self.calls += 1
        return lq.repeat_interleave(2, -1).repeat_interleave(2, -2) * self.net["factor"]


class Wrong(Twice):
    """Returns lq."""

    def upscale(self, lq: Tensor) -> Tensor:
        return lq


class Fetched(Twice):
    """Makes nothing itself."""

    timed = False


def _batch() -> Batch:
    return Batch(lq=torch.rand(1, 3, 6, 7), name=["a"])


def test_a_step_returns_sr_and_its_time_after_one_untimed_run() -> None:
    module = Twice()
    for step in (module.test_step, module.validation_step, module.predict_step):
        out = step(_batch(), 0)
        assert out["sr"].shape == (1, 3, 12, 14)
        assert out["ms"] is not None
        assert out["ms"] > 0
    assert module.calls == 4


def test_what_is_fetched_is_not_timed() -> None:
    assert Fetched().test_step(_batch(), 0)["ms"] is None


def test_a_result_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="its scale does not fit"):
        Wrong().test_step(_batch(), 0)


@pytest.mark.parametrize("settings", [{"scale": 0}, {"tile": 0}, {"tile": -1}, {"tile_overlap": -1}])
def test_impossible_settings(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match="impossible"):
        Twice(**settings)


def test_weights_are_loaded_once_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"params": {"factor": torch.tensor([3.0])}}, path)
    module = Twice(weights=str(path))
    assert module.net["factor"].item() == 1.0
    module.prepare()
    path.unlink()
    module.prepare()
    assert module.net["factor"].item() == 3.0
    assert module.weights_sha256 is not None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "1 keys missing"),
        ({"net.factor": torch.zeros(2)}, "another shape"),
        ({"net.factor": torch.tensor([float("nan")])}, "hold NaN"),
        ({"net.factor": torch.zeros(1), "more": torch.zeros(1)}, "1 unknown"),
    ],
)
def test_a_checkpoint_is_looked_at_before_it_is_loaded(state: dict[str, Tensor], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Twice().on_load_checkpoint({"state_dict": state})


def test_a_module_that_keeps_parts_out_of_its_checkpoints_may() -> None:
    module = Twice()
    module.strict_loading = False
    module.on_load_checkpoint({"state_dict": {}})
