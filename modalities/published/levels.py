"""Published codecs with levels of codebooks, of which the coarse ones may be taken alone; of any kind of media.

Does not know: media, which codec.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenmask.modalities.published.base import PublishedConfig, PublishedTokenizer


@dataclass(frozen=True)
class LevelsConfig(PublishedConfig):
    """A codec with levels.

    Args:
        levels: of its codebooks, coarse ones first; None for all.
    """

    levels: int | None = None


class PublishedLevels(PublishedTokenizer):
    """Base of codecs with levels; an adapter, or the base of its media, says how many there are."""

    config_class: ClassVar[type] = LevelsConfig
    most_levels: ClassVar[int | None] = None
    """How many levels every network of the kind has, if all have as many, so that more are refused unread."""

    @property
    @abstractmethod
    def all_levels(self) -> int:
        """How many levels the network has."""

    @property
    def choices(self) -> Sequence[int]:
        """Numbers of levels that may be taken; any unless an adapter says otherwise."""
        return range(1, self.all_levels + 1)

    @classmethod
    def check_options(cls, config: Any) -> None:
        """ValueError unless levels are a number of them, or None."""
        levels = config.levels
        if levels is not None and (isinstance(levels, bool) or not isinstance(levels, int) or levels < 1):
            raise ValueError(
                f"levels of a {cls.__name__} must be a whole number from 1 on, or None for all, got {levels!r}; "
                "write one"
            )
        most = cls.most_levels
        if levels is not None and most is not None and levels > most:
            raise ValueError(f"levels of a {cls.__name__} must be at most {most}, got {levels}; leave them out")

    def resolved(self, config: Any) -> Any:
        """With a number of levels."""
        may = self.choices
        levels = may[-1] if config.levels is None else config.levels
        if isinstance(levels, bool) or not isinstance(levels, int) or levels not in may:
            wanted = f"lie in 1..{may[-1]}" if isinstance(may, range) else f"be one of {list(may)}"
            raise ValueError(f"levels of {self.source} must {wanted}, got {levels!r}")
        return replace(config, levels=levels)

    @classmethod
    def fit(
        cls,
        items: Sequence[Any],
        *,
        source: str,
        levels: int | None = None,
        keep: str = "weights",
        download: bool = False,
        seed: int = 0,
        folder: str | Path | None = None,
        progress: bool = True,
    ) -> Self:
        """Opens it, for recipes: nothing is learned, and ``items``, ``seed`` and the others are accepted and not used.

        Args:
            items: not looked at.
            source: see :meth:`open`, as for ``keep`` and ``download``.
            levels: see :class:`LevelsConfig`.
        """
        return cls.open(source, keep=keep, download=download, levels=levels)
