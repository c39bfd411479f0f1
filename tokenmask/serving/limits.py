"""Limits: what a server takes, and how it says no.

Does not know: HTTP, runs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tokenmask.scores.arguments import number, whole


@dataclass(frozen=True)
class Limits:
    """What is taken from whoever asks; more is refused before anything is computed.

    Media that come in are held to those of the playground too: 30 seconds, 2000 letters, 4 million pixels.

    Args:
        most_bytes: of the body of a request.
        most_waiting: requests in the queue; one more is told to come again (429).
        most_connections: that are open at once.
        most_codes: that one request may have drawn, of all its samples and levels.
        most_steps: that it may ask for.
        most_rows: of one call of the sampler.
        wait_seconds: longest time in the queue; who waits longer is told so (503).
        read_seconds: longest silence of a client that is to send something.
    """

    most_bytes: int = 20_000_000
    most_waiting: int = 128
    most_connections: int = 512
    most_codes: int = 1 << 17
    most_steps: int = 1024
    most_rows: int = 64
    wait_seconds: float = 300.0
    read_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("seconds"):
                number(field.name, value, least=0.0)
            else:
                whole(field.name, value)


class Refused(Exception):
    """A request that gets no media.

    Args:
        status: of HTTP.
        sentence: what must hold, what was got, what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
