"""Records of token streams on disk: written whole, read in any order, resumed exactly.

Arrow: TokenStream --CorpusWriter--> shards --Corpus, Mixture--> Record --Layout.pack--> Sequence.
"""

from tokenmask.corpus.build import BuildSummary, build_corpus
from tokenmask.corpus.encoding import Item, encode_items, usual_workers
from tokenmask.corpus.mixture import Draw, Mixture
from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.records import HELD_OUT, JSON, TRAIN, Record, num_positions
from tokenmask.corpus.statistics import statistics, totals
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
    "Item",
    "Mixture",
    "Record",
    "RecordTable",
    "StreamColumn",
    "build_corpus",
    "encode_items",
    "num_positions",
    "statistics",
    "totals",
    "usual_workers",
]
