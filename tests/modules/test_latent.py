"""What methods on a latent diffusion model share: restoring, training, resuming, refusing."""

from __future__ import annotations

import os
import re
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

from srbench.cli import main
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.records import find_records, read_rows
from srbench.weights import read_checkpoint

from .plain_latent import PlainLatent

TINY: dict[str, Any] = {
    "size": "tiny",
    "family": "sd15",
    "steps": 2,
    "latent_tile": 16,
    "latent_overlap": 8,
    "vae_tile": 128,
    "vae_overlap": 64,
    "short_side": 64,
    "allow_random_backbones": True,
}


def _method(**changes: Any) -> PlainLatent:
    made = PlainLatent(**{**TINY, **changes}).eval()
    made.setup("test")
    return made


def _lq(height: int = 16, width: int = 16, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(height * width))


# ----------------------------------------------------------------------------------------------------------- restoring


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")


def test_an_images_noise_comes_from_its_name_and_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    method, lq = _method(eta=1.0), _lq(count=2)
    both = method.restore(Batch(lq=lq, name=["a", "b"]))
    turned = method.restore(Batch(lq=lq.flip(0), name=["b", "a"]))
    alone = _method(eta=1.0).restore(Batch(lq=lq[1:], name=["b"]))
    assert torch.equal(both, turned.flip(0))
    assert torch.equal(both[1:], alone)
    renamed = method.restore(Batch(lq=lq[1:], name=["c"]))
    assert not torch.equal(renamed, alone)
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert not torch.equal(method.restore(Batch(lq=lq[1:], name=["b"])), alone)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    method.repeat = 1
    assert not torch.equal(method.restore(Batch(lq=lq[1:], name=["b"])), alone)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (40, 23)])
def test_any_size_comes_out_four_times_as_large(size: tuple[int, int]) -> None:
    sr = _method().upscale(_lq(*size))
    assert tuple(sr.shape) == (1, 3, 4 * size[0], 4 * size[1])
    assert 0 <= sr.min() <= sr.max() <= 1
    assert bool(torch.isfinite(sr).all())


def test_tiled_equals_untiled_where_one_tile_suffices() -> None:
    lq = _lq(32, 32)  # a latent of 16x16
    whole = _method(latent_tile=None, vae_tile=None).upscale(lq)
    assert torch.equal(_method().upscale(lq), whole)
    assert not torch.equal(_method(latent_tile=8, latent_overlap=0).upscale(lq), whole)


