"""The callback's own arithmetic; whole runs are in tests/e2e."""

from typing import Any

import numpy as np
import pytest
import torch

from srbench.benchmark import Benchmark
from srbench.errors import InputError
from srbench.protocol import load_protocol
from srbench.records import ImageRow, MetricResult
from srbench.restorations import Restoration, Waiting, restorations, rows_of
from srbench.scoring import Scorer
from srbench.summary import summary_line

from .conftest import MakeRecord


def _outputs(value: float = 0.5, ms: float | None = 8.0) -> Any:
    return {"sr": torch.full((2, 3, 24, 24), value), "ms": ms}


def _batch(gt: bool = True) -> Any:
    held: dict[str, Any] = {"lq": torch.zeros(2, 3, 6, 6), "name": ["a", "b"], "notes": [("grey to RGB",), ()]}
    return {**held, "gt": torch.full((2, 3, 24, 24), 0.25)} if gt else held


def _rows(outputs: Any, batch: Any) -> list[ImageRow]:
    return rows_of(list(restorations(outputs, batch, "six")), Scorer(load_protocol("y219_crop4")))


def test_a_batch_becomes_rows_that_share_its_time() -> None:
    rows = _rows(_outputs(), _batch())
    assert [row.name for row in rows] == ["a", "b"]
    assert [row.ms for row in rows] == [4.0, 4.0]
    assert [row.notes for row in rows] == [("grey to RGB",), ()]
    assert rows[0].values["psnr_y219"] == rows[1].values["psnr_y219"]


def test_without_a_time_rows_have_none_and_without_gt_no_values() -> None:
    rows = _rows(_outputs(ms=None), _batch(gt=False))
    assert [row.ms for row in rows] == [None, None]
    assert [row.values for row in rows] == [{}, {}]


def test_a_restored_image_with_nan_names_set_and_image() -> None:
    with pytest.raises(InputError, match=r"six/a: the restored image cannot be scored.*NaN.*check the weights"):
        _rows(_outputs(float("nan")), _batch())


def test_an_image_that_cannot_be_scored_is_named_with_its_set() -> None:
    small = {**_batch(gt=False), "gt": torch.zeros(2, 3, 12, 12)}
    with pytest.raises(InputError, match=r"^six/a: 4x4 pixels are smaller than SSIM"):
        _rows({"sr": torch.zeros(2, 3, 12, 12), "ms": None}, small)


def test_images_wait_for_company_of_their_size_and_set() -> None:
    waiting = Waiting(Scorer(load_protocol("y219_crop4"), batch=3))
    black, wide = np.zeros((24, 24, 3), np.uint8), np.zeros((24, 28, 3), np.uint8)
    came = []
    for name, test_set, image in [
        ("a", "x", black), ("b", "x", black), ("c", "y", black), ("d", "y", wide), ("e", "y", wide), ("f", "y", wide),
        ("g", "y", wide),
    ]:  # fmt: skip
        came.append([(t, row.name) for t, row in waiting.add(Restoration(test_set, name, image, image, None, ()))])
    ends = [[], [], [("x", "a"), ("x", "b")], [("y", "c")], [], [("y", "d"), ("y", "e"), ("y", "f")], []]
    assert came == ends
    assert [row.name for _, row in waiting.rest()] == ["g"]
    assert list(waiting.rest()) == []


@pytest.mark.parametrize("settings", [{"threads": 0}, {"save_images": -2}, {"method": ".."}, {"protocol": "y219"}])
def test_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Benchmark(**settings)


def test_a_record_as_one_line(make_record: MakeRecord) -> None:
    missing = MetricResult(None, 0, None, None, True, "srbench", missing="no ground truth")
    record = make_record(metrics={**make_record().metrics, "lpips_alex": missing})
    assert summary_line(record) == (
        "EDSR on Set5 x4 (y219_crop4, n=2): psnr_y219 30.2500 [29.0000, 31.5000], "
        "lpips_alex missing (no ground truth), 12.5 ms/image"
    )
    assert "lpips_alex missing, 12.5 ms/image" in summary_line(record, told=["no ground truth"])
