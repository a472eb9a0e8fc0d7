"""DDIM and the ways to start it, against the equations and the numbers of the released code."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion.training import drawn_steps, sample_generators

SHAPE = (1, 4, 8, 8)


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


class Recorded:
    """Predicts a constant and remembers at which steps it was asked."""

    def __init__(self, level: float = 0.0) -> None:
        self.level = level
        self.steps: list[int] = []
        self.seen: list[Tensor] = []

    def __call__(self, x_t: Tensor, step: int) -> Tensor:
        self.steps.append(step)
        self.seen.append(x_t)
        return torch.full_like(x_t, self.level)


def _draws(seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=generator)


def test_fifty_steps_and_their_alphas_are_those_of_the_released_code() -> None:
    recorded = Recorded()
    sd.sample(recorded, torch.zeros(SHAPE), _draws(), sd.Sampling(50))
    assert recorded.steps == list(range(981, 0, -20))
    held = sd.make_scheduler().alphas_cumprod
    assert held[981].item() == pytest.approx(0.0057755, abs=5e-8)
    assert held[961].item() == pytest.approx(0.0072817, abs=5e-8)


def test_one_guided_step_moves_as_the_paper_computes() -> None:
    recorded, z = Recorded(), torch.randn(SHAPE)
    sd.sample(recorded, z, _draws(), sd.Sampling(50, 0.0, "guided"))
    assert recorded.steps == list(range(961, 0, -20))  # the first step's prediction is not even asked for
    torch.testing.assert_close(recorded.seen[0], 0.00939 * z + 0.99924 * _draws()(), atol=3e-5, rtol=0)


@pytest.mark.parametrize(("guided", "share"), [(2, 0.020), (5, 0.056), (10, 0.134), (20, 0.355)])
def test_guided_steps_bring_as_much_of_lq_as_the_facts_say(guided: int, share: float) -> None:
    with_lq, without = Recorded(), Recorded()
    settings = sd.Sampling(50, 0.0, "guided", guided_steps=guided)
    sd.sample(with_lq, torch.ones(SHAPE), _draws(), settings)
    sd.sample(without, torch.zeros(SHAPE), _draws(), settings)
    assert (with_lq.seen[0] - without.seen[0]).mean().item() == pytest.approx(share, abs=6e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_noise_of_a_guided_step_leads_to_the_latents_of_lq(eta: float) -> None:
    scheduler = sd.make_scheduler()
    scheduler.set_timesteps(50)
    x, z = torch.randn(SHAPE), torch.randn(SHAPE)
    noise = sd.leading_noise(scheduler, x, z, 981)
    made = scheduler.step(noise, 981, x, eta=eta, variance_noise=torch.zeros(SHAPE))
    torch.testing.assert_close(made.pred_original_sample, z, atol=2e-4, rtol=0)


@pytest.mark.parametrize(("start_step", "abar_at"), [(None, 981), (999, 999)])
def test_lr_initialization_is_its_equation(start_step: int | None, abar_at: int) -> None:
    recorded, z = Recorded(), torch.randn(SHAPE)
    sd.sample(recorded, z, _draws(), sd.Sampling(50, 0.0, "lr", start_step=start_step))
    kept = float(sd.make_scheduler().alphas_cumprod[abar_at])
    expected = math.sqrt(kept) * z + math.sqrt(1 - kept) * _draws()()
    torch.testing.assert_close(recorded.seen[0], expected, atol=1e-6, rtol=1e-5)
    assert recorded.steps[0] == 981


def test_from_noise_lq_changes_nothing() -> None:
    made = [sd.sample(Recorded(0.1), z, _draws(), sd.Sampling(5)) for z in (torch.zeros(SHAPE), torch.ones(SHAPE))]
    assert torch.equal(made[0], made[1])


def test_the_true_noise_leads_back_to_the_latents() -> None:
    z, noise = torch.randn(SHAPE), _draws()()
    settings = sd.Sampling(10, 0.0, "lr")
    made = sd.sample(lambda x, step: noise, z, _draws(), settings)
    kept = float(sd.make_scheduler().alphas_cumprod[0])  # the last step ends at the first alpha, not at 1
    torch.testing.assert_close(made, math.sqrt(kept) * z + math.sqrt(1 - kept) * noise, atol=1e-3, rtol=0)


def test_eta_draws_in_every_step_and_zero_in_none() -> None:
    for eta, times in ((0.0, 1), (1.0, 6)):
        drawn: list[Tensor] = []

        def draw(drawn: list[Tensor] = drawn) -> Tensor:
            drawn.append(torch.randn(SHAPE))
            return drawn[-1]

        sd.sample(Recorded(), torch.zeros(SHAPE), draw, sd.Sampling(5, eta))
        assert len(drawn) == times


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1001},
        {"eta": -0.1},
        {"eta": 1.1},
        {"start": "lq"},
        {"guided_steps": 51},
        {"start_step": 1000},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} .* is impossible"):
        sd.Sampling(**wrong)


# ----------------------------------------------------------------------------------------------------------- training


def test_a_warm_up_takes_one_step_and_gives_the_settings_back() -> None:
    method = SimpleNamespace(sampling=sd.Sampling(40, eta=0.5))
    with sd.in_one_step(method):
        assert method.sampling.steps == 1
    assert method.sampling == sd.Sampling(40, eta=0.5)


def test_a_training_sample_draws_the_same_however_the_batch_is_spread() -> None:
    def numbers(count: int, rank: int) -> list[float]:
        return [float(torch.rand(1, generator=g)) for g in sample_generators(count, rank=rank, step=3, part=0)]

    assert numbers(4, 0) == numbers(2, 0) + numbers(2, 1)
    seen = {
        float(torch.rand(1, generator=sample_generators(1, rank=0, step=step, part=part)[0]))
        for step in range(4)
        for part in range(4)
    }
    assert len(seen) == 16


def test_steps_are_uniform() -> None:
    steps = torch.cat([drawn_steps(sample_generators(8, rank=0, step=i, part=0)) for i in range(250)])
    assert steps.min() >= 0
    assert steps.max() <= 999
    counts = torch.histc(steps.double(), 10, 0, 1000)
    assert ((counts - 200).square() / 200).sum() < 27.9  # chi-square of nine degrees of freedom at 0.1 %; seed is fixed
