"""SRDataModule: what every data set is to the rest of srbench."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn

from srbench.contracts import Batch
from srbench.datasets import Augment, FileTestSet, TestSet, TrainingSet, collate
from srbench.degradation import Degradation
from srbench.degrading import DegradedSet, DegradeIn, Degrader, collate_training
from srbench.errors import InputError
from srbench.images import PIXEL_LIMIT
from srbench.naming import unknown_name
from srbench.pairs import Pair, Synthesis
from srbench.sampling import Loader, ResumableLoader, Shard, TrainBatches, seed_worker
from srbench.stopwatch import Stopwatch

__all__ = ["FileTestSet", "Pair", "SRDataModule", "Synthesis", "TestSet", "TrainingSet"]


class SRDataModule(LightningDataModule):
    """Training patches and a named list of test sets.

    A subclass overrides :meth:`training_set`, :meth:`testing_sets` or both. Which image is drawn, where it is cropped
    and how it is turned depends on ``seed``, the epoch and the sample's place in it, and on nothing else. The trainer
    must run with ``use_distributed_sampler=False``: the loaders deal the images out to the processes themselves.

    Args:
        scale: magnification from lq to gt.
        batch_size: training samples in a batch of one process.
        patch_size: side of a training patch in gt pixels.
        samples_per_epoch: training samples in an epoch over all processes; None takes every image once.
        num_workers: worker processes of each loader.
        seed: of all draws; None takes the run's ``seed_everything``, and 0 where that is not set.
        cache_mb: MiB of decoded training images that one process and its workers keep in memory; 0 keeps none.
        augment: flip and turn training patches; ``hflip`` only mirrors them left to right.
        pixel_limit: larger images are refused.
        degradation: makes the lq of training images, which then need none; None leaves that to the files, or to
            MATLAB's bicubic where there are none. Test images are never degraded.
        degrade_in: ``device`` degrades a batch where the network is, in the training process; ``workers`` each sample
            in the loader's workers; ``auto`` on a GPU if there is one, else in the workers if there are any. On a CPU
            the pixels are the same.
        carry_degradation: note every sample's recipe in ``batch["degradation"]``.
        carry_whole: hand on the lq of the whole crop beside the patch's (``batch["lq_whole"]``, ``["lq_corner"]``), for
            methods that look at more than the patch; only where there is a ``degradation``.

    Attributes:
        degrading: time that the training process has spent degrading.
        degrading_in_workers: seconds that workers have spent degrading what was trained on.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        batch_size: int = 16,
        patch_size: int = 192,
        samples_per_epoch: int | None = None,
        num_workers: int = 0,
        seed: int | None = None,
        cache_mb: int = 1024,
        augment: Augment = True,
        pixel_limit: int = PIXEL_LIMIT,
        degradation: Degradation | None = None,
        degrade_in: DegradeIn = "auto",
        carry_degradation: bool = False,
        carry_whole: bool = False,
    ) -> None:
        super().__init__()
        for name, value, least in (("scale", scale, 1), ("num_workers", num_workers, 0), ("cache_mb", cache_mb, 0)):
            if value < least:
                raise InputError(
                    f"{value} is impossible", where=f"data.init_args.{name}", remedy=f"use {least} or more"
                )
        self.scale = scale
        self.batch_size = batch_size
        self.patch_size = patch_size
        self.samples_per_epoch = samples_per_epoch
        self.num_workers = num_workers
        self.seed = seed
        self.cache_mb = cache_mb
        self.augment = augment
        self.pixel_limit = pixel_limit
        self.degradation = degradation
        self.degrade_in: DegradeIn = degrade_in
        self.carry_degradation = carry_degradation
        self.carry_whole = carry_whole
        self.degrading = Stopwatch()
        self.degrading_in_workers = 0.0
        _check_degradation(degradation, scale=scale, degrade_in=degrade_in, workers=num_workers)
        # A process may have no image of a test set at all: there are more processes than images, or all are scored.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._train: TrainingSet | None = None
        self._tests: list[TestSet] | None = None
        self._vals: list[TestSet] | None = None
        self._done: dict[str, set[str]] = {}
        self._loader: ResumableLoader | None = None
        self._restored: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------ a subclass gives

    def training_set(self) -> TrainingSet:
        """The images to train on; see :meth:`patches`.

        Raises:
            InputError: there are none.
        """
        raise InputError(f"{type(self).__name__} has no images to train on", where="data", remedy="choose other data")

    def testing_sets(self) -> list[TestSet]:
        """The sets to test on, in the order of the loaders; none by default. See :meth:`files`."""
        return []

    def validation_sets(self) -> list[TestSet]:
        """The sets to validate on; those to test on by default."""
        return self._known_tests()

    def patches(self, pairs: Sequence[Pair], synthesis: Synthesis | None = None, **more: Any) -> TrainingSet:
        """A training set of these pairs with this data module's settings.

        Args:
            pairs: its images.
            synthesis: makes lq where the pairs have none and there is no ``degradation``.
            more: for :class:`TrainingSet`.
        """
        settings: dict[str, Any] = {
            "scale": self.scale,
            "patch_size": self.patch_size,
            "augment": self.augment,
            "seed": self.run_seed,
            "cache_mb": self.cache_mb,
            "pixel_limit": self.pixel_limit,
            **more,
        }
        if self._degrader is not None:
            return DegradedSet(pairs, self._degrader, **settings)
        return TrainingSet(pairs, synthesis=synthesis, **settings)

    def files(self, name: str, pairs: Sequence[Pair], synthesis: Synthesis | None = None, **about: Any) -> FileTestSet:
        """A test set of these pairs with this data module's settings; ``about`` as :class:`FileTestSet` takes it."""
        return FileTestSet(name, pairs, scale=self.scale, synthesis=synthesis, pixel_limit=self.pixel_limit, **about)

    # ---------------------------------------------------------------------------------------------- lives here once

    @property
    def run_seed(self) -> int:
        """The seed of all draws."""
        return self.seed if self.seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))

    @property
    def _degrader(self) -> Degrader | None:
        if self.degradation is None:
            return None
        return Degrader(
            self.degradation,
            patch_size=self.patch_size,
            seed=self.run_seed,
            carry=self.carry_degradation,
            whole=self.carry_whole,
        )

    @property
    def test_sets(self) -> list[TestSet]:
        """The sets to test on, built and checked once.

        Raises:
            InputError: there are none, two have one name, or a file is missing or unfit.
        """
        sets = self._known_tests()
        if not sets:
            name = type(self).__name__
            raise InputError(
                f"{name} was given no images to test on", where="data", remedy=f"see srbench test --data.help {name}"
            )
        return sets

    @property
    def val_sets(self) -> list[TestSet]:
        """The sets to validate on, built and checked once; may be empty."""
        if self._vals is None:
            self._vals = _distinct(self.validation_sets())
        return self._vals

    def _known_tests(self) -> list[TestSet]:
        if self._tests is None:
            self._tests = _distinct(self.testing_sets())
        return self._tests

    def setup(self, stage: str) -> None:
        """Builds and checks what the stage needs, before anything runs."""
        if stage == "fit":
            self._train = self.training_set()
            self._loader = None
            self._restored = {}
        if stage in ("fit", "validate"):
            _ = self.val_sets
        if stage in ("test", "predict"):
            _ = self.test_sets

    def mark_done(self, set_name: str, names: Collection[str]) -> None:
        """Leaves these images of a test set out of the test loaders that are made from now on.

        Raises:
            InputError: there is no such test set.
        """
        known = [s.name for s in self.test_sets]
        if set_name not in known:
            raise unknown_name("test set", set_name, known)
        self._done.setdefault(set_name, set()).update(names)

    def forget_done(self) -> None:
        """All images of the test sets are to do again, for another draw of a stochastic method."""
        self._done.clear()

    def left(self, test_set: TestSet) -> list[str]:
        """Images of a test set that are not done, see :meth:`mark_done`, in its order; over all processes."""
        done = self._done.get(test_set.name, ())
        return [name for name in test_set.names if name not in done]

    def train_dataloader(self) -> ResumableLoader:
        """Random patches, from the batch after the last one that the checkpoint has seen."""
        training = self._train if self._train is not None else self.training_set()
        rank, world = self._place()
        batches = TrainBatches(
            len(training),
            batch_size=self.batch_size,
            samples_per_epoch=self.samples_per_epoch,
            seed=self.run_seed,
            rank=rank,
            world=world,
            pool=0 if self.degradation is None else self.degradation.pool,
        )
        self._set_position(batches)
        if isinstance(training, DegradedSet):
            training.late = self._degrades_late()
        if self.num_workers:
            training.preload()
        self._loader = ResumableLoader(
            training,
            batches=batches,
            trained=self._trained,
            collate_fn=collate_training,
            persistent_workers=self.num_workers > 0,
            **self._loading(self.num_workers),
        )
        return self._loader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Lightning's hook: degrades training crops where the batch now is; other batches pass as they are."""
        degrader = self._degrader
        if degrader is None or not isinstance(batch, dict):
            return batch
        self.degrading_in_workers += batch.pop("seconds", 0.0)
        if "draw" not in batch:
            return batch  # type: ignore[return-value]
        self.degrading.start()
        made = degrader.batch(batch)  # type: ignore[arg-type]
        self.degrading.stop()
        return made

    @property
    def waited(self) -> float:
        """Seconds that training has waited for batches of the present loader."""
        return 0.0 if self._loader is None else self._loader.waited

    def _degrades_late(self) -> bool:
        """Whether crops are degraded after they have come to the device, and not in the loader."""
        if self.degrade_in != "auto":
            return self.degrade_in == "device"
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return on_gpu or not self.num_workers

    def val_dataloader(self) -> list[Loader]:
        """One loader per set; every image goes to exactly one process.

        Lightning skips the validation of a process that has no image at all while the others wait for it to gather
        scores, so where there are more processes than images such a process repeats another one's image; scores are
        joined by name.
        """
        loaders = [self._evaluation_loader(s) for s in self.val_sets]
        if loaders and not any(len(loader) for loader in loaders):
            first = self.val_sets[0]
            loaders[0] = self._images(first, Shard([self._place()[0] % len(first)]))
        return loaders

    def test_dataloader(self) -> list[Loader]:
        """One loader per set; every image that is not done goes to exactly one process."""
        return [self._evaluation_loader(s, self._done.get(s.name, ())) for s in self.test_sets]

    def predict_dataloader(self) -> list[Loader]:
        """One loader per test set; every image that is not done goes to exactly one process."""
        return [self._evaluation_loader(s, self._done.get(s.name, ())) for s in self.test_sets]

    def _evaluation_loader(self, test_set: TestSet, done: Collection[str] = ()) -> Loader:
        left = [i for i, name in enumerate(test_set.names) if name not in done]
        rank, world = self._place()
        return self._images(test_set, Shard(left, rank=rank, world=world))

    def _images(self, test_set: TestSet, shard: Shard) -> Loader:
        loading = self._loading(min(self.num_workers, len(shard)))
        return Loader(test_set, batch_size=1, sampler=shard, collate_fn=collate, **loading)

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loading(self, workers: int) -> dict[str, Any]:
        # A loader draws its workers' seed from a generator; the global one belongs to the model.
        return {
            "num_workers": workers,
            "pin_memory": self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            "generator": torch.Generator().manual_seed(self.run_seed),
            "worker_init_fn": partial(seed_worker, seed=self.run_seed, rank=self._place()[0]),
        }

    # --------------------------------------------------------------------------------------------------- position

    def state_dict(self) -> dict[str, int]:
        """Where training stands, and what its order of images is made of; goes into the checkpoint.

        ``epoch`` and ``batch`` name the next batch to train on. Lightning keeps it under the class's name.
        """
        if self._loader is None:
            return {}
        position = self._loader.state_dict()
        return {"epoch": position["epoch"], "batch": position["batch"], **_plan(self._loader.batches)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """The next training loader starts where the checkpoint was written."""
        self._restored = dict(state_dict)

    def _set_position(self, batches: TrainBatches) -> None:
        if self._loader is not None:  # Lightning asks again under reload_dataloaders_every_n_epochs
            batches.set_position(**self._loader.state_dict())
            return
        if not self._restored:
            return
        changed = [f"{k} {self._restored[k]} -> {v}" for k, v in _plan(batches).items() if self._restored.get(k) != v]
        if changed:
            rank_zero_warn(
                f"the checkpoint's order of images cannot be continued exactly ({', '.join(changed)}); "
                "training goes on at the same batch of the same epoch of the present order"
            )
        batches.set_position(self._restored["epoch"], self._restored["batch"])

    def _trained(self, given: int) -> int | None:
        """How many of the ``given`` batches of this epoch were trained on; None when Lightning ends the epoch there."""
        if self.trainer is None:
            return given
        loop = self.trainer.fit_loop
        progress = loop.epoch_loop.batch_progress
        # A checkpoint written on an exception in the middle of a step: that batch has to be repeated.
        in_flight: int = progress.current.ready - progress.current.processed  # type: ignore[attr-defined]
        if in_flight == 0 and (progress.is_last_batch or given >= loop.max_batches):
            return None
        return given - in_flight


def _plan(batches: TrainBatches) -> dict[str, int]:
    plan = {
        "seed": batches.seed,
        "images": batches.length,
        "samples_per_epoch": batches.samples,
        "global_batch": batches.global_batch,
    }
    return {**plan, "pool": batches.pool} if batches.pool else plan


def _check_degradation(degradation: Degradation | None, *, scale: int, degrade_in: DegradeIn, workers: int) -> None:
    if degradation is None:
        return
    if degradation.scale != scale:
        raise InputError(
            f"the degradation shrinks by {degradation.scale}, the data is for scale {scale}",
            where="data.init_args.degradation.init_args.scale",
            remedy="give both the same scale",
        )
    if degrade_in == "workers" and not workers:
        raise InputError(
            "there are no workers to degrade in",
            where="data.init_args.degrade_in",
            remedy="set data.init_args.num_workers, or degrade_in to auto",
        )


def _distinct(sets: Sequence[TestSet]) -> list[TestSet]:
    names = [s.name for s in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the test set {twice[0]} is there twice", where="data", remedy="name each set once")
    return list(sets)
