"""One test set's lq to learn from: no gt in any batch, the same crops in every run, and the split of an oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodule import SRDataModule
from srbench.datamodules import ImagePairs, Images, Photos, Unlabelled
from srbench.datamodules.degradations import RealESRGAN
from srbench.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pairs, each lq of one grey of its own."""
    for number in range(5):
        for kind, side in (("lq", (10, 12)), ("gt", (20, 24))):
            (tmp_path / kind).mkdir(exist_ok=True)
            grey = np.full((*side, 3), 40 * number + 5, np.uint8)
            grey[0, 0] = 255
            Image.fromarray(grey).save(tmp_path / kind / f"{number}.png")
    return tmp_path


def _pairs(folder: Path) -> ImagePairs:
    return ImagePairs(test_gt=str(folder / "gt"), test_lq=str(folder / "lq"), test_name="Grey", scale=2)


def _data(folder: Path, *, split: int = 0, seed: int = 0, patch_size: int = 16) -> Unlabelled:
    sizes = {"batch_size": 2, "patch_size": patch_size, "samples_per_epoch": 6}
    return Unlabelled(of=_pairs(folder), scale=2, split=split, seed=seed, **sizes)


def test_batches_hold_lq_alone(folder: Path) -> None:
    batches = list(_data(folder).train_dataloader())
    assert len(batches) == 3
    for batch in batches:
        assert set(batch) == {"lq", "name"}
        assert batch["lq"].shape == (2, 3, 8, 8)
        for lq, name in zip(batch["lq"], batch["name"], strict=True):
            assert float(lq.median()) == pytest.approx((40 * int(name) + 5) / 255)


def test_crops_are_a_function_of_the_seed(folder: Path) -> None:
    def crops(seed: int) -> list[torch.Tensor]:
        return [batch["lq"] for batch in _data(folder, seed=seed).train_dataloader()]

    assert all(torch.equal(a, b) for a, b in zip(crops(1), crops(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(crops(1), crops(2), strict=True))


def test_it_tests_on_the_set_as_it_is(folder: Path) -> None:
    data = _data(folder)
    [own], [given] = data.test_sets, _pairs(folder).test_sets
    assert own.info == given.info
    assert torch.equal(own[3]["gt"], given[3]["gt"])
    assert data.val_sets == []


def test_a_split_is_validated_on_and_what_is_left_is_a_set_of_its_own(folder: Path) -> None:
    data = _data(folder, split=2)
    [seen] = data.val_sets
    whole, rest = data.test_sets
    assert (seen.name, seen.names) == ("Grey-split2", ["0", "2"])
    assert (whole.name, len(whole)) == ("Grey", 5)
    assert (rest.name, rest.names) == ("Grey-without2", ["1", "3", "4"])
    assert float(rest[0]["lq"].median()) == pytest.approx(45 / 255)
    assert rest.info.count == 3
    assert rest.info.notes == ("3 of the 5 images of Grey",)
    assert len({test_set.info.fingerprint for test_set in (seen, whole, rest)}) == 3
    assert len(data.training_set()) == 5


def test_a_folder_of_lq_is_enough(folder: Path) -> None:
    data = Unlabelled(root=str(folder / "lq"), scale=2, patch_size=16, batch_size=5)
    [batch] = list(data.train_dataloader())
    assert sorted(batch["name"]) == ["0", "1", "2", "3", "4"]
    with pytest.raises(InputError, match="this set has no gt"):
        _ = Unlabelled(root=str(folder / "lq"), scale=2, split=2).val_sets


def test_lq_that_is_made_is_learned_from_too() -> None:
    batch = next(iter(Unlabelled(of=Photos(), batch_size=2, patch_size=64).train_dataloader()))
    assert batch["lq"].shape == (2, 3, 16, 16)
    assert set(batch["name"]) == {"chelsea", "coffee"}


class Two(SRDataModule):
    """Two sets."""

    def __init__(self, folder: Path) -> None:
        super().__init__(scale=2)
        self.folder = folder

    def testing_sets(self):  # type: ignore[no-untyped-def]
        return [Images(root=str(self.folder / kind), name=kind, scale=2).testing_sets()[0] for kind in ("lq", "gt")]


def test_a_network_is_adapted_to_one_set(folder: Path) -> None:
    with pytest.raises(InputError, match="2 test sets, and a network is adapted to one: lq, gt"):
        Unlabelled(of=Two(folder), scale=2).training_set()


def test_unfit_settings_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="both root and of"):
        Unlabelled(of=_pairs(folder), root="x", scale=2)
    with pytest.raises(InputError, match="its test set is x2, this data module x4"):
        Unlabelled(of=_pairs(folder))
    with pytest.raises(InputError, match="is not degraded again"):
        Unlabelled(root="x", degradation=RealESRGAN())
    with pytest.raises(InputError, match="a split of -1 is impossible"):
        Unlabelled(root="x", split=-1)
    with pytest.raises(InputError, match="a split of 5 leaves none of 5 images"):
        _ = _data(folder, split=5).val_sets
    with pytest.raises(InputError, match="no test set was named"):
        Unlabelled().training_set()


def test_an_image_below_the_crop_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a crop of 11 does not fit into its lq of 10 x 12") as refused:
        next(iter(_data(folder, patch_size=22).train_dataloader()))
    assert str(refused.value).startswith("Grey: ")
