"""Every shipped config is a test case: it parses strictly, and trains two steps or scores an image as a command."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from srbench import datamodules
from srbench.catalog import config_names, find_config, load_stack, room_folder
from srbench.cli import main
from srbench.datamodules.degradations import RealESRGAN, RecipeList
from srbench.datamodules.layout import Layout
from srbench.datamodules.published_sets import PublishedSets
from srbench.metrics import names as metric_names
from srbench.protocol import load_protocol
from srbench.records import find_records, read_rows
from srbench.weights import read_checkpoint

METHODS = config_names("methods")
DATA = config_names("data")
FITS = [name for name in METHODS if not name.endswith("/test.yaml") and "trainer" in load_stack([name])]
SPANDREL = config_names("methods/spandrel")
COMMANDS = config_names("methods/command")
"""Programs of other authors, in environments that are not here."""

RUNNABLE = [name for name in METHODS if name not in (*FITS, *SPANDREL, *COMMANDS, "methods/image_folder/test.yaml")]
RUNS = [name for name in config_names() if "/" not in name]
"""Configs that hold everything a run needs, such as demo.yaml."""

TRAINS, MADE = ("data/hr_images.yaml", "data/squashed.yaml"), "data/made.yaml"
"""Data to train on alone, and data that a command makes."""

PUBLISHED: dict[str, tuple[Layout, ...]] = {
    name: tuple(found.layouts.values())
    for name in DATA
    if issubclass(found := getattr(datamodules, load_stack([name])["data"]["class_path"].split(".")[-1]), PublishedSets)
}
"""The configs of published sets, with what they hold."""

NEEDS = {
    "methods/image_folder/test.yaml": ["--model.init_args.root", "images", "--model.init_args.name", "Theirs"],
}
"""What a config leaves to the command line, as its first comment says."""

QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
TINY = ["--data.init_args.batch_size", "2", "--data.init_args.patch_size", "32", "--trainer.max_steps", "2"]
TRIAL = [
    *("--model.init_args.allow_random_backbones", "true"),
    *("--model.init_args.previous", "null", "--model.init_args.weights", "null"),
]
"""A GAN stage without VGG19's weights and without the stage before."""

