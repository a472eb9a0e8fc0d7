from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules import ImagePairs
from srbench.errors import InputError
from srbench.sampling import Draw


def image(path: Path, height: int = 32, width: int = 32, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def folder(root: Path, names: str = "a.png b.png", side: int = 32) -> str:
    for i, name in enumerate(names.split()):
        image(root / name, side, side, i)
    return str(root)


def test_pairs_to_test_on(tmp_path: Path) -> None:
    gt, lq = folder(tmp_path / "Mine/HR"), folder(tmp_path / "Mine/LR", "a.bmp b_x4.png", 8)
    (held,) = ImagePairs(test_gt=gt, test_lq=lq, source="my camera", licence="CC0").test_sets
    info = held.info
    assert (info.name, info.count, info.lq_origin, info.source, info.licence) == (
        "Mine",
        2,
        "files",
        "my camera",
        "CC0",
    )
    assert held.names == ["a", "b"]
    assert held[0]["lq"].shape == (3, 8, 8)


def test_lq_is_made_where_none_is_given(tmp_path: Path) -> None:
    (held,) = ImagePairs(test_gt=folder(tmp_path / "scenes"), test_name="mine", border="replicate").test_sets
    assert (held.info.name, held.info.lq_origin) == ("mine", "matlab_bicubic")
    other = ImagePairs(test_gt=str(tmp_path / "scenes"), test_name="mine").test_sets[0]
    assert other.info.fingerprint != held.info.fingerprint
    assert held[0]["lq"].shape == (3, 8, 8)


def test_training_folders(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two", "a.png c.png d.png")
    lqs = [folder(tmp_path / "one_lq", "ax4.png bx4.png", 8), folder(tmp_path / "two_lq", "a.png c.png d.png", 8)]
    read = ImagePairs(train_gt=[one, two], train_lq=lqs, patch_size=32, augment=False, batch_size=5, seed=0)
    (batch,) = read.train_dataloader()
    assert sorted(batch["name"]) == ["a", "a", "b", "c", "d"]
    made = ImagePairs(train_gt=one, patch_size=32, augment=False)
    draw = Draw(1, 0, 0)
    assert torch.equal(made.training_set()[draw]["gt"], read.training_set()[draw]["gt"])
    assert not torch.equal(made.training_set()[draw]["lq"], read.training_set()[draw]["lq"])


def test_training_without_test_images_validates_on_nothing(tmp_path: Path) -> None:
    data = ImagePairs(train_gt=folder(tmp_path / "one"), patch_size=16)
    data.setup("fit")
    assert data.val_dataloader() == []
    with pytest.raises(InputError, match="no images to test on"):
        data.setup("test")


def test_missing_partners(tmp_path: Path) -> None:
    gt = folder(tmp_path / "gt", "a.png b.png c.png")
    with pytest.raises(InputError, match=r"gt/c.png: there is no lq for it"):
        ImagePairs(test_gt=gt, test_lq=folder(tmp_path / "lq", "a.png b.png", 8)).setup("test")
    with pytest.raises(InputError, match=r"more/d.png: no image in .* belongs to this one"):
        ImagePairs(test_gt=gt, test_lq=folder(tmp_path / "more", "a.png b.png c.png d.png", 8)).setup("test")


def test_two_images_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gt: a.jpg and a.png have the same name"):
        ImagePairs(train_gt=folder(tmp_path / "gt", "a.png a.jpg")).setup("fit")


@pytest.mark.parametrize("argument", ["train_gt", "test_gt"])
def test_empty_and_missing_folders(tmp_path: Path, argument: str) -> None:
    (tmp_path / "empty").mkdir()
    stage = "fit" if argument == "train_gt" else "test"
    for name in ("empty", "nowhere"):
        with pytest.raises(InputError, match=name):
            ImagePairs(**{argument: str(tmp_path / name)}).setup(stage)


def test_gt_that_is_no_multiple_of_lq(tmp_path: Path) -> None:
    gt, lq = folder(tmp_path / "gt"), folder(tmp_path / "lq", "a.png b.png", 8)
    image(tmp_path / "gt/b.png", 33, 32)
    for given, stage in (({"test_gt": gt, "test_lq": lq}, "test"), ({"train_gt": gt, "train_lq": lq}, "fit")):
        with pytest.raises(InputError, match=r"b.png: gt is 33 x 32, not 4 times its lq of 8 x 8"):
            ImagePairs(**given, patch_size=16).setup(stage)


def test_a_small_training_image_is_named(tmp_path: Path) -> None:
    gt = folder(tmp_path / "gt")
    image(tmp_path / "gt/small.png", 40, 20)
    with pytest.raises(InputError, match=r"small.png: a patch of 32 does not fit into 40 x 20"):
        ImagePairs(train_gt=gt, patch_size=32).setup("fit")


def test_arguments_that_do_not_fit_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 gt folders and 1 lq folders"):
        ImagePairs(train_gt=["a", "b"], train_lq=["c"])
    with pytest.raises(InputError, match="without test_gt"):
        ImagePairs(test_lq="c")
    with pytest.raises(InputError, match="train_gt"):
        ImagePairs(test_gt=folder(tmp_path / "gt")).setup("fit")
