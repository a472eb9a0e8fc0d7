"""A trained stage 1, for analyses: built with the options that its checkpoint remembers."""

from __future__ import annotations

from pathlib import Path

from srbench.errors import InputError
from srbench.modules.hraware.far import ConstantAlignment
from srbench.modules.hraware.pretrain import HRAwarePretrain
from srbench.weights import checkpoint_marks, load_strict, read_checkpoint

_OPTIONS = (
    "preset", "recon_space", "entry", "demodulate", "use_s", "use_far", "far_encoder", "clip_layer", "n_eval", "scale",
)  # fmt: skip


def trained_stage(path: str, *, allow_random_backbones: bool = False) -> HRAwarePretrain:
    """The stage with the checkpoint's weights and its frozen networks, in evaluation mode.

    Args:
        path: a checkpoint of :class:`~srbench.modules.hraware.pretrain.HRAwarePretrain`.
        allow_random_backbones: let random networks stand in for CLIP and LPIPS; the stage is stamped.

    Raises:
        InputError: it is no checkpoint of that stage, or weights are absent.
    """
    held = read_checkpoint(path)
    known = (held.get("hyper_parameters") or {}) if isinstance(held, dict) else {}
    if not str(known.get("_class_path", "")).endswith(".HRAwarePretrain"):
        raise InputError(
            "it is no checkpoint of HR-aware's stage 1",
            where=path,
            remedy="give that of srbench fit --config methods/hraware/1_pretrain.yaml",
        )
    options = {name: known[name] for name in _OPTIONS if name in known}
    stage = HRAwarePretrain(**options, allow_random_backbones=allow_random_backbones)
    stage.load_upstream(path)
    if stage.far is not None:
        _load_constant(stage.far_constant, path)
    stage.stamp(*checkpoint_marks(path))
    stage.load_backbones()
    return stage.eval().requires_grad_(False)


def _load_constant(constant: ConstantAlignment, path: str | Path) -> None:
    prefix = "far_constant."
    state = read_checkpoint(path)["state_dict"]
    load_strict(constant, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, where=path)
