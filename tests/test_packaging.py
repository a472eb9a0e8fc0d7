"""What installs: the lock agrees with pyproject.toml, and no tracked file tells where it was made."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from srbench import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCKED_EXTRAS = ("iqa", "tagger", "diffusion", "wandb", "arches", "cluster", "semantic", "dev")
"""Everything but mamba, which needs CUDA to build."""
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def _pins() -> dict[str, Version]:
    pins = (line.partition(" ; ")[0].split("==") for line in LOCK)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def test_the_lock_names_versions_and_no_addresses() -> None:
    assert len(LOCK) > 50
    for line in LOCK:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9a-z.]*( ; sys_platform [!=]= '[a-z0-9]+')?", line), line
    assert not [line for line in LOCK if "://" in line or "@" in line]
    assert len(_pins()) == len(LOCK), "a package is pinned twice"
    assert sorted(LOCK, key=lambda line: line.split("==")[0]) == LOCK


@pytest.mark.parametrize(
    "text", [*PROJECT["dependencies"], *(text for extra in LOCKED_EXTRAS for text in EXTRAS[extra])]
)
def test_the_lock_satisfies(text: str) -> None:
    wanted = Requirement(text)
    assert wanted.marker is None or wanted.marker.evaluate()
    assert wanted.specifier.contains(_pins()[canonicalize_name(wanted.name)])


def test_the_lock_builds_without_isolation() -> None:
    [setuptools] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert Requirement(setuptools).specifier.contains(_pins()["setuptools"])


@pytest.mark.parametrize(
    ("name", "refused", "allowed"),
    [
        ("lightning", ["2.6.2", "2.6.3"], ["2.6.1", "2.6.4"]),  # compromised releases
        ("setuptools", ["82.0", "83"], ["81.0.0"]),  # openai-clip imports pkg_resources
        ("scipy", ["1.18.0", "1.18"], ["1.17.1"]),  # pyiqa's FID uses sqrtm(disp=)
    ],
)
def test_releases_that_break_are_refused(name: str, refused: list[str], allowed: list[str]) -> None:
    [wanted] = [r for r in map(Requirement, PROJECT["dependencies"]) if canonicalize_name(r.name) == name]
    for version in refused:
        assert not wanted.specifier.contains(version), version
        assert _pins()[name] != Version(version)
    assert all(wanted.specifier.contains(version) for version in allowed)
    assert wanted.specifier.contains(_pins()[name])


def test_all_is_everything_but_what_needs_cuda_to_build() -> None:
    [whole] = map(Requirement, EXTRAS["all"])
    assert whole.name == PROJECT["name"] == "srbench"
    assert whole.extras == set(EXTRAS) - {"all", "mamba", "dev"} == {
        "iqa", "tagger", "diffusion", "wandb", "arches", "cluster", "semantic",
    }  # fmt: skip
    assert not {"mamba-ssm", "causal-conv1d"} & _pins().keys()


def test_no_extra_is_a_dependency() -> None:
    core = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    extra = {canonicalize_name(Requirement(text).name) for name in EXTRAS if name != "all" for text in EXTRAS[name]}
    assert not core & extra


DISTRIBUTIONS = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "mamba_ssm": "mamba-ssm",
    "llvmlite": "numba",  # numba's own half, pinned by each of its releases
}
"""Import names that differ from the names packages are installed by."""


def test_what_the_rooms_import_is_declared() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    declared |= {canonicalize_name(Requirement(text).name) for name in EXTRAS if name != "dev" for text in EXTRAS[name]}
    undeclared: dict[str, str] = {}
    files = [file for room in ("bench", "modules", "datamodules", "configs") for file in (ROOT / room).rglob("*.py")]
    for file in files:
        for name in _imported(ast.parse(file.read_text(encoding="utf-8"))) - {"srbench", *sys.stdlib_module_names}:
            if canonicalize_name(DISTRIBUTIONS.get(name, name)) not in declared:
                undeclared[name] = file.relative_to(ROOT).as_posix()
    assert len(files) > 50
    assert undeclared == {}


def _imported(tree: ast.Module) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def test_one_version_everywhere() -> None:
    assert PROJECT["version"] == __version__
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__


def test_the_citation_has_what_the_format_asks_for() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["license"] == PROJECT["license"]
    assert cited["type"] == "software"
    assert {"message", "title", "authors"} <= cited.keys()
    assert all(
        {"name"} <= author.keys() or {"family-names", "given-names"} <= author.keys() for author in cited["authors"]
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cited["date-released"])


# ------------------------------------------------------------------------------------------------------------ privacy

# Put together from pieces, so that this file does not hold what it looks for.
_HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "anaconda" + ".org",
    "download." + "pytorch.org",
    "conda" + "-forge.org",
)
_FOLDERS = "|".join(
    ("ro" + "ot", "wo" + "rk", "tm" + "p", "op" + "t", "mn" + "t", "(?:ho" + "me|Us" + r"ers)/(?!ann\b)[\w.-]+")
)
_PLACES = (
    re.compile(rf"(?:(?<![\w.}})/-])|file://)/(?:{_FOLDERS})/[\w.-]+"),
    re.compile(r"\b[A-Z]:\\+(?:Us" + r"ers\\+(?!ann\b)|wo" + r"rk)\w+"),
)
"""Absolute paths, but not those of ann, who lives in our examples of what a record must not hold."""


def _texts() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so nothing says which files belong to it")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data:
            found.append((name, data.decode("utf-8")))
    return found


def _told(text: str) -> list[str]:
    paths = [found.group() for pattern in _PLACES for found in pattern.finditer(text)]
    here = (str(ROOT),) if len(ROOT.parts) > 2 else ()  # a checkout at the top, /app, would be in many a word
    # torchvision's weights are published beside the wheels; their addresses are sources, not places to install from.
    without_weights = text.replace("https://download." + "pytorch.org/models/", "")
    return paths + [told for told in (*_HOSTS, *here) if told in without_weights]


def test_no_file_holds_a_place_of_this_machine_or_a_registry() -> None:
    texts = _texts()
    assert len(texts) > 100
    assert {name: told for name, text in texts if (told := _told(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "see /ro" + "ot/project/file.py",
        'open("/wo' + 'rk/data/Set5")',
        "path: /ho" + "me/someone/data",
        "(/tm" + "p/run1)",
        "file:///wo" + "rk/x",
        "C:\\Us" + "ers\\someone",
        "index = https://" + "py" + "pi.org/simple",
        "index = https://download." + "pytorch.org/whl/cpu",
    ],
)
def test_the_search_finds(text: str) -> None:
    assert _told(text)


@pytest.mark.parametrize(
    "text",
    [
        "a/wo" + "rk/b",
        "{root}/wo" + "rk/x",
        "../shared/data",
        "runs/wo" + "rk/x",
        "at /home/ann/w.pth",
        "/work",
        "url: https://download." + "pytorch.org/models/net.pth",
    ],
)
def test_the_search_leaves_alone(text: str) -> None:
    assert not _told(text)


# ---------------------------------------------------------------------------------------------------------- workflows


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda file: file.name)
def test_workflows_run_for_forks_and_may_only_read(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    held = yaml.safe_load(text)
    triggers = held[True]  # YAML 1.1 reads the key `on` as a truth value
    assert {"pull_request", "push"} == set(triggers)
    assert held["permissions"] == {"contents": "read"}
    for job in held["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
        [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert checkout["with"]["persist-credentials"] is False
        [python] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
        assert python["with"]["python-version"] == "3.11"
    assert "secrets." not in text


def test_continuous_integration_runs_what_contributors_run() -> None:
    held = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for job in held["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands == ["bash .ci/run"]
    assert "make lint types test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
