"""The command: an encoder of noise tells levels apart, one of content does not; any network will do."""

from __future__ import annotations

import csv
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from srbench.analysis.vectors import encoder, pooled
from srbench.cli import main
from srbench.errors import InputError
from srbench.module import SRModule

COUNT = 12


class Roughness(nn.Module):
    """How much each channel varies, which in flat images is noise: (B,3)."""

    def forward(self, lq: Tensor) -> Tensor:
        return lq.std((-2, -1)).clamp(min=1e-4).log()


class Brightness(nn.Module):
    """The mean colour, as tokens (B,2,3) behind a map: content and nothing else."""

    def forward(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        return lq, lq.mean((-2, -1))[:, None].expand(-1, 2, -1)


class Represented(SRModule):
    """A method with a representation of its own."""

    needs_weights = False

    def __init__(self) -> None:
        super().__init__()
        self.net = Roughness()

    def upscale(self, lq: Tensor) -> Tensor:
        return F.interpolate(lq, scale_factor=4)

    def represent(self, lq: Tensor) -> Tensor:
        return self.net(lq)


@pytest.fixture
def analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command on twelve flat images with this module's networks; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "space_networks", _networks())
    rng = np.random.default_rng(0)
    Path("hr").mkdir()
    for i in range(COUNT):
        colour = rng.integers(60, 200, 3, dtype=np.uint8)
        Image.fromarray(np.broadcast_to(colour, (104, 120, 3)).copy()).save(f"hr/{i:02d}.png")

    def command(network: str, *more: str, part: str | None = "net", status: int = 0) -> str:
        model = ["--model", "PixelSR", "--model.init_args.net.class_path", f"space_networks.{network}"]
        if network == "Represented":
            model = ["--model", "space_networks.Represented"]
        given = ["--hr", "hr", "--images", str(COUNT), "--side", "96", "--steps", "30", *model]
        capsys.readouterr()
        returned = main(["analyze", "degradation-space", *given, *(["--part", part] if part else []), *more])
        printed = capsys.readouterr()
        assert returned == status, printed.err + printed.out
        return printed.out + printed.err

    return command


def _networks() -> ModuleType:
    """An importable module, for ``class_path``."""
    module = ModuleType("space_networks")
    for one in (Roughness, Brightness, Represented):
        setattr(module, one.__name__, one)
    return module


OUT = Path("runs/analyze/degradation-space")


def _rows(name: str) -> list[dict[str, str]]:
    with (OUT / name).open() as file:
        return list(csv.DictReader(file))


def test_an_encoder_of_noise_tells_levels_apart(analyze: Callable[..., str]) -> None:
    said = analyze("Roughness", "--values", "light", "heavy")
    [found] = _rows("separation.csv")
    assert float(found["probe_accuracy"]) > 0.8
    assert float(found["silhouette"]) > 0.2
    assert (float(found["chance"]), found["images"], found["channels"]) == (0.5, "12", "3")
    assert f"{float(found['probe_accuracy']):.1%} of held-out images (chance 50.0%)" in said


def test_every_vector_is_in_the_table_and_in_the_picture(analyze: Callable[..., str]) -> None:
    assert "(chance 33.3%), 36 vectors of 3 numbers" in analyze("Roughness")
    points = _rows("points.csv")
    assert len(points) == 3 * COUNT
    assert [p["group"] for p in points[:4]] == ["light", "medium", "heavy", "light"]
    assert sorted({p["image"] for p in points}) == [f"{i:02d}" for i in range(COUNT)]
    picture = ET.fromstring((OUT / "degradation_space.svg").read_text())
    assert len(picture.findall(".//{*}path[@transform]")) == 3 * COUNT + 3


def test_an_encoder_of_content_does_not(analyze: Callable[..., str]) -> None:
    analyze("Brightness", "--values", "light", "heavy")
    [found] = _rows("separation.csv")
    assert float(found["probe_accuracy"]) < 0.75
    assert float(found["silhouette"]) < 0.05


def test_a_method_says_what_its_representation_is(analyze: Callable[..., str]) -> None:
    analyze("Roughness")
    by_part = [(p["x"], p["y"]) for p in _rows("points.csv")]
    analyze("Represented", part=None)
    assert [(p["x"], p["y"]) for p in _rows("points.csv")] == by_part


def test_draws_are_the_seeds_and_groups_are_chosen(analyze: Callable[..., str]) -> None:
    held = []
    for seed in ("0", "0", "1"):
        analyze("Roughness", "--seed", seed, "--values", "heavy", "light", "--projection", "pca")
        held.append((OUT / "points.csv").read_text())
    assert held[0] == held[1] != held[2]
    assert {p["group"] for p in _rows("points.csv")} == {"heavy", "light"}


def test_other_degradations_make_groups(analyze: Callable[..., str]) -> None:
    given = ["--degradation", "degradations/dasr.yaml", "--values", "weak", "severe", "--projection", "pca"]
    analyze("Roughness", *given)
    assert {p["group"] for p in _rows("points.csv")} == {"weak", "severe"}


def test_umap_is_used_where_it_is_installed(analyze: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    class UMAP:
        def __init__(self, *, n_neighbors: int, random_state: int) -> None:
            assert (n_neighbors, random_state) == (15, 0)

        def fit_transform(self, vectors: Any) -> Any:
            return vectors[:, :2]

    module = ModuleType("umap")
    module.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    analyze("Roughness", "--projection", "umap")
    assert len(_rows("points.csv")) == 3 * COUNT
    monkeypatch.setitem(sys.modules, "umap", None)
    assert "pip install umap-learn" in analyze("Roughness", "--projection", "umap", status=2)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--images", "13"], "12 images, not 13"),
        (["--images", "3"], "use 4 or more"),
        (["--side", "112"], "104x120 holds no square of 112"),
        (["--values", "light"], "two or more different values"),
        (["--values", "light", "light"], "two or more different values"),
        (["--values", "light", "heavyy"], "heavyy"),
        (["--key", "levle"], "levle"),
        (["--degradation", "data/photos.yaml"], "it names no data.init_args.degradation"),
        (["--perplexity", "1"], "1 is impossible"),
        (["--layer", "net"], "a part and a layer are two encoders"),
        (["--part", "nett"], "did you mean 'net'"),
        (["--hr", "gone"], "gone"),
    ],
)
def test_bad_input_gets_one_line(analyze: Callable[..., str], more: list[str], said: str) -> None:
    error = analyze("Roughness", *more, status=2).partition("srbench: error: ")[2]
    assert said in error
    assert error.count("\n") == 1


