import importlib.util
import subprocess
import sys

import pytest

import srbench.modules
from srbench.module import SRModule

METHODS = {"Bicubic", "DVMSR", "EDSR", "GANSR", "ImageFolder", "PixelSR", "RRDB", "SRResNet", "SpandrelSR"}


def test_every_method_is_found_by_name() -> None:
    assert set(dir(srbench.modules)) >= METHODS
    for name in METHODS:
        method = getattr(srbench.modules, name)
        assert issubclass(method, SRModule)
        assert method.__module__.startswith("srbench.modules.")


def test_only_methods_are_offered() -> None:
    assert all(issubclass(getattr(srbench.modules, name), SRModule) for name in dir(srbench.modules))


def test_finding_names_does_not_import_torch() -> None:
    code = "import sys, srbench.modules as m; sys.exit('EDSR' not in dir(m) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_told_its_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'EDSR'"):
        _ = srbench.modules.EDRS


def test_the_bare_room_name_is_refused() -> None:
    spec = importlib.util.spec_from_file_location("modules", srbench.modules.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r"import srbench\.modules"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
