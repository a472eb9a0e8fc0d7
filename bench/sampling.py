"""Which image is drawn when: training batches that any process can reproduce, and test images dealt out once.

Every random choice of a training sample is a function of (seed, epoch, slot), so workers and processes change nothing
and a run that is resumed in the middle of an epoch goes on with the very next batch.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from srbench.errors import InputError
from srbench.pool import pooled

# First word of every seed sequence: the kinds of draws must not share a stream.
_ORDER, _SAMPLE, _WORKER, _RECIPE, _BATCH, _POOL, _IMAGE = range(7)


class Draw(NamedTuple):
    """One training sample: which image, and the coordinates that all its random choices are made of.

    Attributes:
        index: the image.
        epoch: counts from 0.
        slot: the sample's place in the epoch over all processes; one image may fill several slots.
        batch: the batch over all processes that the slot belongs to, for what a whole batch shares.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index
    epoch: int
    slot: int
    batch: int = 0


class Position(TypedDict):
    """Where training stands: ``batch`` of ``epoch`` is the next one, both counted from 0."""

    epoch: int
    batch: int


def draw_rng(seed: int, draw: Draw) -> np.random.Generator:
    """The generator of one sample's crop, flip and noise; a function of seed, epoch and slot alone.

    >>> draw_rng(0, Draw(5, 1, 7)).random() == draw_rng(0, Draw(5, 1, 7)).random()
    True
    """
    return np.random.default_rng(np.random.SeedSequence((seed, _SAMPLE, draw.epoch, draw.slot)))


def recipe_rng(seed: int, draw: Draw) -> np.random.Generator:
    """The generator of one sample's degradation; as :func:`draw_rng`, but another stream."""
    return np.random.default_rng(np.random.SeedSequence((seed, _RECIPE, draw.epoch, draw.slot)))


def batch_rng(seed: int, draw: Draw) -> np.random.Generator:
    """The generator of what the samples of a batch share; a function of seed, epoch and batch alone."""
    return np.random.default_rng(np.random.SeedSequence((seed, _BATCH, draw.epoch, draw.batch)))


def run_seed() -> int:
    """The seed of the run (``--seed_everything``), where Lightning keeps it; 0 when there is none."""
    return int(os.environ.get("PL_GLOBAL_SEED") or 0)


def image_seed(seed: int, repeat: int, name: str) -> int:
    """The seed of what a method draws for one test image, 64 bits; a function of the arguments alone.

    >>> image_seed(0, 0, "a") == image_seed(0, 0, "a"), image_seed(0, 0, "a") == image_seed(0, 1, "a")
    (True, False)
    """
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    state = np.random.SeedSequence((seed, _IMAGE, repeat, *words.tolist())).generate_state(2, dtype=np.uint32)
    return int(state[0]) << 32 | int(state[1])


def seed_worker(worker: int, *, seed: int, rank: int) -> None:
    """Seeds the global generators of a data worker, for code that draws from them.

    Our own datasets do not: they draw from :func:`draw_rng`, which alone makes a resumed run exact.
    """
    words = np.random.SeedSequence((seed, _WORKER, rank, worker)).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002  the legacy generator is the one being seeded
    torch.manual_seed(int(words[2]))


