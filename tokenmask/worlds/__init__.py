"""Worlds: laws known by enumeration, as records to train on and as models that know the truth."""

from tokenmask.worlds.brackets import Brackets
from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.facts import Facts
from tokenmask.worlds.markov import Markov
from tokenmask.worlds.matching import Matching
from tokenmask.worlds.molecules import Molecules
from tokenmask.worlds.moving_glyphs import MovingGlyphs
from tokenmask.worlds.nae_sat import NaeSat
from tokenmask.worlds.oracle import Oracle, OracleConfig, oracle
from tokenmask.worlds.pairs import Pairs
from tokenmask.worlds.potts import Potts
from tokenmask.worlds.scenes import Scenes
from tokenmask.worlds.sudoku import Sudoku4
from tokenmask.worlds.twins import TwinWords
from tokenmask.worlds.world import Part, World

__all__ = [
    "Brackets",
    "Enumerated",
    "Facts",
    "Markov",
    "Matching",
    "Molecules",
    "MovingGlyphs",
    "NaeSat",
    "Oracle",
    "OracleConfig",
    "Pairs",
    "Part",
    "Potts",
    "Scenes",
    "Sudoku4",
    "TwinWords",
    "World",
    "oracle",
]
