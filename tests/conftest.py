"""Fixtures of every test: one thread each, and the folder of shared data where there is one."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

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


@pytest.fixture(scope="session")
def miniatures() -> ModuleType:
    """The script that lays out miniatures of the published sets: ``miniatures.make(layout, root, scale)``."""
    spec = spec_from_file_location("miniatures", Path(__file__).parent / "miniatures" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