class TrainBatches(Sampler[list[Draw]]):
    """The batches of one process, as lists of draws.

    An epoch is one permutation of the images, or as many permutations one after the other as ``samples_per_epoch``
    needs. Batch b of R processes with n samples each holds the same draws as batch b of one process with R*n samples;
    rank r takes the r-th slice. The last incomplete batch is dropped.

    Args:
        length: number of images.
        batch_size: samples in a batch of one process.
        samples_per_epoch: samples in an epoch over all processes; None takes every image once.
        seed: not negative.
        rank: of this process.
        world: number of processes.
        pool: pairs in the training-pair pool that mixes batches; see :func:`~srbench.pool.pooled`. 0 is none.

    Attributes:
        epoch: the epoch that the next iterator yields.
        start: the first batch that it yields.

    Raises:
        InputError: a size is below 1, the seed is negative, or the epoch is smaller than one batch.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        samples_per_epoch: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        pool: int = 0,
    ) -> None:
        self.pool = pool
        self.length = length
        self.batch_size = batch_size
        self.samples = length if samples_per_epoch is None else samples_per_epoch
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0
        self.start = 0
        self._check()

    def _check(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("samples_per_epoch", self.samples)):
            if value < 1:
                raise InputError(f"{name} {value} is impossible", remedy="use 1 or more")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is impossible", remedy="use 0 or more")
        if len(self) == 0:
            raise InputError(
                f"an epoch of {self.samples} samples holds no batch of {self.global_batch}",
                remedy="set samples_per_epoch higher or batch_size lower",
            )

    @property
    def global_batch(self) -> int:
        """Samples in a batch over all processes."""
        return self.batch_size * self.world

    def __len__(self) -> int:
        """Batches in a whole epoch, wherever the iterator starts."""
        return self.samples // self.global_batch

    def set_position(self, epoch: int, batch: int) -> None:
        """The next iterator starts at this batch; past the end of the epoch it starts the epoch after it."""
        self.epoch, self.start = (epoch, batch) if batch < len(self) else (epoch + 1, 0)

    def order(self, epoch: int) -> np.ndarray:
        """The images of an epoch, (samples,) int64, the same in every process."""
        rounds = -(-self.samples // self.length)
        permutations = [
            np.random.default_rng(np.random.SeedSequence((self.seed, _ORDER, epoch, turn))).permutation(self.length)
            for turn in range(rounds)
        ]
        return np.concatenate(permutations)[: self.samples]

    def __iter__(self) -> Iterator[list[Draw]]:
        # Epoch and start are read now, not at the first `next`: whoever moves the position later means the next epoch.
        return self._batches(self.epoch, self.start, self.order(self.epoch))

    def _batches(self, epoch: int, start: int, order: np.ndarray) -> Iterator[list[Draw]]:
        mixing = np.random.default_rng(np.random.SeedSequence((self.seed, _POOL, epoch)))
        slots = pooled(self.samples, self.global_batch, self.pool, mixing)
        for batch in range(start, len(self)):
            first = batch * self.global_batch + self.rank * self.batch_size
            mine = (int(slot) for slot in slots[first : first + self.batch_size])
            yield [Draw(int(order[slot]), epoch, slot, slot // self.global_batch) for slot in mine]


class Shard(Sampler[int]):
    """The test images of one process: every R-th of ``indices``, unpadded, so that no image is scored twice.

    >>> list(Shard([3, 4, 5, 6, 7], rank=1, world=2))
    [4, 6]
    """

    def __init__(self, indices: Sequence[int], *, rank: int = 0, world: int = 1) -> None:
        self.indices = list(indices)[rank::world]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


class Loader(DataLoader[Any]):
    """A DataLoader whose workers' bad input arrives as the one line it was, not wrapped in the worker's traceback."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return _relayed(super().__iter__())


def _relayed(iterator: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from iterator
    except InputError as error:
        # torch rebuilds a worker's error around its traceback; the error itself is one line, the last.
        line = error.what.strip().splitlines()[-1]
        if line == error.what:
            raise
        raise InputError(line.partition("InputError: ")[2] or line) from None


class ResumableLoader(Loader):
    """A training loader that knows where it stands and can start anywhere.

    It counts the batches it has handed out, not those its workers have prefetched. Each new iterator yields the epoch
    after the one before; an iterator that was never used does not count (Lightning makes such ones). The epoch is the
    loader's own: Lightning's numbering slips when a run is resumed at the end of an epoch.

    Args:
        dataset: takes a :class:`Draw`.
        batches: its position is where the first iterator starts.
        trained: maps the number of batches of this epoch that were handed out to the number that were trained on, or
            None when the epoch is over before its length; without it the two numbers are one.
        kwargs: for DataLoader.

    Attributes:
        waited: seconds that training has waited for batches since the loader was made.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        batches: TrainBatches,
        trained: Callable[[int], int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, batch_sampler=batches, **kwargs)
        self.batches = batches
        self.trained = trained
        self.waited = 0.0
        self._given = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if self._given:
            self._move(self.batches.epoch + 1, 0)
        return self._counted(super().__iter__())

    def _counted(self, iterator: Iterator[Any]) -> Iterator[Any]:
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self.waited += time.perf_counter() - start
            self._given += 1
            yield batch

    def _move(self, epoch: int, batch: int) -> None:
        self.batches.set_position(epoch, batch)
        self._given = 0

    def state_dict(self) -> Position:
        """The next batch to train on."""
        epoch, start = self.batches.epoch, self.batches.start
        if not self._given:
            return Position(epoch=epoch, batch=start)
        reached: int | None = start + self._given
        if self.trained is not None:
            reached = self.trained(start + self._given)
        if reached is None or reached >= len(self.batches):
            return Position(epoch=epoch + 1, batch=0)
        return Position(epoch=epoch, batch=reached)

    def load_state_dict(self, state: Position) -> None:
        """The next iterator starts there."""
        self._move(state["epoch"], state["batch"])
