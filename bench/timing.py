"""Where a training step's time goes: waiting for data, degrading it, the network."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from srbench.datamodule import SRDataModule
from srbench.stopwatch import Stopwatch

PARTS = ("waiting", "degrading", "network")


class Timing(Callback):
    """Logs ``time/waiting``, ``time/degrading`` and ``time/network``, seconds per step over each logging interval.

    Waiting is what the training process spends asking its loader for a batch. Degrading is lq made in the training
    process or on its device; where workers make it, it is their own time, which runs beside the network and shows as
    waiting when they fall behind. Network is the step itself: forward, backward, optimiser. On CUDA the last two are
    measured by events on the device and waiting by the clock, so the three may overlap. At the end of training the
    first process prints the three with their shares.

    Attributes:
        shown: what the progress bar prints behind the losses, empty while nothing is degraded.
    """

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self._reset(torch.device("cpu"))

    def _reset(self, device: torch.device) -> None:
        self._network = Stopwatch(device)
        self._seen = dict.fromkeys(("waiting", "workers"), 0.0)
        self._interval = dict.fromkeys((*PARTS, "workers"), 0.0)
        self._total = dict(self._interval)
        self._interval_steps = self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts counting."""
        self._reset(trainer.strategy.root_device)
        data = _data(trainer)
        if data is not None:
            data.degrading.restart(trainer.strategy.root_device)
            self._seen = {"waiting": data.waited, "workers": data.degrading_in_workers}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The network's turn."""
        self._network.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs at the end of an interval."""
        self._network.stop()
        self._steps += 1
        self._interval_steps += 1
        data = _data(trainer)
        if data is None or not trainer._logger_connector.should_update_logs:
            return
        self._take(data)
        steps = self._interval_steps
        for name in PARTS if data.degradation is not None else ("waiting", "network"):
            value = self._interval[name]
            if name == "degrading":
                value += self._interval["workers"]
            pl_module.log(f"time/{name}", value / steps, batch_size=1)
        self._show(data)
        self._interval = dict.fromkeys(self._interval, 0.0)
        self._interval_steps = 0

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Prints what an interrupted training came to."""
        if isinstance(exception, KeyboardInterrupt):
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints what the whole training came to."""
        data = _data(trainer)
        if data is None or not self._steps:
            return
        self._take(data)
        if trainer.is_global_zero and data.degradation is not None:
            print(self.summary())

    def summary(self) -> str:
        """One line: seconds and shares of waiting, degrading and network over all steps so far."""
        whole = sum(self._total[name] for name in PARTS) or 1.0
        parts = [f"{name} {self._total[name]:.1f} s ({100 * self._total[name] / whole:.1f} %)" for name in PARTS]
        line = f"{self._steps} steps: {', '.join(parts)}"
        workers = self._total["workers"]
        return f"{line}; degrading took the workers {workers:.1f} s" if workers else line

    def _take(self, data: SRDataModule) -> None:
        """Moves what the clocks have gathered into the interval and the total."""
        now = {"waiting": data.waited, "workers": data.degrading_in_workers}
        new = {name: now[name] - self._seen[name] for name in now}
        new |= {"degrading": data.degrading.take(), "network": self._network.take()}
        self._seen = now
        for name, seconds in new.items():
            self._interval[name] += seconds
            self._total[name] += seconds

    def _show(self, data: SRDataModule) -> None:
        if data.degradation is None:
            return
        whole = sum(self._interval[name] for name in PARTS) or 1.0
        shares = "/".join(f"{100 * self._interval[name] / whole:.0f}" for name in PARTS)
        self.shown = {"wait/degrade/net %": shares}


def _data(trainer: Trainer) -> SRDataModule | None:
    data = getattr(trainer, "datamodule", None)
    return data if isinstance(data, SRDataModule) else None
