"""A stopwatch that does not hold up a GPU: it marks the device's own time line and reads it later."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Adds up spans of work on one device.

    On CUDA a span lies between two events on the current stream and nothing is synchronised until :meth:`take`;
    elsewhere it is the clock's.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.restart(torch.device(device))

    def restart(self, device: torch.device) -> None:
        """Forgets everything; from now on for this device."""
        self._on_gpu = device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._open: torch.cuda.Event | float | None = None
        self._seconds = 0.0

    def start(self) -> None:
        """A span begins; one that was not ended is forgotten."""
        self._open = self._mark()

    def stop(self) -> None:
        """The span ends; without a start nothing happens."""
        begin, self._open = self._open, None
        if begin is None:
            return
        end = self._mark()
        if isinstance(begin, float) and isinstance(end, float):
            self._seconds += end - begin
        elif isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
            self._events.append((begin, end))

    def take(self) -> float:
        """Seconds of all spans since the last time; waits for the GPU to reach the end of them."""
        for begin, end in self._events:
            end.synchronize()
            self._seconds += begin.elapsed_time(end) / 1000
        self._events = []
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _mark(self) -> torch.cuda.Event | float:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
