"""Whole runs: any number of workers, killed and started again, and everything that is refused or goes wrong."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from srbench.atomic import locked
from srbench.datamodules.making import make, manifest
from srbench.errors import InputError

MakeHere = Callable[..., object]
Photographs = Callable[..., Path]

COMMAND = [sys.executable, "-c", "import sys; from srbench.data_make_command import run; sys.exit(run(sys.argv[1:]))"]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def journal(out: Path, *, also: bytes = b"") -> None:
    """Turns a finished set into one that was killed after its first image."""
    held = json.loads((out / "manifest.json").read_text())
    images = held.pop("images")
    (out / "manifest.json").unlink()
    (out / ".making").mkdir()
    lines = b"".join(json.dumps(image).encode() + b"\n" for image in images[:1])
    (out / ".making" / "journal.jsonl").write_bytes(lines + also)


# ------------------------------------------------------------------------------------------------- the same, however


@pytest.mark.slow
def test_one_worker_two_workers_and_two_kills_give_the_same_bytes(photographs: Photographs, tmp_path: Path) -> None:
    hr = photographs(12, 300, 300)
    one = make("div2k_levels", hr=hr, out=tmp_path / "one", seed=7, workers=1)
    assert (one.images, one.kept) == (12, 0)
    two = make("div2k_levels", hr=hr, out=tmp_path / "two", seed=7, workers=2)
    assert two.records == tuple(f"some_level{n}@srbench-seed7" for n in (1, 2, 3))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")

    out = tmp_path / "killed"
    command = [*COMMAND, "div2k_levels", "--hr", str(hr), "--out", str(out), "--seed", "7", "--workers", "2"]
    for enough in (3, 7):
        _kill_after(enough, command, out)
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    kept = int(ran.stdout.split(" images made, ")[1].split()[0])
    assert kept >= 6  # two processes may each have lost the item they were at
    assert "12 of 12 images" in ran.stderr
    assert contents(out) == contents(tmp_path / "one")


def _kill_after(enough: int, command: list[str], out: Path) -> None:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    noted = out / ".making" / "journal.jsonl"
    while not noted.exists() or len(noted.read_bytes().splitlines()) < enough:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()


@pytest.mark.slow
def test_crops_are_the_same_for_any_number_of_workers(photographs: Photographs, tmp_path: Path) -> None:
    hr = photographs(3, 520, 540)
    for workers in (1, 3):
        make("deedsr_v2", hr=hr, out=tmp_path / str(workers), crops=4, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert len(contents(tmp_path / "1")) == 4 * 3 + 1


# ------------------------------------------------------------------------------------------------------- going on


@pytest.mark.slow
def test_it_goes_on_behind_a_torn_journal_and_leftovers(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    out, hr = tmp_path / "out", tmp_path / "Some/HR"
    before = contents(out)
    journal(out, also=b'{"name": "img1", "sou')
    (out / "level1" / ".img1.png.123-abc.tmp").write_bytes(b"half")
    _begin(out, hr)
    for name in ("level2/img1.png", "gt/img1.png"):
        (out / name).unlink()
    seen: list[tuple[int, int]] = []
    made = make("div2k_levels", hr=hr, out=out, progress=lambda done, total: seen.append((done, total)))
    assert (made.images, made.kept) == (2, 1)
    assert seen == [(1, 2), (2, 2)]
    assert contents(out) == before


@pytest.mark.slow
def test_a_finished_set_is_checked_and_repaired(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    out, hr = tmp_path / "out", tmp_path / "Some/HR"
    before = contents(out)
    (out / "level3/img0.png").write_bytes(before["level3/img1.png"])
    made = make("div2k_levels", hr=hr, out=out)
    assert (made.images, made.kept) == (2, 1)
    assert contents(out) == before


@pytest.mark.slow
def test_a_repair_that_comes_out_otherwise_is_refused(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    out = tmp_path / "out"
    text = (out / "manifest.json").read_text()
    digest = manifest.read(out)["images"][0]["parts"]["level2"]["sha256"]
    (out / "manifest.json").write_text(text.replace(digest, "0" * 64))
    with pytest.raises(InputError, match=r"made again it differs from what was noted"):
        make("div2k_levels", hr=tmp_path / "Some/HR", out=out)
    assert (out / "manifest.json").read_text() == text.replace(digest, "0" * 64)


def _begin(out: Path, hr: Path) -> None:
    """Writes what the run that was killed had begun with."""
    from srbench.datamodules.making.folder import Workshop
    from srbench.datamodules.making.plan import draw_plan
    from srbench.datamodules.making.sets import find

    plan = draw_plan(find("div2k_levels"), hr, seed=0)
    shop = Workshop(out, manifest.header(plan), [source.path.name for source in plan.sources])
    (out / ".making").mkdir(exist_ok=True)
    (out / ".making" / "begun.json").write_text(json.dumps(shop.begun))


# -------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"seed": 1}, r"out: holds div2k_levels of seed 0; its seed is 0, not 1; give another output folder"),
        ({"name": "cassr_div2k"}, r"holds div2k_levels of seed 0; its set is div2k_levels, not cassr_div2k"),
        ({"title": "other"}, r"its title is some, not other"),
    ],
)
def test_a_folder_of_another_set_or_seed_is_refused(
    make_here: MakeHere, tmp_path: Path, changed: dict[str, object], line: str, finished: bool
) -> None:
    make_here(out="out")
    out, hr = tmp_path / "out", tmp_path / "Some/HR"
    if not finished:
        journal(out)
        _begin(out, hr)
    before = contents(out)
    with pytest.raises(InputError, match=line):
        make(**{"name": "div2k_levels", "hr": hr, "out": out, **changed})  # type: ignore[arg-type]
    assert contents(out) == before


def test_another_number_of_images_is_refused(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    hr = tmp_path / "Some/HR"
    (hr / "img2.png").write_bytes((hr / "img1.png").read_bytes())
    with pytest.raises(InputError, match=r"its images differ \(img2.png was added\)"):
        make("div2k_levels", hr=hr, out=tmp_path / "out")
    (hr / "img2.png").unlink()
    (hr / "img1.png").unlink()
    with pytest.raises(InputError, match=r"its images differ \(img1.png was removed\)"):
        make("div2k_levels", hr=hr, out=tmp_path / "out")


def test_other_versions_are_refused(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    path = tmp_path / "out" / "manifest.json"
    now = manifest.made_with()["torch"]
    path.write_text(path.read_text().replace(f'"torch": "{now}"', '"torch": "1.0"'))
    with pytest.raises(InputError, match=r"its made_with torch is 1.0, not "):
        make("div2k_levels", hr=tmp_path / "Some/HR", out=tmp_path / "out")


def test_half_a_set_by_other_code_is_refused(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    out, hr = tmp_path / "out", tmp_path / "Some/HR"
    journal(out)
    _begin(out, hr)
    begun = out / ".making/begun.json"
    held = json.loads(begun.read_text())
    begun.write_text(json.dumps({**held, "code": "0"}))
    with pytest.raises(InputError, match=r"first part was made by another version of srbench's degradations"):
        make("div2k_levels", hr=hr, out=out)


def test_strangers_in_the_folder_are_left_alone(photographs: Photographs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"out: the folder holds something else already \(thesis.tex\)"):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "out")
    hr = photographs(1)
    with pytest.raises(InputError, match=r"HR: the folder holds something else already \(img0.png\)"):
        make("div2k_levels", hr=hr, out=hr)
    assert contents(tmp_path / "out") == {"thesis.tex": b"precious"}


def test_a_folder_that_cannot_be_written(photographs: Photographs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: is a file; give another output folder"):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "file")
    with pytest.raises(InputError, match=r"file/out.*give another output folder"):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "file" / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(photographs: Photographs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\); give another output folder"):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "out")


def test_two_commands_in_one_folder(photographs: Photographs, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out" / ".making"),
        pytest.raises(InputError, match=r"another process is writing this set"),
    ):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "out")


def test_a_damaged_manifest_is_named(make_here: MakeHere, tmp_path: Path) -> None:
    make_here(out="out")
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"manifest.json: the manifest is damaged"):
        make("div2k_levels", hr=tmp_path / "Some/HR", out=tmp_path / "out")
    path.write_text('{"schema": 99, "images": []}')
    with pytest.raises(InputError, match=r"its schema is 99, not 1"):
        make("div2k_levels", hr=tmp_path / "Some/HR", out=tmp_path / "out")


def test_numbers_and_names_that_are_impossible(photographs: Photographs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--workers: 0 workers are impossible"):
        make("div2k_levels", hr=photographs(1), out=tmp_path / "out", workers=0)
    with pytest.raises(InputError, match=r"unknown set to make 'div2k_level'; did you mean 'div2k_levels'"):
        make("div2k_level", hr=photographs(1), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------- what may go wrong


@pytest.mark.slow
def test_a_dead_worker_is_told_by_its_image_and_loses_nothing(photographs: Photographs, tmp_path: Path) -> None:
    hr, out = photographs(4, 300, 300), tmp_path / "out"

    def kill(done: int, total: int) -> None:
        if done == 2:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid or 0, signal.SIGKILL)

    with pytest.raises(
        InputError,
        match=r"img[1-3].png: the worker that was making this image died \(killed by signal 9\); .*--workers",
    ):
        make("div2k_levels", hr=hr, out=out, progress=kill)
    assert not multiprocessing.active_children()
    made = make("div2k_levels", hr=hr, out=out)
    assert made.kept >= 2
    assert len(manifest.read(out)["images"]) == 4


@pytest.fixture
def small_files() -> Iterator[None]:
    """No process may write a file beyond 36 kB, as if the disk were full there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (36_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_named(
    photographs: Photographs, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hr = photographs(1, 97, 97, "Two/HR")
    big = photographs(1, 300, 300, "big")
    (hr / "large.png").write_bytes((big / "img0.png").read_bytes())
    request.getfixturevalue("small_files")
    with pytest.raises(InputError, match=r"gt/large.png: cannot be written \(File too large\)"):
        make("div2k_levels", hr=hr, out=tmp_path / "out")
    assert (tmp_path / "out/level3/img0.png").is_file()
    assert not list((tmp_path / "out").rglob("*.tmp"))


@pytest.mark.slow
def test_an_image_that_breaks_in_the_middle_is_named_and_the_rest_is_kept(
    photographs: Photographs, tmp_path: Path
) -> None:
    hr, out = photographs(3), tmp_path / "out"
    whole = (hr / "img1.png").read_bytes()
    (hr / "img1.png").write_bytes(whole[:-200])
    with pytest.raises(InputError, match=r"img1.png: the image is truncated"):
        make("div2k_levels", hr=hr, out=out)
    assert not (out / "manifest.json").exists()
    (hr / "img1.png").write_bytes(whole)
    made = make("div2k_levels", hr=hr, out=out)
    assert (made.images, made.kept) == (3, 1)


@pytest.mark.slow
def test_an_interrupt_ends_everyone_in_one_line(photographs: Photographs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Whoever runs the tests in the background has SIGINT ignored, which the process would inherit.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heard + "import sys; from srbench.cli import main; sys.exit(main(['data', 'make', *sys.argv[1:]]))"
    given = ["div2k_levels", "--hr", str(photographs(40, 300, 300)), "--out", str(out), "--workers", "2"]
    command = [sys.executable, "-c", code, *given]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    noted = out / ".making" / "journal.jsonl"
    while not noted.exists():
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "srbench: interrupted; what was written is kept"
    assert "Traceback" not in said
    assert not list(out.rglob("*.tmp"))
    until = time.monotonic() + 60
    while _alive(process.pid):  # Python's own resource tracker ends a moment after us
        assert time.monotonic() < until, "a process of the run is left"
        time.sleep(0.05)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
