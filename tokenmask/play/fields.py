"""Fields: what the controls of a stream look like, by name, as keywords of the library that shows them.

Arrow: Controls --**fields**--> keywords. Does not know: the library, what the controls do.
"""

from __future__ import annotations

from typing import Any

from tokenmask.medium import said
from tokenmask.play import limits
from tokenmask.play.controls import ORDERS, Controls, is_words
from tokenmask.run import Run
from tokenmask.tokenizer import NamesGroups

CHANGING = (
    *("prompt", "prompt_stream", "negative", "size", "steps", "guidance", "temperature", "order", "only"),
    *("upload", "take"),
)
"""Fields that another stream changes."""


def fields(run: Run, own: Controls) -> dict[str, dict[str, Any]]:
    """What components of a stream look like, by name."""
    kind: Any = run.tokenizers[own.stream].media
    words, tokenizer = is_words(run, own.stream), run.tokenizers[own.stream]
    begins = own.prompt[0] == own.stream
    timed = own.size == "duration_seconds"
    parts = list(tokenizer.group_names) if isinstance(tokenizer, NamesGroups) else []
    channels = list(run.labels.get(own.stream, {}).get("channel", ()))
    orders = [(f"{own.order} (the run's)", own.order), *((name, name) for name in ORDERS if name != own.order)]
    return {
        "prompt": {
            "label": "Beginning, which is continued" if begins else "Prompt",
            "placeholder": f"such as: {own.prompt[1]}" if own.prompt[1] else "",
        },
        "prompt_stream": {"value": own.prompt[0] or None},
        "negative": {"visible": own.guided},
        "size": {
            "label": "Duration in seconds" if timed else "Length in codes",
            "minimum": 0.1 if timed else 1,
            "maximum": 10 if timed else limits.MOST_CODES // 4,
            "step": 0.1 if timed else 1,
            "value": own.usual_size or 1,
            "visible": bool(own.size),
        },
        "steps": {"value": own.steps},
        "guidance": {"value": own.guidance, "visible": own.guided},
        "temperature": {"value": own.temperature},
        "order": {"choices": orders, "value": own.order},
        "only": {"choices": parts or channels, "value": [], "visible": bool(parts or channels)},
        "upload": {"file_types": list(said(kind, "suffixes")), "visible": not words},
        "take": {"visible": words},
    }
