"""Which images ``srbench predict`` need not make again."""

from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.predicted import NOTE, image_path, made_earlier, note_maker

NAMES = ["a", "b", "c"]


def test_what_the_same_run_has_written(tmp_path: Path) -> None:
    assert made_earlier(tmp_path, "f", NAMES) == []
    note_maker(tmp_path, "f", "CasSR")
    for name in "ac":
        image_path(tmp_path, name).touch()
    assert made_earlier(tmp_path, "f", NAMES) == ["a", "c"]
    assert made_earlier(tmp_path, "other inputs", NAMES) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fingerprint": 3}'])
def test_a_damaged_note_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    image_path(tmp_path, "a").touch()
    (tmp_path / NOTE).write_text(text)
    assert made_earlier(tmp_path, "f", NAMES) == []


def test_names_stay_in_their_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image name"):
        image_path(tmp_path, "../a")
