"""Inputs: what a person gives becomes tokens, and how large a stream is to be.

Arrow: media, words, paths --**Inputs.tokens**--> TokenStream --> Request. Does not know: models, samplers, recipes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenmask.arguments import what
from tokenmask.generation.expected import ExpectedLengths
from tokenmask.generation.options import DrawOptions
from tokenmask.generation.request import growing_axis
from tokenmask.layout import Layout
from tokenmask.medium import Medium, load_media, said
from tokenmask.scores.arguments import number, whole
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer, stream_of


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the streams of a system take.

    Args:
        layout: of its models.
        tokenizers: by stream name.
        labels: stream name -> axis -> names of its entries in the data (electrodes); new streams get the same.
        lengths: how long new streams are that are asked for without a size.
    """

    layout: Layout
    tokenizers: Mapping[str, Tokenizer]
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    lengths: ExpectedLengths = field(default_factory=ExpectedLengths)

    def check(self, stream: str) -> None:
        """ValueError if there is no such stream."""
        if not isinstance(stream, str) or stream not in self.tokenizers:
            raise ValueError(
                f"a stream must be one of those of this run, {', '.join(self.tokenizers)}, got {stream!r}; name one"
            )

    def media(self, name: str, value: Any) -> Any:
        """Media, words or a path -> media."""
        self.check(name)
        kind: Any = self.tokenizers[name].media
        if isinstance(value, str) and said(kind, "words"):
            value = kind(value)
        elif isinstance(value, (str, Path)):
            value = load_media(kind, value)
        elif not isinstance(value, kind) and issubclass(kind, Medium):
            value = kind.of(value) or value
        return value

    def tokens(self, name: str, value: Any) -> TokenStream:
        """Media, words, a path or a stream -> tokens; media that were generated keep theirs."""
        if isinstance(value, TokenStream):
            self.check(name)
            return value
        media = self.media(name, value)
        return stream_of(self.tokenizers[name], media)

    def conditions(self, given: Mapping[str, Any] | None) -> dict[str, TokenStream]:
        """What is given of each stream, as tokens.

        Raises:
            TypeError: no mapping of stream names.
        """
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"given must be a mapping of stream names to what is given, got {given!r}; write a dict")
        return {name: self.tokens(name, value) for name, value in (given or {}).items()}

    def companions(self, options: DrawOptions) -> dict[str, Any]:
        """The fields of a request that hold negative and further conditions."""
        further = tuple(self.conditions(one) for one, _ in options.get("also") or ())
        return {"negative": self.conditions(options.get("negative")), "further": further}

    def stream_of(self, media: Any) -> str:
        """The stream that holds such media."""
        kinds = {name: tokenizer.media for name, tokenizer in self.tokenizers.items() if name not in self.layout.shares}
        if isinstance(media, TokenStream):
            found = [name for name in kinds if self.layout.streams[name] == media.spec]
        else:
            found = [name for name, kind in kinds.items() if type(media) is kind or _is_one(kind, media)]
        if not found and isinstance(media, TokenStream):
            raise ValueError(
                f"codes must be those of a stream of this run, {', '.join(kinds)}, got codes of {media.spec.modality} "
                "by another tokenizer; encode the media anew"
            )
        if len(found) != 1:
            forms = [f"{kind.__name__}({said(kind, 'arrays')})" for kind in set(kinds.values()) if said(kind, "arrays")]
            hint = f"; an array alone is taken for {' or '.join(forms)}" if forms and hasattr(media, "dtype") else ""
            raise ValueError(
                f"say which stream this {what(media)} is of with stream=..., one of {', '.join(self.tokenizers)}{hint}"
            )
        return found[0]

    def grid(
        self,
        name: str,
        prefix: TokenStream | None,
        length: int | None,
        grid: tuple[int, ...] | None,
        duration_seconds: float | None,
        given: Mapping[str, TokenStream] | None = None,
    ) -> tuple[int, ...]:
        """The size of all axes of a new stream, its prefix included; see :meth:`tokenmask.run.Run.generate_tokens`.

        ``given`` are the conditions, which tell how long a new stream is whose size is not said.

        Raises:
            ValueError: a size that is missing, below one, no finite number, or another than the stream always has.
            TypeError: a size of another type.
        """
        spec = self.layout.streams[name]
        told = {"length": length, "grid": grid, "duration_seconds": duration_seconds}
        said = [what for what, value in told.items() if value is not None]
        if len(said) > 1:
            raise ValueError(f"the size of {name!r} is said once, got {' and '.join(said)}; take one of them")
        if length is not None:
            length = whole("length", length)
        if grid is not None:
            if not isinstance(grid, Sequence) or isinstance(grid, str) or len(grid) != len(spec.axes):
                wanted = f"a size for each of the axes {', '.join(spec.axes)}"
                raise ValueError(f"grid must hold {wanted} of {name!r}, got {grid!r}; write a tuple")
            grid = tuple(whole("each size of grid", size) for size in grid)
        if duration_seconds is not None:
            duration_seconds = number("duration_seconds", duration_seconds, least=0.0)
            if spec.rate_hz is None:
                raise ValueError(
                    f"{name!r} has no clock to measure seconds by, got duration_seconds={duration_seconds:g}; "
                    + ("ask for a length" if None in spec.grid else "leave it out, its size is always the same")
                )
            length = round(duration_seconds * spec.rate_hz)
            if length < 1:
                shortest = f"at least {1 / spec.rate_hz:g}, one place of {name!r}"
                raise ValueError(f"duration_seconds must be {shortest}, got {duration_seconds:g}; ask for more")
        fixed = tuple(size for size in spec.grid if size is not None)
        if grid is None and len(fixed) == len(spec.grid):
            if length is not None and length != fixed[0]:
                asked = f"length {length}" if duration_seconds is None else f"duration_seconds {duration_seconds:g}"
                places = " x ".join(map(str, fixed))
                raise ValueError(f"{name!r} always has {places} places, got {asked}; leave the size out")
            return fixed
        if grid is None:
            if length is None and prefix is None:
                length = self.lengths.of(name, spec, given or {})
            if length is None:
                seconds = "" if spec.rate_hz is None else "duration_seconds=... or "
                raise ValueError(f"{name!r} has no fixed size; say how much of it to fill with {seconds}length=...")
            grows = growing_axis(spec)
            names = dict(prefix.labels if prefix else {}) or self.labels.get(name, {})
            sizes = [
                len(names[axis]) if axis in names else size for axis, size in zip(spec.axes, spec.grid, strict=True)
            ]
            if prefix is not None:
                sizes = list(prefix.grid)
            sizes[grows] = length + (prefix.grid[grows] if prefix else 0)
            if any(size is None for size in sizes):
                raise ValueError(f"{name!r} is free along {spec.axes}; give the whole grid=...")
            grid = tuple(size or 0 for size in sizes)
        return tuple(grid)

    def names(self, name: str, prefix: TokenStream | None, size: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
        """The labels of a new stream of this size: those of its prefix, else of the data, where their number fits."""
        labels = dict(prefix.labels) if prefix else self.labels.get(name, {})
        axes = self.layout.streams[name].axes
        return {axis: own for axis, own in labels.items() if size[axes.index(axis)] == len(own)}


def _is_one(kind: Any, value: Any) -> bool:
    """Whether another library's object is such a medium."""
    if not issubclass(kind, Medium) or isinstance(value, (str, Medium)):
        return False
    with warnings.catch_warnings():  # it is made again, and tells then
        warnings.simplefilter("ignore")
        return kind.of(value) is not None
