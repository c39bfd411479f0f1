"""Records of token streams on disk: written whole, read in any order, resumed exactly.

Arrow: TokenStream --CorpusWriter--> shards --Corpus, Mixture--> Record --Layout.pack--> Sequence.
"""

from tokenmask.corpus.build import build_corpus
from tokenmask.corpus.collect import write_tables
from tokenmask.corpus.encoding import encode_items, usual_workers
from tokenmask.corpus.engines import Engine, ProcessPool, RayCluster, TableEncoder, engine_of
from tokenmask.corpus.items import Item
from tokenmask.corpus.mixture import Draw, Mixture
from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.records import HELD_OUT, JSON, TRAIN, Record, num_positions
from tokenmask.corpus.statistics import statistics, totals
from tokenmask.corpus.summary import BuildSummary
from tokenmask.corpus.table import RecordTable, StreamColumn
from tokenmask.corpus.writer import CorpusWriter

__all__ = [
    "HELD_OUT",
    "JSON",
    "TRAIN",
    "BuildSummary",
    "Corpus",
    "CorpusWriter",
    "Draw",
    "Engine",
    "Item",
    "Mixture",
    "ProcessPool",
    "RayCluster",
    "Record",
    "RecordTable",
    "StreamColumn",
    "TableEncoder",
    "build_corpus",
    "encode_items",
    "engine_of",
    "num_positions",
    "statistics",
    "totals",
    "usual_workers",
    "write_tables",
]
