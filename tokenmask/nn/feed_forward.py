"""The gated feed-forward layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)), without biases. Source: arXiv:2002.05202, equation 6.

    Args:
        width: of the model.
        multiple: the hidden size is 2 / 3 * multiple * width, rounded up to a multiple of 64, so that the layer has
            about as many weights as an ungated one of ``multiple`` times the width.
    """

    def __init__(self, width: int, multiple: float = 4.0) -> None:
        super().__init__()
        hidden = max(-(-int(2 * multiple * width / 3) // 64) * 64, 64)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float [..., width] -> new tensor of the same shape."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]
