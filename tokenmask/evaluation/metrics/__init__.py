"""The metrics of tokenmask, one kind of figure a file, in the order in which tables show them.

``NextWord`` is asked for by studies alone.
"""

from tokenmask.evaluation.metrics.bits import Bits
from tokenmask.evaluation.metrics.conditions import ClassSeen, OwnConditionFirst
from tokenmask.evaluation.metrics.generated import Generated
from tokenmask.evaluation.metrics.next_word import NextWord
from tokenmask.evaluation.metrics.reconstruction import Reconstruction
from tokenmask.evaluation.metrics.spoken_digits import SpokenDigits

METRICS = (Bits(), Generated(), OwnConditionFirst(), ClassSeen(), SpokenDigits(), Reconstruction())

__all__ = [
    "METRICS",
    "Bits",
    "ClassSeen",
    "Generated",
    "NextWord",
    "OwnConditionFirst",
    "Reconstruction",
    "SpokenDigits",
]
