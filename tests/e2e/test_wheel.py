"""The built wheel, not the checkout: an unlisted folder imports in editable mode and would be missing from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

import pytest

from srbench import __version__

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"bench": "srbench", "modules": "srbench/modules", "datamodules": "srbench/datamodules"}
ROOMS |= {"configs": "srbench/configs"}
SHIPPED = {".py", ".typed", ".html", ".css", ".js", ".json", ".yaml"}

LATE = {
    "modules/late_arrival/inner/part.py": '"""A part."""\n',
    "modules/late_arrival/__init__.py": '__all__ = ["Late"]\nfrom srbench.modules.late_arrival.late import Late\n',
    "modules/late_arrival/late.py": 'class Late:\n    """A method that came later."""\n',
    "configs/methods/late_arrival/2_gan.yaml": "# Late.\nmodel:\n  class_path: srbench.modules.Late\n",
}
"""A method added as CONTRIBUTING says, without an edit in any shared file."""


class Built(NamedTuple):
    """The wheel and the paths, relative to the repository, of the files it was built from."""

    wheel: Path
    sources: list[str]


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so nothing says which files belong to it")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds from a copy of the tracked files: the checkout gets no build folder, and stale ones play no part."""
    copy = tmp_path_factory.mktemp("copy")
    sources = _tracked()
    for name in sources:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    for name, text in LATE.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    out = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy), cwd=out)
    [wheel] = out.glob("*.whl")
    return Built(wheel, [*sources, *LATE])


@pytest.fixture(scope="module")
def target(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into, alone."""
    folder = tmp_path_factory.mktemp("target")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    _python(*pip, "--target", str(folder), str(built.wheel), cwd=folder)
    return folder


def _python(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    """Runs this Python outside the checkout, with ``path`` before everything that is installed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _place(name: str) -> str:
    """Where a file of the repository lies in the wheel."""
    room, _, rest = name.partition("/")
    return f"{ROOMS[room]}/{rest}"


def test_it_holds_every_file_of_every_room_and_nothing_else(built: Built) -> None:
    expected = {_place(name) for name in built.sources if name.split("/")[0] in ROOMS and Path(name).suffix in SHIPPED}
    with zipfile.ZipFile(built.wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert expected - inside == set()
    assert inside - expected == set()


def test_every_kind_of_file_is_among_them(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        inside = archive.namelist()
    for name in (
        "srbench/py.typed",
        "srbench/report/page.html",
        "srbench/report/page.css",
        "srbench/report/page.js",
        "srbench/configs/__init__.py",
        "srbench/configs/methods/edsr/fit.yaml",
        "srbench/configs/protocols/published.json",
        "srbench/datamodules/degradations/imresize.py",
        "srbench/modules/late_arrival/inner/part.py",
        "srbench/configs/methods/late_arrival/2_gan.yaml",
    ):
        assert inside.count(name) == 1, name


def test_no_file_of_a_room_is_of_a_kind_that_wheels_leave_out() -> None:
    left_out = [n for n in _tracked() if n.split("/")[0] in ROOMS and Path(n).suffix not in SHIPPED]
    assert not left_out, "name their ending in pyproject.toml's package-data and here"


def test_its_metadata(built: Built) -> None:
    assert built.wheel.name == f"srbench-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built.wheel) as archive:
        [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
        assert any(n.endswith("licenses/LICENSE") for n in archive.namelist())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert extras == {"iqa", "tagger", "diffusion", "wandb", "arches", "cluster", "semantic", "mamba", "all", "dev"}


def test_the_command_runs_from_it(target: Path, tmp_path: Path) -> None:
    where = (
        "import srbench, srbench.modules, srbench.datamodules, srbench.configs as configs;"
        "print(srbench.__file__, srbench.modules.__file__, srbench.datamodules.__file__, configs.__file__, sep='\\n')"
    )
    files = [Path(line) for line in _python("-c", where, cwd=tmp_path, path=target).splitlines()]
    assert len(files) == 4
    assert all(file.is_relative_to(target) for file in files), files
    script = str(target / "bin" / "srbench")
    assert "DeeDSR" in _python(script, "list", "methods", cwd=tmp_path, path=target)
    listed = _python(script, "list", "modules", cwd=tmp_path, path=target)
    names = [line.split()[0] for line in listed.splitlines()[1:]]
    assert names == sorted(names)
    assert {"Bicubic", "DVMSR", "EDSR", "ImageFolder", "RRDB", "SRResNet", "SpandrelSR", "Late"} <= set(names)
    assert "methods/late_arrival/2_gan.yaml" in listed
    assert _python(script, "--version", cwd=tmp_path, path=target).strip() == f"srbench {__version__}"
    assert {"y219_crop4", "rgb_crop4"} <= set(_python(script, "list", "protocols", cwd=tmp_path, path=target).split())
