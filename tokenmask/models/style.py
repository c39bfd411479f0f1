"""BlockStyle: in what families of transformers differ whose arithmetic is otherwise the same.

Arrow: inside TransformerConfig. Does not know: networks, where weights come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Norm = Literal["rms", "layer"]
FeedForward = Literal["swiglu", "gelu"]
Places = Literal["coordinates", "order", "table"]
BIASES = ("qkv", "out", "ffn")


@dataclass(frozen=True)
class BlockStyle:
    """How the blocks of a :class:`~tokenmask.models.Transformer` are made; the defaults are ours.

    Llama and LLaDA (arXiv:2302.13971, arXiv:2502.09992) have ``places="order", query_key_norm=False``; Qwen2 and Dream
    (arXiv:2407.10671, arXiv:2508.15487) besides ``biases=("qkv",)``; Qwen3 (arXiv:2505.09388) has the query-key norm;
    BERT (arXiv:1810.04805) ``norm="layer", post_norm=True, query_key_norm=False, feed_forward="gelu",
    biases=("qkv", "out", "ffn"), places="table"``.

    Args:
        norm: "rms" or "layer", which also takes the mean away and adds a bias.
        norm_eps: of every norm of the backbone.
        post_norm: norms stand behind the sums, and behind the embeddings, as in BERT; else before attention and feed
            forward, and one behind the last block.
        query_key_norm: the queries and keys of each head are normalised.
        head_size: components of a head; 0 is width / heads.
        ffn_size: hidden units of the feed-forward layer; 0 follows from ``ffn``.
        feed_forward: "swiglu", gated, or "gelu", two layers with the exact GELU between them.
        biases: which linear layers of a block have one: "qkv", "out" (of attention), "ffn".
        places: "coordinates" turns queries and keys by (time, row, column), "order" by the place in the packed
            sequence, "table" adds a learned vector of that place instead.
        reads_before: what stands at a position is read at the one before it, as in models that once were causal
            (Dream); at its own, where it may not see that one.
    """

    norm: Norm = "rms"
    norm_eps: float = 1e-6
    post_norm: bool = False
    query_key_norm: bool = True
    head_size: int = 0
    ffn_size: int = 0
    feed_forward: FeedForward = "swiglu"
    biases: tuple[str, ...] = ()
    places: Places = "coordinates"
    reads_before: bool = False

    def __post_init__(self) -> None:
        for name, kinds in (("norm", Norm), ("feed_forward", FeedForward), ("places", Places)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(
                    f"BlockStyle.{name} must be one of {', '.join(get_args(kinds))}, got {getattr(self, name)!r}"
                )
        if not set(self.biases) <= set(BIASES):
            raise ValueError(f"BlockStyle.biases may name {', '.join(BIASES)}, got {list(self.biases)}; name these")
        if not self.norm_eps > 0 or self.head_size < 0 or self.head_size % 2 or self.ffn_size < 0:
            raise ValueError(
                "BlockStyle needs a positive norm_eps, an even head_size and an ffn_size that is not negative, got "
                f"{self.norm_eps}, {self.head_size} and {self.ffn_size}; change them (0 means by the width)"
            )
