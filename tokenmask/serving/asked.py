"""Asked: the JSON of a request, looked at before it waits.

Arrow: JSON --**read**--> Asked. Does not know: media, HTTP, queues.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenmask.serving.limits import Limits, Refused

DRAWN = ("budget", "steps", "guidance", "temperature", "top_k", "top_p", "min_p", "num_samples", "negative", "also")
SIZES = ("length", "grid", "duration_seconds")
WHERE = ("media", "regenerate", "levels", "channels", "parts", "length", "strength", "drift", "keep_original")
FIELDS = {
    "generate": ("stream", "given", "seed", "ending", "keep_original", "pieces", "window", *DRAWN, *SIZES),
    "edit": ("stream", "given", "seed", "ending", *DRAWN, *WHERE),
}
_DEEPEST = 32  # of what stands in each other in JSON


@dataclass(frozen=True, eq=False)
class Asked:
    """One request.

    Args:
        method: of a run, "generate" or "edit".
        values: its arguments, as JSON has them.
        together: equal for requests that one call of the sampler can answer: all but what is given and the seed.
    """

    method: str
    values: Mapping[str, Any]
    together: str

    @property
    def samples(self) -> int:
        """How many media it gets."""
        return int(self.values.get("num_samples") or 1)


def read(method: str, body: bytes, limits: Limits) -> Asked:
    """The request in a body.

    Raises:
        Refused: 400, in a sentence; values that only a run can judge are left to it.
    """
    try:
        values = json.loads(body, parse_constant=_no_number, object_pairs_hook=_each_once)
        depth = _depth(values)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body must be a JSON object, but is none ({error}); mend it") from error
    if not isinstance(values, dict):
        raise Refused(400, f"the body must be a JSON object, got {type(values).__name__}; write {{...}}")
    if depth > _DEEPEST:
        raise Refused(
            400, f"what stands in each other in the body may be {_DEEPEST} deep, got {depth}; write less deep"
        )
    known = FIELDS[method]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise Refused(400, f"{method} has the fields {', '.join(known)}, got {', '.join(unknown)}; leave it out")
    values = {name: value for name, value in values.items() if value is not None}
    needed = "stream" if method == "generate" else "media"
    if needed not in values:
        raise Refused(400, f"{method} needs the field {needed!r}, which is missing; write it")
    for name, kind, what in (
        ("stream", str, "the name of a stream"),
        ("given", dict, "an object of stream names and what is given"),
        ("negative", dict, "an object of stream names and what is given"),
        ("also", list, "a list of pairs of an object and a weight"),
        ("regenerate", list, "a list of regions, each a list of numbers"),
        ("ending", str, "the ending of a file, such as .png"),
        ("pieces", bool, "true or false"),
    ):
        if name in values and not isinstance(values[name], kind):
            raise Refused(400, f"{name} must be {what}, got {json.dumps(values[name])[:80]}; write that")
    if not all(isinstance(region, list) for region in values.get("regenerate", ())):
        got = json.dumps(values["regenerate"])[:80]
        raise Refused(400, f"regenerate must be a list of regions, each a list of numbers, got {got}; write that")
    for name, most in (("steps", limits.most_steps), ("num_samples", limits.most_rows)):
        value = values.get(name)
        if isinstance(value, int) and value > most:
            raise Refused(400, f"{name} may be at most {most} here, got {value}; ask for less")
    for name, least in (("num_samples", 1), ("seed", None)):
        value = values.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
            what = "one whole number" if least is None else f"one whole number, at least {least}"
            raise Refused(400, f"{name} must be {what}, got {json.dumps(value)[:80]}; write that")
    shared = {name: value for name, value in values.items() if name not in ("given", "seed", "ending")}
    text = json.dumps([method, shared], sort_keys=True)
    return Asked(method, values, hashlib.sha256(text.encode()).hexdigest())


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two fields of one name json would take the second and say nothing."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} stands there twice, leave one out")
    return values


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
