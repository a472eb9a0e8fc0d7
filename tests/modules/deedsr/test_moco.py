"""Stage 1: what a step does to each part, the sheet's twelfth fact, bad input, and the shipped config."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srbench.build import build_model
from srbench.catalog import load_stack
from srbench.contracts import Batch
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules.deedsr import DeeDSRLearner
from srbench.modules.deedsr.contrast import quadrant_pair

TINY: dict[str, Any] = {"preset": "small", "channels": 16, "queue": 12}


def _module(**more: Any) -> DeeDSRLearner:
    torch.manual_seed(0)
    return DeeDSRLearner(**{**TINY, **more})


def _batch(count: int = 4, side: int = 64, seed: int = 0) -> Batch:
    lq = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return {"lq": lq, "name": [str(i) for i in range(count)]}


def _step(module: DeeDSRLearner, number: int = 0) -> Tensor:
    """One training step, with its gradients and the optimiser's step."""
    optimizer: Any = module.configure_optimizers()
    loss = module.training_step(_batch(seed=number), number)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


# ---------------------------------------------------------------------------------------------------------- one step


def test_keys_take_no_gradients_and_follow_slowly() -> None:
    module = _module(momentum=0.9)
    _step(module)
    assert all(
        p.grad is None and not p.requires_grad for p in (*module.key_net.parameters(), *module.key_head.parameters())
    )
    query, key = module.net.conv1.weight.detach().clone(), module.key_net.conv1.weight.clone()
    assert not torch.equal(query, key)  # the query encoder moved; the keys' follows before the next keys are made
    _step(module, 1)
    torch.testing.assert_close(module.key_net.conv1.weight, 0.9 * key + 0.1 * query)


def test_every_weight_of_encoder_and_head_learns() -> None:
    module = _module()
    module.training_step(_batch(), 0).backward()
    trained = [*module.net.parameters(), *module.head.parameters()]
    assert all(p.grad is not None and bool(p.grad.any()) for p in trained)
    assert {id(p) for p in trained} == {id(p) for p in module.parameters() if p.requires_grad}


def test_the_queue_fills_with_directions_and_begins_anew() -> None:
    module = _module()
    random, held = module.queue.keys.clone(), []
    for number in range(4):
        _step(module, number)
        held.append((int(module.queue.place), module.queue.keys.clone()))
    assert [place for place, _ in held] == [4, 8, 0, 4]
    assert torch.equal(held[0][1][4:], random[4:])
    assert not (held[2][1] == random).all(1).any()
    assert torch.equal(held[3][1][4:], held[2][1][4:])
    assert not torch.equal(held[3][1][:4], held[2][1][:4])
    torch.testing.assert_close(held[3][1].norm(dim=1), torch.ones(12))


def test_a_random_queue_is_easy_and_a_full_one_is_chance() -> None:
    """Fact 12 of the sheet, untrained: near 0 against the random queue (0.09), near ln(K+1) against real keys.

    Random directions have cosines of variance 1/C with a query: a query whose key is at cosine c has the loss
    ln(1 + K e^(1/(2 C T^2)) / e^(c/T)).
    """
    size, channels = 512, 1024
    module, seen = _module(channels=channels, queue=size), list[dict[str, float]]()
    module.log_dict = lambda shown, **_: seen.append({k: v.item() for k, v in shown.items()})  # type: ignore[method-assign]
    with torch.no_grad():
        vectors = [module.head(module.net(part)) for part in quadrant_pair(_batch(16, 128)["lq"], module._drawn(16)[0])]
        for number in range(size // 16 + 1):
            module.training_step(_batch(16, side=128, seed=number), number)
    cosines = F.cosine_similarity(*vectors)
    expected = torch.log1p(size * torch.exp(1 / (2 * channels * 0.07**2) - cosines / 0.07)).mean().item()
    first, last = seen[0], seen[-1]
    assert first["losses/l_moco"] == pytest.approx(expected, rel=0.15)
    assert (first["losses/l_moco"] < 0.3, first["losses/top1"]) == (True, 1.0)
    assert last["losses/l_moco"] == pytest.approx(math.log(size + 1), rel=0.2)
    assert last["losses/top1"] < 0.5


def test_draws_are_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []
    for seed in ("0", "0", "1"):
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        module = _module(pairs="sample")
        losses.append(module.training_step(_batch(), 0).item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"queue": 0}, "model.init_args.queue: 0 is impossible"),
        ({"channels": 0}, "model.init_args.channels: 0 is impossible"),
        ({"momentum": 1.0}, "model.init_args.momentum: 1 is impossible"),
        ({"temperature": 0.0}, "model.init_args.temperature: 0 is impossible"),
        ({"loss": "eq6"}, "'eq6' is unknown; use code or paper"),
        ({"pairs": "image"}, "'image' is unknown; use batch or sample"),
        ({"preset": "smal"}, "did you mean 'small'"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _module(**settings)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (_batch(5), "a queue of 12 keys holds no whole number of batches of 5"),
        (_batch(4, side=33), "lq 33x33 has no four equal quadrants"),
        (_batch(1), "a batch of one quadrant of 32x32 has no statistics"),
    ],
)
def test_unfit_batches(batch: Batch, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _module().training_step(batch, 0)


def test_one_large_quadrant_has_statistics() -> None:
    assert math.isfinite(_module().training_step(_batch(1, side=80), 0).item())


def test_it_makes_no_sr() -> None:
    with pytest.raises(InputError, match=r"the learner makes no sr; give its checkpoint to methods/deedsr/2_adapter"):
        _module().upscale(torch.zeros(1, 3, 8, 8))


def test_its_representation_is_the_encoders_without_the_head() -> None:
    module, lq = _module().eval(), torch.rand(2, 3, 40, 36)
    with torch.no_grad():
        assert torch.equal(module.represent(lq), module.net(lq))
    assert module.represent(lq).shape == (2, 32)


# ------------------------------------------------------------------------------------------------------ shipped config


def test_its_parts_are_described() -> None:
    parts = describe(["methods/deedsr/1_learner.yaml"], [], (128, 128))["parts"]
    learner, head = 85_011_008, 2 * 1024 * 1025
    assert parts == {
        "learner": {"params": learner, "trainable": learner},
        "head": {"params": head, "trainable": head},
        "key_learner": {"params": learner + head, "trainable": 0},
    }


def test_the_shipped_config_is_the_papers() -> None:
    stack = load_stack(["methods/deedsr/1_learner.yaml"])
    with torch.device("meta"):
        module: Any = build_model(stack)
    assert (module.method, module.queue.keys.shape, module.temperature) == ("DeeDSR", (16384, 1024), 0.07)
    assert len(module.queue.keys) % stack["data"]["init_args"]["batch_size"] == 0
    assert (module.loss, module.pairs, module.momentum) == ("code", "batch", 0.999)
