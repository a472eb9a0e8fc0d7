from __future__ import annotations

import pickle
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from srbench.errors import InputError
from srbench.sampling import Draw, Loader, ResumableLoader, Shard, TrainBatches, draw_rng, seed_worker


class Draws(Dataset):
    """Gives the draw itself, as a tensor."""

    def __init__(self, length: int = 7) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        return torch.tensor(draw)


class Broken(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        raise InputError("the image is truncated", where="a.png", remedy="copy it again")


def loader(workers: int = 0, batches: TrainBatches | None = None, **kwargs: Any) -> ResumableLoader:
    return ResumableLoader(
        Draws(),
        batches=batches or TrainBatches(7, batch_size=2, samples_per_epoch=10, seed=3),
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(0),
        **kwargs,
    )


def seen(batches: Iterable[torch.Tensor]) -> list[list[list[int]]]:
    return [batch.tolist() for batch in batches]


def test_draw_rng_depends_on_seed_epoch_and_slot_only() -> None:
    def first(seed: int, draw: Draw) -> float:
        return draw_rng(seed, draw).random()

    assert first(0, Draw(1, 2, 3)) == first(0, Draw(9, 2, 3))
    others = {first(0, Draw(1, 2, 3)), first(1, Draw(1, 2, 3)), first(0, Draw(1, 3, 3)), first(0, Draw(1, 2, 4))}
    assert len(others) == 4


def test_an_epoch_takes_every_image_once() -> None:
    batches = TrainBatches(10, batch_size=2, seed=1)
    drawn = [draw for batch in batches for draw in batch]
    assert sorted(draw.index for draw in drawn) == list(range(10))
    assert [draw.slot for draw in drawn] == list(range(10))


def test_a_long_epoch_takes_every_image_equally_often() -> None:
    drawn = [draw.index for batch in TrainBatches(4, batch_size=5, samples_per_epoch=40) for draw in batch]
    assert np.bincount(drawn).tolist() == [10, 10, 10, 10]
    assert len({tuple(drawn[i : i + 4]) for i in range(0, 40, 4)}) > 1


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return TrainBatches(50, batch_size=1, seed=seed).order(epoch).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_the_incomplete_batch_is_dropped() -> None:
    batches = TrainBatches(7, batch_size=3)
    assert len(batches) == 2
    assert [len(batch) for batch in batches] == [3, 3]


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(world: int) -> None:
    alone = TrainBatches(13, batch_size=8, samples_per_epoch=50, seed=5)
    ranks = [
        TrainBatches(13, batch_size=8 // world, samples_per_epoch=50, seed=5, rank=r, world=world) for r in range(world)
    ]
    for epoch in (0, 3):
        for batches in (alone, *ranks):
            batches.set_position(epoch, 1)
        joined = [[draw for part in parts for draw in part] for parts in zip(*ranks, strict=True)]
        assert joined == list(alone)
        assert len(joined) == 5


def test_the_position_is_read_when_the_iterator_is_made() -> None:
    batches = TrainBatches(6, batch_size=2)
    iterator = iter(batches)
    batches.set_position(4, 0)
    assert next(iterator)[0].epoch == 0


def test_a_position_past_the_end_is_the_next_epoch() -> None:
    batches = TrainBatches(6, batch_size=2)
    batches.set_position(1, 3)
    assert (batches.epoch, batches.start) == (2, 0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 1, "samples_per_epoch": 0}, "samples_per_epoch 0"),
        ({"batch_size": 1, "seed": -1}, "seed -1"),
        ({"batch_size": 4, "world": 2}, "holds no batch of 8"),
    ],
)
def test_impossible_sizes_are_refused(kwargs: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainBatches(6, **kwargs)


@pytest.mark.parametrize(("count", "world"), [(5, 1), (5, 2), (14, 4), (2, 4)])
def test_shards_hold_every_image_once(count: int, world: int) -> None:
    shards = [Shard(range(count), rank=r, world=world) for r in range(world)]
    assert sorted(i for shard in shards for i in shard) == list(range(count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_loader_over_nothing_is_fine() -> None:
    assert list(DataLoader(Draws(), sampler=Shard([0], rank=1, world=2))) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_each_iterator_is_the_next_epoch(workers: int) -> None:
    data = loader(workers)
    epochs = [seen(data), seen(data)]
    assert [draw[1] for batch in epochs[0] for draw in batch] == [0] * 10
    assert [draw[1] for batch in epochs[1] for draw in batch] == [1] * 10
    assert len(data) == 5


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("used", [0, 1, 3, 5, 7])
def test_a_loader_goes_on_with_the_next_batch(workers: int, used: int) -> None:
    straight = loader()
    wanted = seen(straight) + seen(straight)
    stopped = loader(workers)
    first = iter(stopped)
    before = seen(next(first) for _ in range(min(used, 5)))
    if used > 5:
        second = iter(stopped)
        before += seen(next(second) for _ in range(used - 5))
    state = pickle.loads(pickle.dumps(stopped.state_dict()))
    resumed = loader(workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    after = seen(resumed)
    if len(before) + len(after) < 10:
        after += seen(resumed)
    assert before + after == wanted


def test_an_unused_iterator_does_not_count() -> None:
    data = loader()
    iter(data)
    assert data.state_dict() == {"epoch": 0, "batch": 0}
    assert seen(data)[0][0][1] == 0


def test_what_was_not_trained_on_is_repeated() -> None:
    data = loader(trained=lambda given: given - 1)
    iterator = iter(data)
    next(iterator), next(iterator)
    assert data.state_dict() == {"epoch": 0, "batch": 1}


def test_an_epoch_cut_short_is_over() -> None:
    data = loader(trained=lambda given: None if given >= 2 else given)
    iterator = iter(data)
    next(iterator), next(iterator)
    assert data.state_dict() == {"epoch": 1, "batch": 0}


def test_loading_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    seen(loader(2))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_input_stays_one_line(workers: int) -> None:
    with pytest.raises(InputError) as caught:
        list(Loader(Broken(), num_workers=workers))
    assert str(caught.value) == "a.png: the image is truncated; copy it again"


def test_workers_are_seeded_apart() -> None:
    drawn = set()
    with torch.random.fork_rng():
        for worker, rank in ((0, 0), (1, 0), (0, 1), (0, 0)):
            seed_worker(worker, seed=1, rank=rank)
            drawn.add((torch.rand(()).item(), random.random()))
    assert len(drawn) == 3