def test_a_larger_sample_has_no_seam_and_sees_nothing_larger_than_a_window() -> None:
    method = _method(vae_tile=None)
    seen = set()
    method.unet.register_forward_pre_hook(lambda module, given: seen.add(tuple(given[0].shape[-2:])))
    z_lr = torch.zeros(1, 4, 48, 48)
    # Latents before decoding: the noise of neighbouring windows differs, and is mixed in every step.
    predict = sd.aggregated(method._guided, method.cropped, z_lr, (48, 48), tile=16, overlap=8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        made = sd.sample(predict, z_lr, lambda: sd.normal(z_lr, [generator]), sd.Sampling(4))
    assert seen == {(16, 16)}
    across = (made[..., 1:] - made[..., :-1]).abs().mean(dim=(0, 1, 2))
    borders = torch.zeros(47, dtype=torch.bool)
    borders[[edge - 1 for edge in range(8, 48, 8)]] = True
    assert across[borders].max() <= across[~borders].max()
    assert across[borders].mean() <= across[~borders].mean() + across[~borders].std()


@pytest.mark.parametrize(
    "changes", [{"start": "lr"}, {"start": "guided"}, {"eta": 1.0}, {"guidance": 4.0}, {"colour": "adain"}]
)
def test_every_setting_changes_the_image(changes: dict[str, Any]) -> None:
    lq = _lq()
    assert not torch.equal(_method(**changes).upscale(lq), _method().upscale(lq))


def test_guidance_is_its_formula() -> None:
    method, x, z = _method(guidance=4.0), torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    t = torch.tensor([500])
    with torch.no_grad():
        with_, without = method.predict_noise(x, t, z), method.predict_noise(x, t, torch.zeros_like(z))
        made = method._guided(x, 500, z)
    torch.testing.assert_close(made, without + 4.0 * (with_ - without))


def test_slices_of_attention_change_nothing_but_rounding() -> None:
    lq = _lq()
    torch.testing.assert_close(_method(slicing=True).upscale(lq), _method().upscale(lq), atol=1e-4, rtol=0)


def test_colours_are_those_of_lq() -> None:
    lq = _lq(24, 24) * 0.2 + 0.7
    sr = _method(colour="adain").upscale(lq)
    assert (sr.mean(dim=(-2, -1)) - lq.mean(dim=(-2, -1))).abs().max() < 0.02


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_is_near_and_training_is_not_in_it(half: str) -> None:
    method, lq = _method(half=half), _lq()
    assert {p.dtype for p in method.unet.parameters()} == {getattr(torch, half)}
    assert method.share.dtype == torch.float32
    done = method.test_step(Batch(lq=lq, name=["a"]), 0)
    assert "notes" not in done
    full = _method().test_step(Batch(lq=lq, name=["a"]), 0)
    assert (done["sr"] - full["sr"]).abs().mean() < 0.02
    method.setup("fit")
    assert {p.dtype for p in method.parameters()} == {torch.float32}


def test_what_overflows_in_half_precision_is_remarked_and_finite() -> None:
    method = _method(half="float16")
    with torch.no_grad():
        method.unet.get_submodule("conv_out").get_parameter("weight").fill_(6e4)
        method.unet.get_submodule("conv_out").get_parameter("bias").fill_(6e4)
    with torch.inference_mode():
        done = method.test_step(Batch(lq=_lq(), name=["a"]), 0)
    assert done["notes"][0][0] == "not finite in float16: sampled in float32"
    assert bool(torch.isfinite(done["sr"]).all())
    assert {p.dtype for p in method.unet.parameters()} == {torch.float16}


def test_the_base_is_loaded_by_the_names_from_before_a_method_wrapped_it(tmp_path: Path) -> None:
    unet: Any = sd.make_unet("sd15", "tiny")
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.mul_(1.5)
    unet.save_pretrained(tmp_path / "unet")
    sd.make_vae("tiny").save_pretrained(tmp_path / "vae")  # type: ignore[operator]
    method = PlainLatent(**{**TINY, "allow_random_backbones": False, "base": str(tmp_path)})
    method.unet.mid_block = torch.nn.Sequential(method.unet.get_submodule("mid_block"))
    method.prepare()
    assert method.marks == ()
    expected = unet.state_dict()["mid_block.resnets.0.conv1.weight"]
    assert torch.equal(dict(method.unet.named_parameters())["mid_block.0.resnets.0.conv1.weight"], expected)


def test_a_random_base_is_stamped() -> None:
    assert _method().marks == ("random_backbones",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scale": 3}, "scale 3 does not divide 64"),
        ({"latent_tile": 12}, "latent_tile: tiles of 12"),
        ({"vae_overlap": 128}, "vae_tile: tiles of 128"),
        ({"eta": 2.0}, "eta 2.0 is impossible"),
        ({"size": "huge"}, "no size 'huge'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        PlainLatent(**{**TINY, **changes})


def test_parts_are_named_and_counted() -> None:
    parts = _method().parts()
    assert set(parts) == {"net", "unet", "vae"}
    assert sum(p.numel() for p in parts["net"].parameters()) == 210_860


# ------------------------------------------------------------------------------------------------------------ training


def _batch(count: int = 2, side: int = 64) -> Batch:
    gt = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    return Batch(lq=torch.nn.functional.avg_pool2d(gt, 4), gt=gt, name=[str(i) for i in range(count)])


def test_the_loss_is_the_error_of_the_noise_at_the_drawn_steps() -> None:
    from srbench.modules.nets.stable_diffusion.training import drawn_steps, sample_generators

    method, batch = PlainLatent(**TINY), _batch()
    loss = method.training_step(batch, 0)
    generators = sample_generators(2, rank=0, step=0, part=0)
    t = drawn_steps(generators)
    z_gt = sd.drawn(sd.moments(method.vae.net, batch["gt"] * 2 - 1), generators)
    noise = sd.normal(z_gt, generators)
    z_lr = sd.drawn(sd.moments(method.vae.net, method.enlarged(batch["lq"])), generators)
    kept = method.diffusion.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    x_t = kept.sqrt() * z_gt + (1 - kept).sqrt() * noise
    expected = (method.predict_noise(x_t, t, z_lr) - noise).square().mean()
    torch.testing.assert_close(loss, expected)


def test_it_learns_and_only_what_is_to_be_trained_moves() -> None:
    method = PlainLatent(**TINY, optimizer=lambda p: torch.optim.Adam(p, lr=1e-2))
    frozen = {n: p.clone() for n, p in method.named_parameters() if not p.requires_grad}
    optimizer: Any = method.configure_optimizers()
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = method.training_step(_batch(), 0)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(torch.equal(p, frozen[n]) for n, p in method.named_parameters() if n in frozen)
    assert len(method.state_dict()) == 2 + sum("attn2" in n for n, _ in method.unet.named_parameters())


def test_recomputing_blocks_gives_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        method = PlainLatent(**TINY, checkpointing=checkpointing)
        method.training_step(_batch(), 0).backward()
        gradients.append([p.grad.clone() for p in method.parameters() if p.grad is not None])
    assert len(gradients[0]) > 2
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, atol=1e-6, rtol=1e-4)


def test_patches_that_cannot_be_encoded_are_refused() -> None:
    with pytest.raises(InputError, match="48x48 cannot be encoded"):
        PlainLatent(**TINY).training_step(_batch(side=48), 0)


# ------------------------------------------------------------------------------------------------- through the command

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench ARGUMENTS`` on three photographs, in a fresh folder, with the method above as a user's module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "gt").mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (64, 64 + 4 * i, 3), dtype=np.uint8)).save(tmp_path / "gt" / f"im{i}.png")
    settings = [f"--model.init_args.{key}={value}" for key, value in TINY.items()]
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]

    def command(kind: str, *arguments: str, status: int = 0) -> str:
        data = ["--data", "ImagePairs", "--data.test_gt", "gt", "--data.test_name", "three", "--data.train_gt", "gt"]
        sizes = ["--data.batch_size", "1", "--data.patch_size", "64", "--data.samples_per_epoch", "4"]
        given = ["--model", "plain_latent.PlainLatent", *settings, *data, *sizes, *quiet, *arguments]
        capsys.readouterr()
        returned = main([kind, *given])
        shown = capsys.readouterr()
        assert returned == status, shown.err + shown.out
        return shown.out + shown.err

    return command


def _rows(out: str) -> dict[str, Any]:
    [(path, record)] = find_records([Path(out)])
    assert "random_backbones" in record.marks
    return {row.name: row.values for row in read_rows(path)}


def test_it_trains_resumes_and_is_scored(run: Run) -> None:
    def fit(folder: str, steps: int, *more: str) -> Any:
        run("fit", "--trainer.max_steps", str(steps), "--trainer.default_root_dir", folder, *more)
        return read_checkpoint(Path(folder) / "checkpoints" / "last.ckpt")

    straight = fit("straight", 3)
    fit("broken", 1)
    broken = fit("broken", 3, "--ckpt_path", "last")
    state = straight["state_dict"]
    assert {name.split(".")[0] for name in state} == {"share", "context", "unet"}
    assert all("attn2" in name for name in state if name.startswith("unet."))
    assert all(torch.equal(value, broken["state_dict"][name]) for name, value in state.items())
    checkpoint = ["--model.init_args.weights", "straight/checkpoints/last.ckpt"]
    run("test", *checkpoint, "--benchmark.out", "records")
    assert set(_rows("records")) == {"im0", "im1", "im2"}


def test_a_killed_sampling_run_goes_on_at_the_next_image_with_the_same_noise(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("test", "--benchmark.out", "whole", "--model.init_args.eta", "1.0")
    restored: list[str] = []
    restore = PlainLatent.restore

    def watched(self: Any, batch: Batch) -> Tensor:
        if restored == ["im0"]:
            raise KeyboardInterrupt
        restored.extend(batch["name"])
        return restore(self, batch)

    # The command imports the user's module by its own name: another class object than the one imported here.
    import plain_latent  # type: ignore[import-not-found]

    monkeypatch.setattr(plain_latent.PlainLatent, "restore", watched)
    assert "interrupted" in run("test", "--benchmark.out", "killed", "--model.init_args.eta", "1.0", status=130)
    assert not find_records([Path("killed")])
    restored.append("-")
    shown = run("test", "--benchmark.out", "killed", "--model.init_args.eta", "1.0")
    assert re.search(r"1 of 3 images scored already", shown)
    assert restored == ["im0", "-", "im1", "im2"]
    assert _rows("killed") == _rows("whole")


def test_a_base_is_known_by_its_content_and_not_by_its_place(run: Run) -> None:
    for name, value in (("first", 1.5), ("other", 0.5)):
        unet: Any = sd.make_unet("sd15", "tiny")
        with torch.no_grad():
            unet.conv_in.weight.fill_(value)
        unet.save_pretrained(f"{name}/unet")
        torch.manual_seed(0)
        sd.make_vae("tiny").save_pretrained(f"{name}/vae")  # type: ignore[operator]

    def test(base: str) -> str:
        return run("test", "--benchmark.out", "records", "--model.init_args.base", base)

    test("first")
    Path("first").rename("elsewhere")
    assert "3 of 3 images scored already" in test("elsewhere")
    assert "scored already" not in test("other")
    records = [record for _, record in find_records([Path("records")])]
    assert [record.files.keys() for record in records] == [{"base/unet", "base/vae"}] * 2
    assert len({record.files["base/unet"] for record in records}) == 2
    assert len({record.files["base/vae"] for record in records}) == 1


def test_a_prediction_in_half_precision_with_kept_latents(run: Run) -> None:
    run("predict", "--model.init_args.half", "bfloat16", "--benchmark.out", "sr")
    assert len(list(Path("sr").rglob("im*.png"))) == 3
    run("fit", "--model.init_args.latents", "kept", "--trainer.max_steps", "1", "--trainer.default_root_dir", "fit")
    assert len(list(Path("kept").rglob("*.safetensors"))) == 2  # of gt and of lq


def test_without_weights_it_refuses_in_one_line(run: Run) -> None:
    shown = run("test", "--model.init_args.allow_random_backbones", "false", status=2)
    assert "tiny base has no published weights" in shown.strip().splitlines()[-1]


def test_unfit_sizes_are_refused_in_one_line(run: Run) -> None:
    Path("small").mkdir()
    Image.new("RGB", (80, 60)).save("small/0801.png")
    shown = run("test", "--data.test_gt", "small", "--benchmark.out", "records", status=2)
    assert shown.strip().splitlines()[-1].startswith("srbench: error: 0801: an image of 60x80 is too small")
    shown = run("fit", "--data.patch_size", "60", "--trainer.max_steps", "1", status=2)
    assert "training images of 60x60 cannot be encoded; use 64 or more" in shown.strip().splitlines()[-1]


@pytest.mark.slow
def test_training_in_two_processes_equals_one_at_the_same_global_batch(run: Run, tmp_path: Path) -> None:
    """Through gloo, in processes of their own; noise and steps are the samples', whichever process has them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    for count in (1, 2):
        sizes = ["--data.batch_size", str(4 // count), "--trainer.devices", str(count), "--trainer.strategy", "ddp"]
        folder = ["--trainer.max_steps", "2", "--trainer.default_root_dir", f"run{count}"]
        data = ["--data", "ImagePairs", "--data.train_gt", "gt", "--data.patch_size", "64"]
        model = ["--model", "plain_latent.PlainLatent", *(f"--model.init_args.{k}={v}" for k, v in TINY.items())]
        quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
        more = ["--data.samples_per_epoch", "8"]
        command = [sys.executable, "-m", "srbench.cli", "fit", *model, *data, *sizes, *folder, *quiet, *more]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (read_checkpoint(tmp_path / f"run{n}/checkpoints/last.ckpt")["state_dict"] for n in (1, 2))
    assert one.keys() == two.keys()
    assert not torch.equal(one["share"], torch.full((1, 4, 1, 1), 0.1))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0)
