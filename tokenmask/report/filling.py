"""The section of a generation, step by step: what was decided when, and what it looked like by then.

Arrow: Recording + tokenizers --**filling_section**--> Section. Does not know: models, how slots are filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.generation import Filling, Recording
from tokenmask.report.embed import picture
from tokenmask.report.page import Section, figure, grid, heading, note
from tokenmask.report.views import view_of
from tokenmask.streams import StreamSpec

SHOWN = 6  # steps of a request
_REQUESTS = 8
_WIDEST = 512  # cells of a map across; longer streams are shown from their start
_FIRST, _LAST, _OPEN = (38, 70, 140), (250, 210, 90), (128, 128, 128)  # colours of a map, red, green, blue


def filling_section(recording: Recording, tokenizers: Mapping[str, Any]) -> Section | None:
    """Each request of a recording: a map of the steps in which its codes were decided, and what stood after some.

    Args:
        recording: of one or several requests.
        tokenizers: by stream; one whose codes are those of a request decodes it. Without one there is the map alone.

    Returns:
        None for an empty recording.
    """
    requests = _requests(recording)
    if not requests:
        return None
    parts = []
    for number, steps in enumerate(requests[:_REQUESTS], 1):
        if len(requests) > 1:
            parts.append(heading(f"Request {number} of {len(requests)}"))
        parts.append(_request(steps, tokenizers))
    if len(requests) > _REQUESTS:
        parts.append(note(f"The first {_REQUESTS} of {len(requests)} requests are shown."))
    lead = "From blue, decided first or given, to yellow, decided last. What is marked is not decided yet."
    return Section("Filled step by step", lead, "".join(parts))


def steps_shown(steps: Sequence[Filling]) -> list[Filling]:
    """At most six of them, spread evenly; the first and the last are among them."""
    count = min(SHOWN, len(steps))
    places = np.linspace(0, len(steps) - 1, count).round().astype(int)
    return [steps[place] for place in dict.fromkeys(places.tolist())]


def decided_in(steps: Sequence[Filling]) -> Tensor:
    """int64 [*grid, K], the number of the step, from 1, since which each code is decided; 0 where it never is.

    A code that was revoked counts from when it was decided for good; one that is given counts as decided in the first.
    Windows of a longer stream grow: places that a step does not hold yet are not decided in it.
    """
    last = steps[-1].decided
    since = torch.zeros(last.shape, dtype=torch.int64)
    for number, one in enumerate(steps, 1):
        if one.decided.dim() != last.dim():
            continue
        held = tuple(slice(min(a, b)) for a, b in zip(one.decided.shape, last.shape, strict=True))
        now = torch.zeros_like(last)
        now[held] = one.decided[held]
        since = torch.where(now & (since > 0), since, torch.where(now, number, 0))
    return since


def _requests(recording: Recording) -> list[list[Filling]]:
    """The steps of each request, in order of their first ones; a recording may hold several generations."""
    found, last = list[list[Filling]](), dict[int, int]()
    for one in recording:
        at = last.get(one.request)
        if at is None or one.step <= found[at][-1].step:
            last[one.request] = at = len(found)
            found.append([])
        found[at].append(one)
    return found


def _request(steps: Sequence[Filling], tokenizers: Mapping[str, Any]) -> str:
    spec = steps[-1].stream.spec
    label = f"in which of {len(steps)} steps each code of {spec.modality} was decided"
    drawn = [figure(picture(_map(decided_in(steps), len(steps)), label, role="wide"), "when each code was decided")]
    tokenizer = _of_codes(spec, tokenizers)
    view = None if tokenizer is None else view_of(tokenizer.media)
    if tokenizer is None or view is None:
        return "".join(drawn) + note(f"No tokenizer of the run decodes these codes of {spec.modality}.")
    for one in steps_shown(steps):
        media = tokenizer.decode(one.stream.with_filled(~one.decided))
        caption = f"step {one.step} of {one.steps}: {float(one.decided.float().mean()):.0%} decided"
        marked = () if bool(one.decided.all()) else view.filled(media)
        drawn.append(figure(view.single(media, caption, marked), caption))
    return grid(drawn, "tiles wide")


def _of_codes(spec: StreamSpec, tokenizers: Mapping[str, Any]) -> Any:
    return next((one for one in tokenizers.values() if one.spec == spec), None)


def _map(since: Tensor, steps: int) -> Tensor:
    """uint8 [height, width, 3]: a cell a code; levels of a line below each other, frames and other levels beside."""
    cells = since.movedim(-1, 0)  # [K, *grid]
    if cells.dim() == 2:
        flat = cells[:, :_WIDEST]
    else:
        flat = cells.reshape(-1, *cells.shape[-2:]) if cells.dim() > 3 else cells
        flat = torch.cat([torch.nn.functional.pad(one, (0, 1), value=-1) for one in flat], 1)[:, :-1][:, :_WIDEST]
    share = ((flat.double() - 1) / max(1, steps - 1)).clamp(0, 1)[..., None]
    colours = torch.tensor(_FIRST) * (1 - share) + torch.tensor(_LAST) * share
    colours = torch.where((flat == 0)[..., None], torch.tensor(_OPEN).double(), colours)
    colours = torch.where((flat < 0)[..., None], torch.tensor(255.0).double(), colours)
    size = max(1, min(16, 256 // flat.shape[1]))
    return colours.round().to(torch.uint8).repeat_interleave(size, 0).repeat_interleave(size, 1)
