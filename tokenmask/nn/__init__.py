"""Network parts that every model and tokenizer shares, each written once.

Does not know: streams, ids, layouts, masks of training. Imports torch and ``tokenmask.ops`` only.
"""

from tokenmask.nn.attention import Attention
from tokenmask.nn.ema import EMA
from tokenmask.nn.feed_forward import GeluLayer, SwiGLU
from tokenmask.nn.grid_convolution import GridConvolution, neighbours
from tokenmask.nn.init import build
from tokenmask.nn.linear import Linear, linear
from tokenmask.nn.merging import Merging, match
from tokenmask.nn.modulation import MIN_ROWS, Modulation, TimeFeatures, pad_rows
from tokenmask.nn.named import Named, check_names, counted
from tokenmask.nn.norm import RMSNorm, norm_of
from tokenmask.nn.products import bfloat16_products, check_bfloat16_products, has_bfloat16_products
from tokenmask.nn.recompute import keeping, made_again, recomputed
from tokenmask.nn.rotary import Rotary, rotate
from tokenmask.nn.segments import Segments, Stretch
from tokenmask.nn.sharing import shares

__all__ = [
    "EMA",
    "MIN_ROWS",
    "Attention",
    "GeluLayer",
    "GridConvolution",
    "Linear",
    "Merging",
    "Modulation",
    "Named",
    "RMSNorm",
    "Rotary",
    "Segments",
    "Stretch",
    "SwiGLU",
    "TimeFeatures",
    "bfloat16_products",
    "build",
    "check_bfloat16_products",
    "check_names",
    "counted",
    "has_bfloat16_products",
    "keeping",
    "linear",
    "made_again",
    "match",
    "neighbours",
    "norm_of",
    "pad_rows",
    "recomputed",
    "rotate",
    "shares",
]
