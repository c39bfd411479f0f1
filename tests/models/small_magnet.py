"""A small MAGNeT with random weights by its published names, and texts for it: for the tests and to compare."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS, CODES, WIDTH, HEADS, DEPTH, READS, REACH, FRAMES = 2, 32, 32, 4, 2, 16, 2, 24
STEPS = (5, 3)


def weights(biases: bool = False) -> dict[str, Tensor]:
    """float32 tensors of ``best_state``; published ones have no biases in attention and linear layers."""
    generator = torch.Generator().manual_seed(7)
    found: dict[str, Tensor] = {}

    def draw(name: str, *shape: int, scale: float = 1.0, plus: float = 0.0) -> None:
        found[name] = torch.randn(*shape, generator=generator) * scale + plus

    for level in range(LEVELS):
        draw(f"emb.{level}.weight", CODES + 1, WIDTH)
        draw(f"linears.{level}.weight", CODES, WIDTH, scale=0.03)
    for layer in range(DEPTH):
        block = f"transformer.layers.{layer}"
        for part in ("self_attn", "cross_attention"):
            draw(f"{block}.{part}.in_proj_weight", 3 * WIDTH, WIDTH, scale=1.5 / WIDTH**0.5)
            draw(f"{block}.{part}.out_proj.weight", WIDTH, WIDTH, scale=1.5 / WIDTH**0.5)
            if biases:
                draw(f"{block}.{part}.in_proj_bias", 3 * WIDTH, scale=0.3)
                draw(f"{block}.{part}.out_proj.bias", WIDTH, scale=0.3)
        draw(f"{block}.linear1.weight", 4 * WIDTH, WIDTH, scale=1.5 / WIDTH**0.5)
        draw(f"{block}.linear2.weight", WIDTH, 4 * WIDTH, scale=0.75 / WIDTH**0.5)
        if biases:
            draw(f"{block}.linear1.bias", 4 * WIDTH, scale=0.3)
            draw(f"{block}.linear2.bias", WIDTH, scale=0.3)
        for norm in ("norm1", "norm_cross", "norm2"):
            draw(f"{block}.{norm}.weight", WIDTH, scale=0.1, plus=1.0)
            draw(f"{block}.{norm}.bias", WIDTH, scale=0.1)
    draw("out_norm.weight", WIDTH, scale=0.1, plus=1.0)
    draw("out_norm.bias", WIDTH, scale=0.1)
    draw("condition_provider.conditioners.description.output_proj.weight", WIDTH, READS, scale=1.0 / READS**0.5)
    draw("condition_provider.conditioners.description.output_proj.bias", WIDTH, scale=0.3)
    return found


def codes() -> Tensor:
    """int64 [2, FRAMES, LEVELS], some hidden; the second level all hidden in row 0."""
    found = torch.randint(CODES + 1, (2, FRAMES, LEVELS), generator=torch.Generator().manual_seed(3))
    found[0, :, 1] = CODES
    return found


def states() -> list[Tensor]:
    """What T5 would give for two texts of as many pieces, float32 [5, READS]."""
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(5, READS, generator=generator) for _ in range(2)]


def settings() -> dict[str, object]:
    """What its ``config.yaml`` says."""
    return {
        "lm_model": "transformer_lm_magnet",
        "transformer_lm": {"num_heads": HEADS, "subcodes_context": REACH, "causal": False, "norm_first": True},
        "codebooks_pattern": {"modeling": "parallel"},
        "fuser": {"cross": ["description"], "cross_attention_pos_emb": False},
        "conditioners": {"description": {"model": "t5", "t5": {"name": "t5-small"}}},
        "dataset": {"segment_duration": 1},
        "masking": {"span_len": 3},
    }


class Texts(torch.nn.Module):
    """In the place of T5: a vector for each piece, mixed with those of the whole text."""

    def __init__(self, pieces: int = 40) -> None:
        super().__init__()
        draw = torch.randn(pieces, READS, generator=torch.Generator().manual_seed(8))
        self.table = torch.nn.Parameter(draw, requires_grad=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Texts.Read:
        own = self.table[input_ids] * attention_mask[..., None]
        return Texts.Read(own + own.sum(1, keepdim=True) / 4)

    class Read:
        def __init__(self, states: Tensor) -> None:
            self.last_hidden_state = states
