"""What can be made is found without importing it; the command parses, counts and reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from srbench import data_make_command, makers
from srbench.cli import main
from srbench.errors import InputError


class Made(NamedTuple):
    manifest: Path
    records: tuple[str, ...]
    images: int
    kept: int


def test_every_maker_is_found_and_makes_what_it_says() -> None:
    found = makers.makers()
    assert list(found) == sorted(found)
    assert {"cassr_div2k", "deedsr_levels", "deedsr_v2", "deedsr_val", "div2k_levels"} <= set(found)
    for name, maker in found.items():
        assert maker.name == name
        assert maker.summary
        assert callable(makers.make_function(name))


def test_makers_join_by_a_literal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("MAKES = {'of the room': 'no'}")
    (tmp_path / "mine.py").write_text("raise ImportError('read, not run')\nMAKES = {'own_set': 'mine'}\n")
    (tmp_path / "none.py").write_text("A = 1\n")
    (tmp_path / "data.txt").write_text("MAKES = {}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("MAKES = {'a_set': 'theirs'}\n")
    monkeypatch.setattr(makers, "room_folder", lambda room: tmp_path)
    find = makers.makers.__wrapped__
    assert find() == {
        "a_set": ("a_set", "theirs", "srbench.datamodules.folder"),
        "own_set": ("own_set", "mine", "srbench.datamodules.mine"),
    }
    (tmp_path / "twice.py").write_text("MAKES = {'own_set': 'again'}\n")
    with pytest.raises(ImportError, match=r"mine and srbench.datamodules.twice both make own_set"):
        find()


def test_help_and_a_misspelt_set_import_no_torch() -> None:
    code = (
        "import sys; from srbench.cli import main\n"
        "assert main(['data', 'make', 'div2k_level', '--hr', 'a', '--out', 'b']) == 2\n"
        "try: main(['data', 'make', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "div2k_levels" in ran.stdout
    assert "unknown set to make 'div2k_level'; did you mean 'div2k_levels'?" in ran.stderr


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The arguments that the command hands to the maker, which pretends to make three images."""
    seen: list[dict[str, object]] = []

    def make(name: str, *, progress: object, **given: object) -> Made:
        assert callable(progress)
        for done in (1, 2, 3):
            progress(done, 3)
        seen.append({"name": name, **given})
        return Made(Path("out/manifest.json"), ("div2k_level1@srbench-seed2",), 3, 1)

    monkeypatch.setattr(data_make_command, "make_function", lambda name: make)
    return seen


def test_the_command_hands_over_what_it_was_given(
    calls: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["div2k_levels", "--hr", "in", "--out", "out", "--seed", "2", "--workers", "3", "--crops", "9"]
    assert main(["data", "make", *argv, "--title", "mine"]) == 0
    assert calls == [
        {"name": "div2k_levels", "hr": "in", "out": "out", "seed": 2, "workers": 3, "crops": 9, "title": "mine"}
    ]
    out, err = capsys.readouterr()
    assert "2 of 3 images made, 1 kept" in out
    assert "records call it div2k_level1@srbench-seed2" in out
    assert "manifest: out/manifest.json" in out
    assert [line.split(",")[0] for line in err.splitlines()] == [f"{n} of 3 images" for n in (1, 2, 3)]


def test_defaults(calls: list[dict[str, object]]) -> None:
    main(["data", "make", "deedsr_val", "--hr", "in", "--out", "out"])
    [given] = calls
    assert (given["seed"], given["crops"], given["title"]) == (0, None, None)
    assert isinstance(given["workers"], int)
    assert given["workers"] >= 1


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["div2k_levels", "--hr", "in"], "the following arguments are required: --out"),
        (["div2k_levels", "--hr", "a", "--out", "b", "--sed", "1"], "unknown argument '--sed'; did you mean '--seed'"),
        (["div2k_levels", "--hr", "a", "--out", "b", "--seed", "x"], "invalid int value: 'x'"),
    ],
)
def test_bad_arguments(argv: list[str], line: str) -> None:
    with pytest.raises(InputError) as caught:
        data_make_command.run(argv)
    assert line in str(caught.value)
