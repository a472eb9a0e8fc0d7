"""FromList: degradations that were chosen before, written down and drawn again from the list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from srbench.atomic import write_whole
from srbench.datamodules.degradations import drawing
from srbench.datamodules.degradations.recipe import Recipe
from srbench.datamodules.degradations.steps import CorrelatedNoise, GaussianNoise, PoissonNoise, Step
from srbench.degradation import Degradation
from srbench.errors import InputError

_FORMAT = 1


@dataclass(frozen=True)
class RecipeList:
    """Degradations with every parameter drawn, all for gt images of one size.

    Attributes:
        side: of the square gt crops they were drawn for, in pixels.
        scale: magnification from lq to gt.
        recipes: the degradations.
        scores: what each was chosen by, from the first to the last; empty where nothing was measured.
        source: how the list was made, for people: plain values.
    """

    side: int
    scale: int
    recipes: tuple[Recipe, ...]
    scores: tuple[float, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """The list as the text of a file."""
        scores = self.scores or (None,) * len(self.recipes)
        held = {
            "format": _FORMAT,
            "side": self.side,
            "scale": self.scale,
            "source": dict(self.source),
            "recipes": [
                {"score": score, **recipe.as_dict()} for score, recipe in zip(scores, self.recipes, strict=True)
            ],
        }
        return json.dumps(held, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Writes the list.

        Raises:
            InputError: the file cannot be written.
        """
        write_whole(path, self.as_json().encode())


def read_list(path: str | Path) -> RecipeList:
    """The list that :meth:`RecipeList.as_json` or :meth:`RecipeList.write` gave.

    Raises:
        InputError: there is none, or it is damaged, empty or of another format.
    """
    path = Path(path)
    remedy = "make one by srbench analyze select-degradations --hr PHOTOS"
    if not path.is_file():
        raise InputError("there is no such list of degradations", where=path, remedy=remedy)
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(held, dict) or held.get("format") != _FORMAT:
            raise InputError("it is no list of degradations that this version reads", where=path, remedy=remedy)
        recipes = tuple(Recipe.from_dict(item) for item in held["recipes"])
        scores = tuple(float(item["score"]) for item in held["recipes"] if item.get("score") is not None)
        found = RecipeList(int(held["side"]), int(held["scale"]), recipes, scores, held.get("source", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"it is damaged ({type(error).__name__}: {error})", where=path, remedy=remedy) from error
    if not recipes:
        raise InputError("it holds no degradation", where=path, remedy="choose wider thresholds or a larger quantile")
    return found


class FromList(Degradation):
    """Draws each image's degradation from a list, such as the severe ones that DACESR's extractor learns from.

    Args:
        path: the list; see ``srbench analyze select-degradations``.
        scale: magnification from lq to gt; must be the list's.
        fresh_noise: draw the noise fields anew each time, so that no field can be learned by heart; the parameters stay
            the list's. False replays every field too.

    Attributes:
        marks: why what learns from the list may not be ranked, where a random network chose it.

    Raises:
        InputError: there is no such list, it is damaged, or of another scale.
    """

    def __init__(self, *, path: str, scale: int = 4, fresh_noise: bool = True) -> None:
        known = read_list(path)
        super().__init__(scale=scale, crop=known.side)
        if known.scale != scale:
            raise InputError(
                f"its degradations are for scale {known.scale}, not {scale}", where=path, remedy="choose that scale"
            )
        self.path = path
        self.list = known
        self.fresh_noise = fresh_noise
        self.marks = tuple(str(mark) for mark in known.source.get("marks", ()))

    def draw(
        self, rng: np.random.Generator, height: int, width: int, *, batch_rng: np.random.Generator | None = None
    ) -> Recipe:
        """One of the list, each as likely.

        Raises:
            InputError: the image has another size than the list was made for.
        """
        if (height, width) != (self.list.side, self.list.side):
            raise InputError(
                f"its degradations are for gt of {self.list.side} x {self.list.side}, not {height} x {width}",
                where=self.path,
                remedy=f"set data.init_args.patch_size to {self.list.side} or less",
            )
        recipe = self.list.recipes[int(rng.integers(len(self.list.recipes)))]
        return replace(recipe, steps=_with_fresh_noise(recipe.steps, rng)) if self.fresh_noise else recipe


def _with_fresh_noise(steps: Sequence[Step], rng: np.random.Generator) -> tuple[Step, ...]:
    noisy = (GaussianNoise, CorrelatedNoise, PoissonNoise)
    return tuple(replace(step, seed=drawing.seed(rng)) if isinstance(step, noisy) else step for step in steps)
