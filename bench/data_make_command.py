"""``srbench data make``: synthetic sets from a folder of images and a seed, the same bytes for everyone."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from srbench.command_parser import CommandParser
from srbench.counter import counter
from srbench.makers import make_function, makers
from srbench.naming import printable

_DESCRIPTION = """Make a synthetic test set from a folder of images, the same bytes for everyone with the same seed.

{sets}

Writes gt/, a folder of lq per part, and at the end manifest.json: every recipe and sha256. Stopped anywhere, the same
command goes on where it was; on a finished set it checks every file and makes damaged ones again."""


def run(argv: Sequence[str]) -> int:
    """Make a set and say where its manifest is.

    Args:
        argv: what follows ``srbench data make`` on the command line.

    Returns:
        The exit status, 0.

    Raises:
        InputError: an unknown set or option, an unfit image or folder, an output folder that holds something else or
            cannot be written, a worker that died.
    """
    given = _parser().parse_args(list(argv))
    make = make_function(given.set)
    began = time.monotonic()
    made = make(
        given.set,
        hr=given.hr,
        out=given.out,
        seed=given.seed,
        workers=given.workers,
        crops=given.crops,
        title=given.title,
        progress=counter("images"),
    )
    spent = time.monotonic() - began
    fresh = made.images - made.kept
    pace = f", {spent / fresh:.2f} s per image" if fresh else ""
    print(f"{fresh} of {made.images} images made, {made.kept} kept, in {spent:.1f} s{pace}")
    print(f"records call it {', '.join(made.records)}")
    print(f"manifest: {printable(str(made.manifest))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    known = makers()
    width = max(map(len, known), default=0)
    sets = "\n".join(f"  {maker.name:<{width}}  {maker.summary}" for maker in known.values())
    parser = CommandParser("srbench data make", _DESCRIPTION.format(sets=sets))
    parser.add_argument("set", metavar="SET", help="one of the above")
    parser.add_argument("--hr", metavar="DIR", required=True, help="folder of the images to degrade")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write; new, empty, or begun before")
    parser.add_argument("--seed", type=int, default=0, help="of every draw (%(default)s)")
    parser.add_argument("--workers", type=int, default=_cores(), help="processes of one thread (%(default)s)")
    parser.add_argument("--crops", type=int, help="how many crops to take over all images (as the paper)")
    parser.add_argument("--title", help="what the images are, for the records' names (div2k, or the folder's name)")
    return parser


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
