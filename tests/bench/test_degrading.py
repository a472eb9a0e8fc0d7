"""Training with a degradation: the same pixels in the process, in workers, in processes and after a resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.datamodule import Pair, SRDataModule, TestSet, TrainingSet
from srbench.datamodules.degradations import DACESR, DASR, Bicubic, DeeDSR, RealESRGAN, Recipe, noise
from srbench.datamodules.degradations.imresize import imresize
from srbench.degradation import Degradation
from srbench.degrading import DegradedSet, Degrader
from srbench.errors import InputError
from srbench.sampling import Draw, TrainBatches
from srbench.threads import side_by_side


class Data(SRDataModule):
    """Smooth pictures with noise, of several sizes."""

    def __init__(self, folder: Path, degradation: Degradation | None = None, **kwargs: Any) -> None:
        given = {"batch_size": 4, "patch_size": 96, "samples_per_epoch": 16, "seed": 7, "degradation": degradation}
        super().__init__(**{**given, **kwargs})
        self.folder = folder

    def training_set(self) -> TrainingSet:
        return self.patches(pictures(self.folder))

    def testing_sets(self) -> list[TestSet]:
        return []


def pictures(folder: Path, count: int = 5) -> list[Pair]:
    pairs = []
    for i in range(count):
        path = folder / f"im{i}.png"
        if not path.exists():
            rng = np.random.default_rng(i)
            y, x = np.mgrid[: 120 + 8 * i, : 150 - 4 * i]
            waves = np.stack([np.sin(x / 9 + i), np.cos(y / 7), np.sin((x - y) / 11)], -1) * 90 + 128
            Image.fromarray(np.clip(waves + rng.normal(0, 6, waves.shape), 0, 255).astype(np.uint8)).save(path)
        pairs.append(Pair(path.stem, gt=path))
    return pairs


def batches(data: SRDataModule) -> list[Any]:
    """An epoch as the network gets it."""
    made = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    data._loader = None
    return made


def same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a["lq"], b["lq"]) and torch.equal(a["gt"], b["gt"]) and a["name"] == b["name"]
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    "degradation",
    [
        RealESRGAN(crop=None),
        RealESRGAN(crop=120, per_batch=True, pool=8),
        DACESR(crop=128),
        DASR(crop=128, per_batch=True),
        DeeDSR(),
        DASR(level="standard", real_jpeg=True, crop=None),
        Bicubic(),
    ],
    ids=lambda d: type(d).__name__ + ("_per_batch" if d.per_batch else ""),
)
def test_the_process_and_its_workers_make_the_same_pixels(tmp_path: Path, degradation: Degradation) -> None:
    alone = batches(Data(tmp_path, degradation))
    assert alone[0]["lq"].shape == (4, 3, 24, 24)
    assert alone[0]["gt"].shape == (4, 3, 96, 96)
    assert same(alone, batches(Data(tmp_path, degradation)))
    for workers, where in ((1, "workers"), (2, "auto"), (2, "device")):
        other = Data(tmp_path, degradation, num_workers=workers, degrade_in=where)
        assert same(alone, batches(other)), (workers, where)
        assert (other.degrading_in_workers > 0) == (where != "device")
    assert not same(alone, batches(Data(tmp_path, degradation, seed=8)))


def test_two_threads_make_the_same_pixels_as_one(tmp_path: Path) -> None:
    one = batches(Data(tmp_path, RealESRGAN(crop=None)))
    torch.set_num_threads(2)
    try:
        assert same(one, batches(Data(tmp_path, RealESRGAN(crop=None))))
    finally:
        torch.set_num_threads(1)


def test_two_processes_make_the_halves_of_one_processs_batches(tmp_path: Path) -> None:
    degradation = DASR(crop=None, per_batch=True, pool=8)
    data = DegradedSet(pictures(tmp_path), Degrader(degradation, patch_size=96, seed=3), scale=4, patch_size=96, seed=3)

    def epoch(rank: int, world: int) -> list[list[torch.Tensor]]:
        drawn = TrainBatches(
            5, batch_size=8 // world, samples_per_epoch=32, seed=3, rank=rank, world=world, pool=degradation.pool
        )
        return [[data[draw]["lq"] for draw in batch] for batch in drawn]

    ranks = [epoch(rank, 2) for rank in range(2)]
    for whole, left, right in zip(epoch(0, 1), *ranks, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(whole, [*left, *right], strict=True))


def test_lq_is_the_recipes_of_the_crop_and_the_patch_lies_in_it(tmp_path: Path) -> None:
    pairs = pictures(tmp_path)
    degrader = Degrader(Bicubic(), patch_size=64, seed=1, carry=True)
    degrader.degradation.crop = 112
    data = DegradedSet(pairs, degrader, scale=4, patch_size=64, seed=1, augment=False)
    places = set()
    for slot in range(4):
        sample = data[Draw(2, 0, slot)]
        pixels = np.asarray(Image.open(pairs[2].file)).transpose(2, 0, 1)
        gt = (sample["gt"] * 255).round().byte().numpy()
        [(y, x)] = [
            (y, x)
            for y in range(pixels.shape[1] - 63)
            for x in range(pixels.shape[2] - 63)
            if np.array_equal(pixels[0, y : y + 64, x : x + 64], gt[0])
        ]
        places.add((y, x))
        # Somewhere within a crop of 112 whose lq, made of all of it, has this patch at the patch's place.
        found = False
        for top in range(max(y - 48, 0), min(y, pixels.shape[1] - 112) + 1):
            for left in range(max(x - 48, 0), min(x, pixels.shape[2] - 112) + 1):
                if (y - top) % 4 == 0 == (x - left) % 4 and not found:
                    crop = torch.from_numpy(pixels[:, top : top + 112, left : left + 112].copy())
                    lq = imresize(crop, 0.25)[:, (y - top) // 4 :, (x - left) // 4 :][:, :16, :16]
                    found = torch.equal(lq, (sample["lq"] * 255).round().byte())
        assert found
    assert len(places) > 2


def test_small_images_are_mirrored_up_to_the_crop(tmp_path: Path) -> None:
    [pair, *_] = pictures(tmp_path)  # 120 x 150
    degrader = Degrader(Bicubic(), patch_size=160, seed=1)
    degrader.degradation.crop = 160
    data = DegradedSet([pair], degrader, scale=4, patch_size=160, augment=False)
    sample = data[Draw(0, 0, 0)]
    whole = np.asarray(Image.open(pair.file))
    wanted = np.pad(whole, [(0, 40), (0, 10), (0, 0)], mode="reflect")
    assert np.array_equal((sample["gt"] * 255).round().byte().permute(1, 2, 0).numpy(), wanted)
    assert np.array_equal(wanted[120, :150], whole[118]), "the edge is not doubled"


def test_recipes_travel_on_request(tmp_path: Path) -> None:
    for workers in (0, 2):
        data = Data(tmp_path, DASR(crop=128), carry_degradation=True, num_workers=workers)
        for batch in batches(data):
            held = json.loads(json.dumps(batch["degradation"]))
            recipes = [Recipe.from_dict(recipe) for recipe in held]
            assert len(recipes) == 4
            assert {r.kind for r in recipes} <= {"weak", "standard", "severe"}
            assert "seconds" not in batch
    assert "degradation" not in batches(Data(tmp_path, DASR(crop=128)))[0]


def test_a_carried_recipe_makes_the_lq_again(tmp_path: Path) -> None:
    degradation = DeeDSR()
    data = Data(tmp_path, degradation, carry_degradation=True)
    for batch in batches(data):
        for gt, lq, recipe in zip(batch["gt"], batch["lq"], batch["degradation"], strict=True):
            assert torch.equal(Recipe.from_dict(recipe).apply(gt).lq, lq)  # patch and crop are one here


def test_per_batch_shares_within_a_batch_only(tmp_path: Path) -> None:
    data = Data(tmp_path, DASR(crop=128, per_batch=True, pool=0), carry_degradation=True, samples_per_epoch=40)
    kinds = [{recipe["kind"] for recipe in batch["degradation"]} for batch in batches(data)]
    assert all(len(kind) == 1 for kind in kinds)
    assert len(set.union(*kinds)) > 1
    alone = Data(tmp_path, DASR(crop=128), carry_degradation=True, samples_per_epoch=40)
    assert any(len({recipe["kind"] for recipe in batch["degradation"]}) > 1 for batch in batches(alone))


def test_hflip_only_mirrors(tmp_path: Path) -> None:
    [pair, *_] = pictures(tmp_path)
    degrader = Degrader(Bicubic(), patch_size=120, seed=1)
    data = DegradedSet([pair], degrader, scale=4, patch_size=120, augment="hflip")
    whole = torch.from_numpy(np.asarray(Image.open(pair.file)).transpose(2, 0, 1).copy()).float() / 255
    seen = set()
    for slot in range(12):
        gt = data[Draw(0, 0, slot)]["gt"]
        for mirrored in (False, True):
            side = gt.flip(-1) if mirrored else gt
            if any(torch.equal(side, whole[:, :, x : x + 120]) for x in range(31)):
                seen.add(mirrored)
                break
        else:
            raise AssertionError("neither the patch nor its mirror image")
    assert seen == {False, True}


def test_other_batches_pass(tmp_path: Path) -> None:
    batch = {"lq": torch.zeros(1, 3, 4, 4), "name": ["a"]}
    assert Data(tmp_path, DeeDSR()).on_after_batch_transfer(batch, 0) is batch
    assert Data(tmp_path).on_after_batch_transfer(batch, 0) is batch


def test_without_a_degradation_nothing_changes(tmp_path: Path) -> None:
    from srbench.datamodules.synthesis import matlab_bicubic

    class Plain(Data):
        def training_set(self) -> TrainingSet:
            return self.patches(pictures(self.folder), matlab_bicubic(4))

    data = Plain(tmp_path)
    assert type(data.training_set()) is TrainingSet
    batch = batches(data)[0]
    assert set(batch) == {"lq", "gt", "name"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_batchs_precision_is_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    degrader = Degrader(DeeDSR(), patch_size=96, seed=1)
    gt = torch.rand((3, 96, 96), generator=torch.Generator().manual_seed(0)).to(dtype)
    lq, target, _ = degrader(gt, Draw(0, 0, 0))
    assert lq.dtype == target.dtype == dtype


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"degradation": DeeDSR(scale=2)}, "shrinks by 2, the data is for scale 4"),
        ({"degradation": DeeDSR(), "degrade_in": "workers"}, "no workers to degrade in"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Data(tmp_path, **settings)


def test_an_lq_of_its_own_is_not_replaced(tmp_path: Path) -> None:
    [pair, *_] = pictures(tmp_path)
    with pytest.raises(InputError, match="has an lq of its own"):
        Data(tmp_path, DeeDSR()).patches([pair._replace(lq=pair.gt)])


def test_an_image_smaller_than_the_patch_is_refused_unless_the_crop_is_larger(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a patch of 140 does not fit"):
        Data(tmp_path, DeeDSR(), patch_size=140).training_set()
    Data(tmp_path, DACESR(), patch_size=140).training_set()


@pytest.mark.parametrize("settings", [{"crop": 6}, {"pool": -1}, {"scale": 0}])
def test_a_degradation_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RealESRGAN(**settings)


# --------------------------------------------------------------------------------------------------- on the device


class Traffic(TorchDispatchMode):
    """Notes every operator that would make a GPU wait for the CPU or send an image to it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        waits = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::is_nonzero")
        masks = name in ("aten::index", "aten::index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1] or ()
        )
        self.seen += [name] * (name in waits or masks)
        if name == "aten::_to_copy" and (kwargs or {}).get("device") is not None:
            # Kernels and tables may go to the device, if nobody waits for it; nothing as large as an image may move.
            self.seen += [name] * (args[0].numel() > 64 * 64 or not (kwargs or {}).get("non_blocking"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "degradation", [RealESRGAN(crop=None), DASR(crop=None), DeeDSR()], ids=lambda d: type(d).__name__
)
def test_nothing_leaves_the_device(degradation: Degradation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on a CPU, but for the Poisson counts, which have a way of their own there."""

    def counts(levels: torch.Tensor, photons: torch.Tensor, *, generator: torch.Generator | None) -> torch.Tensor:
        return torch.poisson(levels / 255 * photons, generator=generator)

    monkeypatch.setattr(noise, "poisson_field", counts)
    gt = torch.rand((3, 128, 128), generator=torch.Generator().manual_seed(0))
    used: set[str] = set()
    for i in range(25):
        recipe = degradation.draw(np.random.default_rng(i), 128, 128)
        assert isinstance(recipe, Recipe)
        used |= {step.name for step in recipe.steps}
        with Traffic() as traffic:
            recipe.apply(gt)
        assert not traffic.seen, (i, traffic.seen)
    assert used >= {"blur", "resize", "gaussian_noise", "poisson_noise", "jpeg", "round"}


def test_the_traffic_is_seen() -> None:
    with Traffic() as traffic:
        float(torch.zeros(3).sum())
        torch.zeros(3, 80, 80).to(device="meta", non_blocking=True)
        torch.zeros(3).to(device="meta")
        torch.zeros(3).to(device="meta", non_blocking=True)
        torch.zeros(3)[torch.tensor([True, False, True])]
        torch.zeros(3)[torch.tensor(1)]
    waits, moves = "aten::_local_scalar_dense", "aten::_to_copy"
    assert traffic.seen == [waits, moves, moves, "aten::index", waits]


# ---------------------------------------------------------------------------------------------------------- threads


def test_threads_keep_the_order_and_have_one_thread_each() -> None:
    torch.set_num_threads(2)
    try:
        assert side_by_side(lambda i: i * i, range(50)) == [i * i for i in range(50)]
        assert set(side_by_side(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            side_by_side(lambda i: 1 // i, [1, 0])
    finally:
        torch.set_num_threads(1)
