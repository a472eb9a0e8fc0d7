"""What the UNet's cross-attentions attend to, and which of its parameters learn."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import nn

from srbench.errors import InputError
from srbench.naming import unknown_name

Context = Literal[512, 1024]
"""Width of the context at full size: the adapter's own, or the base's."""

Prompt = Literal["image", "empty", "degradation"]
"""The adapter's tokens, the embedding of no words, or that of the degradation's."""


def check_switches(context: int, prompt: str, *, aware: bool, learner: str | None) -> None:
    """Refuses settings of the stage that are unknown or contradict each other.

    Raises:
        InputError: they do.
    """
    if context not in get_args(Context):
        raise InputError(f"context {context} is impossible", where="model.init_args.context", remedy="use 512 or 1024")
    if prompt not in get_args(Prompt):
        raise unknown_name("prompt", prompt, get_args(Prompt), where="model.init_args.prompt")
    if prompt != "image" and context != 1024:
        raise InputError(
            f"the text of prompt {prompt} is embedded as wide as the base's context",
            where="model.init_args.context",
            remedy="set it to 1024, or model.init_args.prompt to image",
        )
    if learner is not None and not aware:
        raise InputError(
            "aware false takes no learner", where="model.init_args.learner", remedy="set it to null, or aware to true"
        )


def attended(context: int, prompt: str, width: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the UNet has different from the base, and parts of the names of its tensors that the base does not give.

    Args:
        context: 512 or 1024.
        prompt: see :data:`Prompt`.
        width: of the adapter's tokens.
    """
    if prompt != "image":
        return {}, ()
    if context == 512:
        return {"cross_attention_dim": width}, ("attn2.to_k", "attn2.to_v")
    return {"encoder_hid_dim": width, "encoder_hid_dim_type": "text_proj"}, ("encoder_hid_proj",)


def learning(unet: nn.Module) -> list[nn.Parameter]:
    """The parameters of its cross-attentions, queries to outputs, and of the projection before them, if any."""
    return [p for name, p in unet.named_parameters() if "attn2." in name or name.startswith("encoder_hid_proj.")]
