"""What CasSR's stages tell the text encoder: a general description, a caption before it, and what it must not be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.prompts import TextPrompts
from srbench.sampling import image_seed, run_seed

PROMPT = "clean, high-resolution"
"""The general description of the paper (section 3.4)."""

NEGATIVE = "blurry, dotted, noise, raster lines, unclear, lowres, over-smoothed"
"""PASD's negative prompt.

CasSR prints none, but Table 3 implies one: classifier-free guidance lifts MUSIQ from 57.3 to 68.5 where the description
is empty, and between two empty prompts it would do nothing.
"""

Captioning = Callable[[Sequence[str], Tensor], list[str]]
"""From the images' names and the images (B,3,H,W) in [0,1] to a caption each."""


class Wording(nn.Module):
    """Prompts and their embeddings.

    Args:
        family: of the base model.
        size: of the base model.
        prompt: description of every image; may be empty.
        negative: description of what images must not be, the other side of classifier-free guidance; may be empty.
        dropout: share of training samples whose prompt is emptied, as classifier-free guidance is usually trained. The
            paper says nothing of it; its frozen UNet has been trained so.
        captions: what says something of the single image; None says nothing.
        tokenizer: folder of the tokenizer; None looks in the base.

    Raises:
        InputError: ``dropout`` is no share.
    """

    def __init__(
        self,
        family: str,
        size: str,
        *,
        prompt: str = PROMPT,
        negative: str = NEGATIVE,
        dropout: float = 0.0,
        captions: Captioning | None = None,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= dropout <= 1.0:
            raise InputError(
                f"a share of {dropout} is impossible", where="model.init_args.prompt_dropout", remedy="use 0 to 1"
            )
        self.prompt, self.negative, self.dropout = prompt, negative, dropout
        self.captions = captions
        self.prompts = TextPrompts(family, size, tokenizer)

    def load(self, module: Any, base: Any) -> None:
        """Takes the base model's text encoder; see :meth:`TextPrompts.load`."""
        self.prompts.load(module, base)

    def describing(self, names: Sequence[str], images: Tensor) -> Tensor:
        """Embeddings (B,77,C) of what is said of images (B,3,H,W) in [0,1].

        Raises:
            InputError: an image has no caption where captions are read from a file, or a prompt is too long.
        """
        return self.prompts.embed(self._texts(names, images))

    def learning(self, names: Sequence[str], images: Tensor, step: int, first: int) -> Tensor:
        """As :meth:`describing`, some prompts emptied.

        Args:
            names: the samples'.
            images: the samples.
            step: of training; with the run's seed, the sample's place and name it decides what is emptied.
            first: place of the first sample in the batch of all processes.
        """
        texts = self._texts(names, images)
        for i in range(len(texts)):
            place = f"prompt {first + i} of {names[i]}"  # batches that one step is accumulated from differ in names
            draw = torch.Generator().manual_seed(image_seed(run_seed(), step, place))
            if torch.rand((), generator=draw) < self.dropout:
                texts[i] = ""
        return self.prompts.embed(texts)

    def opposite(self) -> Tensor:
        """Embedding (1,77,C) of the negative prompt."""
        return self.prompts.embed([self.negative])

    def _texts(self, names: Sequence[str], images: Tensor) -> list[str]:
        said = [""] * len(names) if self.captions is None else self.captions(names, images)
        return [", ".join(part for part in (caption, self.prompt) if part) for caption in said]
