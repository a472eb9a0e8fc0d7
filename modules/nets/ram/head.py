"""The tagging head: queries of tags look at the image's tokens through two post-norm layers of cross-attention.

BERT's layers without self-attention (Query2Label); names are those of the published checkpoint, which has them from
Hugging Face's BERT. That class cannot stand here: it always attends to itself, and its keys are as wide as its queries.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-12
"""BERT's, of every layer norm."""


class CrossAttention(nn.Module):
    """Queries (B,T,width) attend to tokens (B,N,context): (B,T,width), before the output projection."""

    def __init__(self, width: int, context: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context, width)
        self.value = nn.Linear(context, width)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Scaled dot-product attention in ``heads`` heads."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, tokens), (self.value, tokens))
        )
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return attended.transpose(1, 2).flatten(-2)


class Output(nn.Module):
    """Projects, drops out, adds what came in and normalises."""

    def __init__(self, inner: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """(B,T,inner) and (B,T,width) to (B,T,width)."""
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class Layer(nn.Module):
    """Cross-attention and a feed-forward part of GELU, each followed by :class:`Output`."""

    def __init__(self, width: int, context: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        attention = CrossAttention(width, context, heads, dropout)
        self.crossattention = nn.ModuleDict({"self": attention, "output": Output(width, width, dropout)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, feed_forward)})
        self.output = Output(feed_forward, width, dropout)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """(B,T,width) and (B,N,context) to (B,T,width)."""
        attended = self.crossattention["self"](queries, tokens)
        x = self.crossattention["output"](attended, queries)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class TaggingHead(nn.Module):
    """The layers, under the published names ``encoder.layer.<i>``.

    Args:
        width: of queries.
        context: of the image's tokens.
        heads: of attention.
        feed_forward: inner width of the feed-forward part.
        layers: how many.
        dropout: of attention and both outputs, in training.
    """

    def __init__(
        self, *, width: int, context: int, heads: int, feed_forward: int, layers: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        stack = nn.ModuleList(Layer(width, context, heads, feed_forward, dropout) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layer": stack})

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """(B,T,width) and (B,N,context) to (B,T,width)."""
        layers = self.encoder["layer"]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            queries = layer(queries, tokens)
        return queries
