"""What a person says of a run that its files do not, for its model card.

Arrow: words --**Card**--> tokenmask.sharing, which makes README.md. Does not know: runs, Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral

_MOST_SAMPLES = 100  # of each stream: a card is a page, not a data set


@dataclass(frozen=True)
class Card:
    """What a person says of a run that its files do not.

    Args:
        title: heading; the name of the folder if "".
        licence: of the weights, as hubs name it ("apache-2.0", "cc-by-4.0", "other").
        data: name of each source of data -> its licence.
        limits: sentences about what it cannot.
        samples: how many are drawn for each stream, with the run's own sampler; 0 draws none.
        seed: of the samples.

    Raises:
        TypeError: a field of another type.
        ValueError: samples below 0, or more than 100.
    """

    title: str = ""
    licence: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("title", "licence"):
            _word(f"{name} of a card", getattr(self, name))
        if not isinstance(self.data, Mapping):
            raise TypeError(f"data of a card must name a licence for each source, got {self.data!r}; write a dict")
        for source, licence in self.data.items():
            _word("each source in data of a card", source)
            _word(f"the licence of {source!r} in data of a card", licence)
        if isinstance(self.limits, str) or not isinstance(self.limits, Sequence):
            raise TypeError(
                f"limits of a card must be a list of sentences, got {self.limits!r}; write [{self.limits!r}]"
            )
        for limit in self.limits:
            _word("each of limits of a card", limit)
        if isinstance(self.samples, bool) or not isinstance(self.samples, Integral):
            raise TypeError(f"samples of a card must be a whole number, got {self.samples!r}; write an int")
        if not 0 <= self.samples <= _MOST_SAMPLES:
            raise ValueError(f"samples of a card must be in 0..{_MOST_SAMPLES}, got {self.samples}; 0 draws none")


def _word(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be words, got {value!r}; write a str")
