"""Fixtures of every test: one thread each, and the folder of shared data where there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Read by torch and numba when they are imported; tests that need neither must not import them for its sake.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
# A remembered score would make every test of computing it pass.
os.environ["SRBENCH_CACHE"] = "off"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with ``data/`` and ``weights/`` that lies beside the checkout, or at SRBENCH_SHARED."""
    given = os.environ.get("SRBENCH_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data: set SRBENCH_SHARED (looked in {folder})")
    return folder
