"""Worlds: laws known by enumeration, as records to train on and as models that know the truth."""

from tokenmask.worlds.brackets import Brackets
from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.markov import Markov
from tokenmask.worlds.oracle import Oracle, OracleConfig, oracle
from tokenmask.worlds.pairs import Pairs
from tokenmask.worlds.potts import Potts
from tokenmask.worlds.sudoku import Sudoku4
from tokenmask.worlds.world import Part, World

__all__ = [
    "Brackets",
    "Enumerated",
    "Markov",
    "Oracle",
    "OracleConfig",
    "Pairs",
    "Part",
    "Potts",
    "Sudoku4",
    "World",
    "oracle",
]
