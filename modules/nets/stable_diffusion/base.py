"""Stable Diffusion's published weights: found on this machine in any of three layouts, and loaded strictly.

A base is a folder as diffusers writes it (``unet/``, ``vae/``, ...), one file in the original layout (keys
``model.diffusion_model.*``, ``first_stage_model.*``, ``cond_stage_model.*``), or the id of a repository in the Hugging
Face hub's cache. Nothing is downloaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from srbench import weight_files
from srbench.errors import InputError
from srbench.modules.nets.stable_diffusion.families import (
    FAMILIES,
    context_width,
    family_info,
    unet_config,
    vae_config,
)
from srbench.modules.nets.stable_diffusion.fitting import as_clip, modern_attention
from srbench.weights import read_checkpoint

GONE = {
    "stabilityai/stable-diffusion-2-1-base": FAMILIES["sd21"].mirror,
    "stabilityai/stable-diffusion-2-1": FAMILIES["sd21"].mirror,
    "runwayml/stable-diffusion-v1-5": FAMILIES["sd15"].mirror,
}
"""Repositories that no longer exist, and where their files are now; the mirrors are not official."""

_WHERE = "model.init_args.base"
_SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_WIDTH_KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


class Base:
    """The weights of one base model on this machine; a part is read when it is asked for.

    Args:
        place: the folder or the file.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.single = place.is_file()
        self._read: dict[str, Path] = {}

    def sha256(self) -> dict[str, str]:
        """Hashes of the files that were read: ``base`` of a single file, ``base/unet`` and so on of a folder's."""
        return {role: weight_files.digest(file) for role, file in self._read.items()}

    def unet(self, family: str, size: str) -> dict[str, Tensor]:
        """The UNet's tensors under diffusers' names.

        Raises:
            InputError: it predicts v, has another context width than the family, or the file is damaged.
        """
        self.check_prediction()
        if self.single:
            from diffusers.loaders import single_file_utils as convert

            self._holds("model.diffusion_model.")
            config = {"layers_per_block": 2, "class_embed_type": None, "addition_embed_type": None}
            state = convert.convert_ldm_unet_checkpoint(self._file, {**config, **unet_config(family, size)})
        else:
            state = self._part("unet")
        self._check_width(state, family, size)
        return state

    def vae(self, size: str) -> dict[str, Tensor]:
        """The autoencoder's tensors under diffusers' names.

        Raises:
            InputError: it is absent or damaged.
        """
        if not self.single:
            return modern_attention(self._part("vae"))
        from diffusers.loaders import single_file_utils as convert

        self._holds("first_stage_model.")
        return convert.convert_ldm_vae_checkpoint(self._file, vae_config(size))

    def text(self, encoder: nn.Module) -> dict[str, Tensor]:
        """The text encoder's tensors, named as in ``encoder`` (transformers' ``CLIPTextModel``).

        Raises:
            InputError: it is absent or damaged.
        """
        if self.single:
            from diffusers.loaders import single_file_utils as convert

            self._holds("cond_stage_model.")
            opened = any(name.startswith("cond_stage_model.model.") for name in self._file)
            state = dict(
                convert.convert_open_clip_checkpoint(encoder, self._file)
                if opened
                else convert.convert_ldm_clip_checkpoint(self._file)
            )
        else:
            state = self._part("text_encoder")
        return as_clip(state, encoder)

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors in one folder of diffusers' layout, attention under its present names.

        Raises:
            InputError: the folder is absent or damaged.
        """
        return modern_attention(self._part(name))

    def check_prediction(self) -> None:
        """Refuses a base that predicts v instead of the noise, as far as it says so.

        Raises:
            InputError: its scheduler's config says v_prediction, or its file bears the 768-pixel model's name.
        """
        config = self.place / "scheduler" / "scheduler_config.json"
        kind = _json(config).get("prediction_type", "epsilon") if config.is_file() else "epsilon"
        if kind != "epsilon" or re.search(r"v2-?[01]?_768|768-v", self.place.name):
            raise InputError(
                f"this base predicts {kind if kind != 'epsilon' else 'v (the 768-pixel model)'}, not the noise",
                where=self.place,
                remedy=f"use the 512-pixel base, e.g. of {FAMILIES['sd21'].mirror}",
            )

    def _check_width(self, state: Mapping[str, Tensor], family: str, size: str) -> None:
        held = state.get(_WIDTH_KEY)
        wanted = context_width(family, size)
        if held is not None and held.shape[1] != wanted:
            owner = next((name for name, info in FAMILIES.items() if info.context == held.shape[1]), "another family")
            raise InputError(
                f"its context is {held.shape[1]} wide ({owner}), that of {family} is {wanted}",
                where=self.place,
                remedy="set model.init_args.base and model.init_args.family to one family",
            )

    @cached_property
    def _file(self) -> dict[str, Tensor]:
        held = self._checkpoint("base", self.place)
        if isinstance(held, dict) and isinstance(held.get("state_dict"), dict):
            held = held["state_dict"]
        return {name: value for name, value in held.items() if isinstance(value, Tensor)}

    def _holds(self, prefix: str) -> None:
        if not any(name.startswith(prefix) for name in self._file):
            raise InputError(
                f"it has no tensors named {prefix}*: no single file of Stable Diffusion in the original layout",
                where=self.place,
                remedy="give such a file, or a folder as diffusers writes it",
            )

    def _part(self, part: str) -> dict[str, Tensor]:
        folder = self.place / part
        for stem in _STEMS:
            for ending in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin"):
                if (file := folder / f"{stem}{ending}").is_file():
                    return dict(self._checkpoint(f"base/{part}", file))
                index = folder / f"{stem}{ending}.index.json"
                if index.is_file():
                    shards = sorted(set(_json(index)["weight_map"].values()))
                    held = [self._checkpoint(f"base/{part}/{shard}", folder / shard) for shard in shards]
                    return {name: value for tensors in held for name, value in tensors.items()}
        raise InputError(
            f"its {part} is absent: no {_STEMS[0]}.safetensors or the like",
            where=folder,
            remedy="copy the whole folder as diffusers writes it",
        )

    def _checkpoint(self, role: str, file: Path) -> Any:
        self._read[role] = file
        return read_checkpoint(file)


def find_base(base: str) -> Base:
    """The base that a config names.

    Args:
        base: a folder, a file, or ``owner/repository`` in the hub's cache.

    Raises:
        InputError: it is not on this machine; the message says where it was looked for, and where to get it.
    """
    place = Path(base).expanduser()
    if place.is_dir():
        return Base(_inside(place))
    if place.is_file():
        return Base(place)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base) or place.suffix in _SINGLE:
        raise InputError("there is no such folder or file", where=base, remedy="give a base's folder, file or hub id")
    owner, repository = base.split("/")
    held = weight_files.hub_cache() / f"models--{owner}--{repository}"
    main = held / "refs" / "main"
    first = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    for snapshot in sorted((held / "snapshots").glob("*"), key=lambda folder: (folder.name != first, folder.name)):
        return Base(_inside(snapshot))
    gone = f" (that repository is gone; {GONE[base]} is an unofficial mirror)" if base in GONE else ""
    raise InputError(
        f"this base is not in the hub's cache, {held}{gone}",
        where=base,
        remedy=f"huggingface-cli download {GONE.get(base, base)}, or give a folder or a file as {_WHERE}",
    )


def need_base(module: Any, base: str | None, family: str, size: str) -> Base | None:
    """The base of a method; None where a random one stands in, and then the method is stamped.

    Args:
        module: the method, an :class:`~srbench.module.SRModule`.
        base: what its config names; None takes the family's file of the catalogue.
        family: of the method.
        size: ``tiny`` has no published weights.

    Raises:
        InputError: none is here and random networks are not allowed.
    """
    if base is not None:
        return find_base(base)
    if size != "full":
        if not module.allow_random_backbones:
            raise InputError(
                "a tiny base has no published weights",
                where="model.init_args.size",
                remedy="set model.init_args.allow_random_backbones true for a trial, or size to full",
            )
        module.stamp("random_backbones")
        return None
    info = family_info(family)
    try:
        path = module.backbone(info.catalogue)
    except InputError as error:
        places = f"{weight_files.own_folder()} and {weight_files.hub_cache()}"
        raise InputError(
            f"{error.what} (looked in {places}; the original repository is gone, {info.mirror} is a mirror)",
            where=error.where,
            remedy=f"{error.remedy}, or give {_WHERE}: a folder of diffusers, a single file, or a cached hub id",
        ) from None
    return None if path is None else Base(path)


def expect_base(module: Any) -> None:
    """Refuses before gigabytes of networks are made what :func:`need_base` would refuse behind that.

    Only of what ``fit``, ``test`` and the like make: it is prepared next. What is made in Python or to be described may
    never run, or have a whole checkpoint loaded.

    Args:
        module: a :class:`~srbench.modules.latent.LatentSR` that has its arguments and no networks yet.

    Raises:
        InputError: a method of full size has no base, and needs one.
    """
    made_to_run = bool(module.hparams)  # they are kept of what a trainer's command makes
    held = module.weights is not None and module.weights_may_hold_base
    random = module.base is None and module.allow_random_backbones
    if made_to_run and module.size == "full" and not (held or random):
        need_base(module, module.base, module.family, module.size)


def _inside(folder: Path) -> Path:
    """The folder itself where it is diffusers' layout, else the one file in it."""
    if (folder / "unet").is_dir():
        return folder
    files = sorted(f for f in folder.iterdir() if f.suffix in _SINGLE and f.is_file())
    if len(files) != 1:
        raise InputError(
            f"it has no unet folder, and {len(files)} files that could be a base",
            where=folder,
            remedy="give the folder that diffusers wrote, or the file itself",
        )
    return files[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("it cannot be read as JSON", where=path, remedy="copy it again") from error
    return held if isinstance(held, dict) else {}
