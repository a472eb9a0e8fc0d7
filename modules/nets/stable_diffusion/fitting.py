"""Published tensors under the names that this version of the libraries has, and copied strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from srbench.errors import InputError
from srbench.weights import check_finite


def fill(
    named: Mapping[str, Tensor], state: Mapping[str, Tensor], *, where: str | Path, fresh: Iterable[str] = ()
) -> None:
    """Copies ``state`` into the tensors ``named``, strictly.

    Args:
        named: a network's tensors by the names they had before a method changed it.
        state: the published ones.
        where: they come from, for messages.
        fresh: parts of names that are left alone in both: what the method has of another shape.

    Raises:
        InputError: names or shapes differ, or a tensor is not finite.
    """
    fresh = tuple(fresh)
    own = {name: t for name, t in named.items() if not any(part in name for part in fresh)}
    given = {name: t for name, t in state.items() if not any(part in name for part in fresh)}
    given.pop("position_ids", None)
    lost, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    odd = sorted(name for name in own.keys() & given.keys() if own[name].shape != given[name].shape)
    faults = [
        f"{len(names)} {kind} (first {names[0]})"
        for kind, names in (("tensors missing", lost), ("unknown", unknown), ("of another shape", odd))
        if names
    ]
    if faults:
        raise InputError(
            f"it is another network: {', '.join(faults)}",
            where=where,
            remedy="set model.init_args.base, family and size to one model",
        )
    check_finite(given, where=where)
    for name, tensor in own.items():
        tensor.data.copy_(given[name])


def modern_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder's attention under its present names; published folders have those of diffusers before 0.18."""
    renamed = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    made = {}
    for name, tensor in state.items():
        head, _, tail = name.rpartition(".")
        stem, _, last = head.rpartition(".")
        made[f"{stem}.{renamed[last]}.{tail}" if last in renamed and ".attentions." in name else name] = tensor
    return made


def as_clip(state: Mapping[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """Transformers before 5 put ``text_model.`` before every name; what CLIP has beside the encoder is left out."""
    prefixed = any(name.startswith("text_model.") for name in encoder.state_dict())
    own = {name.removeprefix("text_model."): t for name, t in state.items()}
    kept = {n: t for n, t in own.items() if n.startswith(("embeddings.", "encoder.", "final_layer_norm."))}
    kept.pop("embeddings.position_ids", None)
    return {f"text_model.{name}" if prefixed else name: t for name, t in kept.items()}
