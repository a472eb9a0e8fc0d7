"""The contract that every method inherits."""

import copy
import functools
import threading
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


# -------------------------------------------------------------------------------------- backbones and earlier stages


class Leaning(Twice):
    """Learns from a frozen backbone."""

    def __init__(self, *, allow: bool = False, previous: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allow_random_backbones = allow
        self.previous = previous


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of outside weights, and no other place where they could lie."""
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.mark.usefixtures("no_weights")
def test_an_absent_backbone_is_refused_with_the_command_that_helps() -> None:
    with pytest.raises(
        InputError, match=r"vgg19-dcbb9e9d\.pth: Leaning needs.*srbench weights fetch vgg19.*allow_random"
    ):
        Leaning().backbone("vgg19")


@pytest.mark.usefixtures("no_weights")
def test_a_random_backbone_stamps_what_it_touches() -> None:
    module = Leaning(allow=True)
    with pytest.warns(UserWarning, match="everything made so is marked"):
        assert module.backbone("vgg19") is None
    assert module.marks == ("random_backbones",)
    assert Leaning.marks == ()
    saved: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(saved)
    other = Twice()
    other.on_load_checkpoint(saved)
    assert other.marks == ("random_backbones",)


@pytest.mark.parametrize("allow", [False, True])
def test_another_file_under_the_backbones_name_is_always_refused(no_weights: Path, allow: bool) -> None:
    (no_weights / "vgg19-dcbb9e9d.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"vgg19-dcbb9e9d\.pth: .*another file.*srbench weights check vgg19"):
        Leaning(allow=allow).backbone("vgg19")


def test_a_stage_that_starts_from_a_marked_checkpoint_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    state = {"net.factor": torch.tensor([3.0]), "discriminator.weight": torch.zeros(2)}
    held = {"state_dict": state, "pytorch-lightning_version": "2.6", "marks": ["random_backbones"]}
    torch.save(held, path)
    module = Twice(weights=str(path))
    module.prepare()
    assert module.net["factor"].item() == 3.0  # the generator of a pair of networks
    assert module.marks == ("random_backbones",)


@pytest.mark.parametrize("weights", [None, "runs/1/last.ckpt"])
def test_a_stage_without_the_one_before_names_the_command(weights: str | None) -> None:
    module = Leaning(previous="methods/x/1_pixel.yaml", weights=weights)
    with pytest.raises(InputError, match=r"srbench fit --config methods/x/1_pixel\.yaml.*previous null") as caught:
        _start(module)
    assert caught.value.where == (weights or "model.init_args.weights")


def test_a_stage_that_goes_on_or_is_tested_needs_none_before() -> None:
    module = Leaning(previous="methods/x/1_pixel.yaml")
    module.setup("test")
    module.on_load_checkpoint({"state_dict": module.state_dict()})
    _start(module)
    _start(Leaning())


def _start(module: SRModule) -> None:
    module.setup("fit")
    module.on_fit_start()


class Renaming(nn.ParameterDict):
    """A network that knows another layout of its own checkpoint."""

    @staticmethod
    def rename_upstream(state: Any) -> dict[str, Tensor]:
        return {"factor": state["f"]}


def test_a_network_may_know_its_published_layouts(tmp_path: Path) -> None:
    torch.save({"f": torch.tensor([5.0])}, tmp_path / "w.pth")
    module = Twice()
    module.net = Renaming({"factor": nn.Parameter(torch.tensor([1.0]))})
    module.load_upstream(tmp_path / "w.pth")
    assert module.net["factor"].item() == 5.0


def test_a_copy_shares_the_factories_and_not_the_weights() -> None:
    module: Any = Twice()
    module.factory = functools.partial(sorted, key=threading.Lock())  # as one that leads to a trainer's processes
    module.factories = [module.factory]
    twin = copy.deepcopy(module)
    assert twin.factory is module.factory
    assert twin.factories[0] is module.factory
    with torch.no_grad():
        twin.net["factor"].fill_(9.0)
    assert module.net["factor"].item() == 1.0
    assert twin.upscale(torch.ones(1, 3, 2, 2)).max().item() == 9.0


class Remarking(Twice):
    """Says something of one image."""

    def restore(self, batch: Batch) -> Tensor:
        if "b" in batch["name"]:
            self.remark("b", "too small")
        return super().restore(batch)


def test_remarks_travel_with_the_image_they_are_of_and_no_further() -> None:
    module = Remarking()
    two = Batch(lq=torch.rand(2, 3, 6, 7), name=["a", "b"])
    assert module.test_step(two, 0)["notes"] == [(), ("too small",)]
    assert "notes" not in module.test_step(_batch(), 1)


def test_draws_depend_on_seed_name_and_repeat_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(module: Twice, name: str) -> float:
        return float(torch.rand(1, generator=module.generator(name)))

    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    module = Twice()
    first = drawn(module, "a")
    assert drawn(module, "b") != first
    assert drawn(Twice(), "a") == drawn(module, "a") == first
    module.repeat = 1
    assert drawn(module, "a") != first
    module.repeat = 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert drawn(module, "a") != first
