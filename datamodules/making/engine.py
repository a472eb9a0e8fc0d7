"""Makes a set: plan, workers, journal, manifest. Stopped anywhere, the same command goes on where it was."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from srbench.datamodules.making import manifest
from srbench.datamodules.making.folder import Workshop
from srbench.datamodules.making.item import Finished, ItemNote
from srbench.datamodules.making.plan import Plan, draw_plan
from srbench.datamodules.making.sets import Spec
from srbench.datamodules.making.workers import Task, work
from srbench.errors import InputError

Progress = Callable[[int, int], None]


class Made(NamedTuple):
    """What became of it.

    Attributes:
        manifest: the file.
        records: what records call the set's parts.
        images: items in the set.
        kept: items that were there already, with the right bytes.
    """

    manifest: Path
    records: tuple[str, ...]
    images: int
    kept: int


def make(
    spec: Spec,
    *,
    hr: Path,
    out: Path,
    seed: int = 0,
    workers: int = 1,
    crops: int | None = None,
    title: str | None = None,
    progress: Progress | None = None,
) -> Made:
    """Makes a set in ``out``; see :func:`srbench.datamodules.making.make`.

    What an earlier run finished is kept where its files still have the bytes it noted; a finished set is checked and
    repaired that way.

    Raises:
        InputError: see there.
    """
    if workers < 1:
        raise InputError(f"{workers} workers are impossible", where="--workers", remedy="use 1 or more")
    plan = draw_plan(spec, hr, seed=seed, crops=crops, title=title)
    held = manifest.header(plan)
    shop = Workshop(out, held, [source.path.name for source in plan.sources])
    with shop.opened() as before:
        finished = _made(plan, shop, before, workers, progress)
        path = manifest.write(out, held, [finished[name].note for name in _order(plan)])
        shop.close()
    records = tuple(plan.record_name(part) for part in spec.parts)
    return Made(path, records, len(finished), sum(item.kept for item in finished.values()))


def _made(
    plan: Plan, shop: Workshop, before: Mapping[str, ItemNote], workers: int, progress: Progress | None
) -> dict[str, Finished]:
    known: dict[str, dict[str, ItemNote]] = defaultdict(dict)
    for name, note in before.items():
        known[note["source"]["file"]][name] = note
    tasks = [Task(source, known[source.path.name]) for source in plan.sources]
    finished: dict[str, Finished] = {}
    for item in work(plan, shop.out, tasks, workers):
        if not item.kept:
            _same_again(shop.out, before.get(item.note["name"]), item.note)
            shop.note(item.note)
        finished[item.note["name"]] = item
        if progress is not None:
            progress(len(finished), plan.total)
    return finished


def _same_again(out: Path, before: ItemNote | None, now: ItemNote) -> None:
    """What had to be made again must come out as it was noted, or the set would be made in two ways."""
    if before is not None and before != json.loads(json.dumps(now)):
        what = "was missing or damaged, and made again it differs from what was noted: srbench itself has changed"
        raise InputError(what, where=out / now["gt"]["file"], remedy="give another output folder")


def _order(plan: Plan) -> list[str]:
    return [
        source.stem if source.crops is None else f"{source.stem}_{crop:04d}"
        for source in plan.sources
        for crop in range(source.crops or 1)
    ]
