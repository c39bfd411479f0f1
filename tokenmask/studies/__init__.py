"""Studies: variants of a system, measured alike, with intervals, and what is claimed of them.

Arrow: a page of YAML --> **Study** --**run_study**--> table, plot, JSON. Does not know: systems, modalities.
"""

from tokenmask.studies.harness import run_study
from tokenmask.studies.law import BestWorth, Drawn, ExcessNats, Impossible, LawMetric, TotalVariation
from tokenmask.studies.reading import read_study, study_of
from tokenmask.studies.results import Results
from tokenmask.studies.study import Claim, Study, Variant

__all__ = [
    "BestWorth",
    "Claim",
    "Drawn",
    "ExcessNats",
    "Impossible",
    "LawMetric",
    "Results",
    "Study",
    "TotalVariation",
    "Variant",
    "read_study",
    "run_study",
    "study_of",
]
