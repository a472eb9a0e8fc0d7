from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import nn

from srbench.datamodule import FileTestSet, Pair, SRDataModule, Synthesis, TestSet, TrainingSet
from srbench.datasets import collate
from srbench.errors import InputError
from srbench.images import Decoded
from srbench.sampling import Draw


def draw_image(path: Path, height: int, width: int, seed: int = 0, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def every_fourth(gt: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(gt[::4, ::4])


NEAREST = Synthesis("nearest", "no filter", every_fourth)


def some_pairs(folder: Path, count: int = 5, side: int = 24) -> list[Pair]:
    return [Pair(f"im{i}", gt=draw_image(folder / f"im{i}.png", side, side + 4 * i, i)) for i in range(count)]


class Data(SRDataModule):
    """Generated images; remembers nothing."""

    def __init__(self, folder: Path, *, tests: int = 2, **kwargs: Any) -> None:
        super().__init__(**{"batch_size": 2, "patch_size": 16, "samples_per_epoch": 10, "seed": 7, **kwargs})
        self.folder = folder
        self.tests = tests

    def training_set(self) -> TrainingSet:
        return self.patches(some_pairs(self.folder), NEAREST)

    def testing_sets(self) -> list[TestSet]:
        pairs = some_pairs(self.folder)
        return [self.files(f"T{i}", pairs[: 3 + i], NEAREST) for i in range(self.tests)]


class Net(LightningModule):
    """A convolution under SGD with momentum; notes what it is given."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), nn.PixelShuffle(4))
        self.fail_at = fail_at
        self.seen: list[tuple[float, tuple[str, ...]]] = []
        self.tested: list[tuple[int, str]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == self.fail_at:
            raise KeyboardInterrupt
        self.seen.append((batch["gt"].double().sum().item(), tuple(batch["name"])))
        return (self.net(batch["lq"]) - batch["gt"]).abs().mean()

    def evaluate(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.tested.append((dataloader_idx, batch["name"][0]))

    validation_step = test_step = predict_step = evaluate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Stop(RuntimeError):
    pass


class StopAt(Callback):
    """Kills the run in the middle, after the checkpoint of that step is on disk."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise Stop


def trainer(folder: Path, *callbacks: Callback, **kwargs: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    settings = {"max_steps": 12, "max_epochs": -1, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    has_checkpoints = any(isinstance(c, ModelCheckpoint) for c in callbacks)
    return Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=has_checkpoints,
        **{**quiet, **settings, **kwargs},
    )


def each_step(folder: Path, **kwargs: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **{"every_n_train_steps": 1, **kwargs})


def weights(net: Net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# ------------------------------------------------------------------------------------------------------------- resume


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Net]:
    """Twelve steps without a stop, over epochs of five."""
    folder = tmp_path_factory.mktemp("straight")
    net = Net()
    trainer(folder).fit(net, Data(folder))
    assert len(net.seen) == 12
    return folder, net


def killed_and_resumed(
    folder: Path, images: Path, stop: int, checkpoints: ModelCheckpoint, workers: int = 0, **kwargs: Any
) -> tuple[Net, list[Any]]:
    first = Net()
    with pytest.raises(Stop):
        trainer(folder, checkpoints, StopAt(stop), **kwargs).fit(first, Data(images, num_workers=workers))
    written = max(folder.rglob("*.ckpt"), key=lambda p: torch.load(p, weights_only=False)["global_step"])
    done = torch.load(written, weights_only=False)["global_step"]
    second = Net()
    trainer(folder, **kwargs).fit(second, Data(images, num_workers=workers), ckpt_path=written)
    return second, first.seen[:done] + second.seen


@pytest.mark.parametrize(
    ("stop", "workers"),
    [(1, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 2), (10, 0), (5, 2), (11, 0)],
    ids=lambda value: str(value),
)
def test_a_killed_run_goes_on_bit_for_bit(straight: tuple[Path, Net], tmp_path: Path, stop: int, workers: int) -> None:
    images, wanted = straight
    resumed, seen = killed_and_resumed(tmp_path, images, stop, each_step(tmp_path), workers)
    assert seen == wanted.seen
    assert torch.equal(weights(resumed), weights(wanted))


@pytest.mark.parametrize("stop", [6, 10])
@pytest.mark.parametrize("limit", [{"max_steps": 12, "max_epochs": -1}, {"max_steps": -1, "max_epochs": 3}])
def test_a_checkpoint_of_an_epochs_end(
    straight: tuple[Path, Net], tmp_path: Path, stop: int, limit: dict[str, int]
) -> None:
    images, wanted = straight
    ends = each_step(tmp_path, every_n_train_steps=None, every_n_epochs=1, save_on_train_epoch_end=True)
    _, seen = killed_and_resumed(tmp_path, images, stop, ends, **limit)
    assert seen[:12] == wanted.seen
    assert len(seen) == (12 if limit["max_epochs"] == -1 else 15)


@pytest.mark.parametrize(("interval", "stop"), [(2, 3), (2, 5), (2, 8), (5, 6), (5, 8)])
def test_a_checkpoint_of_a_validation(straight: tuple[Path, Net], tmp_path: Path, interval: int, stop: int) -> None:
    images, wanted = straight
    after = each_step(tmp_path, every_n_train_steps=None, every_n_epochs=1, save_on_train_epoch_end=False)
    _, seen = killed_and_resumed(tmp_path, images, stop, after, val_check_interval=interval)
    assert seen == wanted.seen


@pytest.mark.parametrize("stop", [3, 4])
def test_epochs_that_the_trainer_cuts_short(tmp_path: Path, stop: int) -> None:
    whole = Net()
    trainer(tmp_path, limit_train_batches=3, max_steps=8).fit(whole, Data(tmp_path))
    kwargs = {"limit_train_batches": 3, "max_steps": 8}
    _, seen = killed_and_resumed(tmp_path, tmp_path, stop, each_step(tmp_path), **kwargs)
    assert seen == whole.seen


def test_a_checkpoint_of_an_exception_repeats_the_batch_that_failed(straight: tuple[Path, Net], tmp_path: Path) -> None:
    images, wanted = straight
    first, second = Net(fail_at=7), Net()
    ends = each_step(tmp_path, every_n_train_steps=None, save_on_exception=True)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer(tmp_path, ends).fit(first, Data(images))
    written = tmp_path / "step=7.ckpt"
    trainer(tmp_path).fit(second, Data(images), ckpt_path=written)
    assert first.seen + second.seen == wanted.seen
    assert torch.equal(weights(second), weights(wanted))


def test_twice_resumed(straight: tuple[Path, Net], tmp_path: Path) -> None:
    images, wanted = straight
    seen: list[Any] = []
    last = None
    for stop in (4, 9, None):
        net = Net()
        stops = [] if stop is None else [StopAt(stop)]
        run = trainer(tmp_path, each_step(tmp_path), *stops)
        try:
            run.fit(net, Data(images), ckpt_path=last)
        except Stop:
            last = tmp_path / f"step={stop}.ckpt"
        seen += net.seen
    assert seen == wanted.seen


def test_another_order_is_reported(straight: tuple[Path, Net], tmp_path: Path) -> None:
    images, _ = straight
    with pytest.raises(Stop):
        trainer(tmp_path, each_step(tmp_path), StopAt(2)).fit(Net(), Data(images))
    with pytest.warns(UserWarning, match="global_batch 2 -> 1"):
        trainer(tmp_path, max_steps=3).fit(Net(), Data(images, batch_size=1), ckpt_path=tmp_path / "step=2.ckpt")


def test_reloading_the_loader_each_epoch_changes_nothing(straight: tuple[Path, Net], tmp_path: Path) -> None:
    images, wanted = straight
    net = Net()
    trainer(tmp_path, reload_dataloaders_every_n_epochs=1).fit(net, Data(images))
    assert net.seen == wanted.seen


def test_a_second_run_starts_anew(straight: tuple[Path, Net], tmp_path: Path) -> None:
    images, wanted = straight
    data = Data(images)
    for _ in range(2):
        net = Net()
        trainer(tmp_path).fit(net, data)
        assert net.seen == wanted.seen


def test_the_seed_of_the_run_is_taken_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(os.environ, "PL_GLOBAL_SEED", raising=False)
    assert Data(tmp_path, seed=None).run_seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "12")
    assert Data(tmp_path, seed=None).run_seed == 12
    assert Data(tmp_path, seed=3).run_seed == 3


# ------------------------------------------------------------------------------------------------------------ loaders


def _placed(rank: int, world: int) -> tuple[int, int]:
    return rank, world


def test_training_batches_do_not_depend_on_workers_or_processes(tmp_path: Path) -> None:
    def batches(**kwargs: Any) -> list[Any]:
        return list(Data(tmp_path, **kwargs).train_dataloader())

    alone = batches(batch_size=4)
    with_workers = batches(batch_size=4, num_workers=2)
    halves = []
    for rank in range(2):
        data = Data(tmp_path, batch_size=2)
        data._place = partial(_placed, rank, 2)  # type: ignore[method-assign]
        halves.append(list(data.train_dataloader()))
    assert len(alone) == len(with_workers) == 2
    for whole, forked, left, right in zip(alone, with_workers, *halves, strict=True):
        for key in ("lq", "gt"):
            assert torch.equal(whole[key], forked[key])
            assert torch.equal(whole[key], torch.cat([left[key], right[key]]))
        assert whole["name"] == left["name"] + right["name"]


def test_test_loaders_hold_what_is_not_done(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data.mark_done("T1", {"im0", "im3"})
    first, second = data.test_dataloader()
    assert [batch["name"] for batch in first] == [["im0"], ["im1"], ["im2"]]
    assert [batch["name"] for batch in second] == [["im1"], ["im2"]]
    data.mark_done("T1", ["im1", "im2"])
    assert len(data.test_dataloader()[1]) == 0
    assert len(data.predict_dataloader()[1]) == 0
    assert len(data.val_dataloader()[1]) == 4
    data.forget_done()
    assert len(data.test_dataloader()[1]) == 4
    with pytest.raises(InputError, match="unknown test set 'T2'"):
        data.mark_done("T2", ["im0"])


def test_a_test_batch_is_the_contract(tmp_path: Path) -> None:
    (batch, *_) = Data(tmp_path).test_dataloader()[0]
    assert batch["lq"].shape == (1, 3, 6, 6)
    assert batch["gt"].shape == (1, 3, 24, 24)
    assert batch["lq"].dtype == torch.float32
    assert torch.equal(batch["gt"][..., ::4, ::4], batch["lq"])
    assert (batch["name"], batch["notes"]) == (["im0"], [()])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("stage", ["test", "validate", "predict"])
def test_lightning_visits_every_image_once(tmp_path: Path, stage: str, workers: int) -> None:
    net = Net()
    getattr(trainer(tmp_path), stage)(net, datamodule=Data(tmp_path, num_workers=workers))
    assert net.tested == [(0, "im0"), (0, "im1"), (0, "im2"), (1, "im0"), (1, "im1"), (1, "im2"), (1, "im3")]


def test_nothing_left_to_test_is_no_error(tmp_path: Path) -> None:
    data, net = Data(tmp_path, tests=1), Net()
    data.mark_done("T0", ["im0", "im1", "im2"])
    trainer(tmp_path).test(net, datamodule=data)
    assert net.tested == []


def test_a_process_without_images_validates_one_again(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data._place = partial(_placed, 5, 8)  # type: ignore[method-assign]
    assert [[b["name"][0] for b in loader] for loader in data.val_dataloader()] == [["im2"], []]
    assert [len(loader) for loader in data.test_dataloader()] == [0, 0]


def test_a_data_module_without_images_says_so() -> None:
    with pytest.raises(InputError, match="no images to train on"):
        SRDataModule().setup("fit")
    with pytest.raises(InputError, match="no images to test on"):
        SRDataModule().setup("test")
    assert SRDataModule().val_dataloader() == []


@pytest.mark.parametrize("argument", [{"scale": 0}, {"num_workers": -1}, {"cache_mb": -1}])
def test_impossible_arguments_are_named(argument: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"data.init_args.{next(iter(argument))}"):
        SRDataModule(**argument)


# ------------------------------------------------------------------------------------------------------- training set


def training(folder: Path, **kwargs: Any) -> TrainingSet:
    settings: dict[str, Any] = {"scale": 4, "patch_size": 16, "synthesis": NEAREST}
    return TrainingSet(some_pairs(folder), **{**settings, **kwargs})


def test_a_patch_is_cut_from_both_images_at_one_place(tmp_path: Path) -> None:
    data = training(tmp_path)
    whole, _, _ = np.split(np.asarray(Image.open(tmp_path / "im3.png")), 3, axis=2)
    places = set()
    for slot in range(40):
        sample = data[Draw(3, 0, slot)]
        assert sample["gt"].shape == (3, 16, 16)
        assert sample["lq"].shape == (3, 4, 4)
        red = (sample["gt"][0] * 255).round().numpy().astype(np.uint8)
        found = [
            (y, x, eighth)
            for eighth, turned in enumerate(eight(red))
            for y in range(0, 9, 4)
            for x in range(0, 21, 4)
            if np.array_equal(turned, whole[y : y + 16, x : x + 16, 0])
        ]
        assert len(found) == 1
        # lq is the gt's every fourth pixel, seen from the same side.
        undone = torch.from_numpy(np.ascontiguousarray(eight(sample["lq"][0].numpy())[found[0][2]]))
        y, x, _ = found[0]
        assert torch.equal(undone, torch.from_numpy(whole[y : y + 16 : 4, x : x + 16 : 4, 0].copy()).float() / 255)
        places.add(found[0])
    assert len({p[:2] for p in places}) > 8
    assert {p[2] for p in places} == set(range(8))


def eight(image: np.ndarray) -> list[np.ndarray]:
    """All positions of a square, each way of undoing a flip and a turn."""
    flips = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    return [*flips, *(f.T for f in flips)]


def test_without_augmentation_patches_are_upright(tmp_path: Path) -> None:
    data = training(tmp_path, augment=False, patch_size=24)
    assert torch.equal(data[Draw(0, 0, 0)]["gt"], data[Draw(0, 3, 8)]["gt"])
    whole = np.asarray(Image.open(tmp_path / "im0.png"))
    assert np.array_equal((data[Draw(0, 0, 0)]["gt"] * 255).round().byte().permute(1, 2, 0).numpy(), whole)


def test_the_cache_keeps_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import srbench.pairs as pairs

    read: list[str] = []
    real = pairs.read_image

    def reading(path: Path, **kwargs: Any) -> Decoded:
        read.append(path.stem)
        return real(path, **kwargs)

    monkeypatch.setattr(pairs, "read_image", reading)
    one = 24 * 24 * 3 + 6 * 6 * 3
    for room, wanted in ((0, 3), (one, 1), (2**20, 1)):
        data = training(tmp_path, cache_mb=0)
        data._room = room
        read.clear()
        patches = [data[Draw(0, 0, 5)] for _ in range(3)]
        assert len(read) == wanted
        assert torch.equal(patches[0]["gt"], patches[2]["gt"])
    read.clear()
    data.preload()
    data.preload()
    assert sorted(read) == ["im1", "im2", "im3", "im4"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"patch_size": 15}, "no multiple of scale"),
        ({"patch_size": 0}, "no multiple of scale"),
        ({"patch_size": 28}, r"im0.png: a patch of 28 does not fit into 24 x 24"),
    ],
)
def test_unfit_patches_are_refused(tmp_path: Path, kwargs: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training(tmp_path, **kwargs)


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(InputError, match="no image to train on"):
        TrainingSet([], scale=4, patch_size=16)


# ----------------------------------------------------------------------------------------------------------- test set


def pair(folder: Path, gt: tuple[int, int], lq: tuple[int, int], mode: str = "RGB") -> Pair:
    return Pair("a", draw_image(folder / "gt/a.png", *gt, 0, mode), draw_image(folder / "lq/a.png", *lq, 1, mode))


@pytest.mark.parametrize(("gt", "lq"), [((25, 24), (6, 6)), ((24, 23), (6, 6)), ((12, 12), (6, 6)), ((28, 24), (6, 6))])
def test_gt_that_is_no_multiple_of_lq_is_refused(tmp_path: Path, gt: tuple[int, int], lq: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"a.png: gt is .* not 4 times its lq of 6 x 6"):
        FileTestSet("S", [pair(tmp_path, gt, lq)], scale=4)


def test_a_gt_a_little_too_large_is_cropped_on_demand(tmp_path: Path) -> None:
    held = pair(tmp_path, (27, 24), (6, 6))
    sample = FileTestSet("S", [held], scale=4, crop_gt=True)[0]
    assert sample["gt"].shape == (3, 24, 24)
    assert sample["notes"] == ("gt cropped to a multiple of 4",)
    for gt in ((28, 24), (23, 24)):
        with pytest.raises(InputError, match="not 4 times"):
            FileTestSet("S", [pair(tmp_path, gt, (6, 6))], scale=4, crop_gt=True)


def test_gt_is_cropped_where_lq_is_made(tmp_path: Path) -> None:
    held = Pair("a", gt=draw_image(tmp_path / "a.png", 27, 25))
    sample = FileTestSet("S", [held], scale=4, synthesis=NEAREST)[0]
    assert sample["gt"].shape == (3, 24, 24)
    assert sample["notes"] == ("gt cropped to a multiple of 4",)
    with pytest.raises(InputError, match="too small for scale 4"):
        FileTestSet("S", [Pair("b", gt=draw_image(tmp_path / "b.png", 3, 9))], scale=4, synthesis=NEAREST)


def test_grey_images_are_noted(tmp_path: Path) -> None:
    sample = FileTestSet("S", [pair(tmp_path, (24, 24), (6, 6), "L")], scale=4)[0]
    assert len(sample["notes"]) == 1
    assert "grey" in sample["notes"][0]


def test_without_gt(tmp_path: Path) -> None:
    held = FileTestSet("S", [Pair("a", lq=draw_image(tmp_path / "a.png", 9, 7))], scale=4)
    assert set(held[0]) == {"lq", "name", "notes"}
    assert not held.info.has_gt
    assert "gt" not in collate([held[0]])


def test_names_that_cannot_be_paths_are_refused(tmp_path: Path) -> None:
    file = draw_image(tmp_path / "a.png", 8, 8)
    for name in ("..", "a/b", "a:b"):
        with pytest.raises(InputError, match="cannot be used as a name of an image"):
            FileTestSet("S", [Pair(name, lq=file)], scale=4)
        with pytest.raises(InputError, match="cannot be used as a name of a test set"):
            FileTestSet(name, [Pair("a", lq=file)], scale=4)
    with pytest.raises(InputError, match="two images are called 'a'"):
        FileTestSet("S", [Pair("a", lq=file), Pair("a", lq=file)], scale=4)
    with pytest.raises(InputError, match="no image"):
        FileTestSet("S", [], scale=4)


def test_the_fingerprint_follows_names_bytes_and_synthesis(tmp_path: Path) -> None:
    def value(name: str = "a", seed: int = 0, synthesis: Synthesis = NEAREST, folder: str = "one") -> str:
        file = draw_image(tmp_path / folder / "a.png", 8, 8, seed)
        return FileTestSet("S", [Pair(name, gt=file)], scale=4, synthesis=synthesis).info.fingerprint

    assert value() == value(folder="two")
    other = Synthesis("nearest", "another filter", every_fourth)
    assert len({value(), value(name="b"), value(seed=1), value(synthesis=other)}) == 4


def test_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import srbench.datasets as datasets

    calls: list[int] = []

    def hashing(files: list[Any]) -> str:
        calls.append(len(files))
        return "0" * 64

    monkeypatch.setattr(datasets, "fingerprint", hashing)
    held = Data(tmp_path).test_sets[0]
    assert held.info is held.info
    assert calls == [3]


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    data = Data(tmp_path)
    data.testing_sets = lambda: [Data(tmp_path).test_sets[0]] * 2  # type: ignore[method-assign]
    with pytest.raises(InputError, match="test set T0 is there twice"):
        _ = data.test_sets


def test_a_bad_file_in_a_worker_is_one_line(tmp_path: Path) -> None:
    data = Data(tmp_path, num_workers=1)
    data.setup("test")
    whole = (tmp_path / "im1.png").read_bytes()
    (tmp_path / "im1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as caught:
        list(data.test_dataloader()[0])
    assert str(caught.value).startswith(str(tmp_path / "im1.png"))
    assert "Traceback" not in str(caught.value)


def test_the_pixel_limit_reaches_every_reader(tmp_path: Path) -> None:
    data = Data(tmp_path, pixel_limit=24 * 24)
    testing = data.test_sets[0]
    assert testing[0]["name"] == "im0"
    with pytest.raises(InputError, match=r"im1.png: 28x24 pixels are over the limit of 576"):
        testing[1]
    with pytest.raises(InputError, match=r"im1.png: 28x24 pixels are over the limit of 576"):
        data.training_set()[Draw(1, 0, 0)]