_SMALL_DACESR = [
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.additions", "null"),
    *("--model.init_args.preset", "small", "--model.init_args.encoder_size", "small"),
]
_TRIAL_REE = ["--model.init_args.allow_random_backbones", "true", "--model.init_args.preset", "small"]
_TRIAL_DEGRADATION = "--data.init_args.degradation.init_args"
_SMALL_RECONSTRUCTION = ["--model.init_args.allow_random_backbones", "true", "--model.init_args.preset", "small"]
_SMALL_SRRESNET = '{"class_path": "srbench.modules.SRResNet", "init_args": {"features": 8, "blocks": 1}}'
_ADAPTS_SRRESNET = [
    *_SMALL_RECONSTRUCTION,
    *("--config", "data/unlabelled.yaml", "--data.init_args.of", "srbench.datamodules.Photos"),
    *("--data.init_args.samples_per_epoch", "8", "--data.init_args.patch_size", "128"),
    *("--model.init_args.pretrained", "null", "--model.init_args.model", _SMALL_SRRESNET),
]
ADAPT = [name for name in METHODS if "/2_finetune" in name]
"""Stages that adapt a given network, here a small one, to lq without gt."""
_SMALL_DEEDSR = [
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.learner", "null"),
    *("--model.init_args.size", "tiny", "--model.init_args.short_side", "64", "--model.init_args.steps", "2"),
]
_SMALL_CASSR = [
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.size", "tiny"),
    *("--model.init_args.short_side", "64", "--model.init_args.steps", "2"),
]
_TINY_ACTIVATION = json.dumps(
    {
        "class_path": "srbench.modules.CasSRActivation",
        "init_args": {"size": "tiny", "allow_random_backbones": True, "short_side": 64, "steps": 2, "weights": None},
    }
)
_FEW_STEPS = ["--model.init_args.iterations", "3"]
_SMALL_SRTTA = [
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.classifier_preset", "small"),
    *("--model.init_args.clean_lq", "one", "--model.init_args.learning.iterations", "2"),
    *("--model.init_args.learning.batch", "2", "--model.init_args.learning.patch", "16"),
]
_SRTTA_ON_SRRESNET = [
    *(*_SMALL_SRTTA, "--model.init_args.known", "[blur, noise, jpeg]", "--model.init_args.model", _SMALL_SRRESNET),
    *("--model.init_args.body", "[body]", "--model.init_args.tail", "conv_hr"),
]
_NARROW = ["--model.init_args.features", "8", "--model.init_args.blocks", "1"]
_SMALL_DASR = [*_NARROW, "--model.init_args.experts", "2"]
_SMALL_KDSR = [*_NARROW, "--model.init_args.encoder_blocks", "1"]
_UNTAUGHT = ["--model.init_args.allow_random_backbones", "true", "--model.init_args.pretrained", "null"]
_SMALL_DCLS = [f"--model.init_args.{part}" for part in ("blocks=1", "groups=1", "latent=8")]
_TINY_LDM = [
    *("--model.init_args.allow_random_backbones", "true", "--model.init_args.size", "tiny"),
    *("--model.init_args.steps", "2"),
]
# Of seed 0 all rectified units of one attention are born without gradient.
_WIDE_PATCH = ["--data.init_args.patch_size", "128", "--seed_everything", "1"]
DCLS_FITS = ("1_isotropic", "1_anisotropic")
_SMALL_CROP = [f"{_TRIAL_DEGRADATION}.crop", "128"]
TRIALS = {
    **{f"methods/zssr/{name}.yaml": _FEW_STEPS for name in ("test", "gradual", "real")},
    **{
        f"methods/kernelgan/{name}.yaml": ["--model.init_args.upscaler.init_args.iterations", "3"]
        for name in ("test", "real")
    },
    **{f"methods/srtta/{name}.yaml": _SMALL_SRTTA for name in ("test", "domain", "lifelong")},
    **{f"methods/srtta/{name}.yaml": _SRTTA_ON_SRRESNET for name in ("realesrgan", "swinir")},
    "methods/srtta/1_classifier.yaml": [
        *("--model.init_args.allow_random_backbones", "true", "--model.init_args.preset", "small"),
        *("--data.init_args.scale", "2"),
    ],
    "methods/zssr/kernel.yaml": [*_FEW_STEPS, "--model.init_args.kernel", "one/baby.png"],
    "methods/dacesr/1_ree.yaml": [*_TRIAL_REE, f"{_TRIAL_DEGRADATION}.path", "chosen.json"],
    "methods/dacesr/dape.yaml": [*_TRIAL_REE, f"{_TRIAL_DEGRADATION}.crop", "128"],
    "methods/dacesr/dape_ft1.yaml": [*_TRIAL_REE, f"{_TRIAL_DEGRADATION}.path", "chosen.json"],
    "methods/dacesr/dape_ft2.yaml": [*_TRIAL_REE, f"{_TRIAL_DEGRADATION}.path", "chosen.json"],
    "methods/dacesr/2_pixel.yaml": _SMALL_DACESR,
    "methods/dacesr/3_gan.yaml": [*_SMALL_DACESR, *TRIAL[2:]],
    "methods/dacesr/test.yaml": _SMALL_DACESR,
    "methods/hraware/1_pretrain.yaml": [*_SMALL_RECONSTRUCTION, "--data.init_args.patch_size", "96"],
    "methods/lway/1_pretrain.yaml": _SMALL_RECONSTRUCTION,
    **dict.fromkeys(ADAPT, _ADAPTS_SRRESNET),
    "methods/dasr/1_pixel.yaml": [*_SMALL_DASR, *_SMALL_CROP],
    "methods/dasr/2_gan.yaml": [*_SMALL_DASR, *_SMALL_CROP, *TRIAL],
    "methods/dasr/test.yaml": _SMALL_DASR,
    "methods/kdsr/1_teacher.yaml": [*_SMALL_KDSR, *_SMALL_CROP],
    "methods/kdsr/2_student.yaml": [*_SMALL_KDSR, *_SMALL_CROP, *_UNTAUGHT],
    "methods/kdsr/3_gan.yaml": [*_SMALL_KDSR, *_SMALL_CROP, *_UNTAUGHT, *TRIAL],
    "methods/kdsr/test.yaml": _SMALL_KDSR,
    **{f"methods/dcls/{name}.yaml": [*_SMALL_DCLS, *_WIDE_PATCH] for name in DCLS_FITS},
    **{f"methods/dcls/{name}.yaml": _SMALL_DCLS for name in ("test", "setting2")},
    "methods/dvmsr/distil.yaml": [
        *("--model.init_args.allow_random_backbones", "true", "--model.init_args.teacher", "null"),
        *("--model.init_args.teacher_preset", "student"),
    ],
    "methods/deedsr/2_adapter.yaml": [
        *("--data.init_args.patch_size", "128", "--trainer.accumulate_grad_batches", "1"),
        *_SMALL_DEEDSR,
    ],
    "methods/deedsr/test.yaml": _SMALL_DEEDSR,
    "methods/ldm/test.yaml": _TINY_LDM,
    "methods/cassr/1_activation.yaml": [
        *_SMALL_CASSR,
        *("--data.init_args.patch_size", "64", f"{_TRIAL_DEGRADATION}.crop", "128"),
    ],
    "methods/cassr/2_cassr.yaml": [  # behind three zero-initialised layers nothing would learn in two steps
        *(*_SMALL_CASSR, "--model.init_args.zero_init", "false", "--data.init_args.patch_size", "128"),
        *("--model.init_args.reference", "external", "--model.init_args.reference_model", "srbench.modules.Bicubic"),
    ],
    "methods/cassr/test.yaml": [
        *(*_SMALL_CASSR, "--model.init_args.weights", "null"),
        *("--model.init_args.reference_model", _TINY_ACTIVATION),
    ],
    "methods/deedsr/1_learner.yaml": [
        *("--model.init_args.preset", "small", "--model.init_args.channels", "16", "--model.init_args.queue", "8"),
        *(f"{_TRIAL_DEGRADATION}.crop", "128"),
    ],
}
"""The same for methods with further frozen parts, which are made small."""

