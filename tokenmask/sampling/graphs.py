"""Graphs: a generation of plain stages, recorded once on a device and replayed for other seeds and other given codes.

Arrow: Sampler + models + SamplerState --**Captured.of**--> Captured; SamplerState --**Captured.run**--> SamplerState
with nothing open, bit for bit that of the loop. Does not know: which parts are plain (:class:`Straight` says so), what
a model computes.

A graph holds launches and nothing of the host, and the host does ask the device now and then: how many slots are open,
which ranges they are of. In plain stages that follows from which slots are open at the beginning, so the generation is
rehearsed, and while it is captured the host is told what it was told then. It is rehearsed twice, with other seeds and
other given codes, and what differs is refused: it would be wrong in a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from tokenmask.batch import GIVEN
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.sampling.state import SamplerState, changed
from tokenmask.sampling.straight import Straight

if TYPE_CHECKING:
    from tokenmask.sampling.sampler import Sampler

_aten = torch.ops.aten
_READS = (_aten._local_scalar_dense.default, _aten.equal.default, _aten.nonzero.default)


class Graph(Protocol):
    """What a device offers for launches that are recorded and replayed."""

    def capture(self, run: Callable[[], SamplerState]) -> SamplerState:
        """Records what ``run`` launches; what it returns holds values after a replay, in the same memory each time."""

    def replay(self) -> None:
        """Launches it all again; the host does not wait."""


class CudaGraph:
    """A ``torch.cuda.CUDAGraph``. Not yet run on a GPU."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, run: Callable[[], SamplerState]) -> SamplerState:
        with torch.cuda.graph(self._graph):
            return run()

    def replay(self) -> None:
        self._graph.replay()


GRAPHS: dict[str, Callable[[], Graph]] = {"cuda": CudaGraph}
"""By kind of device."""


