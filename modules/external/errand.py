"""Work that the first process does for all, however long it takes.

Collective calls of torch give up after minutes; here the others look at a file that the first one renews.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from srbench.atomic import make_folder, write_whole
from srbench.errors import InputError

PATIENCE_S = 300.0
"""How long a process waits for a sign of the first one."""


def done_by_first(
    trainer: Trainer, folder: Path, work: Callable[[], Any], *, beat_s: float = 5.0, patience_s: float = PATIENCE_S
) -> Any:
    """What ``work`` gives in the first process, in all processes.

    Args:
        trainer: tells the processes from each other.
        folder: that all of them see.
        work: its result can be written as JSON.
        beat_s: between two signs of life.
        patience_s: see :data:`PATIENCE_S`.

    Raises:
        InputError: what ``work`` refused, in all processes; or the first one gives no sign of life.
    """
    if trainer.world_size == 1:
        return work()
    sign = folder / f".errand-{trainer.strategy.broadcast(secrets.token_hex(8))}"
    found = _do(sign, work, beat_s) if trainer.is_global_zero else _wait(sign, patience_s)
    trainer.strategy.barrier("errand")
    if trainer.is_global_zero:
        sign.unlink(missing_ok=True)
    return found


def _do(sign: Path, work: Callable[[], Any], beat_s: float) -> Any:
    make_folder(sign.parent)
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(sign, stop, beat_s), daemon=True)
    beating.start()
    end: dict[str, Any] = {"failed": "it was ended"}
    try:
        found = work()
        end = {"found": found}
    except InputError as error:
        end = {"failed": str(error)}
        raise
    finally:
        stop.set()
        beating.join()
        write_whole(sign, json.dumps(end).encode(), durable=False)
    return found


def _beat(sign: Path, stop: threading.Event, beat_s: float) -> None:
    count = 0
    while not stop.is_set():
        count += 1
        write_whole(sign, json.dumps({"beat": count}).encode(), durable=False)
        stop.wait(beat_s)


def _wait(sign: Path, patience_s: float) -> Any:
    last: dict[str, Any] = {}
    moved = time.monotonic()
    while time.monotonic() - moved < patience_s:
        try:
            held = json.loads(sign.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = {}
        if "found" in held:
            return held["found"]
        if "failed" in held:
            raise InputError(held["failed"])
        if held != last:
            last, moved = held, time.monotonic()
        time.sleep(0.2)
    raise InputError("the first process gives no sign of life", where=sign.parent, remedy="run the same command again")
