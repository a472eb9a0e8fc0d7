"""``srbench doctor``: what works on this machine, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from srbench import __version__
from srbench.command_parser import CommandParser


class Finding(NamedTuple):
    """One line of the report: ``ok``, ``missing`` (an optional part) or ``broken`` (srbench cannot work without)."""

    state: str
    what: str
    detail: str


_EXTRAS = {
    "iqa": (("pyiqa", "lpips", "torch_fidelity"), "learned metrics (non-commercial licence)"),
    "tagger": (("timm",), "the Swin encoder of DACESR's tagger"),
    "diffusion": (("diffusers", "transformers", "accelerate", "peft"), "diffusion methods"),
    "wandb": (("wandb",), "Weights & Biases"),
    "arches": (("spandrel_extra_arches",), "published networks under non-commercial licences"),
    "cluster": (("submitit",), "cells of srbench table as jobs"),
    "semantic": (("pycocotools",), "srbench analyze semantic: AP of boxes and masks"),
    "mamba": (
        ("mamba_ssm", "causal_conv1d"),
        "CUDA kernels of the selective scan (needs nvcc; ours gives the same numbers)",
    ),
}


def run(argv: Sequence[str]) -> int:
    """Prints the report; returns 1 when something that srbench cannot do without is broken."""
    parser = CommandParser("srbench doctor", "Says what works on this machine, what is missing, and how to get it.")
    parser.add_argument("--json", action="store_true", help="print a JSON list of findings")
    given = parser.parse_args(list(argv))
    findings = [finding for check in CHECKS for finding in check()]
    if given.json:
        print(json.dumps([f._asdict() for f in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.state:<8} {finding.what:<24} {finding.detail}")
    return int(any(f.state == "broken" for f in findings))


def check_python() -> Iterator[Finding]:
    """Python and srbench themselves."""
    good = sys.version_info >= (3, 11)
    yield Finding("ok" if good else "broken", "python", f"{platform.python_version()} (3.11 or newer)")
    yield Finding("ok", "srbench", __version__)


def check_core() -> Iterator[Finding]:
    """Every package srbench requires is there."""
    for package in _required():
        try:
            yield Finding("ok", package, version(package))
        except PackageNotFoundError:
            yield Finding("broken", package, f"not installed; pip install '{package}'")


def check_torch() -> Iterator[Finding]:
    """Torch and torchvision import together, and what they run on."""
    try:
        import torch

        importlib.import_module("torchvision")
    except Exception as error:  # a mismatched pair fails in many ways
        detail = f"do not import together ({type(error).__name__}: {error}); install a matching pair of both"
        yield Finding("broken", "torch + torchvision", detail.splitlines()[0])
        return
    yield Finding("ok", "torch + torchvision", "import together")
    yield Finding("ok", "processors", f"{os.cpu_count()} CPUs, torch uses {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            name = torch.cuda.get_device_name(i)
            yield Finding("ok", f"cuda:{i}", f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    else:
        yield Finding("missing", "accelerator", "no CUDA device; everything runs on the CPU")


def check_scan() -> Iterator[Finding]:
    """The selective scan runs and which one it is."""
    try:
        import torch

        from srbench.modules.nets.selective_scan import selective_scan

        u = torch.rand(1, 2, 8)
        out = selective_scan(u, torch.rand(1, 2, 8), -torch.rand(2, 4), torch.rand(1, 4, 8), torch.rand(1, 4, 8))
        good = bool(torch.isfinite(out).all())
    except Exception as error:  # whatever a broken numba or torch raises
        yield Finding("broken", "selective scan", f"{type(error).__name__}: {error}".splitlines()[0])
        return
    yield Finding("ok" if good else "broken", "selective scan", "runs" if good else "gives NaN")


def check_extras() -> Iterator[Finding]:
    """Optional parts and the command that installs each."""
    for extra, (packages, purpose) in _EXTRAS.items():
        absent = [p for p in packages if importlib.util.find_spec(p) is None]
        if absent:
            how = f'{purpose}: {", ".join(absent)} not installed; pip install "srbench[{extra}]"'
            yield Finding("missing", f"extra {extra}", how)
        else:
            yield Finding("ok", f"extra {extra}", purpose)


def check_places() -> Iterator[Finding]:
    """The folder where runs go."""
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 2**30
    if os.access(here, os.W_OK):
        state = "ok" if free > 1 else "missing"
        yield Finding(state, "working folder", f"writable, {free:.0f} GiB free (runs/ goes here)")
    else:
        yield Finding("broken", "working folder", "not writable; go elsewhere or set --trainer.default_root_dir")


def check_weights() -> Iterator[Finding]:
    """How many files of the weights catalogue are here, and whether the folder to look in first exists."""
    from srbench.weight_files import FOLDER, locate, names

    given = os.environ.get(FOLDER)
    if given and not Path(given).is_dir():
        yield Finding("missing", FOLDER, f"{given} is no folder; make it, or set it to where your weights lie")
    here = sum(locate(name) is not None for name in names())
    detail = f"{here} of {len(names())} files of the catalogue are here; see srbench weights list"
    yield Finding("ok" if here else "missing", "outside weights", detail)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_core,
    check_torch,
    check_scan,
    check_extras,
    check_places,
    check_weights,
)


def _required() -> list[str]:
    try:
        lines = requires("srbench") or []
    except PackageNotFoundError:
        return ["torch", "lightning", "numpy"]
    return [_name(line) for line in lines if "extra ==" not in line]


def _name(requirement: str) -> str:
    for i, char in enumerate(requirement):
        if not (char.isalnum() or char in "-_."):
            return requirement[:i]
    return requirement
