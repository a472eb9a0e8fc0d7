"""The tagger: sizes, the published names, the head, preprocessing, tags and files of additions."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from srbench import weight_files
from srbench.errors import InputError
from srbench.modules.nets import lora, ram
from srbench.modules.nets.ram.published import published_names

pytest.importorskip("timm")

SMALL = ram.PRESETS["small"]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def full() -> ram.RAMTagger:
    with torch.device("meta"):
        return ram.RAMTagger()


@pytest.fixture
def small() -> ram.RAMTagger:
    return ram.make_tagger(SMALL, None)


def _count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


# ------------------------------------------------------------------------------------------------------------- sizes


def test_the_published_sizes(full: ram.RAMTagger) -> None:
    assert _count(full.visual_encoder) == 195_198_516
    assert len(full.visual_encoder.state_dict()) == 327
    assert _count(full.visual_encoder, full.image_proj) == 195_985_460  # 196 M, what a representation costs
    assert _count(full) == 212_117_045  # 212.12 M, what tags cost
    assert full.preset.tokens == 145


def test_the_encoder_is_timms_by_name(full: ram.RAMTagger) -> None:
    import timm

    with torch.device("meta"):
        theirs = timm.create_model("swin_large_patch4_window12_384", num_classes=0, pretrained=False)
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (theirs, full.visual_encoder)]
    assert shapes[0] == shapes[1]


def test_shapes_of_embeddings(full: ram.RAMTagger, small: ram.RAMTagger) -> None:
    representation = full.representation(torch.empty(2, 3, 384, 384, device="meta"))
    assert representation.shape == (2, 145, 512)
    assert full.logits(representation).shape == (2, 4585)
    found = small(small.prepared(torch.rand(2, 3, 50, 70)))
    assert found.shape == (2, SMALL.tokens, SMALL.token)
    assert small.logits(found).shape == (2, SMALL.tags)


def test_a_random_tagger_is_the_same_every_time_and_draws_from_nobody() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = ram.make_tagger(SMALL, None), ram.make_tagger(SMALL, None)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert not one.training


def test_an_unknown_preset() -> None:
    with pytest.raises(InputError, match="did you mean 'small'"):
        ram.tagger_preset("smal")


# --------------------------------------------------------------------------------------------------- published names


def _published(net: ram.RAMTagger, *, head: str = "tagging_head") -> State:
    """The state as the authors' classes name it, with what they store beside it."""

    def theirs(name: str) -> str:
        name = re.sub(r"^(visual_encoder\.layers\.)(\d+)(\.downsample)", lambda m: f"{m[1]}{int(m[2]) - 1}{m[3]}", name)
        return re.sub(r"^tagging_head", head, name)

    unused = [
        "visual_encoder.layers.0.blocks.1.attn_mask",
        "visual_encoder.layers.0.blocks.0.attn.relative_position_index",
        "visual_encoder.layers.1.condition_attention.q.weight",
        "visual_encoder.layers.1.condition_ffn.0.weight",
        "tag_encoder.encoder.layer.0.attention.self.query.weight",
        "text_decoder.cls.predictions.bias",
    ]
    return {**{theirs(k): v for k, v in net.state_dict().items()}, **{k: torch.zeros(2) for k in unused}}


@pytest.mark.parametrize("head", ["tagging_head", "vision_multi"])
def test_the_published_layout_loads(tmp_path: Path, small: ram.RAMTagger, head: str) -> None:
    for p in small.parameters():
        nn.init.normal_(p, std=0.3)
    torch.save({"model": _published(small, head=head), "epoch": 3}, tmp_path / "ram.pth")
    loaded = ram.make_tagger(SMALL, tmp_path / "ram.pth")
    assert all(torch.equal(v, small.state_dict()[k]) for k, v in loaded.state_dict().items())
    image = torch.randn(1, 3, SMALL.side, SMALL.side)
    assert torch.equal(loaded.representation(image), small.representation(image))


def test_downsampling_is_renumbered_and_nothing_else(small: ram.RAMTagger) -> None:
    names = set(published_names(_published(small)))
    assert names == set(small.state_dict())
    assert "visual_encoder.layers.1.downsample.norm.weight" in names
    assert not any(".layers.0.downsample." in name for name in names)


def test_the_representation_is_the_mean_and_the_raster_of_timms_features(small: ram.RAMTagger) -> None:
    image = torch.randn(2, 3, SMALL.side, SMALL.side)
    encoder: Any = small.visual_encoder  # timm's
    with torch.no_grad():
        raster = encoder.forward_features(image)
        tokens = torch.cat([raster.mean((1, 2))[:, None], raster.reshape(2, -1, SMALL.features)], 1)
        torch.testing.assert_close(small.representation(image), small.image_proj(tokens))


