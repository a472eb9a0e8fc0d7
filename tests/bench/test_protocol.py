"""Protocols: what is accepted, what is refused, and that a published one never changes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from srbench.catalog import room_folder
from srbench.errors import InputError
from srbench.metrics import names
from srbench.protocol import MetricSpec, Protocol, load_protocol, protocol_names

GOOD = """
name: mine
version: 2
image_crop: center128
metrics:
  - {metric: ssim_rgb, crop_border: 0}
  - {metric: psnr_y219, crop_border: 4}
description: What I need.
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def published() -> dict[str, dict[str, object]]:
    text = (room_folder("configs") / "protocols" / "published.json").read_text(encoding="utf-8")
    return json.loads(text)


def test_the_first_four_are_shipped() -> None:
    assert {"y219_crop4", "y219_crop0", "rgb_crop4", "yiq_crop4"} <= set(protocol_names())


@pytest.mark.parametrize("name", protocol_names())
def test_a_published_protocol_is_never_edited(name: str) -> None:
    """When this fails: undo the edit and ship the correction under a new name with a higher version.

    A new protocol is added to ``published.json`` with its version and hash.
    """
    protocol = load_protocol(name)
    assert published()[name] == {"version": protocol.version, "sha256": protocol.sha256}


def test_no_published_protocol_was_taken_away() -> None:
    assert sorted(published()) == protocol_names()


@pytest.mark.parametrize("name", protocol_names())
def test_shipped_protocols_say_what_they_are(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.id == protocol.name == name
    assert protocol.description
    assert protocol.source
    assert {spec.metric for spec in protocol.metrics} <= set(names())


def test_the_hashes_of_known_values_are_fixed() -> None:
    """Records from every version of srbench carry this hash; how it is computed must not drift."""
    assert load_protocol("y219_crop4").sha256 == "cf15081f58d7ba9e0593878f8ed696265f4b9358afa98e648baedaadd8b6f62a"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    protocol = load_protocol(written(tmp_path, GOOD))
    assert protocol == Protocol(
        "mine", 2, "center128", (MetricSpec("ssim_rgb", 0), MetricSpec("psnr_y219", 4)), "What I need."
    )
    assert protocol.center == 128
    assert load_protocol("y219_crop4").center is None
    assert load_protocol(str(tmp_path / "mine.yaml")) == protocol


def test_the_hash_is_over_what_changes_numbers_or_ranks() -> None:
    base = load_protocol("y219_crop4")
    for texts in ({"name": "other"}, {"version": 9}, {"description": "x"}, {"source": "y"}):
        assert dataclasses.replace(base, **texts).sha256 == base.sha256
    first, second = base.metrics
    changed = [
        dataclasses.replace(base, image_crop="center64"),
        dataclasses.replace(base, metrics=(second, first)),
        dataclasses.replace(base, metrics=(first,)),
        dataclasses.replace(base, metrics=(dataclasses.replace(first, crop_border=3), second)),
        dataclasses.replace(base, metrics=(dataclasses.replace(first, metric="psnr_rgb"), second)),
    ]
    assert len({base.sha256, *(p.sha256 for p in changed)}) == 6


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown protocol 'y219_crop'; did you mean 'y219_crop[04]'"):
        load_protocol("y219_crop")
    with pytest.raises(InputError, match=r"check the path, or name a shipped one: .*rgb_crop4"):
        load_protocol("nowhere/mine.yaml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("image_crop", "image_crops", "unknown key 'image_crops'; did you mean 'image_crop'"),
        ("crop_border: 4", "border: 4", "unknown key 'border'; did you mean 'crop_border'"),
        ("psnr_y219", "psnr_y21", "unknown metric 'psnr_y21'; did you mean 'psnr_y219'"),
        ("center128", "center", "'image_crop' must be"),
        ("center128", "center0", "'image_crop' must be"),
        ("version: 2", "version: 0", "'version' must be a whole number from 1"),
        ("version: 2", "version: true", "'version' must be"),
        ("crop_border: 4", "crop_border: -4", "'crop_border' must be a whole number from 0"),
        ("crop_border: 4", "crop_border: 4.5", "'crop_border' must be"),
        (", crop_border: 4", "", "'crop_border' must be"),
        ("psnr_y219", "ssim_rgb", "'ssim_rgb' is listed twice"),
        ("name: mine", "name: ../mine", "'name' must be letters"),
        ("name: mine", "", "'name' must be letters"),
        ("What I need.", "[1]", "'description' must be text"),
        ("{metric: psnr_y219, crop_border: 4}", "psnr_y219", "an entry of 'metrics' is a mapping"),
        (GOOD, "- a list", "a protocol is a mapping"),
        (GOOD, "a: [", "not valid YAML"),
        (GOOD, "!!python/object/apply:os.getcwd []", "not valid YAML"),
        (GOOD, "name: x\nversion: 1\nimage_crop: full\nmetrics: []", "'metrics' must be a list"),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_protocol(path)
    assert words in str(caught.value)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load_protocol(path)
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(InputError, match="too large"):
        load_protocol(path)


def test_a_shipped_name_cannot_be_taken_for_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'rgb_crop4' is the name of a shipped protocol that scores differently"):
        load_protocol(written(tmp_path, GOOD.replace("name: mine", "name: rgb_crop4")))
    copy = room_folder("configs") / "protocols" / "rgb_crop4.yaml"
    assert load_protocol(written(tmp_path, copy.read_text(encoding="utf-8"))) == load_protocol("rgb_crop4")
