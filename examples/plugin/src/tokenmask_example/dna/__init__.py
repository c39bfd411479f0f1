"""DNA for tokenmask: strands in FASTA files, words of k bases as codes."""

from tokenmask_example.dna.media import Dna
from tokenmask_example.dna.tokenizer import KmerConfig, KmerTokenizer
from tokenmask_example.dna.view import DnaView

__all__ = ["Dna", "DnaView", "KmerConfig", "KmerTokenizer"]
