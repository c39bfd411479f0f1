"""Token streams: what every tokenizer emits and every decoder takes.

Arrow: raw media --Tokenizer.encode--> **TokenStream** --> Corpus.
Does not know: media, shared ids, models. Codes here are local: 0 .. codebook_size - 1 of their own level.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tokenmask.arguments import MOST, is_a, moment, names, number, path_of, string, tensor_of, whole
from tokenmask.as_array import AsArray
from tokenmask.files import no_tensors, writing_atomically

AXES = ("index", "time", "row", "column", "channel")
_ABOUT = "tokenmask_stream"  # in the attrs of a table, as in the metadata of a file


@dataclass(frozen=True)
class StreamSpec:
    """What the codes of a stream mean, apart from their values.

    Args:
        modality: "text", "image", "audio", ...
        codebook_sizes: number of codes of each level; K = len(codebook_sizes).
        axes: names of the grid's axes, a subset of ("index", "time", "row", "column", "channel").
        grid: size of each axis, None where it varies from stream to stream; () means all vary.
        rate_hz: steps of the "time" axis in a second; None for streams without a clock.
        level_groups: levels are ordered coarse to fine inside a group only (NeuroRVQ has four groups of eight);
            () means one group of all levels.
        end_code: the code of level 0 that means "nothing follows", or None. An encoder never emits it.
        fingerprint: hash of the tokenizer's canonical configuration and stored weights, without those of a decoder that
            was fitted later to the same codes; "" if it has none.

    Lists are taken in place of tuples.

    Raises:
        TypeError: a value of another type.
        ValueError: sizes, axes, a grid, groups, a rate or an end code that do not go together.
    """

    modality: str
    codebook_sizes: tuple[int, ...]
    axes: tuple[str, ...]
    grid: tuple[int | None, ...] = ()
    rate_hz: float | None = None
    level_groups: tuple[tuple[int, ...], ...] = ()
    end_code: int | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        string("StreamSpec.modality", self.modality)
        string("StreamSpec.fingerprint", self.fingerprint)
        object.__setattr__(self, "axes", names("StreamSpec.axes", self.axes))
        object.__setattr__(self, "codebook_sizes", _wholes("StreamSpec.codebook_sizes", self.codebook_sizes))
        object.__setattr__(self, "grid", _wholes("StreamSpec.grid", self.grid, least=1, varies=True))
        groups = self.level_groups
        if not isinstance(groups, tuple | list):
            raise TypeError(f"StreamSpec.level_groups must be a list of groups, got {groups!r}; write ((0, 1), (2, 3))")
        groups = tuple(_wholes("each of StreamSpec.level_groups", group) for group in groups)
        object.__setattr__(self, "level_groups", groups)
        if not self.codebook_sizes or any(not 1 <= size < 1 << 31 for size in self.codebook_sizes):
            raise ValueError(
                f"StreamSpec needs one or more positive codebook_sizes below 2**31, got {self.codebook_sizes}; "
                "name the number of codes of each level"
            )
        if not self.axes or len(set(self.axes)) != len(self.axes) or not set(self.axes) <= set(AXES):
            raise ValueError(
                f"StreamSpec.axes must be different names out of {AXES}, got {self.axes}; name each axis once"
            )
        if not self.grid:
            object.__setattr__(self, "grid", (None,) * len(self.axes))
        if len(self.grid) != len(self.axes):
            raise ValueError(
                f"StreamSpec.grid needs a size or None for each of {self.axes}, got {self.grid}; "
                "write one entry for each axis"
            )
        if not self.level_groups:
            object.__setattr__(self, "level_groups", (tuple(range(self.num_levels)),))
        if sorted(level for group in self.level_groups for level in group) != list(range(self.num_levels)):
            raise ValueError(
                f"level_groups must hold each of {self.num_levels} levels once, got {self.level_groups}; "
                "name each level in one group"
            )
        if self.rate_hz is not None:
            moment("StreamSpec.rate_hz", self.rate_hz)
        if self.rate_hz is not None and not ("time" in self.axes and 0 < self.rate_hz < math.inf):
            raise ValueError(
                f"rate_hz must be positive and belongs to a time axis, got {self.rate_hz} for {self.axes}; "
                "give a rate to streams with a time axis alone"
            )
        if self.end_code is not None:
            whole("StreamSpec.end_code", self.end_code, -MOST)
        if self.end_code is not None and not 0 <= self.end_code < self.codebook_sizes[0]:
            raise ValueError(
                f"end_code must be a code of level 0, got {self.end_code} of {self.codebook_sizes[0]}; "
                "take the last code of level 0"
            )
        if self.end_code is not None and len(self.axes) > 1:
            raise ValueError(f"a stream with an end code must have one axis, got {self.axes}; leave end_code out")

    @property
    def num_levels(self) -> int:
        """K, the number of codes at each place of the grid."""
        return len(self.codebook_sizes)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; :meth:`from_json` is the exact inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StreamSpec:
        """Rebuilds a spec from :meth:`to_json`."""
        tuples = {
            "codebook_sizes": tuple(values["codebook_sizes"]),
            "axes": tuple(values["axes"]),
            "grid": tuple(values["grid"]),
            "level_groups": tuple(tuple(group) for group in values["level_groups"]),
        }
        return cls(**{**values, **tuples})


@dataclass(frozen=True, eq=False)
class TokenStream(AsArray):
    """The codes of one piece of media.

    Args:
        spec: what the codes mean.
        codes: int32 [*grid, K], local codes of each level; a NumPy array of whole numbers is taken likewise.
        start_seconds: where the stream begins in its recording.
        labels: names of the entries of an axis, for example {"channel": ("Fz", "Cz")}.

    ``filled`` is bool [*grid, K], the codes that a model filled in, for those who show them; None where nobody said it,
    as in streams that were encoded, read from a file or made from another by ``dataclasses.replace``.

    Raises:
        TypeError: a value of another type.
        ValueError: codes or labels that do not go with the spec, or a start that is not finite.
    """

    array_field: ClassVar[str] = "codes"

    spec: StreamSpec
    codes: Tensor
    start_seconds: float = 0.0
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filled: Tensor | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.codes, np.ndarray):
            object.__setattr__(self, "codes", _whole(self.codes))
        spec, codes = self.spec, self.codes
        is_a("spec of a TokenStream", spec, StreamSpec)
        if not isinstance(codes, Tensor):
            tensor_of(f"codes of a stream of {spec.modality}", codes)
        number("start_seconds", self.start_seconds)
        if not isinstance(self.labels, Mapping):
            raise TypeError(
                f"labels must be a dict from axes to names, got {self.labels!r}; write {{'channel': ('Fz', 'Cz')}}"
            )
        if codes.dtype != torch.int32 or codes.dim() != len(spec.axes) + 1 or codes.shape[-1] != spec.num_levels:
            raise ValueError(
                f"codes of a stream of {spec.modality} must be int32 [{', '.join(spec.axes)}, {spec.num_levels}], "
                f"got {str(codes.dtype).removeprefix('torch.')} {list(codes.shape)}; "
                "reshape or convert them"
            )
        for axis, size, got in zip(spec.axes, spec.grid, codes.shape, strict=False):
            if size is not None and size != got:
                raise ValueError(
                    f"a stream of {spec.modality} has {size} along {axis}, got {got}; encode media of that size"
                )
        if codes.numel():
            sizes = torch.tensor(spec.codebook_sizes, dtype=torch.int32, device=codes.device)
            if bool(((codes < 0) | (codes >= sizes)).any()):
                low, high = int(codes.min()), int(codes.max())
                raise ValueError(
                    f"codes of a stream of {spec.modality} must lie in 0..size-1 for sizes {spec.codebook_sizes}, "
                    f"got values from {low} to {high}; "
                    "decode them with the tokenizer that made them"
                )
        for axis, given in self.labels.items():
            called = names(f"labels of {axis}", given)
            if axis not in spec.axes or len(called) != codes.shape[spec.axes.index(axis)]:
                raise ValueError(
                    f"labels must name every entry of an axis of {spec.axes}, got {len(called)} for {axis!r}; "
                    "give a label for each, or none"
                )

    def with_filled(self, filled: Tensor) -> TokenStream:
        """The same stream that knows which of its codes a model filled in.

        Args:
            filled: bool [*grid, K].

        Raises:
            ValueError: another dtype or shape.
        """
        if filled.dtype != torch.bool or filled.shape != self.codes.shape:
            raise ValueError(
                f"filled must be bool {list(self.codes.shape)}, got {filled.dtype} {list(filled.shape)}; "
                "give an entry for each code"
            )
        made = TokenStream(self.spec, self.codes, self.start_seconds, self.labels)
        object.__setattr__(made, "filled", filled)
        return made

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each code: its place along each axis, its level and the code.

        Axes whose entries have names show these; a clock adds a column ``seconds``. ``attrs`` holds what else
        :meth:`from_frame` needs, and is kept by Parquet files of pandas.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("a table of codes needs pandas, which is not installed; pip install pandas") from error
        places = np.indices(self.codes.shape)
        columns: dict[str, Any] = {}
        for at, axis in enumerate(self.spec.axes):
            called, place = self.labels.get(axis), places[at].ravel()
            columns[axis] = place if called is None else np.asarray(called, dtype=object)[place]
            if axis == "time" and self.spec.rate_hz is not None:
                columns["seconds"] = self.start_seconds + place / self.spec.rate_hz
        frame = pd.DataFrame({**columns, "level": places[-1].ravel(), "code": np.asarray(self).ravel()})
        frame.attrs = {_ABOUT: {"spec": self.spec.to_json(), "start_seconds": self.start_seconds}}
        return frame

    @classmethod
    def from_frame(cls, frame: Any, spec: StreamSpec | None = None, start_seconds: float | None = None) -> TokenStream:
        """The stream of a table, the inverse of :meth:`to_frame`.

        Args:
            frame: a ``pandas.DataFrame`` with a column for each axis, "level" and "code", in any order of its rows and
                columns; other columns are not read. An axis of words has these as its labels, in the order in which
                they first come.
            spec: what the codes mean; None takes what :meth:`to_frame` left in ``frame.attrs``.
            start_seconds: likewise; 0 where nothing says it.

        Raises:
            ValueError: no spec, a column that is missing, a place that is missing or there twice, or codes that the
                spec does not have; a start that is no finite number.
            TypeError: no table, or a spec that is none.
        """
        if not all(hasattr(frame, name) for name in ("attrs", "columns")):
            raise TypeError(f"a table of codes must be a pandas.DataFrame, got {type(frame).__name__}; make one")
        if not isinstance(spec, StreamSpec | None):
            raise TypeError(f"spec of a table of codes must be a StreamSpec, got {spec!r}; take that of its tokenizer")
        about = frame.attrs.get(_ABOUT, {})
        if spec is None and "spec" not in about:
            raise ValueError("a table of codes must say what they mean, but this one does not (attrs); pass its spec")
        spec = StreamSpec.from_json(about["spec"]) if spec is None else spec
        start = about.get("start_seconds", 0.0) if start_seconds is None else start_seconds
        if isinstance(start, bool) or not isinstance(start, Real) or not math.isfinite(start):
            raise ValueError(f"start_seconds must be a finite number, got {start!r}; write a float")
        missing = [name for name in (*spec.axes, "level", "code") if name not in frame.columns]
        if missing:
            raise ValueError(f"a table of {spec.modality} codes needs columns {', '.join(missing)}; add or rename them")
        places, labels = [], dict[str, tuple[str, ...]]()
        for axis in (*spec.axes, "level"):
            values = frame[axis].to_numpy()
            if axis != "level" and not np.issubdtype(values.dtype, np.integer):
                called = tuple(dict.fromkeys(str(value) for value in values))
                labels[axis] = called
                values = np.array([called.index(str(value)) for value in values], np.int64)
            places.append(_counted(values, axis))
        sizes = tuple(int(place.max()) + 1 if len(place) else 0 for place in places[:-1])
        shape = (*sizes, spec.num_levels)
        if len(frame) != np.prod(shape) or (len(frame) and places[-1].max() >= spec.num_levels):
            raise ValueError(
                f"a table of {' x '.join(map(str, sizes))} places and {spec.num_levels} level(s) needs a row for each, "
                f"{np.prod(shape)} in all, got {len(frame)}; keep every row"
            )
        flat = np.ravel_multi_index(tuple(places), shape) if len(frame) else np.zeros(0, np.int64)
        if len(np.unique(flat)) != len(flat):
            raise ValueError("a table of codes must hold each place and level once, but holds some twice; drop these")
        given = frame["code"].to_numpy()
        if not np.issubdtype(given.dtype, np.integer):
            raise ValueError(
                f"column 'code' of a table of codes must hold whole numbers, got {given.dtype}; convert it to int32, "
                "and fill or drop what is missing"
            )
        codes = np.zeros(shape, given.dtype)
        codes.reshape(-1)[flat] = given
        return cls(spec, _whole(codes), float(start), labels)

    @property
    def grid(self) -> tuple[int, ...]:
        """Sizes of the axes, without the levels."""
        return tuple(self.codes.shape[:-1])

    @property
    def duration_seconds(self) -> float | None:
        """Length along the time axis, or None for a stream without a clock."""
        if self.spec.rate_hz is None:
            return None
        return self.grid[self.spec.axes.index("time")] / self.spec.rate_hz

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenStream):
            return NotImplemented
        mine = (self.spec, self.start_seconds, dict(self.labels))
        theirs = (other.spec, other.start_seconds, dict(other.labels))
        return mine == theirs and torch.equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        grid = " x ".join(f"{size} {axis}" for axis, size in zip(self.spec.axes, self.grid, strict=True))
        return (
            f"TokenStream({self.spec.modality}: {grid}, {self.spec.num_levels} level(s) of {self.spec.codebook_sizes})"
        )

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, atomically.

        Raises:
            OSError: the file could not be written; nothing is left behind.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        about = {"spec": self.spec.to_json(), "start_seconds": self.start_seconds, "labels": dict(self.labels)}
        with writing_atomically(path) as partial:
            try:
                save_file({"codes": self.codes.contiguous()}, partial, metadata={_ABOUT: json.dumps(about)})
            except SafetensorError as error:
                raise OSError(str(error)) from error

    @classmethod
    def load(cls, path: str | Path) -> TokenStream:
        """Reads what :meth:`save` wrote.

        Raises:
            ValueError: the file is missing, damaged or not a token stream. TypeError: no path.
        """
        from safetensors import SafetensorError, safe_open

        if not path_of("path of a token stream", path).is_file():
            raise ValueError(f"a token stream is read from a file, but {path} does not exist; check the path")
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})[_ABOUT])
                codes = file.get_tensor("codes")
            labels = {axis: tuple(called) for axis, called in about["labels"].items()}
            return cls(StreamSpec.from_json(about["spec"]), codes, about["start_seconds"], labels)
        except (SafetensorError, KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
            raise ValueError(
                f"{path} is not a readable token stream ({no_tensors(error)}); encode the media again"
            ) from error


def _wholes(name: str, values: Any, least: int = -MOST, varies: bool = False) -> tuple[Any, ...]:
    """Whole numbers as a tuple, and None where that is one; what is so already, as mostly, stays as it is."""
    if not isinstance(values, tuple | list):
        example = values if isinstance(values, int) else 16
        raise TypeError(f"{name} must be a list of whole numbers, got {values!r}; write ({example},)")
    if all((type(one) is int and one >= least) or (varies and one is None) for one in values):
        return tuple(values)
    each = f"each of {name}" if not name.startswith("each of ") else f"every number in {name}"
    return tuple(None if varies and one is None else whole(each, one, least) for one in values)


def _counted(values: np.ndarray, name: str) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.integer) or (len(values) and values.min() < 0):
        raise ValueError(f"column {name!r} of a table of codes must count from 0, got {values.dtype}; number the rows")
    return values


def _whole(array: np.ndarray) -> Tensor:
    """int32 of an array of whole numbers, whatever its size and sign; other arrays as they are, to be refused."""
    if array.dtype.kind in "iu" and (not array.size or (array.min() >= -(1 << 31) and array.max() < 1 << 31)):
        return torch.from_numpy(array.astype(np.int32))
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def cut(stream: TokenStream, axis: str, start: int, stop: int) -> TokenStream:
    """Steps ``start`` to ``stop`` of an axis; a stream with a clock keeps its place in the recording."""
    place, rate = stream.spec.axes.index(axis), stream.spec.rate_hz
    begins = stream.start_seconds + (start / rate if axis == "time" and rate else 0.0)
    labels = {name: called for name, called in stream.labels.items() if name != axis}
    codes = stream.codes.narrow(place, start, stop - start).contiguous()
    return TokenStream(stream.spec, codes, begins, labels)


def pasted(stream: TokenStream, part: TokenStream, axis: str, start: int) -> TokenStream:
    """The stream with ``part`` in place of its steps from ``start`` on: the inverse of :func:`cut`."""
    place, codes = stream.spec.axes.index(axis), stream.codes.clone()
    codes.narrow(place, start, part.grid[place]).copy_(part.codes)
    return TokenStream(stream.spec, codes, stream.start_seconds, stream.labels)