def _swin_base(state: State) -> None:
    state["visual_encoder.patch_embed.proj.weight"] = torch.zeros(128, 3, 4, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_swin_base, "its encoder is Swin-B of width 128, this tagger's has 16.*srbench weights fetch ram"),
        (lambda s: s.pop("fc.bias"), "1 keys missing .first fc.bias"),
        (lambda s: s.update({"reweight_scale": torch.ones(1)}), "1 unknown .first reweight_scale"),
        (lambda s: s.update({"label_embed": torch.ones(3, 4)}), "label_embed: file 3x4, network 64x32"),
        (lambda s: s.pop("visual_encoder.patch_embed.proj.weight"), "no RAM with a Swin encoder"),
        (lambda s: s["fc.bias"].fill_(float("nan")), "hold NaN or infinity, the first is fc.bias"),
    ],
)
def test_another_file_is_refused(
    tmp_path: Path, small: ram.RAMTagger, change: Callable[[State], object], said: str
) -> None:
    state = _published(small)
    change(state)
    torch.save({"model": state}, tmp_path / "ram.pth")
    with pytest.raises(InputError, match=said):
        ram.make_tagger(SMALL, tmp_path / "ram.pth")


# -------------------------------------------------------------------------------------------------------------- head


@torch.no_grad()
def test_the_head_is_two_post_norm_layers_of_cross_attention(small: ram.RAMTagger) -> None:
    """Written out with plain matrix products, from the published names."""
    tokens = torch.randn(2, SMALL.tokens, SMALL.token)
    state = {k: v for k, v in small.state_dict().items() if not k.startswith("visual_encoder")}
    for name in state:
        state[name].normal_(std=0.4)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def normal(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-12).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    x = torch.relu(linear(state["label_embed"], "wordvec_proj")).expand(2, -1, -1)
    for i in range(2):
        layer = f"tagging_head.encoder.layer.{i}"
        q, k, v = (
            linear(y, f"{layer}.crossattention.self.{name}").reshape(2, -1, 4, SMALL.hidden // 4).permute(0, 2, 1, 3)
            for name, y in (("query", x), ("key", tokens), ("value", tokens))
        )
        attention = torch.softmax(q @ k.mT / (SMALL.hidden // 4) ** 0.5, -1) @ v
        seen = linear(
            attention.permute(0, 2, 1, 3).reshape(2, -1, SMALL.hidden), f"{layer}.crossattention.output.dense"
        )
        x = normal(seen + x, f"{layer}.crossattention.output.LayerNorm")
        fed = linear(F.gelu(linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
        x = normal(fed + x, f"{layer}.output.LayerNorm")
    torch.testing.assert_close(small.logits(tokens), linear(x, "fc")[..., 0], rtol=1e-4, atol=1e-4)


def test_dropout_and_drop_path_act_in_training_only(small: ram.RAMTagger) -> None:
    image = torch.randn(1, 3, SMALL.side, SMALL.side)
    still = [small.logits(small.representation(image)) for _ in range(2)]
    assert torch.equal(*still)
    small.train()
    torch.manual_seed(0)
    moving = [small.logits(small.representation(image)) for _ in range(2)]
    assert not torch.equal(*moving)


# ----------------------------------------------------------------------------------------------------- preprocessing


def _noise(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_tagging_input_is_the_authors_transform() -> None:
    from torchvision import transforms

    theirs = transforms.Compose(
        [
            transforms.Resize((384, 384)),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    pixels = _noise()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(ram.tagging_input(tensor[None])[0], theirs(Image.fromarray(pixels)), rtol=0, atol=1e-6)


def test_conditioning_input_is_two_plain_resizes() -> None:
    from torchvision.transforms import functional

    image = torch.from_numpy(_noise(600, 700)).permute(2, 0, 1)[None].float() / 255
    sized = [
        functional.resize(functional.resize(image, [512, 512], antialias=smooth), [384, 384], antialias=smooth)
        for smooth in (False, True)
    ]
    plain, smoothed = (functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for x in sized)
    found = ram.conditioning_input(image)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-5)
    assert (found - smoothed).abs().mean() > 0.05  # what torchvision's default would have changed


def test_gradients_flow_through_conditioning_input() -> None:
    image = torch.rand(1, 3, 20, 20, requires_grad=True)
    ram.conditioning_input(image, 12, 16).sum().backward()
    assert image.grad is not None
    assert bool((image.grad != 0).any())


# -------------------------------------------------------------------------------------------------------------- tags


def test_a_tag_fires_strictly_above_its_threshold() -> None:
    logits = torch.tensor([[0.0, 0.1, 50.0, -1.0], [-9.0, -9.0, -9.0, -9.0]])
    assert ram.tag_sets(logits, torch.tensor([0.5, 0.5, 1.0, 0.2])) == [frozenset({1, 3}), frozenset()]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [({1, 2, 3}, {2, 3, 4}, 0.5), ({1}, {1}, 1.0), ({1}, {2}, 0.0), (set(), {1}, 0.0), (set(), set(), 1.0)],
)
def test_jaccard(one: set[int], other: set[int], expected: float) -> None:
    assert ram.jaccard(one, other) == ram.jaccard(other, one) == expected


def test_lists_of_tags(tmp_path: Path) -> None:
    file = tmp_path / "tags.txt"
    file.write_text("cat\ndog\nfish", encoding="utf-8")  # as published, without a final newline
    assert ram.read_tags(file, 3) == ["cat", "dog", "fish"]
    with pytest.raises(InputError, match="3 tags, 3 of them different, where the tagger has 4"):
        ram.read_tags(file, 4)
    file.write_text("cat\ncat\n", encoding="utf-8")
    with pytest.raises(InputError, match="2 tags, 1 of them different"):
        ram.read_tags(file, 2)
    with pytest.raises(InputError, match=r"gone\.txt: it cannot be read"):
        ram.read_tags(tmp_path / "gone.txt", 2)


@pytest.mark.parametrize("text", ["0.5\n1.5\n", "0.5\n", "0.5\nhigh\n", "0.5\nnan\n"])
def test_unfit_thresholds_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match="srbench weights fetch ram_thresholds"):
        ram.read_thresholds(tmp_path / "t.txt", 2)


def test_thresholds_of_the_published_tagger() -> None:
    path = weight_files.locate("ram_thresholds")
    if path is None:
        pytest.skip("srbench weights fetch ram_thresholds")
    thresholds = ram.read_thresholds(path, 4585)
    assert thresholds.min() == pytest.approx(0.45)
    assert thresholds.max() == 1.0
    counts = [int(torch.isclose(thresholds, torch.tensor(value)).sum()) for value in (1.0, 0.65, 0.8)]
    assert counts == [10, 3414, 735]


def test_names_of_the_published_tags() -> None:
    path = weight_files.locate("ram_tags")
    if path is None:
        pytest.skip("srbench weights fetch ram_tags")
    tags = ram.read_tags(path, 4585)
    assert not any("," in tag or " | " in tag for tag in tags)


# --------------------------------------------------------------------------------------------------------- additions


def _text_parts(rank: int = 8) -> dict[str, tuple[int, int]]:
    """The additions to the text encoder and decoder in SeeSR's files: query and key of both attentions of 12 layers."""
    shapes = {}
    for part, context in (("tag_encoder", 512), ("text_decoder.bert", 768)):
        for i in range(12):
            for attention, key in (("attention", 768), ("crossattention", context)):
                for name, width in (("query", 768), ("key", key)):
                    layer = f"{part}.encoder.layer.{i}.{attention}.self.{name}"
                    shapes[f"{layer}.lora_A"], shapes[f"{layer}.lora_B"] = (rank, width), (768, rank)
    return shapes


def test_the_layout_of_dape() -> None:
    with torch.device("meta"):
        own = {k: v.shape for k, v in lora.low_rank_state(ram.attach_low_rank(ram.RAMTagger())).items()}
    assert (len(own), sum(s.numel() for s in own.values())) == (56, 577_536 + 45_056)
    whole = {**own, **{k: torch.Size(v) for k, v in _text_parts().items()}}
    assert (len(whole), sum(s.numel() for s in whole.values())) == (248, 1_777_664)
    assert own["visual_encoder.layers.2.blocks.17.attn.qkv.lora_A"] == (16, 768)
    assert own["visual_encoder.layers.2.blocks.17.attn.qkv.lora_B"] == (1536, 8)
    assert own["tagging_head.encoder.layer.1.crossattention.self.key.lora_A"] == (8, 512)
    assert not any("value" in name for name in own)


@pytest.fixture
def adapted(small: ram.RAMTagger) -> ram.RAMTagger:
    """The small tagger with additions that matter."""
    ram.attach_low_rank(small)
    for tensor in lora.low_rank_state(small).values():
        tensor.normal_(generator=torch.Generator().manual_seed(tensor.numel()))
    return small


def _fresh() -> ram.RAMTagger:
    return ram.attach_low_rank(ram.make_tagger(SMALL, None))


def _same(one: ram.RAMTagger, other: ram.RAMTagger) -> bool:
    return all(torch.equal(v, lora.low_rank_state(other)[k]) for k, v in lora.low_rank_state(one).items())


def test_additions_go_through_a_file(tmp_path: Path, adapted: ram.RAMTagger) -> None:
    ram.save_low_rank(adapted, tmp_path / "ree.pth")
    held = torch.load(tmp_path / "ree.pth", weights_only=True)
    assert set(held) == set(lora.low_rank_state(adapted))  # flat
    other = _fresh()
    assert not _same(other, adapted)
    ram.load_low_rank(other, tmp_path / "ree.pth")
    assert _same(other, adapted)
    image = torch.randn(1, 3, SMALL.side, SMALL.side)
    changed = adapted.representation(image)
    assert torch.equal(other.representation(image), changed)
    assert not torch.allclose(ram.make_tagger(SMALL, None).representation(image), changed, atol=1e-3)
    torch.testing.assert_close(lora.merge(other)(image), changed, rtol=1e-4, atol=1e-4)


def test_a_file_of_seesr_is_read_without_its_text_parts(tmp_path: Path, adapted: ram.RAMTagger) -> None:
    text = {name: torch.zeros(shape) for name, shape in _text_parts().items()}
    torch.save({**lora.low_rank_state(adapted), **text}, tmp_path / "DAPE.pth")
    other = _fresh()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ram.load_low_rank(other, tmp_path / "DAPE.pth")
    assert _same(other, adapted)


def test_text_parts_that_learned_something_are_told(tmp_path: Path, adapted: ram.RAMTagger) -> None:
    """The released class shares weights of its text encoder with the tagging head, and would add to both."""
    text = {name: torch.ones(shape) for name, shape in _text_parts().items()}
    torch.save({**lora.low_rank_state(adapted), **text}, tmp_path / "other.pth")
    other = _fresh()
    with pytest.warns(UserWarning, match=r"other\.pth: 96 additions to the text encoder and decoder are not zero"):
        ram.load_low_rank(other, tmp_path / "other.pth")
    assert _same(other, adapted)


@pytest.mark.parametrize("how", ["params", "module."])
def test_nested_and_prefixed_files_are_read_and_told(tmp_path: Path, adapted: ram.RAMTagger, how: str) -> None:
    state = lora.low_rank_state(adapted)
    held = {"params": state} if how == "params" else {f"module.{k}": v for k, v in state.items()}
    torch.save(held, tmp_path / "x.pth")
    other = _fresh()
    with pytest.warns(UserWarning, match=re.escape(how)):
        ram.load_low_rank(other, tmp_path / "x.pth")
    assert _same(other, adapted)


def _base(state: State) -> State:
    return {"visual_encoder.norm.weight": torch.ones(3), "fc.bias": torch.ones(1)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_base, "no low-rank addition, none of it would be used .it begins with visual_encoder.norm.weight"),
        (lambda s: {f"model.{k}": v for k, v in s.items()}, "none of its 40 low-rank additions fits.*model.visual_enc"),
        (lambda s: dict(list(s.items())[1:]), "1 of its tensors missing .first visual_encoder.layers.0"),
        (lambda s: {**s, "fc.bias": torch.ones(1)}, "1 of its tensors unknown .first fc.bias"),
        (lambda s: {k: v[:4] if "lora_A" in k else v for k, v in s.items()}, "of another shape"),
        (lambda s: {k: v * float("nan") for k, v in s.items()}, "hold NaN"),
        (
            lambda s: {k: torch.zeros(v) for k, v in _text_parts().items()},
            "no low-rank addition, none.*begins with none",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, adapted: ram.RAMTagger, change: Callable[[State], State], said: str
) -> None:
    state = dict(lora.low_rank_state(adapted))
    expected = len(state)
    torch.save(change(state), tmp_path / "x.pth")
    other = _fresh()
    before = {k: v.clone() for k, v in lora.low_rank_state(other).items()}
    with pytest.raises(InputError, match=said.replace("40", str(expected))):
        ram.load_low_rank(other, tmp_path / "x.pth")
    assert all(torch.equal(v, before[k]) for k, v in lora.low_rank_state(other).items())
