"""What a person says of a run that its files do not, for its model card.

Arrow: words --**Card**--> tokenmask.sharing, which makes README.md. Does not know: runs, Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
    """

    title: str = ""
    licence: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"samples of a card must be 0 or more, got {self.samples}; 0 draws none")
