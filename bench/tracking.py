"""The leaderboard in Weights & Biases: table, per-image scores and pictures, as one run. Imports wandb when used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from srbench.dashboard import read_dashboard
from srbench.errors import InputError
from srbench.leaderboard import Leaderboard
from srbench.leaderboard.columns import columns, table
from srbench.report import PictureSet, collect_pictures
from srbench.report.crops import crops

MOST_SCENES = 24
"""Scenes whose pictures are logged."""

_WORDS = frozenset(
    (
        "tie_group",
        "method",
        "test_set",
        "protocol",
        "device",
        "weights_sha256",
        "srbench_version",
        "git_revision",
        "date",
    )
)


def load_wandb() -> Any:
    """The package wandb.

    Raises:
        InputError: it is not installed; says how to get it.
    """
    try:
        import wandb
    except ImportError:
        raise InputError("wandb is not installed", where="--wandb", remedy='pip install "srbench[wandb]"') from None
    return wandb


def run_mode() -> str | None:
    """``offline`` without an account and without a ``WANDB_MODE``, else None, which leaves the choice to wandb."""
    if os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY"):
        return None
    wandb = load_wandb()
    try:
        known = wandb.login(prompt=False, verify=False)
    except TypeError:  # older releases would ask
        known = wandb.api.api_key
    return None if known else "offline"


def log_leaderboard(project: str, board: Leaderboard, pictures: Sequence[PictureSet] | None = None) -> str:
    """Log the board as one run of job type ``leaderboard``.

    Keys: ``leaderboard`` (the CSV's columns), ``per_image`` (one line per image and method), ``pictures/<group>`` and
    ``charts/<set>/<protocol>`` (the ranking metric); each has a panel in ``configs/dashboards/wandb.json``.

    Args:
        project: the W&B project, made when missing.
        board: what to log.
        pictures: scenes to show; None takes those that lie beside the records.

    Returns:
        One line that says where the run is, and that it is offline where there is no account.

    Raises:
        InputError: wandb is not installed or refuses the run, or a picture cannot be read.
    """
    wandb = load_wandb()
    mode = run_mode()
    dashboard = read_dashboard()
    logged = _logged(wandb, board, collect_pictures(board) if pictures is None else pictures)
    try:
        run = wandb.init(
            project=project,
            name="leaderboard",
            job_type="leaderboard",
            mode=mode,
            config={"panels": [vars(panel) for panel in dashboard.panels], "remarks": list(board.remarks)},
            settings=wandb.Settings(console="off", silent=True),
        )
        for pattern, axis in dashboard.axes().items():
            run.define_metric(pattern, step_metric=axis)
        run.log(logged)
        place = _place(run, offline=bool(run.offline))
        run.finish()
    except (wandb.errors.Error, OSError) as error:
        raise InputError(
            f"Weights & Biases refused the run ({error})", where=project, remedy="WANDB_MODE=offline keeps it on disk"
        ) from error
    return place


def _place(run: Any, *, offline: bool) -> str:
    if not offline:
        return f"W&B: {run.url}"
    folder = os.path.relpath(os.path.dirname(run.dir))  # noqa: PTH120
    why = "" if os.environ.get("WANDB_MODE") else "no account found, "
    return f"W&B: {why}the run is kept offline; 'wandb sync {folder}' uploads it"


def _logged(wandb: Any, board: Leaderboard, pictures: Iterable[PictureSet]) -> dict[str, Any]:
    """Everything in one step of the run, by key."""
    logged = {"leaderboard": _board_table(wandb, board), "per_image": _image_table(wandb, board)}
    for group in board.groups:
        if group.metric is None:
            continue
        means = [
            [label, row.record.metrics[group.metric].mean] for label, row in zip(group.labels, group.rows, strict=True)
        ]
        data = wandb.Table(columns=["method", group.metric], data=[pair for pair in means if pair[1] is not None])
        logged[f"charts/{group.test_set}_x{group.scale}/{group.protocol}"] = wandb.plot.bar(
            data, "method", group.metric, title=group.title
        )
    for scene in islice(pictures, MOST_SCENES):
        logged.setdefault(f"pictures/{scene.test_set}", []).extend(_scene_images(wandb, scene))
    return logged


def _board_table(wandb: Any, board: Leaderboard) -> Any:
    names = columns(board.metrics)
    rows = [[_typed(name, cell) for name, cell in zip(names, row, strict=True)] for row in table(board)]
    return wandb.Table(columns=names, data=rows)


def _typed(name: str, cell: str) -> str | float | None:
    """A cell as W&B sorts and plots it: numbers as numbers, nothing as nothing."""
    if name in _WORDS:
        return cell
    return float(cell) if cell else None


def _image_table(wandb: Any, board: Leaderboard) -> Any:
    metrics = board.metrics
    rows = [
        [
            group.test_set,
            group.scale,
            group.protocol,
            label,
            image.name,
            *(image.values.get(m) for m in metrics),
            image.ms,
        ]
        for group in board.groups
        for label, row in zip(group.labels, group.rows, strict=True)
        for image in row.rows
    ]
    return wandb.Table(columns=["test_set", "scale", "protocol", "method", "image", *metrics, "ms"], data=rows)


def _scene_images(wandb: Any, scene: PictureSet) -> list[Any]:
    images = []
    for label, window in crops(scene).items():
        scores = ", ".join(f"{metric} {value:.4f}" for metric, value in scene.scores.get(label, {}).items())
        images.append(wandb.Image(window, caption=": ".join(filter(None, (f"{scene.name}, {label}", scores)))))
    return images
