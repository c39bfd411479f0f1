"""Records of token streams on disk: written whole, read in any order, resumed exactly.

Arrow: TokenStream --CorpusWriter--> shards --Corpus, Mixture--> Record --Layout.pack--> Sequence.
"""

from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.records import HELD_OUT, JSON, TRAIN, Record, num_positions
from tokenmask.corpus.writer import CorpusWriter

__all__ = ["HELD_OUT", "JSON", "TRAIN", "Corpus", "CorpusWriter", "Record", "num_positions"]
