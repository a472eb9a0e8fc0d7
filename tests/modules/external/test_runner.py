"""A program that fails, hangs, or leaves anything but one image per lq: one line each, and nothing done is lost."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from srbench.errors import InputError
from srbench.images import read_image, write_png
from srbench.modules.external.program import Environment, Limits
from srbench.modules.external.runner import Runner
from srbench.modules.external.starts import Asked, Starts

FOREIGN = Path(__file__).with_name("foreign.py")
NAMES = ("baby", "bird", "head")
Make = Callable[..., Runner]


def command(mode: str) -> list[str]:
    return [sys.executable, "-S", "-E", str(FOREIGN), "{lq_dir}", "{out_dir}", "{scale}", "{seed}", mode]


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    return Starts(folder=tmp_path / "work folder", scale=2, suffixes=("", "_x2"))


@pytest.fixture
def asked(starts: Starts) -> dict[str, Asked]:
    rng = np.random.default_rng(0)
    return {name: starts.keep(name, rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)) for name in NAMES}


@pytest.fixture
def make(starts: Starts, tmp_path: Path) -> Make:
    def made(mode: str, **changed: object) -> Runner:
        settings: dict[str, object] = {
            "title": "Theirs on Set",
            "name": "Theirs",
            "template": command(mode),
            "environment": Environment(variables={"MARK": str(tmp_path / "mark"), "THEIRS": "{scale}"}),
            "working": None,
            "home": None,
            "limits": Limits(),
            "retries": 0,
            "per_image": False,
            "seed_of": lambda name: len(name),
            "starts": starts,
            "lock": 1,
            "silent": True,
        }
        return Runner(**{**settings, **changed})  # type: ignore[arg-type]

    return made


def given(starts: Starts, number: int) -> set[str]:
    return {p.stem for p in (starts.folder / f"start_{number:03d}" / "lq").iterdir()}


def test_it_is_told_everything_and_every_image_is_found(
    make: Make,
    starts: Starts,
    asked: dict[str, Asked],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # would make it wait for seven others
    made = make("ok").complete(asked)
    assert sorted(made) == list(NAMES)
    for name in NAMES:
        small = read_image(starts.folder / "lq" / f"{name}-{asked[name].sha256[:12]}.png").pixels
        expected = small.repeat(2, 0).repeat(2, 1)
        expected[0, 0, 0] = 0  # the seed of no name
        assert np.array_equal(read_image(made[name].file).pixels, expected)
        assert made[name].notes == ()
    start = starts.folder / "start_001"
    assert (start / "log.txt").read_text() == "told 2 0 2 None out\n"
    printed = capsys.readouterr().out
    assert "foreign.py" in printed
    assert str(start / "log.txt") in printed
    assert "foreign.py" in (start / "command.txt").read_text()
    assert json.loads((start / "ended.json").read_text())["status"] == 0


def test_what_is_there_is_not_made_again(make: Make, starts: Starts, asked: dict[str, Asked]) -> None:
    make("ok").complete(asked)
    assert sorted(make("crash").complete(asked)) == list(NAMES)
    assert not (starts.folder / "start_002").exists()


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("crash", r"Theirs ended with status 3 \(RuntimeError: out of memory\); 2 of 3 images are undone"),
        ("killed", r"Theirs was killed by signal 9 \(told .*\); 1 of 3 images are undone"),
        ("fails at last", r"Theirs ended with status 4 \(told .*\); all images are there and pass"),
        ("fewer", r"with status 0, but 2 images are missing, the first is bird \(looked for bird, bird_x2\); read"),
        ("renamed", r"3 images are missing, the first is baby .*3 others belong to no lq, such as head_restored\.png"),
        ("more", r"3 images that Theirs made belong to no lq, the first is baby_preview\.png"),
        ("wrong size", r"3 of its images do not pass: .*baby\.png: it is 15x12 pixels, x2 of its lq is 10x8"),
        ("garbage", r"status 0, but 3 of its images do not pass: .*baby\.png: "),
        ("half", r"status 0, but 1 of its images do not pass: .*bird\.png: "),
    ],
)
def test_what_goes_wrong_is_one_line_with_the_log(make: Make, asked: dict[str, Asked], mode: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        make(mode).complete(asked)
    line = str(caught.value)
    assert "\n" not in line
    assert line.partition(": ")[0].endswith("start_001/log.txt")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(stall_s=0.2), r"Theirs was stopped: no new image for 0\.2 s"),
        (Limits(time_s=0.2), r"Theirs was stopped after its time of 0\.2 s"),
    ],
)
def test_a_program_that_hangs_is_ended(make: Make, asked: dict[str, Asked], limits: Limits, says: str) -> None:
    with pytest.raises(InputError, match=says + r".*; 3 of 3 images are undone"):
        make("hang", limits=limits).complete(asked)


@pytest.mark.parametrize("mode", ["crash", "killed", "fewer", "half"])
def test_the_next_run_gives_it_only_what_is_missing(
    make: Make, starts: Starts, asked: dict[str, Asked], mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError):
        make(mode).complete(asked)
    made = make("ok").complete(asked)
    first = {name for name in NAMES if "start_001" in str(made[name].file)}
    assert first == {"crash": {"baby"}, "killed": {"baby", "bird"}, "fewer": {"baby"}, "half": {"baby", "head"}}[mode]
    assert given(starts, 1) == set(NAMES)
    assert given(starts, 2) == set(NAMES) - first
    printed = capsys.readouterr().out
    assert f"{len(first)} of 3 images are there from before" in printed
    assert ("bird is made again, for" in printed) == (mode == "half")
    assert all(made[name].notes == ("made by start 2 of the program",) for name in set(NAMES) - first)


def test_the_record_says_how_its_program_ended(make: Make, starts: Starts, asked: dict[str, Asked]) -> None:
    with pytest.raises(InputError, match="takes them as they are"):
        make("fails at last").complete(asked)
    assert make("ok").complete(asked)["baby"].notes == ("its program ended with status 4 later",)
    (starts.folder / "start_001" / "ended.json").unlink()  # as if srbench had been killed
    assert make("ok").complete(asked)["baby"].notes == ("the end of its program was not seen",)


def test_images_too_many_are_refused_again_until_they_are_gone(
    make: Make, starts: Starts, asked: dict[str, Asked]
) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="belong to no lq"):
            make("more").complete(asked)
    for file in starts.folder.glob("start_*/out/*_preview.png"):
        file.unlink()
    assert sorted(make("more").complete(asked)) == list(NAMES)
    assert not (starts.folder / "start_002").exists()


def test_a_start_that_was_killed_before_it_ran_counts_nothing(
    make: Make, starts: Starts, asked: dict[str, Asked]
) -> None:
    (starts.folder / "start_001" / "out").mkdir(parents=True)
    write_png(starts.folder / "start_001" / "out" / "baby.png", np.zeros((8, 10, 3), np.uint8))
    made = make("ok").complete(asked)
    assert all("start_002" in str(image.file) for image in made.values())


def test_another_lq_of_the_same_name_is_restored_anew(make: Make, starts: Starts, asked: dict[str, Asked]) -> None:
    make("ok").complete(asked)
    asked["bird"] = starts.keep("bird", np.zeros((4, 5, 3), np.uint8))
    made = make("ok").complete(asked)
    assert given(starts, 2) == {"bird"}
    assert not read_image(made["bird"].file).pixels[1:].any()


def test_it_is_started_again_as_often_as_it_may_be(
    make: Make, starts: Starts, asked: dict[str, Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(make("crash once", retries=1).complete(asked)) == list(NAMES)
    assert given(starts, 2) == {"bird", "head"}
    assert "out of memory); 2 of 3 images are undone; it is started again" in capsys.readouterr().out


def test_retries_end(make: Make, starts: Starts, asked: dict[str, Asked]) -> None:
    with pytest.raises(InputError, match=r"start_003/log\.txt: Theirs ended"):
        make("garbage", retries=2).complete(asked)
    assert not (starts.folder / "start_004").exists()


def test_a_start_per_image_with_a_seed_of_its_name(make: Make, starts: Starts, asked: dict[str, Asked]) -> None:
    made = make("ok", per_image=True).complete(asked)
    assert [given(starts, i) for i in (1, 2, 3)] == [{"baby"}, {"bird"}, {"head"}]
    assert all(int(read_image(image.file).pixels[0, 0, 0]) == 4 for image in made.values())
    assert all(image.notes == () for image in made.values())


def test_images_lie_where_the_program_wants_them(
    make: Make, starts: Starts, asked: dict[str, Asked], tmp_path: Path
) -> None:
    deep = Starts(folder=starts.folder, scale=2, suffixes=("",), lq_below="in/here", out_below="out/there")
    template = [*command("ok")]
    template[4:6] = ["{lq_dir}/in/here", "{out_dir}/out/there"]
    made = make("ok", starts=deep, template=template, working="{home}", home=tmp_path).complete(asked)
    assert made["baby"].file == starts.folder / "start_001" / "out" / "out" / "there" / "baby.png"
    assert (starts.folder / "start_001" / "log.txt").read_text().split()[-1] == tmp_path.name


def test_what_cannot_be_started_is_named(make: Make, asked: dict[str, Asked], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no-such-program: it cannot be started \(No such file"):
        make("ok", template=["no-such-program"]).complete(asked)
    with pytest.raises(InputError, match="nowhere: Theirs is to run there"):
        make("ok", working=str(tmp_path / "nowhere")).complete(asked)
