"""``srbench analyze text-similarity``: Figs. 1-2 of DACESR for RAM, DAPE and any extractor of stage 1."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from srbench.errors import InputError
from srbench.findings import Findings, read_csv
from srbench.modules.dacesr.extractor import RAM, extractor
from srbench.modules.dacesr.ree import REE
from srbench.modules.dacesr.select import tags_of
from srbench.modules.dacesr.select_command import build_degradation, choose_images, own_words, squashed
from srbench.modules.dacesr.similarity_chart import chart
from srbench.modules.dacesr.text_similarity import (
    RANDOM,
    Case,
    Similarity,
    Tags,
    class_means,
    level_means,
    measure,
    random_cases,
    single_cases,
)
from srbench.modules.nets.ram import PRESETS

ANALYSIS = {
    "name": "text-similarity",
    "summary": "how much of what RAM says of gt a tagger still says of lq, by degradation, level and class (DACESR)",
    "model": False,
}

_NUMBERS = frozenset({"index", "rank", ""})
"""Columns that count rows; the authors' own table has a nameless one."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options; the defaults are the paper's where it says."""
    parser.add_argument("--hr", metavar="DIR", help="folder of photographs (paper: DIV2K_valid_HR)")
    parser.add_argument("--images", type=int, default=30, help="how many of them, drawn by --seed (%(default)s)")
    parser.add_argument(
        "--tagger", metavar="LABEL=ENCODER", action="append", default=[],
        help="beside RAM: dape, a file of additions or stage 1's checkpoint; may be repeated",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=0, help="random degradations for the classes (%(default)s)")
    parser.add_argument(
        "--degradation", metavar="NAME", default="degradations/realesrgan.yaml", help="of those, a config (%(default)s)"
    )
    parser.add_argument(
        "--scores", metavar="[LABEL=]FILE", action="append", default=[],
        help="rank these instead of measuring: a table with a column per tagger, or LABEL=scores.csv of "
        "select-degradations; may be repeated",
    )  # fmt: skip
    parser.add_argument("--rank-by", metavar="LABEL", default="RAM", help="whose scores make the classes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every draw (%(default)s)")
    parser.add_argument("--side", type=int, default=512, help="photographs are squashed to this square (%(default)s)")
    parser.add_argument("--scale", type=int, default=4, help="of single degradations (%(default)s)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="swin_large", help="sizes of RAM (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images that RAM takes at once (%(default)s)")
    parser.add_argument(
        "--allow-random-backbones", action="store_true", help="a trial without weights; the figure is marked"
    )


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Measures, or ranks what was measured.

    Returns:
        ``means.csv`` by tagger, type and level or class, ``similarity.svg``, and where something was measured
        ``similarity.csv``, a row per tagger, degradation and image.

    Raises:
        InputError: an option, image, table or config is unfit, or weights are absent.
    """
    if given.scores:
        return _findings(class_means(_table(given.scores), given.rank_by), ())
    _check(given)
    owner = REE(preset=given.preset, start="ram", allow_random_backbones=given.allow_random_backbones)
    encoders = {"RAM": RAM, **dict(map(_labelled, given.tagger))}
    files = choose_images(given.hr, given.images, given.seed)
    cases = single_cases(given.side, scale=given.scale, seed=given.seed)
    if given.count:
        cases += random_cases(build_degradation(given.degradation), given.count, given.side, given.seed)
    device = torch.device(given.device)
    taggers: dict[str, Tags] = {}
    for label, encoder in encoders.items():
        with own_words():
            net = extractor(owner, given.preset, encoder, tags=True).eval().to(device)
        taggers[label] = partial(tags_of, net, batch=given.batch)
    images = torch.stack([squashed(file, given.side) for file in files]).to(device)
    found = similarities_of(cases, images, [file.stem for file in files], taggers, progress)
    rows: list[dict[str, Any]] = [one._asdict() for one in found]
    return _findings(mean_rows(found, given.rank_by), owner.marks, rows)


def similarities_of(
    cases: Sequence[Case],
    images: torch.Tensor,
    names: Sequence[str],
    taggers: dict[str, Tags],
    progress: Callable[[int, int], None],
) -> list[Similarity]:
    """All similarities to what the first tagger, plain RAM, says of gt."""
    reference = next(iter(taggers.values()))(images)
    found: list[Similarity] = []
    for done, some in enumerate(measure(cases, images, names, reference, taggers), 1):
        found += some
        progress(done, len(cases))
    return found


