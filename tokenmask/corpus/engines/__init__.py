"""Engines: what maps one function over the parts of a corpus, on this machine or on many.

Arrow: table of items --**TableEncoder** on an **Engine**--> token table --write_tables--> shards.
"""

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.engine import Engine, engine_of
from tokenmask.corpus.engines.on_ray import RayCluster
from tokenmask.corpus.engines.packed import PackedTokenizer
from tokenmask.corpus.engines.processes import ProcessPool

__all__ = ["Engine", "PackedTokenizer", "ProcessPool", "RayCluster", "TableEncoder", "engine_of"]
