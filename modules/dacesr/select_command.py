"""``srbench analyze select-degradations``: scores random degradations and writes the mild and the severe ones."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from srbench.atomic import write_whole
from srbench.catalog import load_stack
from srbench.datamodules.degradations import Recipe, RecipeList
from srbench.degradation import Degradation
from srbench.errors import InputError
from srbench.findings import Findings
from srbench.images import file_sha256, list_images, read_image, to_tensor
from srbench.modules.dacesr.extractor import extractor
from srbench.modules.dacesr.ree import REE
from srbench.modules.dacesr.select import PAPER_THRESHOLDS, Groups, draw_recipes, groups, similarities, tags_of
from srbench.modules.nets.ram import PRESETS, RAMTagger
from srbench.weights import state_sha256

ANALYSIS = {
    "name": "select-degradations",
    "summary": "random degradations by what RAM still sees: mild and severe ones as lists to train on (DACESR)",
    "model": False,
}

_OUT = "runs/analyze/select-degradations"
_PLAN, _JOURNAL = "plan.json", "scores.journal"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options; the defaults are the paper's where it says."""
    parser.add_argument("--hr", metavar="DIR", required=True, help="folder of photographs (paper: DIV2K_valid_HR)")
    parser.add_argument("--images", type=int, default=30, help="how many of them, drawn by --seed (%(default)s)")
    parser.add_argument("--count", type=int, default=1000, help="random degradations (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every draw (%(default)s)")
    parser.add_argument("--side", type=int, default=512, help="photographs are squashed to this square (%(default)s)")
    parser.add_argument(
        "--degradation", metavar="NAME", default="degradations/realesrgan.yaml", help="config (%(default)s)"
    )
    parser.add_argument("--quantile", type=float, default=0.25, help="share of mild and of severe ones (%(default)s)")
    parser.add_argument(
        "--thresholds", type=float, nargs=2, metavar=("MILD", "SEVERE"), help="instead: scores above, scores below"
    )
    parser.add_argument(
        "--paper-thresholds", action="store_true", help="instead: {:.3f} and {:.3f}".format(*PAPER_THRESHOLDS)
    )
    parser.add_argument("--encoder", default="ram", help="what looks at lq: ram, dape or a file (%(default)s)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="swin_large", help="sizes of RAM (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images that RAM takes at once (%(default)s)")
    parser.add_argument(
        "--allow-random-backbones", action="store_true", help="a trial without weights; the lists are marked"
    )


def run(given: argparse.Namespace, progress: Callable[[int, int], None]) -> Findings:
    """Scores what is not scored yet, and groups everything.

    Scores are kept as they come: the same command goes on where it stopped, and another quantile or other thresholds
    need no scoring again.

    Returns:
        ``scores.csv``, ``mild.json`` and ``severe.json``.

    Raises:
        InputError: an option, image or config is unfit, weights are absent, or the folder belongs to another selection.
    """
    _check(given)
    folder = Path(given.out or _OUT)
    degradation = build_degradation(given.degradation)
    recipes = draw_recipes(degradation, given.count, given.side, given.seed)
    files = choose_images(given.hr, given.images, given.seed)
    owner = REE(preset=given.preset, start="ram", allow_random_backbones=given.allow_random_backbones)
    with own_words():
        plain = extractor(owner, given.preset, tags=True)
        other = plain if given.encoder == "ram" else extractor(owner, given.preset, given.encoder, tags=True)
    source = _source(given, files, owner.marks)
    plan = _plan(source, recipes, files, (plain, other))
    known = _known_scores(folder, plan)
    device = torch.device(given.device)
    images = torch.stack([squashed(file, given.side) for file in files]).to(device)
    plain, other = plain.to(device), other.to(device)
    reference = tags_of(plain, images, given.batch)
    progress(len(known), len(recipes))
    for index, score in similarities(recipes, images, reference, other, batch=given.batch, skip=known.__contains__):
        known[index] = score
        _note(folder, index, score)
        progress(len(known), len(recipes))
    scores = [known[index] for index in range(len(recipes))]
    thresholds = PAPER_THRESHOLDS if given.paper_thresholds else given.thresholds and tuple(given.thresholds)
    found = groups(scores, quantile=given.quantile, thresholds=thresholds)
    return _findings(scores, found, recipes, RecipeList(given.side, degradation.scale, (), source=source))


def build_degradation(config: str) -> Degradation:
    """The degradation that a data config asks for.

    Raises:
        InputError: there is no such config, or no degradation in it.
    """
    section: Any = load_stack([config])
    for key in ("data", "init_args", "degradation"):
        section = section.get(key) if isinstance(section, dict) else None
    if section is None:
        raise InputError("it names no data.init_args.degradation", where=config, remedy="see srbench list configs")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Degradation, "degradation", required=True)
    try:
        built = parser.instantiate_classes(parser.parse_args([f"--degradation={json.dumps(section)}"]))
    except (jsonargparse.ArgumentError, ValueError, TypeError) as error:
        told = str(error).strip().splitlines()
        raise InputError(told[0] if told else type(error).__name__, where=config, remedy="mend the config") from error
    found = built.degradation
    assert isinstance(found, Degradation)
    return found


def choose_images(folder: str, count: int, seed: int) -> list[Path]:
    """``count`` images of a folder, drawn by ``seed``, in the order of their names.

    Raises:
        InputError: there are fewer.
    """
    files = sorted(list_images(folder))
    if len(files) < count:
        raise InputError(f"{len(files)} images, not {count}", where=folder, remedy="give more, or a smaller --images")
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    return [files[i] for i in sorted(chosen)]


def squashed(file: Path, side: int) -> Tensor:
    """An image as training has it: (3,side,side) in [0,1], whatever its aspect was."""
    image = Image.fromarray(read_image(file).pixels).resize((side, side), Image.Resampling.LANCZOS)
    return to_tensor(np.array(image))


# ------------------------------------------------------------------------------------------------- keeping scores


def _plan(
    source: dict[str, Any], recipes: Sequence[Recipe], files: Sequence[Path], nets: tuple[RAMTagger, RAMTagger]
) -> dict[str, str]:
    """What scores depend on, as hashes: the draws, the photographs, the networks."""
    drawn = json.dumps([recipe.as_dict() for recipe in recipes], sort_keys=True)
    seen = " ".join([*map(file_sha256, files), *map(state_sha256, nets), str(source["side"])])
    return {"draws": _digest(drawn), "images_and_networks": _digest(seen)}


def _known_scores(folder: Path, plan: dict[str, str]) -> dict[int, float]:
    """Scores of an earlier run of this very plan; begins the folder where there was none.

    Raises:
        InputError: the folder holds another plan's scores.
    """
    path = folder / _PLAN
    if not path.is_file():
        write_whole(path, (json.dumps(plan, indent=1) + "\n").encode())
        write_whole(folder / _JOURNAL, b"")
        return {}
    if path.read_bytes() != (json.dumps(plan, indent=1) + "\n").encode():
        raise InputError(
            "it holds scores of other degradations, photographs or networks",
            where=folder,
            remedy="choose another --out, or remove it",
        )
    known: dict[int, float] = {}
    for line in (folder / _JOURNAL).read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # the last one of a run that was killed may be cut
            index, score = line.split()
            known[int(index)] = float(score)
    write_whole(folder / _JOURNAL, "".join(f"{i} {score!r}\n" for i, score in known.items()).encode())
    return known


def _note(folder: Path, index: int, score: float) -> None:
    try:
        with (folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(f"{index} {score!r}\n")
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            where=folder / _JOURNAL,
            remedy="mend that; the same command goes on",
        ) from error


# ------------------------------------------------------------------------------------------------------- results


def _findings(scores: Sequence[float], found: Groups, recipes: Sequence[Recipe], like: RecipeList) -> Findings:
    named = {i: name for name, members in zip(Groups._fields, found, strict=True) for i in members}
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    rows = [
        {"rank": rank, "index": i, "similarity": scores[i], "kind": recipes[i].kind, "group": named.get(i, "")}
        for rank, i in enumerate(order)
    ]
    files: dict[str, Any] = {"scores.csv": rows}
    lines = [f"{len(scores)} degradations, similarity {min(scores):.3f} to {max(scores):.3f}"]
    for name, members in zip(Groups._fields, found, strict=True):
        chosen = RecipeList(
            like.side,
            like.scale,
            tuple(recipes[i] for i in members),
            tuple(scores[i] for i in members),
            {**like.source, "group": name},
        )
        files[f"{name}.json"] = chosen.as_json()
        lines.append(f"{name}: {len(members)}, {scores[members[0]]:.3f} to {scores[members[-1]]:.3f}")
    if marks := like.source["marks"]:
        lines.append(f"marked {', '.join(marks)}: the tagger that chose was never trained")
    return Findings(files, lines)


def _source(given: argparse.Namespace, files: Sequence[Path], marks: Sequence[str]) -> dict[str, Any]:
    kept = ("seed", "count", "side", "degradation", "preset")
    encoder = given.encoder if given.encoder in ("ram", "dape") else Path(given.encoder).name
    return {
        **{name: getattr(given, name) for name in kept},
        "encoder": encoder,
        "images": [file.name for file in files],
        "marks": list(marks),
    }


def _check(given: argparse.Namespace) -> None:
    for name, least in (("count", 2), ("images", 1), ("side", 16), ("batch", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise InputError(f"{getattr(given, name)} is impossible", where=f"--{name}", remedy=f"use {least} or more")
    if given.thresholds and given.paper_thresholds:
        raise InputError("two kinds of thresholds", where="--paper-thresholds", remedy="give one of them")
    groups([1.0, 0.0], quantile=given.quantile)  # an impossible share is told before hours of scoring


@contextmanager
def own_words() -> Iterator[None]:
    """A stage's remedy for absent weights, in the words of this command."""
    try:
        yield
    except InputError as error:
        trial = "set --model.init_args.allow_random_backbones true"
        remedy = (error.remedy or "").replace(trial, "give --allow-random-backbones")
        raise InputError(error.what, where=error.where, remedy=remedy) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
