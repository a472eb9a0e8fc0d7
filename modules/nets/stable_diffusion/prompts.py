"""Prompts as the base model's text encoder reads them: CLIP's tokens, at most 75 of them, to a (1,77,C) embedding."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srbench import weight_files
from srbench.errors import InputError
from srbench.modules.nets.frozen import Frozen
from srbench.modules.nets.stable_diffusion.base import Base
from srbench.modules.nets.stable_diffusion.families import check_size, context_width, family_info
from srbench.modules.nets.stable_diffusion.fitting import fill

LENGTH = 77
"""Tokens that the encoder reads, the first and the last of which mark the beginning and the end."""

_VOCABULARY = 49408
_TINY_VOCABULARY = 600
_REMEMBERED = 32
_VOCAB, _MERGES = "clip_vocab", "clip_merges"

Tokenise = Callable[[str], list[int]]


class TextPrompts(nn.Module):
    """The tokenizer and the frozen text encoder of a base model.

    Embeddings of the last prompts are remembered, so a constant prompt costs one pass. Nothing of it is in checkpoints.

    Args:
        family: ``sd15`` (CLIP ViT-L/14) or ``sd21`` (OpenCLIP ViT-H/14 up to its last layer but one).
        size: ``tiny`` is for tests and trials.
        tokenizer: folder with ``vocab.json`` and ``merges.txt``; None takes the base's own, or the catalogue's.
    """

    def __init__(self, family: str, size: str = "full", tokenizer: str | None = None) -> None:
        super().__init__()
        self.family, self.size = family, size
        self.folder = None if tokenizer is None else Path(tokenizer)
        self.encoder = Frozen(_make_encoder(family, size))
        self.tokenise: Tokenise = _stand_in(self.vocabulary)
        self._remembered: dict[str, Tensor] = {}

    @property
    def width(self) -> int:
        """Channels of an embedding."""
        return context_width(self.family, self.size)

    @property
    def vocabulary(self) -> int:
        """Number of tokens there are."""
        return _VOCABULARY if self.size == "full" else _TINY_VOCABULARY

    def load(self, module: Any, base: Base | None) -> None:
        """Takes the text encoder and the tokenizer of a base.

        Args:
            module: the method, an :class:`~srbench.module.SRModule`.
            base: None leaves the random encoder and a made-up tokenizer; the method was stamped when it got none.

        Raises:
            InputError: the encoder is absent or damaged; there is no tokenizer, and random networks are not allowed.
        """
        self._remembered.clear()
        if base is None:
            return
        net = self.encoder.net
        named = {n: t for n, t in net.state_dict(keep_vars=True).items() if "position_ids" not in n}
        fill(named, base.text(net), where=base.place)
        folder = next((place for place in self._places(base) if _whole(place)), None)
        if folder is not None:
            self.tokenise = _clip_tokeniser(folder, family_info(self.family).pad)
        elif module.allow_random_backbones:
            module.stamp("random_backbones")
        else:
            raise InputError(
                f"it has no tokenizer (vocab.json, merges.txt), nor has {weight_files.own_folder()} or the hub's cache",
                where=base.place,
                remedy=f"srbench weights fetch {_VOCAB} {_MERGES} --trust, or give a folder that has tokenizer/",
            )

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """The embeddings of ``prompts``, (B,77,C) float32 on the encoder's device; an empty prompt has one too.

        Raises:
            InputError: a prompt has more than 75 tokens.
        """
        return torch.cat([self._one(prompt) for prompt in prompts])

    @torch.no_grad()
    def _one(self, prompt: str) -> Tensor:
        device = next(self.encoder.net.parameters()).device
        held = self._remembered.get(prompt)
        if held is None:
            ids = torch.tensor([self._padded(prompt)], device=device)
            held = self.encoder(ids).last_hidden_state.float()
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[prompt] = held
        return held.to(device)

    def _padded(self, prompt: str) -> list[int]:
        first, *body, last, pad = self.tokenise(prompt)
        if len(body) > LENGTH - 2:
            raise InputError(
                f"this prompt has {len(body)} tokens, the text encoder reads {LENGTH - 2}",
                where=prompt[:60],
                remedy="shorten it",
            )
        return [first, *body, last, *[pad] * (LENGTH - 2 - len(body))]

    def _places(self, base: Base) -> Iterator[Path]:
        if self.folder is not None:
            yield self.folder
        yield base.place / "tokenizer"
        held = weight_files.hub_cache() / f"models--{family_info(self.family).mirror.replace('/', '--')}" / "snapshots"
        yield from (snapshot / "tokenizer" for snapshot in sorted(held.glob("*")))
        catalogued = weight_files.locate(_VOCAB)
        if catalogued is not None:
            yield catalogued.parent


def _make_encoder(family: str, size: str) -> nn.Module:
    check_size(size)
    from transformers import CLIPTextConfig, CLIPTextModel

    config = dict(family_info(family).text)
    if size == "tiny":
        width = context_width(family, size)
        config |= {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2}
        config |= {"num_attention_heads": 2, "vocab_size": _TINY_VOCABULARY, "bos_token_id": 0, "eos_token_id": 1}
    with torch.random.fork_rng(devices=[]):  # as the other random stand-ins, the same in every run
        torch.manual_seed(0)
        return CLIPTextModel(CLIPTextConfig(**config))


def _clip_tokeniser(folder: Path, pad: str) -> Tokenise:
    """CLIP's tokens of a prompt with its marks of beginning and end, and behind them the token to fill up with."""
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError("the tokenizer cannot be read", where=folder, remedy="copy the folder again") from error
    filling = tokenizer.convert_tokens_to_ids(pad)

    def tokenise(prompt: str) -> list[int]:
        ids = tokenizer(prompt, truncation=False, verbose=False)["input_ids"]
        return [*ids, tokenizer.eos_token_id if filling is None else filling]

    return tokenise


def _whole(folder: Path) -> bool:
    return all((folder / file).is_file() for file in ("vocab.json", "merges.txt"))


def _stand_in(vocabulary: int) -> Tokenise:
    """A token for every word and sign, made of its letters: what a random text encoder reads where nothing else is."""

    def tokenise(prompt: str) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", prompt.lower())
        return [0, *(2 + zlib.crc32(word.encode()) % (vocabulary - 2) for word in words), 1, 1]

    return tokenise