@dataclass(frozen=True, eq=False)
class Captured:
    """A generation in a graph; made by :meth:`of`.

    Args:
        graph: that holds it.
        given: the state that it reads, in memory of its own.
        result: the state that it leaves, in memory of the graph.
    """

    graph: Graph
    given: SamplerState
    result: SamplerState

    @classmethod
    @torch.inference_mode()
    def of(cls, sampler: Sampler, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> Captured:
        """Runs the generation twice, then captures it.

        Args:
            sampler: whose stages are plain: no constraint, revocation, reuse or particles, guidance that is none,
                ``ClassifierFree`` or ``ContextCorrupted``, codes picked by ``Categorical``, slots ordered by
                confidence, margin, entropy, chance or raster, counts that are known beforehand.
            models: by name, on the device of ``state``.
            layout: of every model.
            state: from :meth:`SamplerState.start`; a replay takes states in which the same slots are open.

        Raises:
            ValueError: a device without graphs, a sampler with other parts, or a model that reads on the host what
                depends on codes.
        """
        kind = state.is_open.device.type
        if kind not in GRAPHS:
            raise ValueError(
                f"a generation is captured on a device with graphs ({', '.join(GRAPHS)}), got one on {kind}; call run "
                "in place of captured"
            )
        given = _own(state)
        stages = _stages(sampler, models, layout, given)
        told = [_rehearsed(stages, one) for one in (given, _other(given, layout))]
        for (what, first), (also, second) in zip(*told, strict=False):
            if what is not also or not _same(first, second):
                raise ValueError(
                    f"a captured generation may read on the host only what follows from which slots are open, got "
                    f"{what} with another answer for other codes; call run in place of captured"
                )
        if len(told[0]) != len(told[1]):
            raise ValueError(
                f"a captured generation must ask the device the same for all codes, got {len(told[0])} questions and "
                f"{len(told[1])} for others; call run in place of captured"
            )
        graph = GRAPHS[kind]()
        return cls(graph, given, graph.capture(lambda: _as_rehearsed(stages, given, told[0])))

    @torch.inference_mode()
    def run(self, state: SamplerState) -> SamplerState:
        """The state after the last step, as :meth:`Sampler.run` makes it, by one replay.

        The host looks at the device once, before the replay, and not again: what kernels refuse is raised by the next
        op or by ``tokenmask.ops.check()``.

        Args:
            state: as the captured one but for seeds, ids of samples and given codes, on its device.

        Raises:
            ValueError: something else is another; capture it too.
        """
        for name, mine, other in _alike(self.given, state):
            if mine.shape != other.shape or mine.dtype != other.dtype or mine.device != other.device:
                raise ValueError(
                    f"a captured generation takes {name} {list(mine.shape)} {mine.dtype} on {mine.device}, got "
                    f"{list(other.shape)} {other.dtype} on {other.device}; capture such a state too"
                )
        equal = [(mine == other).all() for name, mine, other in _alike(self.given, state) if name not in _VARIES]
        if state.step != self.given.step or not bool(torch.stack(equal).all()):
            names = ", ".join(name for name, *_ in _alike(self.given, state) if name not in _VARIES)
            raise ValueError(
                f"a captured generation takes states whose {names} and step are those of the captured one, got others; "
                "capture such a state too"
            )
        for name, mine, other in _alike(self.given, state):
            if name in _VARIES:
                mine.copy_(other)
        self.graph.replay()
        batch = changed(state.batch, ids=self.result.batch.ids.clone())
        return changed(
            self.result,
            batch=batch,
            is_open=self.result.is_open.clone(),
            score=self.result.score.clone(),
            seeds=state.seeds,
        )


_VARIES = ("batch.ids", "batch.sample_ids", "seeds")


def _alike(mine: SamplerState, other: SamplerState) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The tensors of two states, by name; what only one of them has makes them differ."""
    names, others = ([*state.carry, *state.batch.features] for state in (mine, other))
    if sorted(names) != sorted(others):
        raise ValueError(
            f"a captured generation takes states that carry {', '.join(names) or 'nothing'}, got "
            f"{', '.join(others) or 'nothing'}; capture such a state too"
        )
    for field in ("ids", "role", "stream", "coordinates", "valid", "sample_ids"):
        yield f"batch.{field}", getattr(mine.batch, field), getattr(other.batch, field)
    for field in ("is_open", "score", "seeds"):
        yield field, getattr(mine, field), getattr(other, field)
    for name, value in mine.batch.features.items():
        yield f"batch.features[{name!r}]", value, other.batch.features[name]
    for name, value in mine.carry.items():
        yield f"carry[{name!r}]", value, other.carry[name]


def _own(state: SamplerState) -> SamplerState:
    """The state in memory that nobody else has."""
    batch = changed(state.batch, ids=state.batch.ids.clone(), sample_ids=state.batch.sample_ids.clone())
    return changed(state, batch=batch, seeds=state.seeds.clone())


def _other(state: SamplerState, layout: Layout) -> SamplerState:
    """The state with other seeds and the first code of their ranges at given slots."""
    batch = state.batch
    offsets = torch.tensor([one.offset for one in layout.ranges], dtype=batch.ids.dtype, device=batch.ids.device)
    firsts = offsets[layout.head_of(batch.ids).clamp(min=0)]
    return changed(
        state, batch=changed(batch, ids=torch.where(batch.role == GIVEN, firsts, batch.ids)), seeds=state.seeds + 1
    )


def _stages(sampler: Sampler, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> list[Straight]:
    plans, _ = sampler.plans(layout, state)
    stages = []
    for plan in plans:
        stage = Straight.of(sampler, plan, layout, state, models[plan.stage.model])
        if stage is None:
            raise ValueError(
                "a captured generation has plain stages alone, of one range each: no guidance but ClassifierFree "
                "and ContextCorrupted, no constraint, revocation, reuse or particles and an order that is known, got "
                f"{sampler}; call run in place of captured"
            )
        stages.append(stage)
        state = _filled([stage], state)
    if bool(state.is_open.any()):
        raise ValueError("the sampler's stages must cover every level with open slots; add a stage for the rest")
    return stages


def _filled(stages: list[Straight], state: SamplerState) -> SamplerState:
    for stage in stages:
        begins = state.step + stage.plan.length
        for now in stage.steps(state):
            state = now
        state = replace(state, step=begins)
    return state


def _rehearsed(stages: list[Straight], state: SamplerState) -> list[tuple[Any, Any]]:
    told: list[tuple[Any, Any]] = []
    with _noted(told, rehearses=True):
        _filled(stages, state)
    return told


def _as_rehearsed(stages: list[Straight], state: SamplerState, told: list[tuple[Any, Any]]) -> SamplerState:
    with _noted(told, rehearses=False):
        return _filled(stages, state)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and (one.shape[0] == 0 or bool((one == other).all())) if one.dim() else True
    return bool(one == other)


@contextmanager
def _noted(told: list[tuple[Any, Any]], rehearses: bool) -> Iterator[None]:
    """While open, what crosses between host and device is noted, or else is what was noted."""
    notes = _Notes(told, rehearses)
    with _Constants(notes), _Questions(notes):
        yield


class _Notes:
    def __init__(self, told: list[tuple[Any, Any]], rehearses: bool) -> None:
        self._told, self._rehearses, self._next = told, rehearses, iter(() if rehearses else list(told))

    def answer(self, what: Any, ask: Callable[[], Any]) -> Any:
        """Of the device, or what it was in the rehearsal."""
        if self._rehearses:
            made = ask()
            self._told.append((what, made))
            return made
        known, made = next(self._next, (None, None))
        if known is not what:
            raise ValueError(f"a generation must ask the device the same each time, got {what} in place of {known}")
        return made


class _Constants(TorchFunctionMode):
    """Tensors that the host makes of its numbers: no graph may copy them."""

    def __init__(self, notes: _Notes) -> None:
        super().__init__()
        self._notes = notes

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.tensor:
            return function(*args, **(kwargs or {}))
        with _disable_current_modes():  # it copies below them
            return self._notes.answer(function, lambda: function(*args, **(kwargs or {})))


class _Questions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Values that the host reads, and copies between it and the device."""

    def __init__(self, notes: _Notes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._notes = notes

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_composite(op):  # in inference mode they come whole
            with self:
                return op.decompose(*args, **kwargs)
        if not (op in _READS or _crosses(op, args, kwargs)):
            return op(*args, **kwargs)
        if op is _aten.nonzero.default:  # how many there are is noted, and which is asked again
            count = self._notes.answer(op, lambda: int(args[0].count_nonzero()))
            return _aten.nonzero_static.default(args[0], size=count)
        return self._notes.answer(op, lambda: op(*args, **kwargs))


def _crosses(op: Any, args: Any, kwargs: Mapping[str, Any]) -> bool:
    to = kwargs.get("device")
    if op is _aten._to_copy.default and to is not None:
        return bool(torch.device(to).type != args[0].device.type)
    # Which elements a mask names is counted on the host.
    masks = args[1] if op is _aten.index.Tensor else ()
    return any(mask is not None and mask.dtype in (torch.bool, torch.uint8) for mask in masks)


@cache
def _is_composite(op: Any) -> bool:
    return bool(op.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd))
