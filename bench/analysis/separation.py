"""How well labelled groups of vectors part: silhouette, and a linear probe on what it was not fitted to."""

from __future__ import annotations

import torch
from torch import Tensor

from srbench.errors import InputError


def silhouette(vectors: Tensor, labels: Tensor) -> float:
    """The mean silhouette coefficient (Rousseeuw 1987), in [-1,1]: 1 for tight groups far apart, about 0 for none.

    Args:
        vectors: (N,C); distances are Euclidean, of the vectors as they are.
        labels: (N,) integers, two or more of them; a group of one counts as 0.

    Raises:
        InputError: there are fewer than two groups.
    """
    groups = labels.unique()
    if len(groups) < 2:
        raise InputError("one group has nothing to part from", remedy="give two or more")
    distances = torch.cdist(vectors.double(), vectors.double(), compute_mode="donot_use_mm_for_euclid_dist")
    member = labels[:, None] == groups  # (N,G)
    counts = member.sum(0)
    sums = distances @ member.double()
    own = counts[member.int().argmax(1)]
    inner = (sums * member).sum(1) / (own - 1).clamp(min=1)
    outer = (sums / counts).masked_fill(member, float("inf")).amin(1)
    scores = (outer - inner) / torch.maximum(outer, inner).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(own > 1, scores, 0.0).mean().item()


def linear_probe(vectors: Tensor, labels: Tensor, held: Tensor, *, penalty: float = 1.0) -> float:
    """Accuracy, in [0,1], of a logistic regression on vectors that it was not fitted to.

    The vectors are standardised by those it is fitted to. It minimises the summed cross-entropy and ``penalty`` / 2 of
    the squared weights (scikit-learn's ``LogisticRegression`` with its C of 1) in float64 by L-BFGS, from zeros: a
    convex problem without chance.

    Args:
        vectors: (N,C).
        labels: (N,) integers.
        held: (N,) bool: the vectors to judge by. Hold out whole images, or their content tells.
        penalty: see above.

    Raises:
        InputError: there is nothing to fit to, or nothing to judge by.
    """
    if bool(held.all()) or not bool(held.any()):
        raise InputError("a probe needs vectors to fit to and others to judge by", remedy="give more images")
    groups, targets = labels.unique(return_inverse=True)
    seen = vectors[~held].double()
    mean, deviation = seen.mean(0), seen.std(0, correction=0)
    standard = (vectors.double() - mean) / torch.where(deviation > 0, deviation, 1.0)
    weights = _fitted(standard[~held], targets[~held], len(groups), penalty)
    guesses = (standard[held] @ weights[:-1] + weights[-1]).argmax(1)
    return (guesses == targets[held]).double().mean().item()


def _fitted(vectors: Tensor, targets: Tensor, groups: int, penalty: float) -> Tensor:
    """Weights and, in the last row, biases: (C+1,groups)."""
    with torch.inference_mode(False), torch.enable_grad():
        vectors, targets = vectors.clone(), targets.clone()
        weights = torch.zeros(vectors.shape[1] + 1, groups, dtype=torch.float64, requires_grad=True)
        solver = torch.optim.LBFGS([weights], max_iter=500, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            solver.zero_grad()
            logits = vectors @ weights[:-1] + weights[-1]
            loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
            loss = loss + penalty / 2 * weights[:-1].square().sum()
            loss.backward()
            return loss

        solver.step(closure)
        return weights.detach()
