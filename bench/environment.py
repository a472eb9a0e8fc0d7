"""What a record says of the place where it was made: versions, device, revision; never a host, user or path."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "torch",
    "lightning",
    "numpy",
    "scipy",
    "pillow",
    "numba",
    "spandrel",
    "torchmetrics",
    "mamba-ssm",
    "torchvision",
    "lpips",
    "pyiqa",
    "torch-fidelity",
    "timm",
)


def versions() -> dict[str, str]:
    """Versions of the packages that numbers can depend on; absent ones are left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def environment(*, threads: int, processes: int, device: str) -> dict[str, str]:
    """The environment fields of a record.

    Args:
        threads: intra-op threads of each process.
        processes: number of processes that shared the images.
        device: ``cpu`` or the accelerator's name.
    """
    return {
        "python": platform.python_version(),
        **versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count() or 0),
        "threads": str(threads),
        "processes": str(processes),
        "device": device,
    }


@cache
def git_revision() -> str | None:
    """The commit of the checkout srbench runs from, with ``+dirty`` for local changes; None when installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        return None
    revision = _git(root, "rev-parse", "HEAD")
    if not revision:
        return None
    return revision + ("+dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def now() -> str:
    """UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def peak_memory_mb() -> float | None:
    """Peak memory of this process: the accelerator's when torch uses one, else resident memory, in MiB."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
