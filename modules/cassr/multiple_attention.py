"""Multiple attention: the upward path of a UNet looks at the features of two images (CasSR, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.cassr.skip_tuners import skip_shapes

Order = Literal["ref_self_lq_text", "ref_lq_self_text", "ref_self_text_lq"]
"""In which order a transformer block attends; its feed-forward layers come last.

The first is the paper's (Eqs. 1 and 2), with the text where nothing is said of it: behind what the paper describes, as
in the stock block. The second is CoSeR's, which the paper cites; the third leaves the stock block's pair together.
"""

ORDERS: tuple[Order, ...] = ("ref_self_lq_text", "ref_lq_self_text", "ref_self_text_lq")


def check_attention(on: bool, added: bool, after: bool, zero_init: bool) -> None:
    """Refuses what could never learn.

    Args:
        on: whether there is attention to the images.
        added: whether the images' features are added to the skips.
        after: whether attention sees them behind zero-initialised convolutions.
        zero_init: whether its output is zero at the start.

    Raises:
        InputError: the images would not reach the UNet, or no gradient would reach the ControlNet.
    """
    if not on and not added:
        raise InputError(
            "neither attention nor the skips would see lq",
            where="model.init_args.add_to_skips",
            remedy="set it to sum, or model.init_args.multi_attention to true",
        )
    if on and not added and after and zero_init:
        raise InputError(
            "zero-initialised outputs of attention to zero-initialised features get no gradient, ever",
            where="model.init_args.features",
            remedy="set it to before, or model.init_args.zero_init to false",
        )


class Guide(NamedTuple):
    """Features of the two images for one layer: (B,C,H,W) each, of that layer's skip."""

    ref: Tensor
    lq: Tensor


class ImageAttention(nn.Module):
    """Attention from the UNet's tokens to an image's features (Eqs. 1 and 2).

    Args:
        width: channels of the UNet's tokens.
        context: channels of the features.
        heads: of the attention.
        residual: add to the tokens what was attended to. The equations replace the tokens; that cuts the network
            in two, and nothing that the frozen layers behind it were trained on would reach them.
        norm: normalise the tokens before, as every attention of the stock block does.
        zero_init: start with an output of zero, so that training starts from the UNet as it is (CoSeR's attention).
    """

    def __init__(
        self, width: int, context: int, heads: int, *, residual: bool = True, norm: bool = True, zero_init: bool = True
    ) -> None:
        super().__init__()
        from diffusers.models.attention_processor import Attention

        self.residual = residual
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.attention = Attention(width, cross_attention_dim=context, heads=heads, dim_head=width // heads)
        if zero_init:
            for parameter in self.attention.to_out[0].parameters():
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """``tokens`` (B,N,width) behind attention to ``features`` (B,context,H,W)."""
        attended = self.attention(self.norm(tokens), encoder_hidden_states=features.flatten(2).transpose(1, 2))
        return tokens + attended if self.residual else attended


class GuidedBlock(nn.Module):
    """A stock transformer block with attention to the two images in its place among the others.

    It holds nothing that would be a part of the UNet: the attentions are their owner's.

    Args:
        block: ``BasicTransformerBlock`` with layer norms, as Stable Diffusion's.
        attentions: ``ref`` and ``lq``.
        guide: what they look at.
        order: see :data:`Order`.
    """

    def __init__(self, block: nn.Module, attentions: Mapping[str, nn.Module], guide: Guide, order: Order) -> None:
        super().__init__()
        self.block = block
        self.order = order
        self.__dict__["_held"] = (attentions, guide)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        *unused: Any,
        **named: Any,
    ) -> Tensor:
        """As the stock block's, for tokens (B,N,C); what Stable Diffusion's blocks leave unused is so here."""
        block: Any = self.block
        tokens = hidden_states
        for step in self.order.split("_"):
            if step == "self":
                tokens = tokens + block.attn1(block.norm1(tokens), attention_mask=attention_mask)
            elif step == "text":
                text = {"encoder_hidden_states": encoder_hidden_states, "attention_mask": encoder_attention_mask}
                tokens = tokens + block.attn2(block.norm2(tokens), **text)
            else:
                tokens = self._look(step, tokens)
        return tokens + block.ff(block.norm3(tokens))

    def _look(self, at: str, tokens: Tensor) -> Tensor:
        attentions, guide = self.__dict__["_held"]
        return attentions[at](tokens, getattr(guide, at))


