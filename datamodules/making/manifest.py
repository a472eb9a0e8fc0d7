"""The manifest of a made set: one JSON file that says what every file is and how it came about.

It holds nothing that depends on when, where or by how many workers the set was made, so the same command gives the
same bytes wherever the libraries that it names are the same (``made_with``: torch's kernels round differently from one
version or kind of CPU to the next, and zlib decides the bytes of a PNG).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from srbench.atomic import write_whole
from srbench.datamodules.making.item import ItemNote
from srbench.datamodules.making.plan import Plan
from srbench.datamodules.making.sets import settings
from srbench.errors import InputError

NAME = "manifest.json"
SCHEMA = 1

WHOLE = "gt is the whole source image, cropped at the top left to a multiple of the scale"
CROPS = "gt is a random crop of the source image"


def header(plan: Plan) -> dict[str, Any]:
    """Everything of a manifest but its images: what was asked for, and what decides the pixels beside it."""
    return {
        "schema": SCHEMA,
        "set": plan.spec.name,
        "seed": plan.seed,
        "title": plan.title,
        "scale": plan.spec.scale,
        "crop": plan.spec.crop,
        "crops": plan.crops,
        "rule": WHOLE if plan.spec.crop is None else CROPS,
        "paper": plan.spec.source,
        "parts": {
            part.name: {"record": plan.record_name(part), "degradation": settings(part.degradation)}
            for part in plan.spec.parts
        },
        "made_with": made_with(),
    }


@cache
def made_with() -> dict[str, str]:
    """Versions of what decides pixels and bytes."""
    import numpy
    import PIL
    import torch
    from PIL import features

    try:
        ours = version("srbench")
    except PackageNotFoundError:  # run from a checkout that was never installed
        ours = "unknown"
    return {
        "srbench": ours,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "zlib": str(features.version("zlib")),
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def write(out: Path, held: Mapping[str, Any], images: Iterable[ItemNote]) -> Path:
    """Writes the manifest: one key a line, then one image a line.

    Raises:
        InputError: it cannot be written; an older one is left as it was.
    """
    head = "".join(f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)},\n" for key, value in held.items())
    lines = ",\n".join(json.dumps(image, sort_keys=True) for image in images)
    path = out / NAME
    write_whole(path, f'{{\n{head}"images": [\n{lines}\n]\n}}\n'.encode())
    return path


def read(out: Path) -> dict[str, Any]:
    """The manifest in a folder: the header's keys and ``images``.

    Raises:
        InputError: there is none, or it is damaged or of a schema that this version does not know.
    """
    path = out / NAME
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "there is no manifest here", where=path, remedy="give the --out folder of a finished srbench data make"
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(held, dict) or not isinstance(held.get("images"), list):
        raise _damaged(path, "it lists no images")
    if held.get("schema") != SCHEMA:
        remedy = "install the srbench that wrote it, or make the set again"
        raise InputError(f"its schema is {held.get('schema')}, not {SCHEMA}", where=path, remedy=remedy)
    return held


def _damaged(path: Path, why: str) -> InputError:
    remedy = "remove the file and run the same srbench data make again; whole images are kept"
    return InputError(f"the manifest is damaged ({why})", where=path, remedy=remedy)
