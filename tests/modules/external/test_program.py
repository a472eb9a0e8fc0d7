import os
import subprocess
import sys
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.modules.external.program import Environment, Limits, check_places, commit_of, end, fill, run


def test_file_names_are_filled_in_as_they_are() -> None:
    places = {"lq_dir": "a b; rm -rf $HOME/{out_dir}", "scale": "4"}
    assert fill("--in={lq_dir}", places) == "--in=a b; rm -rf $HOME/{out_dir}"
    assert fill("{scale}x{scale} {seed}", places) == "4x4 {seed}"
    check_places(["{lq_dir}", '{"json": 1}', "{}"])
    with pytest.raises(InputError, match=r"--in=\{lq\}: '\{lq\}' is not known; use \{lq_dir\}, \{out_dir\}"):
        check_places(["--in={lq}"])


def test_no_shell_sees_the_arguments(tmp_path: Path) -> None:
    odd = "$(touch hacked); `touch hacked` | x > y 'z"
    log = tmp_path / "log.txt"
    argv = [sys.executable, "-S", "-E", "-c", "import sys; print(sys.argv[1])", odd]
    status, how = run(argv, folder=tmp_path, variables=os.environ, log=log, limits=Limits(), count=lambda: 0)
    assert (status, how) == (0, "ended with status 0")
    assert log.read_text() == odd + "\n"
    assert [p.name for p in tmp_path.iterdir()] == ["log.txt"]


def test_one_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CONDA_EXE", raising=False)
    assert Environment().before == []
    assert Environment(conda="theirs").before == ["conda", "run", "--no-capture-output", "--name", "theirs"]
    assert Environment(conda="envs/theirs").before[-2:] == ["--prefix", "envs/theirs"]
    assert Environment(prefix=["docker", "run", "image"]).before == ["docker", "run", "image"]
    with pytest.raises(InputError, match="one environment"):
        Environment(venv=str(tmp_path), conda="theirs")
    with pytest.raises(InputError, match="no such virtual environment"):
        Environment(venv=str(tmp_path)).variables_for({})


def test_its_variables_are_ours_without_what_would_mislead_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PYTHONPATH", "PL_GLOBAL_SEED", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("VIRTUAL_ENV", "ours")
    (tmp_path / "bin").mkdir()
    held = Environment(venv=str(tmp_path), variables={"OUT": "{out_dir}/x"}).variables_for({"out_dir": "o"})
    assert not {"PYTHONPATH", "PL_GLOBAL_SEED", "LOCAL_RANK", "MASTER_ADDR"} & held.keys()
    assert held["OUT"] == "o/x"
    assert held["VIRTUAL_ENV"] == str(tmp_path)
    assert held["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert "VIRTUAL_ENV" not in Environment().variables_for({})


def test_a_program_of_the_virtual_environment_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    variables = Environment(venv=str(tmp_path)).variables_for({})
    argv = ["python", "-S", "-E", "-c", "import sys; print(sys.executable)"]
    log = tmp_path / "log.txt"
    run(argv, folder=tmp_path, variables=variables, log=log, limits=Limits(), count=lambda: 0)
    assert log.read_text().strip() == str(tmp_path / "bin" / "python")


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    """The child holds the pipe's other end: reading it to the end waits for the child's end."""
    inner = "import time; time.sleep(600)"
    outer = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-E', '-c', {inner!r}]); print(1, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", outer + "; import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    end(process)
    assert process.stdout.read() == b""
    process.stdout.close()


def test_the_commit_that_is_checked_out(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\nabc refs/heads/main\n")
    assert commit_of(tmp_path) == "abc"
    (git / "refs" / "heads" / "main").write_text("def\n")
    assert commit_of(tmp_path) == "def"
    (git / "HEAD").write_text("012\n")
    assert commit_of(tmp_path) == "012"
