"""Network parts that every model and tokenizer shares, each written once.

Does not know: streams, ids, layouts, masks of training. Imports torch and ``tokenmask.ops`` only.
"""

from tokenmask.nn.init import build

__all__ = ["build"]
