from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from srbench.datamodules import Photos, photos
from srbench.errors import InputError
from srbench.sampling import Draw


def test_both_views_of_the_motorcycle_are_on_one_side() -> None:
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= set(photos.TRAIN)
    assert not set(photos.TRAIN) & set(photos.TEST)


def test_the_test_set() -> None:
    (held,) = Photos().test_sets
    assert held.names == ["chelsea", "coffee"]
    assert (held.info.name, held.info.count, held.info.scale) == ("Photos", 2, 4)
    assert held.info.lq_origin == "matlab_bicubic"
    assert held.info.has_gt
    sample = held[0]
    assert sample["gt"].shape == (3, 300, 448)
    assert sample["lq"].shape == (3, 75, 112)
    assert sample["notes"] == ("gt cropped to a multiple of 4",)
    assert held[1]["notes"] == ()


def test_lq_is_what_the_degradation_makes() -> None:
    from srbench.datamodules.degradations.imresize import imresize

    sample = Photos().test_sets[0][1]
    gt = (sample["gt"] * 255).round().to(torch.uint8)
    assert torch.equal(imresize(gt, 1 / 4), (sample["lq"] * 255).round().to(torch.uint8))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_training_patches(scale: int) -> None:
    data = Photos(scale=scale, batch_size=3, patch_size=48, seed=0)
    loader = data.train_dataloader()
    batch = next(iter(loader))
    assert len(loader) == 1000 // 3
    assert batch["gt"].shape == (3, 3, 48, 48)
    assert batch["lq"].shape == (3, 3, 48 // scale, 48 // scale)
    assert 0 <= batch["gt"].min() < batch["gt"].max() <= 1


def test_patches_as_large_as_the_photographs_allow() -> None:
    assert Photos(patch_size=424).training_set()[Draw(3, 0, 0)]["gt"].shape == (3, 424, 424)
    with pytest.raises(InputError, match=r"rocket.jpg: a patch of 428 does not fit into 424 x 640"):
        Photos(patch_size=428).training_set()


def test_a_missing_photograph_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(photos, "_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"chelsea.png: the installed scikit-image lacks"):
        Photos().setup("test")


def test_skimage_itself_is_not_imported() -> None:
    code = (
        "import sys; from srbench.datamodules import Photos; Photos().test_sets[0][0]; print('skimage' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_the_fingerprint_does_not_change_unnoticed() -> None:
    # The photographs have been the same in every release of scikit-image since 0.22, and so has the making of lq.
    assert Photos().test_sets[0].info.fingerprint == Photos(batch_size=2, seed=9).test_sets[0].info.fingerprint
    assert Photos().test_sets[0].info.fingerprint != Photos(scale=2).test_sets[0].info.fingerprint
