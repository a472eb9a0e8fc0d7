"""Captions of images, from a file or from any captioner that transformers has (CasSR, Table 3)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.cassr.wording import Captioning


class CaptionFile:
    """Captions from a CSV with the columns ``name`` and ``caption``.

    Args:
        path: the file; it is read when the first caption is asked for.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __call__(self, names: Sequence[str], images: Tensor) -> list[str]:
        """The captions of the images of these names.

        Raises:
            InputError: the file cannot be read, or lacks one.
        """
        missing = [name for name in names if name not in self._captions]
        if missing:
            raise InputError(
                f"it has no caption of '{missing[0]}'", where=self.path, remedy="add a row with its name and caption"
            )
        return [self._captions[name] for name in names]

    @cached_property
    def _captions(self) -> dict[str, str]:
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"the captions cannot be read ({error})", where=self.path, remedy="give a CSV with name and caption"
            ) from error
        if not rows or not {"name", "caption"} <= rows[0].keys():
            raise InputError(
                "it has no columns 'name' and 'caption', or no row", where=self.path, remedy="write name,caption above"
            )
        return {row["name"]: (row["caption"] or "").strip() for row in rows}


class Captioner:
    """Captions by a model of transformers that makes text of images (BLIP, BLIP-2, GIT, ...), built when needed.

    PASD captions the magnified lq with BLIP; CasSR's row "Caption" is said to be akin to it.

    Args:
        model: a folder, or a repository in the hub's cache; nothing is downloaded.
        words: tokens of a caption at most. CLIP reads 75 of a prompt.
    """

    def __init__(self, model: str, words: int = 30) -> None:
        self.model = model
        self.words = words

    @torch.no_grad()
    def __call__(self, names: Sequence[str], images: Tensor) -> list[str]:
        """The captions of ``images`` (B,3,H,W) in [0,1], without sampling.

        Raises:
            InputError: the model is not here, or no captioner.
        """
        processor, net = self._parts
        net.to(images.device)
        pixels = [image.mul(255).round().byte().permute(1, 2, 0).cpu().numpy() for image in images]
        given = processor(images=pixels, return_tensors="pt").to(images.device)
        made = net.generate(**given, max_new_tokens=self.words, do_sample=False)
        return [text.strip() for text in processor.batch_decode(made, skip_special_tokens=True)]

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(self.model, local_files_only=True)
            net = AutoModelForImageTextToText.from_pretrained(self.model, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no captioner can be made of it ({str(error).splitlines()[0]})",
                where=self.model,
                remedy="huggingface-cli download Salesforce/blip-image-captioning-base, or give captions in a CSV",
            ) from error
        return processor, net.eval().requires_grad_(False)


def captioning(path: str | None, model: str | None) -> Captioning | None:
    """Captions from the file or the model that a config names; None where it names neither.

    Raises:
        InputError: it names both.
    """
    if path is not None and model is not None:
        raise InputError(
            "captions come from a file or from a captioner, not from both",
            where="model.init_args.captions",
            remedy="set it or model.init_args.captioner to null",
        )
    if path is not None:
        return CaptionFile(path)
    return None if model is None else Captioner(model)