LOSSES = {
    "methods/dvmsr/distil.yaml": 2,
    "methods/dasr/1_pixel.yaml": 2,
    "methods/dasr/2_gan.yaml": 6,
    "methods/kdsr/2_student.yaml": 2,
    "methods/kdsr/3_gan.yaml": 6,
    **{f"methods/dcls/{name}.yaml": 2 for name in DCLS_FITS},
    "methods/hraware/1_pretrain.yaml": 3,
    "methods/lway/1_pretrain.yaml": 2,
    **{name: 2 if "/lway/" in name else 3 for name in ADAPT},
    **{f"methods/dacesr/{name}.yaml": 2 for name in ("dape", "dape_ft1", "dape_ft2")},
}
"""How many losses are logged, where it is neither one nor the five of a GAN stage."""


LARGER = ("cassr", "deedsr", "srtta")
"""Methods for which an image has to have 64 pixels: on latents, or so that there is something to learn from."""


class Ran(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench ARGUMENTS`` in this process and a fresh folder; torch's import would cost 10 s a config."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, status: int = 0) -> Ran:
        capsys.readouterr()
        try:
            returned = main(list(arguments))
        except SystemExit as stop:  # --print_config ends the process
            returned = int(stop.code or 0)
        ran = Ran(returned, *capsys.readouterr())
        assert returned == status, ran.err + ran.out
        return ran

    return command


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    """A test set of one 48x40 image, laid out as ``sets/Set5/HR``."""
    folder = tmp_path / "sets" / "Set5" / "HR"
    folder.mkdir(parents=True)
    y, x = np.mgrid[:48, :40]
    waves = np.stack([np.sin(x / 5 + y / 9), np.cos(y / 6), np.sin((x - y) / 7)], -1)
    for name in ("baby", "bird", "butterfly", "head", "woman"):
        Image.fromarray((waves * 90 + 128).astype(np.uint8)).save(folder / f"{name}.png")
        if not (tmp_path / "one").exists():
            (tmp_path / "one").mkdir()
            Image.fromarray((waves * 90 + 128).astype(np.uint8)).save(tmp_path / "one" / f"{name}.png")
    return folder


@pytest.fixture
def one(tmp_path: Path, hr: Path) -> list[str]:
    """Arguments that choose one test image."""
    return ["--config", "data/image_pairs.yaml", "--data.init_args.test_gt", str(tmp_path / "one"), *QUIET]


# ------------------------------------------------------------------------------------------------------------ parsing


def _command(name: str) -> str:
    return "fit" if name in (*FITS, *RUNS) else "test"


def _parsed(run: Run, *arguments: str) -> dict[str, Any]:
    held = yaml.safe_load(run(*arguments, "--print_config").out)
    assert isinstance(held, dict)
    return held


def _agree(given: Any, parsed: Any, where: str) -> None:
    """Everything that the file says is in what was parsed, with the value it has there."""
    if isinstance(given, list) and len(given) == len(parsed or []):
        for i, (item, other) in enumerate(zip(given, parsed, strict=True)):
            _agree(item, other, f"{where}[{i}]")
        return
    if not isinstance(given, dict):
        assert parsed == given, where
        return
    for key, value in given.items():
        assert key in parsed, f"{where}.{key}"
        if not (key == "class_path" and str(value).startswith("srbench.")):  # Photos may resolve to where it is defined
            _agree(value, parsed[key], f"{where}.{key}")


@pytest.mark.parametrize("name", [*METHODS, *RUNS])
def test_it_parses_to_what_it_says(run: Run, name: str) -> None:
    data = [] if name in RUNS else ["--config", "data/photos.yaml"]
    parsed = _parsed(run, _command(name), "--config", name, *data, *NEEDS.get(name, []))
    _agree(load_stack([name]), parsed, name)
    assert parsed["model"]["init_args"]["scale"] == 4


@pytest.mark.parametrize("name", DATA)
def test_data_parses_behind_any_method_and_keeps_its_sizes(run: Run, name: str) -> None:
    parsed = _parsed(run, "fit", "--config", "methods/edsr/fit.yaml", "--config", name)
    _agree(load_stack([name]), parsed, name)
    assert (parsed["data"]["init_args"]["batch_size"], parsed["data"]["init_args"]["patch_size"]) == (16, 192)
    assert not {"batch_size", "patch_size"} & load_stack([name])["data"]["init_args"].keys()


@pytest.mark.parametrize("name", [*METHODS, *DATA, *RUNS])
@pytest.mark.parametrize("place", ["section", "init_args"])
def test_a_key_it_must_not_have_is_refused(run: Run, tmp_path: Path, name: str, place: str) -> None:
    stack = load_stack([name])
    section = "data" if name in DATA else "model"
    inner = stack[section]["init_args"] if place == "init_args" else stack
    inner["scael"] = 4
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(stack))
    beside = ["--config", "methods/edsr/fit.yaml"] if name in DATA else ["--config", "data/photos.yaml"]
    command = "fit" if name in DATA else _command(name)
    ran = run(command, *beside, "--config", "changed.yaml", *NEEDS.get(name, []), "--print_config", status=2)
    assert "'scael'" in _error(ran)
    assert place == "section" or "did you mean 'scale'?" in ran.err


