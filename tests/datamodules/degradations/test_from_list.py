"""FromList and its file: what is written is drawn again, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srbench.datamodules.degradations import FromList, RealESRGAN, Recipe, RecipeList, read_list
from srbench.errors import InputError


def _list(count: int = 6, side: int = 96) -> RecipeList:
    degradation = RealESRGAN(crop=side)
    recipes = tuple(degradation.draw(np.random.default_rng([3, i]), side, side) for i in range(count))
    return RecipeList(side, 4, recipes, tuple(0.5 - 0.01 * i for i in range(count)), {"marks": ["x"], "seed": 3})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    _list().write(tmp_path / "severe.json")
    return tmp_path / "severe.json"


def _without_seeds(recipe: Recipe) -> Recipe:
    steps = (replace(s, seed=0) if is_dataclass(s) and hasattr(s, "seed") else s for s in recipe.steps)
    return replace(recipe, steps=tuple(steps))


def test_a_list_goes_through_its_file(path: Path) -> None:
    assert read_list(path) == _list()


def test_a_list_without_scores(tmp_path: Path) -> None:
    given = replace(_list(), scores=())
    given.write(tmp_path / "x.json")
    assert read_list(tmp_path / "x.json") == given


def test_every_recipe_is_drawn_and_no_other(path: Path) -> None:
    degradation = FromList(path=str(path), fresh_noise=False)
    rng = np.random.default_rng(0)
    drawn = [degradation.draw(rng, 96, 96) for _ in range(200)]
    assert {json.dumps(r.as_dict()) for r in drawn} == {json.dumps(r.as_dict()) for r in _list().recipes}


def test_fresh_noise_changes_the_fields_and_nothing_else(path: Path) -> None:
    degradation = FromList(path=str(path))
    drawn = [degradation.draw(np.random.default_rng(i), 96, 96) for i in range(40)]
    known = {json.dumps(_without_seeds(r).as_dict()) for r in _list().recipes}
    assert {json.dumps(_without_seeds(r).as_dict()) for r in drawn} <= known
    seeds = [s.seed for r in drawn for s in r.steps if hasattr(s, "seed")]
    assert len(seeds) == len(set(seeds)) > 40


def test_equal_generators_draw_equal_pixels(path: Path) -> None:
    degradation, gt = FromList(path=str(path)), torch.rand(3, 96, 96)
    one, other = (degradation(gt, degradation.draw(np.random.default_rng(9), 96, 96))[0] for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == (3, 24, 24)


def test_its_crop_and_marks_are_the_lists(path: Path) -> None:
    degradation = FromList(path=str(path))
    assert degradation.crop == 96
    assert degradation.marks == ("x",)


def test_another_size_or_scale_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match=r"are for gt of 96 x 96, not 128 x 96.*patch_size to 96 or less"):
        FromList(path=str(path)).draw(np.random.default_rng(0), 128, 96)
    with pytest.raises(InputError, match="are for scale 4, not 2"):
        FromList(path=str(path), scale=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format=9), "no list of degradations that this version reads"),
        (lambda d: d.update(recipes=[]), "it holds no degradation"),
        (lambda d: d.pop("side"), "it is damaged"),
        (lambda d: d["recipes"].append(3), "it is damaged"),
        (lambda d: d["recipes"][0]["steps"].append({"step": "blurr"}), "did you mean 'blur'"),
    ],
)
def test_a_damaged_list_is_refused(path: Path, change: Callable[[Any], object], said: str) -> None:
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))
    with pytest.raises(InputError, match=said):
        read_list(path)


def test_what_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match=r"x\.json: it is damaged"):
        read_list(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(InputError, match="no list of degradations"):
        read_list(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"gone\.json: there is no such list.*srbench analyze select-degradations"):
        FromList(path=str(tmp_path / "gone.json"))
