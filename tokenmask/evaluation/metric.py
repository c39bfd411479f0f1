"""Metric: a kind of figure of one stream of a run; those of installed packages join those of tokenmask.

Arrow: Part --**Metric**--> Figures. Does not know: which metrics there are, how any is computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from tokenmask.analysis.figures import Figure
from tokenmask.components import COMPONENT_GROUP
from tokenmask.evaluation.part import Part
from tokenmask.tokenizer.points import entry_points


class Metric(ABC):
    """A kind of figure.

    Its figures follow from the part alone: the same part gives the same numbers. It draws from ``part.rng(number)``
    (500 to 999 are free for packages of others), asks ``part.generated`` for samples, which are shared among metrics,
    and gives each number its sample size and interval. What cannot be measured has no value, and a note says why.
    A package brings its own by an entry point, and ``tokenmask evaluate`` then shows it::

        [project.entry-points."tokenmask.components"]
        divergence = "my_package:Divergence"

    Such a class is made without arguments.
    """

    begins: ClassVar[tuple[str, ...]] = ()
    """What the names of its figures begin with, so that a wrong one is refused before anything is measured; () where it
    cannot say."""

    @abstractmethod
    def __call__(self, part: Part) -> Sequence[Figure]:
        """The figures of one stream; an empty list where the metric does not concern it."""


def installed_metrics() -> list[Metric]:
    """One of each metric that installed packages bring, by the names of their entry points.

    Raises:
        ValueError: an entry point whose class cannot be imported or made.
    """
    found: list[Metric] = []
    for point in sorted(entry_points(group=COMPONENT_GROUP), key=lambda point: point.name):
        if ":" not in point.value:
            continue  # a package that files may name classes of
        try:
            kind = point.load()
            if isinstance(kind, type) and issubclass(kind, Metric):
                found.append(kind())
        except Exception as error:  # whatever a package of others raises when it is imported
            raise ValueError(
                f"an entry point of {COMPONENT_GROUP} must name a class that can be imported, a metric one made "
                f"without arguments, but {point.name} = {point.value} does not ({error}); mend or uninstall its package"
            ) from error
    return found