def mean_rows(found: Sequence[Similarity], by: str) -> list[dict[str, Any]]:
    """Rows of ``tagger``, ``type``, ``level``, ``n``, ``mean``: single degradations, then classes of random ones."""
    means = level_means(found)
    images = len({one.image for one in found})
    rows: list[dict[str, Any]] = [
        {"tagger": tagger, "type": kind, "level": level, "n": images, "mean": mean}
        for (tagger, kind, level), mean in means.items()
        if kind != RANDOM
    ]
    table: dict[str, list[float]] = {}
    for (tagger, kind, _), mean in means.items():
        if kind == RANDOM:
            table.setdefault(tagger, []).append(mean)
    return [*rows, *class_means(table, by)] if table else rows


def _findings(means: Sequence[dict[str, Any]], marks: Sequence[str], rows: Sequence[dict[str, Any]] = ()) -> Findings:
    title = "Text similarity to what RAM says of gt" + (f" ({', '.join(marks)})" if marks else "")
    files: dict[str, Any] = {"means.csv": means, "similarity.svg": chart(means, title)}
    if rows:
        files["similarity.csv"] = rows
    lines = _shown(means)
    if marks:
        lines.append(f"marked {', '.join(marks)}: the tagger was never trained")
    return Findings(files, lines)


def _shown(means: Sequence[dict[str, Any]]) -> list[str]:
    """A line per type and level, a column per tagger."""
    places: dict[tuple[str, str], dict[str, str]] = {}
    for row in means:
        cells = places.setdefault((row["type"], row["level"]), {})
        cells[row["tagger"]] = f"{row['mean']:.4f}"
    taggers = list(dict.fromkeys(row["tagger"] for row in means))
    rows = [["type", "level", *taggers]]
    rows += [[kind, level, *(cells[tagger] for tagger in taggers)] for (kind, level), cells in places.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _check(given: argparse.Namespace) -> None:
    if given.hr is None:
        raise InputError("no photographs are given", where="--hr", remedy="give a folder, or tables by --scores")
    for name, least in (("images", 1), ("count", 0), ("side", 16), ("scale", 1), ("batch", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise InputError(f"{getattr(given, name)} is impossible", where=f"--{name}", remedy=f"use {least} or more")
    if given.count in range(1, 4):
        raise InputError(f"{given.count} degradations make no four classes", where="--count", remedy="take 4 or more")
    labels = ["RAM", *(_labelled(text)[0] for text in given.tagger)]
    if len(set(labels)) < len(labels):
        raise InputError("two taggers have one label", where="--tagger", remedy="give each its own; RAM is taken")
    if given.count and given.rank_by not in labels:
        raise InputError(f"there is no tagger '{given.rank_by}'", where="--rank-by", remedy=f"use {', '.join(labels)}")


def _labelled(text: str) -> tuple[str, str]:
    label, _, encoder = text.partition("=")
    if not label or not encoder:
        raise InputError(f"'{text}' names no tagger", where="--tagger", remedy="write LABEL=ENCODER, e.g. DAPE=dape")
    return label, encoder


# --------------------------------------------------------------------------------------------------- finished scores


def _table(sources: Sequence[str]) -> dict[str, list[float]]:
    """A tagger's scores in one order of degradations, from tables and from scores of select-degradations."""
    table: dict[str, list[float]] = {}
    for source in sources:
        label, equals, path = source.partition("=")
        if not equals or Path(source).is_file():
            rows = read_csv(Path(source))
            columns = {name: name for name in rows[0] if name is not None and name.lower() not in _NUMBERS}
        else:
            rows = read_csv(Path(path), ["index", "similarity"])
            rows = sorted(rows, key=lambda row: _number(row, "index", path))
            columns = {label: "similarity"}
        for name, column in columns.items():
            table[name] = [_number(row, column, source) for row in rows]
    lengths = {name: len(scores) for name, scores in table.items()}
    if len(set(lengths.values())) != 1:
        held = ", ".join(f"{name} {n}" for name, n in lengths.items()) or "none"
        raise InputError(f"scores of different degradations ({held})", where="--scores", remedy="score the same ones")
    return table


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError) as error:
        raise InputError(f"'{row[column]}' in column '{column}' is no number", where=where, remedy="mend it") from error
    if column != "index" and not 0 <= value <= 1:
        raise InputError(f"{value:g} in column '{column}' is no similarity", where=where, remedy="use 0 to 1")
    return value