@pytest.mark.parametrize("name", config_names())
def test_its_first_line_says_what_it_is(name: str) -> None:
    text = find_config(name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "\t" not in text
    assert text.startswith("name:" if name.startswith(("protocols/", "cards/")) else "# ")


def test_no_kind_of_config_escapes_these_tests() -> None:
    kinds = (
        "cards",
        "protocols",
        "tables",
        "weights",
        "degradations",
        "ablations",
        "trials",
    )  # they have tests of their own
    elsewhere = [name for kind in kinds for name in config_names(kind)]
    assert sorted(
        [*FITS, *RUNNABLE, *SPANDREL, *COMMANDS, "methods/image_folder/test.yaml", *DATA, *RUNS, *elsewhere]
    ) == (config_names())
    assert {name.split("/")[1] for name in FITS} >= {
        "bsrgan",
        "dvmsr",
        "edsr",
        "realesrgan",
        "rrdb",
        "srresnet",
        "swinir",
    }
    assert {name.split("/")[1] for name in RUNNABLE} >= {"bicubic", "dvmsr", "edsr", "rrdb", "srresnet"}


# ----------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("name", [*FITS, *RUNS])
def test_it_trains(run: Run, tmp_path: Path, name: str) -> None:
    data = [] if name in RUNS else ["--config", "data/photos.yaml"]
    rest = ["--trainer.log_every_n_steps", "1", "--trainer.default_root_dir", "run", *QUIET]
    adversarial = "discriminator" in load_stack([name])["model"]["init_args"]
    trial = TRIALS.get(name, TRIAL if adversarial else [])
    if "chosen.json" in trial:  # what srbench analyze select-degradations would have chosen
        recipe = RealESRGAN().draw(np.random.default_rng(0), 128, 128)
        RecipeList(128, 4, (recipe,)).write(Path("chosen.json"))
    run("fit", "--config", name, *data, *TINY, *trial, *rest)
    [log] = Path("run").glob("logs/*/metrics.csv")
    rows = list(csv.DictReader(log.open()))
    losses = {k: [float(row[k]) for row in rows if row[k]] for k in rows[0] if k.startswith("losses/l_")}
    assert len(losses) == LOSSES.get(name, 5 if adversarial else 1)
    assert all(len(values) == 2 for values in losses.values())
    assert all(math.isfinite(loss) and loss > 0 for values in losses.values() for loss in values)
    _check_steps(read_checkpoint("run/checkpoints/last.ckpt"), load_stack([name])["model"]["init_args"])


def _check_steps(saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Two steps of the optimisers that the config names reached every weight."""
    assert saved["global_step"] == 2
    networks = ["", "discriminator_"] if "discriminator" in given else [""]
    for network, optimizer, scheduler in zip(networks, saved["optimizer_states"], saved["lr_schedulers"], strict=True):
        _check_optimizer(optimizer, given.get(f"{network}optimizer", given["optimizer"])["init_args"])
        settings = given.get(f"{network}scheduler", given["scheduler"])["init_args"]
        for key in ("T_0", "T_max", "eta_min", "gamma"):
            assert key not in settings or scheduler[key] == settings[key]
    assert all(bool(torch.isfinite(t).all()) for t in saved["state_dict"].values() if t.is_floating_point())


def _check_optimizer(optimizer: dict[str, Any], settings: dict[str, Any]) -> None:
    [group] = optimizer["param_groups"]
    assert group["initial_lr"] == settings["lr"]
    assert len(optimizer["state"]) == len(group["params"]) > 0
    if "momentum" in settings:  # SGD
        assert group["momentum"] == settings["momentum"]
        first = seen = "momentum_buffer"
    else:
        assert list(group["betas"]) == settings["betas"]
        assert all(state["step"] == 2 for state in optimizer["state"].values())
        first, seen = "exp_avg", "exp_avg_sq"
    assert all(bool(torch.isfinite(state[first]).all()) for state in optimizer["state"].values())
    moved = [bool(state[seen].any()) for state in optimizer["state"].values()]
    assert all(moved), f"{moved.count(False)} of {len(moved)} weights had no gradient"


# ------------------------------------------------------------------------------------------------------------ testing


@pytest.mark.parametrize("name", RUNNABLE)
def test_it_scores_an_image(run: Run, one: list[str], tmp_path: Path, name: str) -> None:
    if name.split("/")[1] in LARGER:
        for file in (tmp_path / "one").iterdir():
            with Image.open(file) as image:
                image.resize((80, 96)).save(file)
    run("test", "--config", name, *one, *TRIALS.get(name, []), "--benchmark.out", "records")
    _one_record("records")


def test_finished_images_are_scored(run: Run, one: list[str], tmp_path: Path) -> None:
    given = ["--model.init_args.root", str(tmp_path / "one"), "--model.init_args.name", "Truth"]
    run("test", "--config", "methods/image_folder/test.yaml", *given, *one, "--benchmark.out", "records")
    record = _one_record("records")
    assert record.method == "Truth"
    assert record.metrics["ssim_y219"].mean == 1.0


def _one_record(out: str) -> Any:
    [(path, record)] = find_records([Path(out)])
    assert (record.n, record.scale, record.protocol) == (1, 4, "y219_crop4")
    [row] = read_rows(path)
    assert set(row.values) == {"psnr_y219", "ssim_y219"}
    value = row.values["ssim_y219"]
    assert value is not None
    assert -1 <= value <= 1
    return record


@pytest.mark.usefixtures("hr")
@pytest.mark.parametrize("name", [name for name in DATA if name not in (*PUBLISHED, *TRAINS, MADE)])
def test_data_is_found(run: Run, name: str) -> None:
    given = {
        "data/classical.yaml": ["--data.init_args.root", "sets"],
        "data/image_pairs.yaml": ["--data.init_args.test_gt", "sets/Set5/HR"],
        "data/triples.yaml": ["--data.init_args.test_gt", "sets/Set5/HR"],
        "data/images.yaml": ["--data.init_args.root", "sets/Set5/HR"],
        "data/unlabelled.yaml": ["--data.init_args.root", "sets/Set5/HR"],
    }.get(name, [])
    run("predict", "--model", "Bicubic", "--config", name, *given, *QUIET, "--benchmark.out", "sr")
    [folder] = [p for p in Path("sr").iterdir() if p.is_dir()]
    assert len(list(folder.glob("*.png"))) == (2 if name == "data/photos.yaml" else 5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sets_are_found(
    run: Run, tmp_path: Path, miniatures: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The first three images of each of its sets; the whole numbers are checked in tests/datamodules."""
    layouts = [lay for lay in PUBLISHED[name] if not (lay.training or lay.on_request)]
    for layout in layouts:
        miniatures.make(layout, tmp_path / "sets", count=3, side=16)
    monkeypatch.setenv("SRBENCH_DATA", str(tmp_path / "sets"))
    partly = ["--data.init_args.allow_partial", "true", "--benchmark.out", "sr"]
    run("predict", "--model", "Bicubic", "--config", name, *QUIET, *partly)
    made = {p.name: len(list(p.glob("*.png"))) for p in Path("sr").iterdir() if p.is_dir()}
    assert sorted(made.values()) == [3] * len(layouts), made


@pytest.mark.parametrize("name", [n for n, layouts in PUBLISHED.items() if any(lay.training for lay in layouts)])
def test_published_sets_are_trained_on(
    run: Run, tmp_path: Path, miniatures: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for layout in PUBLISHED[name]:
        if layout.training and layout.gt:
            miniatures.make(layout, tmp_path / "sets", side=40)
    monkeypatch.setenv("SRBENCH_DATA", str(tmp_path / "sets"))
    rest = ["--trainer.limit_val_batches", "0", "--data.init_args.samples_per_epoch", "8", *TINY, *QUIET]
    small = ["--model.init_args.features", "8", "--model.init_args.blocks", "1"]
    run("fit", "--config", "methods/srresnet/fit.yaml", "--config", name, *small, *rest)


def test_a_made_set_is_found(run: Run, hr: Path) -> None:
    for file in hr.iterdir():  # the degradations blur with kernels of 21 pixels after shrinking
        with Image.open(file) as image:
            image.resize((160, 192)).save(file)
    run("data", "make", "div2k_levels", "--hr", "sets/Set5/HR", "--out", "made", "--workers", "1")
    given = ["--data.init_args.root", "made", *QUIET, "--benchmark.out", "sr"]
    run("predict", "--model", "Bicubic", "--config", MADE, *given)
    assert [len(list(p.glob("*.png"))) for p in Path("sr").iterdir() if p.is_dir()] == [5, 5, 5]


@pytest.mark.usefixtures("hr")
@pytest.mark.parametrize("name", TRAINS)
def test_photographs_are_trained_on(run: Run, name: str) -> None:
    small = ["--model.init_args.features", "8", "--model.init_args.blocks", "1", "--trainer.limit_val_batches", "0"]
    given = ["--data.init_args.gt", "sets/Set5/HR", "--data.init_args.samples_per_epoch", "8", *TINY, *QUIET]
    run("fit", "--config", "methods/srresnet/fit.yaml", "--config", name, *small, *given)


@pytest.mark.parametrize("name", sorted(set(DATA) - {"data/photos.yaml"}))
def test_data_that_is_not_there_is_asked_for_in_one_line(run: Run, name: str) -> None:
    assert "data" in _error(run("test", "--model", "Bicubic", "--config", name, *QUIET, status=2))


def _error(ran: Ran) -> str:
    """The one line that ends what was printed."""
    before, _, line = ran.err.partition("srbench: error: ")
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1, line
    assert not before or before.endswith("\n")
    return line


@pytest.mark.parametrize("name", SPANDREL)
def test_a_checkpoint_that_is_not_here_is_named(run: Run, one: list[str], name: str) -> None:
    command = ["test", "--config", name, *one, "--benchmark.out", "records"]
    missing = _error(run(*command, "--model.init_args.weights", "not/here.pth", status=2))
    assert "not/here.pth: there is no such file" in missing
    asked = _error(run("describe", "--config", name, status=2))
    assert "--model.init_args.weights FILE" in asked
    if not name.endswith("/test.yaml"):  # the one for any checkpoint
        for line in (missing, asked):
            assert re.search(r"[\w+.-]+\.pth\b.*", line.partition("; ")[2])
            assert "https://" in line
    assert not list(Path("records").rglob("record.json"))


def test_weights_that_were_not_named_are_asked_for(run: Run, one: list[str]) -> None:
    ran = run("test", "--config", "methods/spandrel/hat.yaml", *one, "--benchmark.out", "records", status=2)
    assert "--model.init_args.weights FILE" in _error(ran)
    assert not list(Path("records").rglob("record.json"))


@pytest.mark.parametrize("name", [name for name in SPANDREL if not name.endswith("/test.yaml")])
def test_it_says_which_checkpoint_of_which_paper(name: str) -> None:
    text = find_config(name).read_text(encoding="utf-8")
    comment = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert re.search(r"\(\w+ et al\. 20\d\d\): [\w+.-]+\.pth\b", comment)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_runs_with_permission_only_and_says_how_to_get_it(
    run: Run, one: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments = load_stack([name])["model"]["init_args"]
    monkeypatch.delenv(arguments["home_variable"], raising=False)
    command = ["test", "--config", name, *one, "--benchmark.out", "records"]
    refused = _error(run(*command, status=2))
    assert all(word in refused for word in ("conda", *arguments["command"][:2], "--allow-commands"))
    missing = _error(run(*command, "--allow-commands", status=2))
    assert "https://github.com/" in missing
    assert arguments["home_variable"] in missing
    assert not list(Path("records").rglob("record.json"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_is_told_where_images_lie_and_how_large_they_shall_be(name: str) -> None:
    arguments = load_stack([name])["model"]["init_args"]
    given = " ".join([*arguments["command"], arguments.get("working", "")])
    assert all(word in given for word in ("{lq_dir}", "{out_dir}", "{scale}", "{seed}"))
    text = find_config(name).read_text(encoding="utf-8")
    assert "git clone https://github.com/" in text.partition("model:")[0]
    assert re.search(r"Licence:\s", text)
    assert re.search(r"commit [0-9a-f]{7}", text.replace("\n#", ""))


# ---------------------------------------------------------------------------------------------------------- protocols


@pytest.mark.parametrize("name", config_names("protocols"))
def test_a_protocol_loads_under_its_name_and_every_metric_exists(name: str) -> None:
    protocol = load_protocol(Path(name).stem)
    assert protocol.name == Path(name).stem
    assert protocol.metrics
    assert protocol.source
    assert {spec.metric for spec in protocol.metrics} <= set(metric_names())


def test_every_json_is_valid() -> None:
    files = sorted(room_folder("configs").rglob("*.json"))
    assert files
    for file in files:
        assert json.loads(file.read_text(encoding="utf-8"))
