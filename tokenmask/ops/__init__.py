"""The compiled ops of tokenmask, each with its Python face, fake kernel and reference in one file.

An op's docstring is its specification and its reference is its meaning; the CPU and CUDA kernels in ``csrc/`` equal it.
Ids and codes are int32; slots, counts and sample ids are int64. embed_codes has a gradient, and so have rms_norm,
turn_heads and gate, which have kernels for the CPU alone. No op touches a global generator: randomness is Philox, keyed
by a seed and a counter that the caller names. On a GPU no op but mask_tokens waits, and what kernels refuse is raised
later: see ``check``. The CUDA kernels were run emulated, not yet on a GPU.

Does not know: anything else of tokenmask.
"""

from tokenmask.ops._extension import build_info, why_no_kernels
from tokenmask.ops.attend_cached import attend_cached
from tokenmask.ops.between import gate, is_compiled, rms_norm, turn_heads
from tokenmask.ops.check import check
from tokenmask.ops.choose import choose
from tokenmask.ops.commit import commit
from tokenmask.ops.embed_codes import embed_codes
from tokenmask.ops.mask_tokens import mask_tokens
from tokenmask.ops.philox import Purpose
from tokenmask.ops.quantize_residual import quantize_residual
from tokenmask.ops.reveal import reveal
from tokenmask.ops.rotate_and_store import rotate_and_store
from tokenmask.ops.sample_codes import sample_codes
from tokenmask.ops.uniform import uniform

__all__ = [
    "Purpose",
    "attend_cached",
    "build_info",
    "check",
    "choose",
    "commit",
    "embed_codes",
    "gate",
    "is_compiled",
    "mask_tokens",
    "quantize_residual",
    "reveal",
    "rms_norm",
    "rotate_and_store",
    "sample_codes",
    "turn_heads",
    "uniform",
    "why_no_kernels",
]
