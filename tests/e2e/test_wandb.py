"""``--trainer.logger WandbLogger`` without an account: a whole run on disk, and one line about it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from srbench.wandb_run import prepare

from .conftest import Run

pytest.importorskip("wandb", reason="wandb is not installed")


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def _records(path: Path) -> Iterator[Any]:
    """The records of an offline run: after a head of 7 bytes, LevelDB's log format in blocks of 32 KiB."""
    import wandb.proto.wandb_internal_pb2 as protocol

    parse: Any = vars(protocol)["Record"].FromString
    data, at, held = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        held += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parse(held)
            held = b""


def _logged(folder: str) -> tuple[set[str], set[str], Any]:
    """Keys of the configuration, keys of the history, and the run itself."""
    [path] = Path(folder).glob("wandb/offline-run-*/*.wandb")
    config: set[str] = set()
    history: set[str] = set()
    run = None
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        if kind == "config":
            config |= {item.key for item in record.config.update}
        if kind == "history":
            history |= {item.key or item.nested_key[0] for item in record.history.item}
    return config, history, run


def _lines(ran: Any) -> list[str]:
    return [line for line in (ran.out + ran.err).splitlines() if "W&B" in line or "wandb" in line]


def test_a_test_run_without_an_account_is_kept_offline(
    run: Run, training: list[str], tests: list[str], tmp_path: Path
) -> None:
    logger = ["--trainer.logger", "WandbLogger", "--trainer.default_root_dir", str(tmp_path / "run")]
    ran = run("test", *training[:6], *tests, *logger)
    [line] = _lines(ran)
    assert f"no account found, the run is kept offline under {tmp_path}/run/wandb" in line
    config, history, started = _logged("run")
    assert {"model", "data", "trainer", "benchmark"} <= config
    assert {"metrics/six/psnr_y219", "metrics/six/ssim_y219", "results"} <= history
    assert (started.project, started.run_group) == ("srbench", "SRResNet")
    [table] = Path("run/wandb").glob("offline-run-*/files/media/table/results*.json")
    held = json.loads(table.read_text())
    assert held["columns"][:4] == ["method", "test_set", "protocol", "n"]
    assert held["data"][0][:4] == ["SRResNet", "six", "y219_crop4", 6]


def test_a_training_run_has_losses_metrics_and_pictures(
    run: Run, training: list[str], folder: Path, tmp_path: Path
) -> None:
    more = ["--data.test_gt", str(folder / "test"), "--trainer.log_every_n_steps", "1", "--trainer.max_steps", "6"]
    # wandb's own process keeps the working folder of the first run of this session, so a path must be whole.
    logger = ["--trainer.logger", "WandbLogger", "--trainer.default_root_dir", str(tmp_path / "run")]
    run("fit", *training, *more, *logger)
    config, history, _ = _logged("run")
    assert {"model", "data", "trainer", "checkpoint"} <= config
    assert {"losses/l_pix", "metrics/test/psnr_y219", "samples/test/im0"} <= history
    assert list(Path("run/wandb").glob("offline-run-*/files/media/images/samples/test/im0*.png"))


def test_a_missing_package_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from srbench.errors import InputError

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    logger = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {}}
    with pytest.raises(InputError, match=r"srbench\[wandb\]"):
        prepare(logger, folder="run", group="EDSR")


def test_what_the_user_chose_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger: dict[str, Any] = {
        "class_path": "lightning.pytorch.loggers.WandbLogger",
        "init_args": {"project": "mine", "save_dir": "there"},
        "dict_kwargs": {"group": "ours"},
    }
    prepare(logger, folder="run", group="EDSR")
    assert logger["init_args"] == {"project": "mine", "save_dir": "there"}
    assert logger["dict_kwargs"] == {"group": "ours"}
    assert capsys.readouterr().out == ""
