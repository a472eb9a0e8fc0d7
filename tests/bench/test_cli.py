"""The outermost function: statuses, and one line for every end."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from srbench import __version__
from srbench.cli import COMMANDS, main, usage
from srbench.errors import InputError
from srbench.processes import PeerLost


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Puts a function in the place of ``srbench doctor``."""

    def put(run: Any) -> None:
        stand_in = ModuleType("stand_in")
        stand_in.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "srbench.doctor_command", stand_in)

    return put


def _raise(error: BaseException) -> Callable[[Any], int]:
    def run(argv: Any) -> int:
        raise error

    return run


def test_the_usage_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out.strip() == usage().strip()
    assert all(f"  {name} " in usage() for name in COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"srbench {__version__}\n"


def test_a_misspelt_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderbord"]) == 2
    assert "did you mean 'leaderboard'?" in capsys.readouterr().err


def test_the_status_is_the_commands(doctor: Callable[[Any], None]) -> None:
    doctor(lambda argv: 7 if list(argv) == ["a"] else 0)
    assert main(["doctor", "a"]) == 7


def test_bad_input_is_one_line_even_from_a_worker(
    doctor: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(_raise(InputError("it is\ndamaged", where="a.png", remedy="copy it")))
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == "srbench: error: a.png: it is damaged; copy it\n"
    doctor(_raise(InputError("Traceback ...\nsrbench.errors.InputError: b.png: it is damaged; copy it")))
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == "srbench: error: b.png: it is damaged; copy it\n"


def test_the_traceback_is_there_for_those_who_ask(
    doctor: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor(_raise(InputError("it is damaged")))
    monkeypatch.setenv("SRBENCH_TRACEBACK", "1")
    with pytest.raises(InputError):
        main(["doctor"])


def test_other_ends(doctor: Callable[[Any], None], capsys: pytest.CaptureFixture[str]) -> None:
    doctor(_raise(KeyboardInterrupt()))
    assert main(["doctor"]) == 130
    assert "interrupted" in capsys.readouterr().err
    doctor(_raise(ZeroDivisionError()))  # a fault of ours keeps its traceback
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_a_process_that_lost_another_one(
    doctor: Callable[[Any], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor(_raise(PeerLost()))
    monkeypatch.setattr("srbench.cli.said", lambda: False)
    assert main(["doctor"]) == 1
    assert "another process of this run was killed" in capsys.readouterr().err
    monkeypatch.setattr("srbench.cli.said", lambda: True)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == ""