class MultipleAttention(nn.Module):
    """The attentions of all layers of a UNet's upward path that get any.

    SD 1.5 has 9 with a transformer (47,553,920 parameters), and 3 more in the block without (86,898,560).

    Args:
        unet: ``UNet2DConditionModel``; its sizes alone are read.
        heads: of every attention; None takes those of the layer's own self-attention.
        residual: see :class:`ImageAttention`.
        norm: see there.
        zero_init: see there.
        order: see :data:`Order`.
        plain_block: also behind the resnets of the upward block that has no transformer (PASD has them there).

    Raises:
        InputError: two settings contradict each other.
    """

    def __init__(
        self,
        unet: nn.Module,
        *,
        heads: int | None = None,
        residual: bool = True,
        norm: bool = True,
        zero_init: bool = True,
        order: Order = "ref_self_lq_text",
        plain_block: bool = False,
    ) -> None:
        super().__init__()
        if zero_init and not residual:
            raise InputError(
                "an output of zero that replaces the tokens leaves nothing of them",
                where="model.init_args.zero_init",
                remedy="set it to false with residual: false",
            )
        self.order: Order = order
        self.layers = nn.ModuleDict()
        settings = {"residual": residual, "norm": norm, "zero_init": zero_init}
        for place in places(unet):
            if place.block is None and not plain_block:
                continue
            own = place.heads if heads is None else heads
            self.layers[place.name] = nn.ModuleDict(
                {image: ImageAttention(place.width, place.context, own, **settings) for image in ("ref", "lq")}
            )

    def skips(self, unet: nn.Module) -> list[int]:
        """Numbers of the skips of ``unet`` whose features are looked at."""
        return [place.skip for place in places(unet) if place.name in self.layers]

    @contextmanager
    def guiding(self, unet: nn.Module, ref: Sequence[Tensor], lq: Sequence[Tensor]) -> Iterator[None]:
        """Within it, ``unet`` looks at the two images.

        Args:
            unet: of the sizes that this was made for.
            ref: features of the reference for every skip, the first one first, (B,C,H,W) each.
            lq: those of lq.
        """
        with ExitStack() as stack:
            for place in places(unet):
                if place.name not in self.layers:
                    continue
                guide = Guide(ref[place.skip], lq[place.skip])
                stack.enter_context(self._guided(place, guide))
            yield

    @contextmanager
    def _guided(self, place: Place, guide: Guide) -> Iterator[None]:
        attentions: Any = self.layers[place.name]
        if place.block is None:
            handle = place.resnet.register_forward_hook(_plain(attentions, guide))
            try:
                yield
            finally:
                handle.remove()
            return
        stock = place.block[0]
        place.block[0] = GuidedBlock(stock, attentions, guide, self.order)
        try:
            yield
        finally:
            place.block[0] = stock


class Place(NamedTuple):
    """A layer of the upward path.

    Attributes:
        name: ``up_1_0``: of block and layer.
        resnet: its residual block.
        block: the list that holds its transformer block; None where it has none.
        width: its channels.
        context: channels of the skip that it reads.
        skip: number of that skip, from 0 at the UNet's entry.
        heads: of its self-attention, or of the next layer that has one.
    """

    name: str
    resnet: nn.Module
    block: nn.ModuleList | None
    width: int
    context: int
    skip: int
    heads: int


def places(unet: nn.Module) -> list[Place]:
    """The layers of the upward path of a ``UNet2DConditionModel``, in their order."""
    widths, _ = skip_shapes(unet)
    blocks: list[Any] = list(unet.up_blocks)  # type: ignore[arg-type]
    found: list[Place] = []
    for i, block in enumerate(blocks):
        attentions = getattr(block, "attentions", None)
        for j, resnet in enumerate(block.resnets):
            held = None if attentions is None else attentions[j].transformer_blocks
            skip = len(widths) - 1 - len(found)
            heads = _heads(blocks, i)
            found.append(Place(f"up_{i}_{j}", resnet, held, resnet.out_channels, widths[skip], skip, heads))
    return found


def _heads(blocks: Sequence[Any], start: int) -> int:
    for block in blocks[start:]:
        if getattr(block, "attentions", None) is not None:
            heads: int = block.attentions[0].transformer_blocks[0].attn1.heads
            return heads
    raise InputError("its upward path has no transformer", where="model.init_args.base", remedy="use SD 1.5's layout")


def _plain(attentions: Mapping[str, nn.Module], guide: Guide) -> Any:
    def look(resnet: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        tokens = out.flatten(2).transpose(1, 2)
        for at in ("ref", "lq"):
            tokens = attentions[at](tokens, getattr(guide, at))
        return tokens.transpose(1, 2).reshape(out.shape)

    return look
