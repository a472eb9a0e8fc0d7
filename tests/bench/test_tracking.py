"""The leaderboard in W&B: one offline run that holds everything, and a dashboard that shows what is logged."""

from __future__ import annotations

import builtins
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srbench import tracking
from srbench.dashboard import read_dashboard
from srbench.errors import InputError
from srbench.leaderboard import Entry, Leaderboard, build_leaderboard
from srbench.report import PictureSet

MakeEntry = Callable[..., Entry]


@pytest.fixture
def board(make_entry: MakeEntry) -> Leaderboard:
    return build_leaderboard(
        [
            make_entry({"psnr_y219": [30.0 + k, 31.0 + k], "ssim_y219": [0.8, 0.9]}, method=name)
            for k, name in enumerate(("A", "B"))
        ]
    )


@pytest.fixture
def pictures() -> list[PictureSet]:
    images = {label: np.full((16, 16, 3), value, np.uint8) for label, value in (("lq", 0), ("A", 100), ("gt", 200))}
    return [PictureSet("Set5 ×4, y219_crop4", "im000", images, {"A": {"psnr_y219": 30.0}})]


class FakeRun:
    offline = False
    url = "https://wandb.example/run"
    dir = "run/files"

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.finished = False

    def define_metric(self, pattern: str, step_metric: str) -> None:
        self.axes[pattern] = step_metric

    def log(self, data: dict[str, Any]) -> None:
        self.steps.append(data)

    def finish(self) -> None:
        self.finished = True


def test_everything_is_logged_once_in_one_run_and_has_a_panel(
    board: Leaderboard, pictures: list[PictureSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    run, given = FakeRun(), {}
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "init", lambda **arguments: given.update(arguments) or run)
    assert tracking.log_leaderboard("project", board, pictures) == "W&B: https://wandb.example/run"
    assert run.finished
    assert (given["project"], given["job_type"]) == ("project", "leaderboard")
    (logged,) = run.steps
    assert list(logged) == [
        "leaderboard",
        "per_image",
        "charts/Set5_x4/y219_crop4",
        "pictures/Set5 ×4, y219_crop4",
    ]
    dashboard = read_dashboard()
    assert all(dashboard.shows(key) for key in logged)
    table = logged["leaderboard"]
    first = dict(zip(table.columns, table.data[0], strict=True))
    assert (first["rank"], first["method"], first["psnr_y219"], first["tie_group"]) == (1.0, "B", 31.5, "")
    assert [row[3:7] for row in logged["per_image"].data[:2]] == [["B", "im000", 31.0, 0.8], ["B", "im001", 32.0, 0.9]]
    assert len(logged["pictures/Set5 ×4, y219_crop4"]) == 3
    assert run.axes["losses/*"] == "trainer/global_step"


def test_without_an_account_the_run_is_kept_offline_and_says_so(
    board: Leaderboard, pictures: list[PictureSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    line = tracking.log_leaderboard("project", board, pictures)
    assert "no account found, the run is kept offline" in line
    assert "\n" not in line
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert f"wandb sync {run.relative_to(tmp_path)}" in line
    (table,) = (run / "files" / "media" / "table").glob("leaderboard_*.json")
    assert [row[2] for row in json.loads(table.read_text())["data"]] == ["B", "A"]
    assert len(list((run / "files" / "media" / "images").rglob("*.png"))) == 3


def test_wandb_refusals_are_one_line(board: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "online")

    def refuse(**_: object) -> None:
        raise wandb.errors.UsageError("invalid project name")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(InputError, match="a/b: Weights & Biases refused the run") as caught:
        tracking.log_leaderboard("a/b", board, [])
    assert "WANDB_MODE=offline" in str(caught.value)


def test_a_missing_package_says_how_to_get_it(board: Leaderboard, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_wandb(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "wandb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_wandb)
    with pytest.raises(InputError, match=r'pip install "srbench\[wandb\]"'):
        tracking.log_leaderboard("project", board, [])


@pytest.mark.parametrize("key", ["losses/l_pix", "metrics/Set5/psnr_y219", "samples/Set5/baby", "results", "lr-Adam"])
def test_the_dashboard_shows_what_training_logs(key: str) -> None:
    dashboard = read_dashboard()
    assert dashboard.project == "srbench"
    assert dashboard.shows(key)
    assert not dashboard.shows("nobody/logs/this")


@pytest.mark.parametrize(
    ("panel", "says"),
    [
        ({"type": "pie", "title": "t", "keys": ["a"]}, "unknown panel type 'pie'"),
        ({"type": "bar", "title": "t", "keys": ["a"], "smothing": 1}, "did you mean 'smoothing'"),
        ({"type": "bar", "title": "t", "keys": []}, "needs a list of keys"),
        ({"type": "line", "title": "t", "keys": ["a"]}, "has an axis x"),
        ({"type": "table", "keys": ["a"]}, "'title'"),
    ],
)
def test_a_broken_layout_is_refused_by_name(tmp_path: Path, panel: dict[str, Any], says: str) -> None:
    path = tmp_path / "mine.json"
    layout = {"version": 1, "project": "p", "sections": [{"name": "s", "panels": [panel]}]}
    path.write_text(json.dumps(layout))
    with pytest.raises(InputError, match=says) as caught:
        read_dashboard(path)
    assert "mine.json" in str(caught.value)
    path.write_text("{")
    with pytest.raises(InputError, match="not a dashboard layout"):
        read_dashboard(path)
