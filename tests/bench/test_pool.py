"""The virtual training-pair pool gives out what upstream's queue would."""

from __future__ import annotations

import numpy as np
import pytest

from srbench.pool import pooled
from srbench.sampling import TrainBatches


def queue(samples: int, batch: int, pool: int, rng: np.random.Generator) -> list[int]:
    """Upstream's queue, moving the pairs themselves: fill, then exchange the first ones of a shuffled queue."""
    held: list[int] = []
    given: list[int] = []
    for first in range(0, samples - batch + 1, batch):
        new = list(range(first, first + batch))
        if len(held) < pool // batch * batch:
            held += new
            given += new
            continue
        places = rng.choice(len(held), batch, replace=False)
        given += [held[p] for p in places]
        for place, sample in zip(places, new, strict=True):
            held[place] = sample
    return given


@pytest.mark.parametrize(("samples", "batch", "pool"), [(400, 8, 48), (400, 8, 50), (96, 12, 180), (401, 7, 21)])
def test_it_is_upstreams_queue(samples: int, batch: int, pool: int) -> None:
    wanted = queue(samples, batch, pool, np.random.default_rng(3))
    got = pooled(samples, batch, pool, np.random.default_rng(3)).tolist()
    assert got[: len(wanted)] == wanted
    assert got[len(wanted) :] == list(range(len(wanted), samples))


def test_batches_come_as_they_are_until_the_pool_is_full() -> None:
    got = pooled(1000, 8, 192, np.random.default_rng(0))
    assert got[:192].tolist() == list(range(192))
    assert got[192:].tolist() != list(range(192, 1000))
    mixed = got[192:].reshape(-1, 8) // 8
    assert np.mean([len(set(row)) for row in mixed]) > 6, "a batch is made of many batches"
    assert all(len(set(row.tolist())) == 8 for row in got.reshape(-1, 8)), "a pair at most once in a batch"


@pytest.mark.parametrize("pool", [0, 7])
def test_no_pool_changes_nothing(pool: int) -> None:
    assert pooled(100, 8, pool, np.random.default_rng(0)).tolist() == list(range(100))


def test_draws_keep_their_own_coordinates_and_any_number_of_processes_sees_the_same() -> None:
    def batches(rank: int = 0, world: int = 1, start: int = 0, epoch: int = 2) -> list[list[tuple[int, ...]]]:
        made = TrainBatches(40, batch_size=8 // world, samples_per_epoch=200, seed=5, rank=rank, world=world, pool=24)
        made.set_position(epoch, start)
        return [[tuple(draw) for draw in batch] for batch in made]

    whole = batches()
    order = TrainBatches(40, batch_size=8, samples_per_epoch=200, seed=5).order(2)
    assert all(index == order[slot] and batch == slot // 8 for row in whole for index, _, slot, batch in row)
    assert [slot for row in whole[:3] for _, _, slot, _ in row] == list(range(24))
    assert [slot for row in whole[3:] for _, _, slot, _ in row] != list(range(24, 200))
    ranks = [batches(rank, 2) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole
    assert batches(start=11) == whole[11:], "a resumed epoch goes on exactly"
    assert batches(epoch=3) != whole
