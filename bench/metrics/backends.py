"""What the learned metrics share: their packages, their inputs, and the state that a network scores in.

Outside networks are built without their own loaders, which download, and read pickles that may run code: a family
builds the bare network, and :mod:`srbench.weights` fills it, strictly, from a file that was located before.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor

if TYPE_CHECKING:
    from torch import Tensor, nn

PASS_PIXELS = 2**21
"""Pixels in one pass of a network: eight images of 512x512."""


def optional(module: str) -> Any:
    """A module of the extra ``iqa``.

    Args:
        module: its dotted name (``pyiqa.archs.niqe_arch``).

    Raises:
        MetricUnavailable: its package, or one that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        # openai-clip imports pkg_resources, which setuptools 82 dropped.
        mend = '"setuptools<82"' if missing == "pkg_resources" else '"srbench[iqa]"'
        raise MetricUnavailable(f"package {missing} (pip install {mend})") from error


@contextlib.contextmanager
def building() -> Iterator[None]:
    """For constructors: the weights they draw are overwritten, so the run's random numbers stay as they are."""
    import torch

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.")  # lpips says ``pretrained``
        yield


@contextlib.contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Other values for some names of a module, for as long as a network of it is built.

    Some constructors fetch a backbone whose weights their checkpoint brings along anyway.
    """
    before = {name: getattr(module, name) for name in names}
    try:
        for name, value in names.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def ready(network: nn.Module, device: str) -> nn.Module:
    """The network on its device, in evaluation mode, float32, without gradients."""
    return network.float().eval().requires_grad_(False).to(device)


@contextlib.contextmanager
def exact(device: str) -> Iterator[None]:
    """No gradients, full float32 whatever the run around it chose, cuDNN deterministic: the CPU's numbers, nearly."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    full = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.inference_mode(), torch.autocast(device.partition(":")[0], enabled=False), full:
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def batch(images: Sequence[Pixels], device: str) -> Tensor:
    """Images of one size as (n,3,H,W) float32 RGB in [0,1]."""
    import torch

    return torch.stack([to_tensor(image) for image in images]).to(device)


def passes(*sets: Sequence[Pixels]) -> Iterator[tuple[Sequence[Pixels], ...]]:
    """Splits a batch of one size so that no pass of a network holds more than :data:`PASS_PIXELS`, or one image.

    Eight photographs of 2K would need tens of gigabytes for the first layers of VGG16 alone.

    Args:
        sets: the results, and the references where there are any; as many of each.
    """
    height, width = sets[0][0].shape[:2]
    count = max(1, PASS_PIXELS // (height * width))
    for start in range(0, len(sets[0]), count):
        yield tuple(images[start : start + count] for images in sets)


def floats(values: Tensor) -> list[float]:
    """One number per image, whatever shape the network gave them: (n,), (n,1), (n,1,1,1) or () for one."""
    numbers: list[float] = values.detach().reshape(-1).double().cpu().tolist()
    return numbers


def reference(gt: Sequence[Pixels] | None) -> Sequence[Pixels]:
    """The references of a full-reference metric.

    Raises:
        TypeError: there are none; the harness never asks for that.
    """
    if gt is None:
        raise TypeError("a full-reference metric needs gt")
    return gt


def check_side(images: Sequence[Pixels], fewest: int, metric: str) -> None:
    """Refuses images that a metric's window does not fit into.

    Raises:
        InputError: a side is shorter than ``fewest`` pixels.
    """
    for image in images:
        height, width = image.shape[:2]
        if min(height, width) < fewest:
            raise InputError(
                f"{width}x{height} pixels are too few for {metric}, which needs sides of at least {fewest}",
                remedy="use larger images or a protocol that crops less",
            )
