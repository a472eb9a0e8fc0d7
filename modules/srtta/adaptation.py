"""Adaptation: a copy of a network whose body learns from one image after the other, and can go back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from srbench.contracts import OptimizerFactory
from srbench.module import SRModule
from srbench.modules.srtta.layout import Layout, body_parameters, features
from srbench.modules.srtta.preservation import charbonnier, importance, masks
from srbench.modules.srtta.settings import Learning


class Adaptation:
    """The student: the source network as a copy, of which the body alone takes gradients.

    Args:
        source: the method with its weights, the teacher; it is never changed.
        layout: where body and tail lie.
        optimizer: factory over the body's parameters.
        learning: the numbers.

    Attributes:
        student: the method that learns.
        body: its trainable parameters by name.
        kept: which of their values are the source's after every step, by name; empty for none.
    """

    def __init__(self, source: SRModule, layout: Layout, optimizer: OptimizerFactory, learning: Learning) -> None:
        self.source = source
        self.layout = layout
        self.optimizer_factory = optimizer
        self.learning = learning
        self.student = copy.deepcopy(source)
        self.student._remarks = source._remarks
        self.body = body_parameters(self.net, layout)
        for parameter in self.body.values():
            parameter.requires_grad_(True)
        self.start = {name: parameter.detach().clone() for name, parameter in self.body.items()}
        self.kept: Mapping[str, Tensor] = {}
        self.optimizer = optimizer(iter(self.body.values()))

    @property
    def net(self) -> nn.Module:
        """The student's network."""
        return self.student.parts()["net"]

    def reset(self) -> None:
        """Back to the source's weights, with an optimiser that has seen nothing."""
        with torch.no_grad():
            for name, parameter in self.body.items():
                parameter.copy_(self.start[name])
        self.optimizer = self.optimizer_factory(iter(self.body.values()))

    def keep(self, clean: Sequence[Path]) -> None:
        """Finds on clean images which values are kept; the student must be at the source's."""
        found = importance(self.student.upscale, self.body, clean, self.learning.importance)
        self.kept = masks(found, self.learning.preserved)

    def loss(self, patches: Tensor, degraded: Tensor) -> Tensor:
        """The student's features of degraded patches against its own and the source's of the patches themselves."""
        weight, eps = self.learning.teacher_weight, self.learning.eps
        with torch.no_grad():
            own = features(self.student, self.net, self.layout.tail, patches)
            teacher = features(self.source, self.source.parts()["net"], self.layout.tail, patches) if weight else own
        found = features(self.student, self.net, self.layout.tail, degraded)
        loss = charbonnier(found, own, eps)
        return loss + weight * charbonnier(found, teacher, eps) if weight else loss

    def step(self, patches: Tensor, degraded: Tensor) -> bool:
        """One step on patches (B,3,p,p) and what the second degradation made of them.

        Returns:
            False where the loss or a weight is no longer a finite number.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(patches, degraded)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for name, mask in self.kept.items():
                parameter = self.body[name]
                parameter.copy_(torch.where(mask, self.start[name], parameter))
        return is_finite([loss, *self.body.values()])


def is_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether there is neither NaN nor infinity in any of them; asks the device once."""
    return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())
