"""SCEdit's tuners: their published sizes, the identity at the start, and which skip meets which tuner."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from srbench.errors import InputError
from srbench.modules.cassr.skip_tuners import HintNet, SkipTuners, edited_skips, skip_shapes
from srbench.modules.nets.stable_diffusion import make_unet

WIDTHS = [320] * 4 + [640] * 3 + [1280] * 5
STEM = (4, 4, 4, 4, 4, 4, 8)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return make_unet("sd15", "tiny")


@pytest.mark.parametrize(
    ("hinted", "kernel", "params"), [(False, 1, 19_680_000), (True, 1, 28_824_400), (True, 3, 99_111_760)]
)
def test_published_sizes(hinted: bool, kernel: int, params: int) -> None:
    with torch.device("meta"):
        full = make_unet("sd15", "full")
        widths, strides = skip_shapes(full)
        assert size(SkipTuners(widths, strides, hinted=hinted, kernel=kernel)) == params  # type: ignore[arg-type]
    assert widths == WIDTHS
    assert [i for i, stride in enumerate(strides, 1) if stride == 2] == [4, 7, 10]
    assert size(full) == 859_520_964


@pytest.mark.parametrize("hinted", [True, False])
def test_at_the_start_nothing_changes_and_after_a_step_it_does(unet: nn.Module, hinted: bool) -> None:
    torch.manual_seed(0)
    tuners = SkipTuners(*skip_shapes(unet), hinted=hinted, stem=STEM)
    x, t, text = torch.randn(2, 4, 8, 16), torch.tensor([3, 700]), torch.randn(2, 5, 16)
    image = torch.rand(2, 3, 64, 128)
    plain = unet(x, t, text).sample
    with edited_skips(unet, tuners, tuners.hints(image)):
        edited = unet(x, t, text).sample
    assert torch.equal(edited, plain)
    edited.square().mean().backward()
    assert all(bool(tuner.up.weight.grad.any()) for tuner in tuners.tuners)  # type: ignore[union-attr, operator]
    with torch.no_grad():
        for parameter in tuners.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad)
    with edited_skips(unet, tuners, tuners.hints(image)):
        assert not torch.equal(unet(x, t, text).sample, plain)
    assert torch.equal(unet(x, t, text).sample, plain)  # and nothing stays hooked
    unet.zero_grad()


def test_every_skip_is_edited_by_its_own_tuner_with_its_own_hint(unet: nn.Module) -> None:
    """Tuner i gives the constant i + 1 and hint i is 100 (i + 1); the skips that arrive are noted."""
    tuners = SkipTuners(*skip_shapes(unet), stem=STEM)
    for i, tuner in enumerate(tuners.tuners):
        nn.init.constant_(tuner.up.bias, i + 1)  # type: ignore[union-attr, arg-type]
    hints = [torch.full_like(hint, 100.0 * (i + 1)) for i, hint in enumerate(tuners.hints(torch.rand(1, 3, 64, 64)))]  # type: ignore[arg-type]
    seen: dict[int, list[torch.Tensor]] = {}

    def note(given: int) -> list[torch.utils.hooks.RemovableHandle]:
        seen[given] = []
        return [
            block.register_forward_pre_hook(
                lambda _, args, kwargs: seen[given].extend(reversed(kwargs["res_hidden_states_tuple"])),
                with_kwargs=True,
            )
            for block in unet.up_blocks  # type: ignore[union-attr]
        ]

    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        plain = note(0)
        unet(x, 1, torch.zeros(1, 1, 16))
        for handle in plain:
            handle.remove()
        with edited_skips(unet, tuners, hints):
            edited = note(1)
            unet(x, 1, torch.zeros(1, 1, 16))
        for handle in edited:
            handle.remove()
    changes = [float((b - a).mean()) for a, b in zip(seen[0], seen[1], strict=True)]
    assert changes == pytest.approx([101.0 * (i + 1) for i in reversed(range(12))], rel=1e-4)


def test_strength_and_names_of_scepter() -> None:
    torch.manual_seed(0)
    tuners = SkipTuners([8, 16], [1, 2], strength=0.5, stem=STEM)
    for parameter in tuners.parameters():
        nn.init.normal_(parameter)
    state = {}
    for name, tensor in tuners.state_dict().items():
        head, place, *rest = name.split(".")
        if head == "tuners":
            inner = ".".join(rest).replace("down", "ln1").replace("up", "ln2")
            state[f"model.0.lsc_tuner_blocks.{1 - int(place)}.tuner_op.{inner}"] = tensor
        else:
            kind = {"stem": "pre_hint_blocks", "chain": "dense_hint_blocks"}[place]
            state[f"{kind}.{'.'.join(rest)}"] = tensor
    twin = SkipTuners([8, 16], [1, 2], strength=0.5, stem=STEM)
    twin.load_state_dict(twin.rename_upstream(state))
    image, skip = torch.rand(1, 3, 32, 32), torch.randn(1, 16, 2, 2)
    assert torch.equal(twin(1, skip, twin.hints(image)), tuners(1, skip, tuners.hints(image)))
    whole = SkipTuners([8, 16], [1, 2], stem=STEM)
    whole.load_state_dict(tuners.state_dict())
    half = tuners(1, skip, tuners.hints(image)) - skip
    assert torch.allclose(2 * half, whole(1, skip, whole.hints(image)) - skip, atol=1e-5)


def test_another_kernel_is_refused() -> None:
    with pytest.raises(InputError, match="there is no kernel 5"):
        HintNet([8], [1], 5)  # type: ignore[arg-type]
