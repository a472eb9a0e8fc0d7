"""What a training sample of a diffusion model draws: the same numbers however a batch is spread, and after a resume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from srbench.modules.nets.stable_diffusion.sampling import TRAIN_STEPS
from srbench.sampling import image_seed, run_seed


def sample_generators(count: int, *, rank: int, step: int, part: int) -> list[torch.Generator]:
    """Generators on the CPU, one for each of ``count`` samples of a process.

    Args:
        count: samples in the batch of one process; the same in all.
        rank: of this process.
        step: of the optimiser.
        part: which of the batches that one step is accumulated from.
    """
    places = (f"training sample {part}.{rank * count + i}" for i in range(count))
    return [torch.Generator().manual_seed(image_seed(run_seed(), step, place)) for place in places]


def drawn_steps(generators: Sequence[torch.Generator]) -> Tensor:
    """A step of the diffusion for every sample, (B,) int64, uniform over 0 to 999."""
    return torch.stack([torch.randint(TRAIN_STEPS, (), generator=g) for g in generators])
