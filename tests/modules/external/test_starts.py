import subprocess
import sys
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.modules.external.starts import Starts


def starts(folder: Path) -> Starts:
    return Starts(folder=folder, scale=2, suffixes=("",))


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with starts(tmp_path).alone(), pytest.raises(InputError, match="another run"), starts(tmp_path).alone():
        pass
    with starts(tmp_path).alone():
        pass


def test_a_program_that_outlives_its_run_keeps_the_folder(tmp_path: Path) -> None:
    with starts(tmp_path).alone() as lock:
        program = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock], text=True
        )
    with pytest.raises(InputError, match="that outlived it"), starts(tmp_path).alone():
        pass
    program.communicate("\n")
    with starts(tmp_path).alone():
        pass


def test_a_damaged_note_makes_a_start_count_nothing(tmp_path: Path) -> None:
    (tmp_path / "start_001").mkdir()
    (tmp_path / "start_001" / "start.json").write_text('{"lq": ')
    assert starts(tmp_path).look({}).made == {}
    assert starts(tmp_path).begin({}, {}).name == "start_002"