# -------------------------------------------------------------------------------------------------------------- vectors


def test_a_layer_counts_while_an_image_is_restored(one_conv: SRModule) -> None:
    lq = torch.rand(1, 3, 9, 7)
    expected = one_conv.net[0](lq)[0].mean((-2, -1))  # type: ignore[index,operator]
    torch.testing.assert_close(encoder(one_conv, layer_name="net.0")(lq), expected)
    torch.testing.assert_close(encoder(one_conv, part="net.0")(lq), expected)
    with pytest.raises(InputError, match="OneConv has no representation of its own; name by --part"):
        encoder(one_conv)


def test_vectors_tokens_and_maps_are_pooled() -> None:
    tokens, plane = torch.rand(1, 5, 4), torch.rand(1, 4, 2, 3)
    torch.testing.assert_close(pooled(tokens, "x"), tokens[0].mean(0))
    torch.testing.assert_close(pooled(plane, "x"), plane[0].mean((-2, -1)))
    assert torch.equal(pooled((tokens, plane[:, :, 0, 0]), "x"), plane[0, :, 0, 0])


@pytest.mark.parametrize("output", [torch.zeros(3), torch.zeros(2, 3), {}, (), torch.full((1, 3), float("nan"))])
def test_what_is_no_vector_is_refused(output: Any) -> None:
    with pytest.raises(InputError, match=r"^x: its output .* is no vector|^x: it gives NaN"):
        pooled(output, "x")
