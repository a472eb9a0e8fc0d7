"""The autoencoder in tiles, in half precision, and with its latents kept."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd
from srbench.modules.nets.stable_diffusion import latent_store
from srbench.modules.nets.stable_diffusion.codec import Codec
from srbench.modules.nets.stable_diffusion.latent_store import LatentStore
from srbench.modules.nets.stable_diffusion.precision import bring, guarded


@pytest.fixture(scope="module")
def vae() -> nn.Module:
    return sd.make_vae("tiny").eval().requires_grad_(False)


def _image(height: int = 96, width: int = 160, count: int = 1) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height) / 9, torch.arange(width) / 7, indexing="ij")
    image = torch.stack([torch.sin(x + y), torch.cos(x - y), torch.sin(x * 2)])
    return torch.stack([image * 0.3 + 0.2 * i for i in range(count)])


def _generators(count: int = 1) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(count)]


def test_moments_and_draws_are_diffusers(vae: nn.Module) -> None:
    image = _image()
    posterior = vae.encode(image).latent_dist  # type: ignore[operator]
    held = sd.moments(vae, image)
    assert torch.equal(held, posterior.parameters)
    noise = torch.randn(posterior.mean.shape[1:], generator=_generators()[0])
    torch.testing.assert_close(sd.drawn(held, _generators()), 0.18215 * (posterior.mean + posterior.std * noise))


def test_one_tile_is_the_whole_and_many_are_close_to_it(vae: nn.Module) -> None:
    image = _image()
    whole = sd.moments(vae, image)
    assert torch.equal(sd.moments(vae, image, tile=160, overlap=32), whole)
    tiled = sd.moments(vae, image, tile=64, overlap=32)
    assert tiled.shape == whole.shape
    # Group normalisation and attention see their tile alone, so equality is not to be had; another image differs more.
    assert (tiled - whole).abs().mean() < 0.5 * (whole.flip(-1) - whole).abs().mean()
    latents = sd.drawn(whole, _generators())
    back = sd.decoded(vae, latents)
    assert torch.equal(sd.decoded(vae, latents, tile=160, overlap=32), back)
    assert sd.decoded(vae, latents, tile=64, overlap=32).shape == image.shape == back.shape


def test_nothing_larger_than_a_tile_goes_through_the_network(vae: nn.Module) -> None:
    seen: list[tuple[int, ...]] = []
    watched = copy.deepcopy(vae)
    for part in (watched.encoder, watched.decoder):
        assert isinstance(part, nn.Module)
        part.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape[-2:])))
    held = sd.moments(watched, _image(160, 256), tile=64, overlap=32)
    sd.decoded(watched, held[:, :4], tile=64, overlap=32)
    assert set(seen) == {(64, 64), (8, 8)}
    assert len(seen) == 2 * 4 * 7


def test_decoded_tiles_show_no_seam(vae: nn.Module) -> None:
    latents = sd.drawn(sd.moments(vae, _image(64, 320)), _generators())
    made = sd.decoded(vae, latents, tile=128, overlap=64)
    across = (made[..., 1:] - made[..., :-1]).abs().mean(dim=(0, 1, 2))
    borders = [c - 1 for c in (64, 128, 192, 256)]
    rest = torch.ones(len(across), dtype=torch.bool)
    rest[borders] = False
    assert across[borders].max() <= across[rest].max()
    assert across[borders].mean() <= across[rest].mean() + across[rest].std()


# ------------------------------------------------------------------------------------------------------ half precision


@pytest.mark.parametrize("format", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_and_remarks_nothing(format: torch.dtype) -> None:
    codec = Codec("tiny")
    remarks: list[str] = []
    full = codec.encode(_image(), _generators()[0], remarks.append)
    codec.use(format)
    assert next(codec.net.parameters()).dtype == format
    half = codec.encode(_image(), _generators()[0], remarks.append)
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert (half - full).abs().max() < 0.02
    assert codec.decode(half, remarks.append).dtype == torch.float32
    assert not remarks


def test_what_overflows_is_made_again_in_float32_and_the_next_image_in_half() -> None:
    codec = Codec("tiny")
    codec.use(torch.float16)
    with torch.no_grad():
        codec.net.get_submodule("quant_conv").get_parameter("weight").fill_(3e4)  # past 65504 when summed up
    remarks: list[str] = []
    with torch.inference_mode():  # as Lightning tests
        held = codec.encode(_image(), _generators()[0], remarks.append)
    assert bool(torch.isfinite(held).all())
    assert remarks == ["not finite in float16: encoded in float32"]
    assert next(codec.net.parameters()).dtype == torch.float16


def test_what_is_not_finite_at_all_is_refused() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(InputError, match="what is sampled is not finite"):
        guarded(lambda: torch.tensor([float("nan")]), net, torch.bfloat16, "sampled", lambda text: None)
    assert net.weight.dtype == torch.bfloat16


def test_only_what_works_is_on_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of moves, on the meta device in the accelerator's place: room is made before it is taken."""
    moves: list[tuple[str, str]] = []

    class Watched(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def _apply(self, fn: object, recurse: bool = True) -> "Watched":
            assert callable(fn)
            moves.append((self.name, fn(torch.zeros(1)).device.type))
            return self

    children: dict[str, nn.Module] = {name: Watched(name) for name in ("vae", "unet", "extra")}
    bring(children, {"vae"}, torch.device("meta"), offload=True)
    assert sorted(moves[:2]) == [("extra", "cpu"), ("unet", "cpu")]
    assert moves[2] == ("vae", "meta")
    moves.clear()
    bring(children, {"vae"}, torch.device("meta"), offload=False)
    bring(children, {"vae"}, torch.device("cpu"), offload=True)
    assert not moves


# ------------------------------------------------------------------------------------------------------- kept latents


def test_kept_latents_are_those_that_would_be_made(vae: nn.Module, tmp_path: Path) -> None:
    image = _image(64, 64, 3)
    first, again = LatentStore(tmp_path), LatentStore(tmp_path)
    made = first.moments(vae, image)
    assert (first.made, first.found) == (3, 0)
    torch.testing.assert_close(made, sd.moments(vae, image))
    read = again.moments(vae, image.flip(0))
    assert (again.made, again.found) == (0, 3)
    assert torch.equal(read, made.flip(0))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3


def test_other_pixels_and_other_autoencoders_find_nothing(vae: nn.Module, tmp_path: Path) -> None:
    image = _image(64, 64)
    LatentStore(tmp_path).moments(vae, image)
    other = copy.deepcopy(vae)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    for net, pixels in ((vae, image + 1e-6), (vae, image.flip(-1)), (other, image)):
        store = LatentStore(tmp_path)
        torch.testing.assert_close(store.moments(net, pixels), sd.moments(net, pixels))
        assert (store.made, store.found) == (1, 0)


def test_half_found_batches_and_the_limit(vae: nn.Module, tmp_path: Path) -> None:
    image = _image(64, 64, 3)
    store = LatentStore(tmp_path, limit=1)
    store.moments(vae, image[1:2])
    torch.testing.assert_close(store.moments(vae, image), sd.moments(vae, image), atol=1e-5, rtol=1e-5)
    assert (store.made, store.found) == (3, 1)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_data_that_never_repeats_is_told(vae: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_store, "_PATIENCE", 3)
    store = LatentStore(tmp_path)
    with pytest.warns(UserWarning, match="none of 3 images came twice"):
        store.moments(vae, _image(64, 64, 3))


def test_damaged_latents_are_refused_by_name(vae: nn.Module, tmp_path: Path) -> None:
    LatentStore(tmp_path).moments(vae, _image(64, 64))
    [file] = tmp_path.rglob("*.safetensors")
    file.write_bytes(b"half")
    with pytest.raises(InputError, match=rf"{file.name}: these latents are damaged; delete the file"):
        LatentStore(tmp_path).moments(vae, _image(64, 64))


def test_training_latents_are_kept_too(tmp_path: Path) -> None:
    image = _image(64, 64, 2)
    plain = Codec("tiny").training_latents(image, _generators(2))
    for _ in range(2):
        kept = Codec("tiny", store=LatentStore(tmp_path)).training_latents(image, _generators(2))
        torch.testing.assert_close(kept, plain, atol=1e-6, rtol=1e-6)
