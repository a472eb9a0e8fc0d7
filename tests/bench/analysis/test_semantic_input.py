"""Bad input of the semantic test is named in one line, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from srbench.analysis.semantic_truth import Truth
from srbench.errors import InputError

from . import semantic_set as mini


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    _, _, line = capsys.readouterr().err.partition("srbench: error: ")
    assert len(line.splitlines()) == 1, line
    return line


BAD: dict[str, tuple[Callable[[mini.Miniature, Path], list[str]], str]] = {
    "nothing": (lambda _, at: [], "nothing to score"),
    "nobody": (lambda _, at: [f"--images=A={mini.restore(at / 'sr')}"], "nobody to look"),
    "no pair": (lambda _, at: ["--images", "sr", "--detector=x"], "is no NAME=DIR"),
    "no folder": (lambda _, at: ["--images", "A=not/here", "--detector=x"], "no such folder"),
    "no detector": (
        lambda _, at: [f"--images=A={mini.restore(at / 'sr')}", "--detector=maskrcnn_resnet50"],
        "did you mean 'maskrcnn_resnet50_fpn'",
    ),
    "no weights": (
        lambda _, at: [f"--images=A={mini.restore(at / 'sr')}", "--detector=maskrcnn_resnet50_fpn"],
        "srbench weights fetch maskrcnn_resnet50_fpn",
    ),
    "no model": (lambda _, at: [f"--images=A={mini.restore(at / 'sr')}", f"--transformers={at}"], "no config.json"),
    "wrong size": (
        lambda _, at: [f"--images=A={mini.restore(at / 'sr', side=60)}", "--detector=x"],
        "2 images have another size (first a: 60x60, not 64x64)",
    ),
    "unknown image": (lambda _, at: [f"--images=A={_further(at)}", "--detector=x"], "1 of 3 images are not annotated"),
    "no predictions": (lambda _, at: [f"--predictions=A={_made(at / 'p')}"], "no predictions"),
    "missing map": (
        lambda _, at: [f"--predictions=A={_predicted(at, drop='panoptic/b.png')}"],
        "b.png: there is no such",
    ),
    "missing entry": (
        lambda _, at: [f"--predictions=A={_predicted(at, entries=1)}"],
        "1 of 2 images are missing (first b)",
    ),
    "no list": (lambda _, at: [f"--predictions=A={_predicted(at, text='{}')}"], "no list of results"),
    "no score": (lambda _, at: [f"--predictions=A={_predicted(at, text='[{}]')}"], "entry 0 has no category_id"),
    "other image": (
        lambda _, at: [f"--predictions=A={_predicted(at, text=_entry(image_id=99))}"],
        "image 99 is not annotated",
    ),
    "other mask": (
        lambda _, at: [f"--predictions=A={_predicted(at, text=_entry(segmentation={'size': [2, 2], 'counts': 'x'}))}"],
        "a mask of [2, 2], and image 7 is scored at [64, 64]",
    ),
    "outline": (
        lambda _, at: [f"--predictions=A={_predicted(at, text=_entry(segmentation=[[0, 0, 1, 0, 1, 1]]))}"],
        "the mask of entry 0 is an outline",
    ),
    "broken": (lambda _, at: [f"--predictions=A={_predicted(at, text='[')}"], "cannot be read as JSON"),
    "map of own size": (lambda laid, at: [f"--predictions=A={_predicted(at, own=laid)}"], "32x32, not 64x64"),
    "negative": (lambda _, at: [f"--predictions=A={_made(at / 'p')}", "--side=-1"], "--side"),
}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _further(at: Path) -> str:
    folder = mini.restore(at / "sr")
    Image.new("RGB", (64, 64)).save(at / "sr" / "c.png")
    return folder


def _entry(**changes: Any) -> str:
    return json.dumps([{"image_id": 7, "category_id": 1, "score": 1.0, "bbox": [0, 0, 1, 1], **changes}])


def _predicted(
    at: Path, *, drop: str = "", entries: int = 2, text: str = "", own: mini.Miniature | None = None
) -> Path:
    folder = _made(at / "p")
    mini.predict(folder)
    if drop:
        (folder / drop).unlink()
    if text:
        (folder / "detections.json").write_text(text)
    if own is not None:
        (folder / "panoptic" / "a.png").write_bytes((own.maps / "a.png").read_bytes())
    held = json.loads((folder / "panoptic.json").read_text())
    (folder / "panoptic.json").write_text(json.dumps({"annotations": held["annotations"][:entries]}))
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_in_one_line(
    analyze: Any, laid: mini.Miniature, tmp_path: Path, capsys: Any, monkeypatch: Any, case: str
) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "weights"))
    make, words = BAD[case]
    analyze(*make(laid, tmp_path), status=2)
    assert words in _error(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("instances", "what"),
    [("{}", "it has no 'images'"), ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "an entry has no")],
)
def test_odd_annotations_are_refused(tmp_path: Path, instances: str, what: str) -> None:
    (tmp_path / "odd.json").write_text(instances)
    with pytest.raises(InputError, match=what):
        Truth(str(tmp_path / "odd.json"), None)
    with pytest.raises(InputError, match="no annotations"):
        Truth(None, None)
