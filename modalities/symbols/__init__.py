"""Symbols: DNA, molecules, puzzles, class labels and label maps, spelled in an alphabet of which nothing is learned."""

from tokenmask.modalities.symbols.media import Symbols
from tokenmask.modalities.symbols.tokenizer import SymbolConfig, SymbolTokenizer

__all__ = [
    "SymbolConfig",
    "SymbolTokenizer",
    "Symbols",
]
