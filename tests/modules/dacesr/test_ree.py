"""Stage 1 of DACESR: what learns, what is kept, what is refused, and that lq's representation comes nearer to gt's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from srbench.build import build_model
from srbench.catalog import load_stack
from srbench.cli import main
from srbench.contracts import Batch
from srbench.datamodules.degradations import RealESRGAN, RecipeList
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.images import read_image, to_tensor
from srbench.modules.dacesr.ree import REE, enlarged
from srbench.modules.dacesr.select import draw_recipes
from srbench.modules.nets import lora, ram
from srbench.weights import read_checkpoint

pytest.importorskip("timm")

pytestmark = [
    pytest.mark.filterwarnings("ignore:the preset small has random weights"),
    pytest.mark.filterwarnings("ignore:ree.pth is not written"),
]

TRIAL: dict[str, Any] = {"preset": "small", "start": "ram", "allow_random_backbones": True}


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of outside weights, and no other place where they could lie."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(folder))
    for variable in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    return folder


class _Trainer:
    """As much of a trainer as setup looks at."""

    datamodule: Any = None
    ckpt_path = None


def _ready(**more: Any) -> REE:
    torch.manual_seed(0)
    module = REE(**{**TRIAL, **more})
    module.__dict__["_trainer"] = _Trainer()
    module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    module.setup("fit")
    return module


def _batch(seed: int = 0, count: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    gt = torch.rand(count, 3, 64, 64, generator=rng)
    lq = torch.nn.functional.avg_pool2d(gt, 4)
    return {"lq": lq, "gt": gt, "name": [f"{i}" for i in range(count)]}


def _filled(path: Path) -> dict[str, Tensor]:
    net = ram.attach_low_rank(ram.make_tagger(ram.PRESETS["small"], None))
    for tensor in lora.low_rank_state(net).values():
        tensor.normal_(std=0.2, generator=torch.Generator().manual_seed(tensor.numel()))
    ram.save_low_rank(net, path)
    return {k: v.clone() for k, v in lora.low_rank_state(net).items()}


# ------------------------------------------------------------------------------------------------------------ training


def test_the_loss_is_the_squared_error_of_the_representations() -> None:
    module, batch = _ready(drop_path=0.0), _batch()
    teacher = module.teacher.net
    wanted = teacher.representation(teacher.prepared(batch["gt"]))  # type: ignore[operator]
    found = module.net.representation(module.net.prepared(enlarged(batch)))
    expected = (found - wanted).square().mean()
    torch.testing.assert_close(module.training_step(batch, 0), expected)
    assert expected > 0


def test_soft_cross_entropy_is_an_option() -> None:
    batch = _batch()
    module = _ready(drop_path=0.0, representation_weight=0.0, logits_weight=2.0)
    module.net.eval()  # dropout of the head
    teacher = module.teacher.net
    wanted = torch.sigmoid(teacher.logits(teacher.representation(teacher.prepared(batch["gt"]))))  # type: ignore[operator]
    found = torch.sigmoid(module.net.logits(module.net.representation(module.net.prepared(enlarged(batch)))))
    expected = -(wanted * found.log() + (1 - wanted) * (1 - found).log()).mean()  # as DAPE's code has it
    torch.testing.assert_close(module.training_step(batch, 0), 2 * expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("logits_weight", "layers"), [(0.0, 8), (1.0, 12)])
def test_every_addition_that_a_loss_reaches_learns_and_nothing_else(logits_weight: float, layers: int) -> None:
    module = _ready(logits_weight=logits_weight, drop_path=0.0)
    before = {k: v.clone() for k, v in module.net.state_dict().items()}
    optimizer: Any = module.configure_optimizers()
    for step in range(2):  # A has no gradient while B is zero
        optimizer.zero_grad()
        module.training_step(_batch(step), step).backward()
        optimizer.step()
    changed = {k for k, v in module.net.state_dict().items() if not torch.equal(v, before[k])}
    assert all(".lora_" in name for name in changed)
    assert len(changed) == 2 * layers
    assert any(name.startswith("tagging_head") for name in changed) == (logits_weight > 0)
    assert all(p.grad is None for p in module.teacher.net.parameters())


def test_the_student_trains_and_the_teacher_does_not() -> None:
    module = _ready()
    module.train()
    assert module.net.training
    assert not module.teacher.net.training
    assert not any(p.requires_grad for p in module.teacher.net.parameters())


def test_the_default_optimiser_is_dapes() -> None:
    optimizer: Any = _ready().configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.9, 0.999), 0.0)


@pytest.mark.slow
def test_lq_comes_nearer_to_gt_on_held_out_photographs(shared: Path) -> None:
    """64 photographs to learn from, 32 to judge by; measured: from 0.9160 to 0.9213."""
    files = sorted((shared / "data" / "BSDS400").rglob("*.jpg")) or sorted((shared / "data" / "BSDS400").rglob("*.png"))
    images = [_photograph(file) for file in files[:96]]
    recipes = draw_recipes(RealESRGAN(crop=128), 384, 128, 0)
    seen = [(images[i % 64], recipes[i].apply(images[i % 64]).lq) for i in range(320)]
    held = [(images[64 + i % 32], recipes[320 + i].apply(images[64 + i % 32]).lq) for i in range(64)]
    module, rng = _ready(drop_path=0.0), np.random.default_rng(0)
    before = module.eval().likeness(_stacked(held)).mean().item()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    module.train()
    for step in range(150):
        optimizer.zero_grad()
        module.training_step(_stacked([seen[i] for i in rng.integers(0, 320, size=8)]), step).backward()
        optimizer.step()
    after = module.eval().likeness(_stacked(held)).mean().item()
    assert after > before + 0.003


def _photograph(file: Path) -> Tensor:
    image = Image.fromarray(read_image(file).pixels).resize((128, 128), Image.Resampling.LANCZOS)
    return to_tensor(np.array(image))


def _stacked(pairs: list[tuple[Tensor, Tensor]]) -> Batch:
    gt, lq = (torch.stack(images) for images in zip(*pairs, strict=True))
    return {"gt": gt, "lq": lq, "name": ["x"] * len(pairs)}


# ------------------------------------------------------------------------------------------------- starting and keeping


def test_a_checkpoint_holds_the_additions_alone() -> None:
    module = _ready()
    saved: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(saved)
    assert set(saved["state_dict"]) == {f"net.{name}" for name in lora.low_rank_state(module.net)}
    assert saved["marks"] == ["random_backbones"]
    assert sum(v.numel() for v in saved["state_dict"].values()) * 10 < sum(p.numel() for p in module.parameters())


def _kept(module: REE) -> dict[str, Any]:
    saved: dict[str, Any] = {"state_dict": {k: v.clone() for k, v in module.state_dict().items()}}
    module.on_save_checkpoint(saved)
    return saved


def test_a_checkpoint_is_taken_whole() -> None:
    module = _ready()
    saved = _kept(module)
    for tensor in saved["state_dict"].values():
        tensor.normal_()
    other = _ready()
    other.on_load_checkpoint(saved)
    assert all(torch.equal(v, saved["state_dict"][f"net.{k}"]) for k, v in lora.low_rank_state(other.net).items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.popitem(), "1 of its tensors missing"),
        (lambda s: s.update({"net.conv_first.weight": torch.zeros(1)}), "1 of its tensors unknown"),
        (lambda s: next(iter(s.values())).fill_(float("inf")), "hold NaN or infinity"),
        (lambda s: s.clear(), "24 of its tensors missing"),
    ],
)
def test_another_checkpoint_is_refused(change: Callable[[dict[str, Tensor]], object], said: str) -> None:
    module = _ready()
    saved = _kept(module)
    change(saved["state_dict"])
    with pytest.raises(InputError, match=said):
        module.on_load_checkpoint(saved)


def test_it_starts_from_given_additions(tmp_path: Path) -> None:
    state = _filled(tmp_path / "dape.pth")
    module = _ready(weights=str(tmp_path / "dape.pth"))
    assert all(torch.equal(v, state[k]) for k, v in lora.low_rank_state(module.net).items())
    with torch.no_grad():
        assert not torch.allclose(*(n(n.prepared(_batch()["gt"])) for n in (module.net, module.teacher.net)))  # type: ignore[operator]


def test_it_starts_from_a_checkpoint_and_takes_its_marks(tmp_path: Path) -> None:
    state = {f"net.{k}": v for k, v in _filled(tmp_path / "x.pth").items()}
    held = {"state_dict": state, "pytorch-lightning_version": "2.6", "marks": ["oracle"]}
    torch.save(held, tmp_path / "last.ckpt")
    module = _ready(weights=str(tmp_path / "last.ckpt"))
    assert all(torch.equal(v, state[f"net.{k}"]) for k, v in lora.low_rank_state(module.net).items())
    assert module.marks == ("random_backbones", "oracle")


def test_marks_of_chosen_degradations_are_taken_over() -> None:
    module = REE(**TRIAL)
    trainer: Any = _Trainer()
    trainer.datamodule = type("Data", (), {"degradation": type("D", (), {"marks": ("chosen_at_random",)})()})()
    module.__dict__["_trainer"] = trainer
    module.setup("fit")
    assert module.marks == ("random_backbones", "chosen_at_random")


@pytest.mark.parametrize("teacher", ["ram", "dape"])
def test_a_trial_says_that_it_is_one(teacher: Any) -> None:
    with pytest.warns(UserWarning, match="has random weights, and everything made so is marked"):
        module = _ready(teacher=teacher)
    assert module.marks == ("random_backbones",)
    assert bool(list(lora.low_rank_layers(module.teacher.net))) == (teacher == "dape")


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("start", ["ram", "dape"])
def test_absent_weights_are_refused_with_the_command(start: Any) -> None:
    module = REE(start=start)
    with pytest.raises(
        InputError, match=r"ram_swin_large_14m\.pth: REE needs.*srbench weights fetch ram.*allow_random"
    ):
        module.prepare()
    module.cpu()  # Lightning does so after a failure; nothing has values yet


def test_nobody_published_the_small_preset() -> None:
    with pytest.raises(InputError, match=r"nobody has published weights for the preset small.*allow_random_backbones"):
        REE(preset="small", start="ram").prepare()


def test_other_files_under_the_name_of_weights_are_refused(tmp_path: Path, no_weights: Path) -> None:
    (no_weights / "ram_swin_large_14m.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"another file of that name.*srbench weights check ram"):
        REE(allow_random_backbones=True).prepare()


def test_additions_that_hit_nothing_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth: it holds no low-rank addition"):
        _ready(weights=str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": "rem"}, "'rem' is unknown"),
        ({"teacher": "ree"}, "'ree' is unknown"),
        ({"representation_weight": 0.0}, "leave nothing to learn"),
        ({"logits_weight": -1.0}, "leave nothing to learn"),
        ({"preset": "swin_larg"}, "did you mean 'swin_large'"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        REE(**{**TRIAL, **settings})


def test_it_makes_no_sr() -> None:
    with pytest.raises(InputError, match=r"the extractor makes no sr; give its checkpoint to methods/dacesr/2_pixel"):
        REE(**TRIAL).upscale(torch.zeros(1, 3, 8, 8))


def test_it_represents_an_image_without_a_trainer() -> None:
    """As ``srbench analyze degradation-space`` asks it."""
    module = REE(**TRIAL)
    module.setup("test")
    lq, net = torch.rand(1, 3, 20, 30), module.eval().net
    with torch.no_grad():
        assert torch.equal(module.represent(lq), net.representation(net.prepared(lq)))


def test_its_parts_are_described() -> None:
    parts = describe(["methods/dacesr/1_ree.yaml"], [], (256, 256))["parts"]
    assert parts == {
        "ree": {"params": 212_117_045 + 622_592, "trainable": 577_536},
        "teacher": {"params": 212_117_045, "trainable": 0},
    }


@pytest.mark.parametrize(
    ("name", "start", "logits"),
    [("1_ree", "dape", 0), ("dape", "ram", 1), ("dape_ft1", "dape", 1), ("dape_ft2", "dape", 1)],
)
def test_shipped_configs(name: str, start: str, logits: float) -> None:
    stack = load_stack([f"methods/dacesr/{name}.yaml"])
    with torch.device("meta"):
        module: Any = build_model(stack)
    assert (module.start, module.logits_weight, module.representation_weight) == (start, logits, 1.0)
    degradation = stack["data"]["init_args"]["degradation"]
    chosen = degradation["init_args"].get("path", "").rpartition("/")[2]
    assert chosen == {"1_ree": "severe.json", "dape_ft1": "severe.json", "dape_ft2": "mild.json"}.get(name, "")


# ------------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``srbench fit`` of the shipped config, made small; returns what went to stderr."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, count in (("gt", 4), ("held", 2)):
        Path(folder).mkdir()
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (40 + 8 * i, 56, 3), dtype=np.uint8)).save(f"{folder}/{i}.png")
    recipes = draw_recipes(RealESRGAN(crop=96), 3, 96, 0)
    RecipeList(96, 4, tuple(recipes), source={"marks": []}).write(Path("severe.json"))

    def arguments(folder: str, steps: int, *more: str) -> list[str]:
        return [
            *("fit", "--config", "methods/dacesr/1_ree.yaml", "--config", "data/squashed.yaml"),
            *("--data.init_args.gt", "gt", "--data.init_args.side", "96", "--data.init_args.patch_size", "96"),
            *("--data.init_args.batch_size", "2", "--data.init_args.degradation.init_args.path", "severe.json"),
            *("--model.init_args.preset", "small", "--model.init_args.allow_random_backbones", "true"),
            *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
            *("--trainer.log_every_n_steps", "1", "--trainer.default_root_dir", folder),
            *("--trainer.max_steps", str(steps), *more),
        ]

    def command(folder: str, steps: int, *more: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main(arguments(folder, steps, *more))
        printed = capsys.readouterr()
        assert returned == status, printed.err + printed.out
        return printed.err

    command.arguments = arguments  # type: ignore[attr-defined]
    return command


def test_a_resumed_run_equals_one_that_never_stopped(fit: Any) -> None:
    fit("straight", 5)
    fit("broken", 3)
    fit("broken", 5, "--ckpt_path", "last")
    straight, broken = (read_checkpoint(f"{f}/checkpoints/last.ckpt") for f in ("straight", "broken"))
    assert straight["global_step"] == broken["global_step"] == 5
    for name, tensor in straight["state_dict"].items():
        assert torch.equal(tensor, broken["state_dict"][name]), name
    assert all(".lora_" in name for name in straight["state_dict"])
    assert straight["marks"] == ["random_backbones"]
    assert any(bool(v.any()) for k, v in straight["state_dict"].items() if "qkv.lora_B" in k)
    assert not Path("straight/ree.pth").exists()  # a flat file could not say that it is marked


def test_validation_logs_the_cosine(fit: Any) -> None:
    fit("run", 2, "--data.init_args.val_gt", "held", "--trainer.val_check_interval", "1")
    [log] = Path("run").glob("logs/*/metrics.csv")
    header, *rows = log.read_text().splitlines()
    column = header.split(",").index("metrics/held/cosine")
    values = [float(row.split(",")[column]) for row in rows if row.split(",")[column]]
    assert values
    assert all(0 < value < 1 for value in values)


def test_a_missing_list_names_the_command(fit: Any) -> None:
    said = fit("run", 2, "--data.init_args.degradation.init_args.path", "gone.json", status=2)
    assert "gone.json" in said
    assert "srbench analyze select-degradations" in said


def test_refused_without_weights(fit: Any) -> None:
    said = fit(
        "run",
        2,
        "--model.init_args.preset",
        "swin_large",
        "--model.init_args.allow_random_backbones",
        "false",
        status=2,
    )
    assert "srbench weights fetch ram" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(fit: Any) -> None:
    both = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    for folder, steps, more in (("straight", 4, []), ("broken", 2, []), ("broken", 4, ["--ckpt_path", "last"])):
        command = [sys.executable, "-m", "srbench.cli", *fit.arguments(folder, steps, *both, *more)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
        assert ran.returncode == 0, ran.stderr
    straight, broken = (read_checkpoint(f"{f}/checkpoints/last.ckpt") for f in ("straight", "broken"))
    assert straight["global_step"] == broken["global_step"] == 4
    assert all(torch.equal(v, broken["state_dict"][k]) for k, v in straight["state_dict"].items())


def test_mixed_precision_trains(fit: Any) -> None:
    fit("run", 2, "--trainer.precision", "bf16-mixed")
    state = read_checkpoint("run/checkpoints/last.ckpt")["state_dict"]
    assert all(v.dtype == torch.float32 and bool(torch.isfinite(v).all()) for v in state.values())
    assert any(bool(v.any()) for k, v in state.items() if "qkv.lora_B" in k)
