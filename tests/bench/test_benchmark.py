"""The callback's own arithmetic; whole runs are in tests/e2e."""

from typing import Any

import pytest
import torch

from srbench.benchmark import Benchmark, summary_line
from srbench.errors import InputError
from srbench.records import MetricResult

from .conftest import MakeRecord


def _outputs(value: float = 0.5, ms: float | None = 8.0) -> Any:
    return {"sr": torch.full((2, 3, 24, 24), value), "ms": ms}


def _batch(gt: bool = True) -> Any:
    held: dict[str, Any] = {"lq": torch.zeros(2, 3, 6, 6), "name": ["a", "b"], "notes": [("grey to RGB",), ()]}
    return {**held, "gt": torch.full((2, 3, 24, 24), 0.25)} if gt else held


def test_a_batch_becomes_rows_that_share_its_time() -> None:
    rows = [row for _, row, _ in Benchmark()._score(_outputs(), _batch(), "six")]
    assert [row.name for row in rows] == ["a", "b"]
    assert [row.ms for row in rows] == [4.0, 4.0]
    assert [row.notes for row in rows] == [("grey to RGB",), ()]
    assert rows[0].values["psnr_y219"] == rows[1].values["psnr_y219"]


def test_without_a_time_rows_have_none_and_without_gt_no_values() -> None:
    rows = [row for _, row, _ in Benchmark()._score(_outputs(ms=None), _batch(gt=False), "six")]
    assert [row.ms for row in rows] == [None, None]
    assert [row.values for row in rows] == [{}, {}]


def test_a_restored_image_with_nan_names_set_and_image() -> None:
    with pytest.raises(InputError, match=r"six/a: the restored image cannot be scored.*NaN.*check the weights"):
        Benchmark()._score(_outputs(float("nan")), _batch(), "six")


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
