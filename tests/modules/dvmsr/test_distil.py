"""DVMSR's distillation: what the student pays, and that the teacher only teaches."""

from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.contracts import Batch
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules import DVMSRDistil
from srbench.modules.dvmsr.dvmsr import network


def _module(**more: Any) -> DVMSRDistil:
    torch.manual_seed(0)
    given = {"teacher_preset": "student", "allow_random_backbones": True, "drop_path": 0.0, **more}
    module = DVMSRDistil(**given)
    module.log_dict = lambda *a, **k: None
    return module


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 32, 32, generator=generator)
    return {"lq": torch.nn.functional.avg_pool2d(gt, 4), "gt": gt, "name": ["a", "b"]}


def test_described_parts() -> None:
    told = describe(["methods/dvmsr/distil.yaml"], [], (64, 64))
    assert told["parts"] == {
        "net": {"params": 424_428, "trainable": 424_428},
        "teacher": {"params": 7_432_131, "trainable": 0},
    }


def test_the_loss_is_the_weighted_sum_of_both_distances() -> None:
    batch = _batch()
    for pixel, distil in ((1.0, 1.0), (0.0, 2.0), (3.0, 0.0)):
        module = _module(pixel_weight=pixel, distil_weight=distil)
        module.setup("fit")
        with torch.no_grad():
            sr, taught = module.net(batch["lq"]), module.teacher(batch["lq"])
        wanted = pixel * (sr - batch["gt"]).abs().mean() + distil * (sr - taught).abs().mean()
        assert module.training_step(batch, 0).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_teacher_takes_no_part_in_learning() -> None:
    module = _module()
    assert module.marks == ()
    module.setup("fit")
    module.train()
    assert module.marks == ("random_backbones",)
    assert not module.teacher.net.training
    assert {name.split(".")[0] for name in module.state_dict()} == {"net"}
    module.training_step(_batch(), 0).backward()
    assert all(p.grad is None for p in module.teacher.net.parameters())
    assert all(p.grad is not None for p in module.net.parameters())


def test_a_trained_teacher_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(4)
    teacher = network("student", 4, 0.1)
    torch.save({"params": teacher.state_dict()}, tmp_path / "teacher.pth")
    module = _module(teacher=str(tmp_path / "teacher.pth"), allow_random_backbones=False)
    module.setup("fit")
    lq = _batch()["lq"]
    with torch.no_grad():
        assert torch.equal(module.teacher(lq), teacher.eval()(lq))
    assert module.marks == ()
    with pytest.raises(InputError, match="another network"):
        _module(teacher=str(tmp_path / "teacher.pth"), teacher_preset="d180").setup("fit")


@pytest.mark.parametrize("given", [{"teacher": "no/such.ckpt"}, {"allow_random_backbones": False}])
def test_a_teacher_that_is_not_here_is_asked_for_by_its_command(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"srbench fit --config methods/dvmsr/teacher\.yaml"):
        _module(**given).setup("fit")
    _module(**given).setup("test")  # the student is tested alone


@pytest.mark.parametrize("weights", [{"pixel_weight": -1.0}, {"pixel_weight": 0.0, "distil_weight": 0.0}])
def test_weights_that_teach_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match="teach nothing"):
        _module(**weights)
