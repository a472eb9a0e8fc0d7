"""Prompts: CLIP's tokens and their limit, the frozen encoder, its files."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from srbench.errors import InputError
from srbench.modules.nets import stable_diffusion as sd


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """CLIP's tokenizer with the 256 bytes alone for a vocabulary: every letter is a token."""
    letters = [chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder = tmp_path / "base" / "tokenizer"
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def _with_encoder(folder: Path, family: str) -> dict[str, torch.Tensor]:
    net: Any = sd.TextPrompts(family, "tiny").encoder.net
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
    net.save_pretrained(folder / "text_encoder")
    return net.state_dict()


def _method(*, allowed: bool = False) -> Any:
    marks: list[str] = []
    return SimpleNamespace(allow_random_backbones=allowed, stamp=marks.append, marks=marks)


@pytest.mark.parametrize(("family", "pad"), [("sd15", 513), ("sd21", 0)])
def test_a_folder_gives_encoder_and_tokens(tokenizer: Path, family: str, pad: int) -> None:
    state = _with_encoder(tokenizer.parent, family)
    prompts = sd.TextPrompts(family, "tiny")
    prompts.load(_method(), sd.Base(tokenizer.parent))
    for name, value in prompts.encoder.net.state_dict().items():
        assert torch.equal(value, state[name])
    ids = prompts._padded("Ab")
    assert ids == [512, 64, 256 + 65, 513, *[pad] * 73]  # lower case, the last letter of a word marked
    made = prompts.embed(["Ab", ""])
    assert made.shape == (2, 77, 16)
    expected = prompts.encoder.net(torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(made[:1], expected)
    assert not torch.equal(made[0], made[1])


def test_the_text_encoder_of_a_single_file(tokenizer: Path, tmp_path: Path) -> None:
    state = _with_encoder(tokenizer.parent, "sd15")
    named = {f"cond_stage_model.transformer.text_model.{k.removeprefix('text_model.')}": v for k, v in state.items()}
    named["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    torch.save({"state_dict": named}, tmp_path / "v1.ckpt")
    prompts = sd.TextPrompts("sd15", "tiny", tokenizer=str(tokenizer))
    prompts.load(_method(), sd.Base(tmp_path / "v1.ckpt"))
    assert all(torch.equal(value, state[name]) for name, value in prompts.encoder.net.state_dict().items())
    assert len(prompts._padded("a")) == 77


def test_more_than_75_tokens_are_refused_in_one_line(tokenizer: Path) -> None:
    _with_encoder(tokenizer.parent, "sd15")
    prompts = sd.TextPrompts("sd15", "tiny")
    for name in ("made up", "CLIP"):
        fits, too_many = ("a " * 75, "a " * 76)
        assert len(prompts._padded(fits)) == 77
        with pytest.raises(InputError, match=r"^a a .*76 tokens, the text encoder reads 75; shorten it$"):
            prompts.embed([too_many])
        if name == "made up":
            prompts.load(_method(), sd.Base(tokenizer.parent))


def test_without_a_tokenizer_it_says_how_to_get_one(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path / "weights"))
    _with_encoder(tokenizer.parent, "sd15")
    held = tmp_path / "hub" / "models--openai--clip-vit-large-patch14" / "snapshots" / "abc"
    held.parent.mkdir(parents=True)
    tokenizer.rename(tmp_path / "elsewhere")
    base = sd.Base(tmp_path / "base")
    with pytest.raises(InputError, match=r"no tokenizer.*srbench weights fetch clip_vocab clip_merges --trust"):
        sd.TextPrompts("sd15", "tiny").load(_method(), base)
    method = _method(allowed=True)
    sd.TextPrompts("sd15", "tiny").load(method, base)
    assert method.marks == ["random_backbones"]
    (tmp_path / "elsewhere").rename(held)
    found = sd.TextPrompts("sd15", "tiny")
    found.load(_method(), base)
    assert found._padded("a")[:3] == [512, 256 + 64, 513]


def test_it_is_frozen_and_in_no_checkpoint() -> None:
    owner = nn.ModuleDict({"prompts": sd.TextPrompts("sd15", "tiny")})
    assert not owner.state_dict()
    assert not list(owner.parameters())
    embedded = owner["prompts"].embed(["clean"])  # type: ignore[operator]
    assert not embedded.requires_grad
    assert torch.equal(embedded, sd.TextPrompts("sd15", "tiny").embed(["clean"]))


def test_a_prompt_is_read_once() -> None:
    prompts = sd.TextPrompts("sd15", "tiny")
    calls: list[int] = []
    prompts.encoder.net.register_forward_hook(lambda *given: calls.append(1))
    first = prompts.embed(["clean", "clean", ""])
    prompts.embed(["", "clean"])
    assert len(calls) == 2
    assert torch.equal(first[0], first[1])
    for i in range(40):
        prompts.embed([str(i)])
    assert len(prompts._remembered) == 32
