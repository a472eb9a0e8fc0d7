"""Fixtures of records and boards, without images or networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from srbench.leaderboard import Entry
from srbench.records import Cost, ImageRow, MetricResult, RunRecord, run_fingerprint

HASH = "0123456789abcdef" * 4
HUB = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")

MakeRecord = Callable[..., RunRecord]
MakeEntry = Callable[..., Entry]


@pytest.fixture
def make_record() -> MakeRecord:
    """A valid record; keyword arguments replace fields, the fingerprint follows."""

    def make(**fields: Any) -> RunRecord:
        record = RunRecord(
            schema=1,
            method="EDSR",
            class_path="srbench.modules.EDSR",
            stage=None,
            config_sha256=HASH,
            weights_sha256=None,
            test_set="Set5",
            scale=4,
            n=2,
            testset_fingerprint=HASH,
            lq_origin="matlab_bicubic",
            source="https://example.org/set5",
            licence="research use",
            protocol="y219_crop4",
            protocol_version=1,
            protocol_sha256=HASH,
            metrics={"psnr_y219": MetricResult(30.25, 2, 29.0, 31.5, True, "srbench 0.1")},
            cost=Cost(params=1_517_571, macs=130e9, ms_per_image=12.5, ms_total=25.0, peak_mem_mb=812.3, threads=1),
            environment={"python": "3.11.7", "torch": "2.6.0"},
            srbench_version="0.1.0",
            git_revision="a" * 40,
            date="2026-01-01T00:00:00Z",
            fingerprint=HASH,
        )
        record = dataclasses.replace(record, **fields)
        names = ("method", "class_path", "config_sha256", "weights_sha256", "testset_fingerprint", "scale")
        inputs = {name: getattr(record, name) for name in (*names, "protocol_sha256")}
        return dataclasses.replace(record, **{"fingerprint": run_fingerprint(**inputs), **fields})

    return make


@pytest.fixture
def make_entry(make_record: MakeRecord) -> MakeEntry:
    """A run whose record agrees with its rows: ``values`` holds one list per metric."""

    def make(values: Mapping[str, Sequence[float]], *, higher: bool = True, **fields: Any) -> Entry:
        count = len(next(iter(values.values())))
        rows = [
            ImageRow(f"im{i:03d}", {metric: column[i] for metric, column in values.items()}, ms=1.5)
            for i in range(count)
        ]
        metrics = {
            metric: MetricResult(math.fsum(column) / count, count, min(column), max(column), higher, "srbench 0.1")
            for metric, column in values.items()
        }
        return Entry(make_record(**{"n": count, "metrics": metrics, **fields}), rows)

    return make


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without outside weights: every place where they are looked for lies in the folder that is returned."""
    for variable in ("SRBENCH_WEIGHTS", "SRBENCH_CACHE", "TORCH_HOME", *HUB):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path
