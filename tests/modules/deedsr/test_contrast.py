"""Pairs, shuffled keys, the queue and the loss, each against what it is by definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.deedsr.contrast import KeyQueue, info_nce, quadrant_pair, quadrants, shuffled_keys


def _directions(count: int, channels: int = 6, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, channels, generator=torch.Generator().manual_seed(seed)), dim=1)


# ------------------------------------------------------------------------------------------------------------- the loss


def test_the_loss_is_the_cross_entropy_of_the_positive_among_all() -> None:
    query, key, negatives = _directions(4), _directions(4, seed=1), _directions(9, seed=2)
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ negatives.T], 1) / 0.07
    expected = F.cross_entropy(logits, torch.zeros(4, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(info_nce(query, key, negatives, temperature=0.07), expected)


def test_equation_6_leaves_the_positive_out_of_the_denominator() -> None:
    query, key, negatives = _directions(4), _directions(4, seed=1), _directions(9, seed=2)
    positive = torch.exp((query * key).sum(1) / 0.5)
    expected = -torch.log(positive / torch.exp(query @ negatives.T / 0.5).sum(1))
    torch.testing.assert_close(info_nce(query, key, negatives, temperature=0.5, loss="paper"), expected)
    assert (info_nce(query, query, -query[:1], temperature=0.07, loss="paper")[:1] < 0).all()
    assert (info_nce(query, query, -query[:1], temperature=0.07)[:1] >= 0).all()


def test_the_loss_is_as_exact_under_mixed_precision() -> None:
    query, key, negatives = _directions(4), _directions(4, seed=1), _directions(9, seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = info_nce(query, key, negatives, temperature=0.07)
    assert torch.equal(mixed, info_nce(query, key, negatives, temperature=0.07))


def test_equal_keys_are_told_apart_by_chance_alone() -> None:
    same = _directions(1).expand(50, -1)
    loss = info_nce(same[:3], same[:3], same, temperature=0.07)
    torch.testing.assert_close(loss, torch.full((3,), math.log(51)))


# ------------------------------------------------------------------------------------------------------------ the queue


def test_the_oldest_keys_go_first_and_the_pointer_wraps() -> None:
    torch.manual_seed(0)
    queue = KeyQueue(6, 6)
    random, new = queue.keys.clone(), _directions(8).unflatten(0, (4, 2))
    torch.testing.assert_close(random.norm(dim=1), torch.ones(6))
    places = []
    for keys in new:
        queue.put(keys)
        places.append(int(queue.place))
    assert places == [2, 4, 0, 2]
    assert torch.equal(queue.keys, torch.cat([new[3], new[1], new[2]]))
    assert set(queue.state_dict()) == {"keys", "place"}


@pytest.mark.parametrize("count", [4, 12])
def test_a_batch_that_does_not_divide_the_queue_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"a queue of 6 keys holds no whole number of batches of {count}"):
        KeyQueue(6, 6).put(_directions(count))


# ------------------------------------------------------------------------------------------------------------ the pairs


def test_quadrants_are_in_the_order_of_the_released_script() -> None:
    lq = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    found = quadrants(lq)
    corners = [lq[..., :2, :3], lq[..., 2:, :3], lq[..., :2, 3:], lq[..., 2:, 3:]]
    assert all(torch.equal(one, other) for one, other in zip(found, corners, strict=True))


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (0, 8)])
def test_what_cannot_be_quartered_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"lq {size[0]}x{size[1]} has no four equal quadrants"):
        quadrants(torch.zeros(1, 3, *size))


def _labelled(count: int) -> Tensor:
    """Images whose every pixel says which image and which quadrant it is of: 10 * image + quadrant."""
    quarters = torch.tensor([[0.0, 2.0], [1.0, 3.0]]).kron(torch.ones(2, 2))
    return (quarters + 10 * torch.arange(count).view(-1, 1, 1))[:, None].expand(-1, 3, -1, -1)


def _drawn(per: str, draws: int = 200, count: int = 3) -> list[tuple[list[int], list[int]]]:
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(draws):
        first, second = quadrant_pair(_labelled(count), generator, per=per)  # type: ignore[arg-type]
        for part in (first, second):
            assert part.shape == (count, 3, 2, 2)
            assert torch.equal(part, part[:, :1, :1, :1].expand_as(part))
            assert (part[:, 0, 0, 0] // 10).tolist() == list(range(count))
        found.append(tuple((part[:, 0, 0, 0] % 10).int().tolist() for part in (first, second)))
    return found  # type: ignore[return-value]


def test_a_batch_shares_its_quadrants_and_they_are_two() -> None:
    found = _drawn("batch")
    assert all(len(set(first)) == len(set(second)) == 1 for first, second in found)
    assert {(first[0], second[0]) for first, second in found} == {(a, b) for a in range(4) for b in range(4) if a != b}


def test_samples_draw_their_own() -> None:
    found = _drawn("sample")
    pairs = {pair for first, second in found for pair in zip(first, second, strict=True)}
    assert pairs == {(a, b) for a in range(4) for b in range(4) if a != b}
    assert any(len(set(first)) > 1 for first, _ in found)


# ------------------------------------------------------------------------------------------------------- shuffled keys


def _encode(images: Tensor) -> Tensor:
    """A key that, as with batch normalisation, is of its whole batch."""
    return images.flatten(1) - images.mean()


def _world(images: Tensor, order: Tensor) -> list[Callable[[Tensor], Tensor]]:
    """What gathering gives each of two processes: all images, or the keys that both of them make."""
    share = len(images) // 2
    keys = torch.cat([_encode(images[order[r * share : (r + 1) * share]]) for r in range(2)])
    return [partial(_gathered, images=images, own=images[r * share : (r + 1) * share], keys=keys) for r in range(2)]


def _gathered(tensor: Tensor, *, images: Tensor, own: Tensor, keys: Tensor) -> Tensor:
    return images if torch.equal(tensor, own) else keys


def test_keys_come_back_in_order_and_of_shuffled_batches() -> None:
    images = torch.rand(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([4, 0, 3, 5, 1, 2])
    ranks = [
        shuffled_keys(_encode, images[3 * r : 3 * r + 3], order, rank=r, gather=gather)
        for r, gather in enumerate(_world(images, order))
    ]
    assert torch.equal(*ranks)  # so that the queue is the same everywhere
    for together in (order[:3], order[3:]):
        torch.testing.assert_close(ranks[0][together], _encode(images[together]))
    assert not torch.allclose(ranks[0][:3], _encode(images[:3]))


def test_in_one_process_the_order_changes_nothing() -> None:
    images = torch.rand(5, 3, 2, 2)
    keys = shuffled_keys(_encode, images, torch.randperm(5), rank=0, gather=lambda t: t)
    torch.testing.assert_close(keys, _encode(images))
