"""Kept: what was measured, beside the run, so that a tuning that was stopped goes on.

Arrow: what a trial follows from --**Kept.of**--> what was measured, if it was. Does not know: how a trial is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask import __version__
from tokenmask.components import plain
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Streams
from tokenmask.files import write_text_atomic
from tokenmask.run import Run
from tokenmask.tokenizer import fingerprint


class Kept:
    """Figures of trials by what they follow from, in one file that is whole or not there.

    Args:
        path: of the file.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._measured = path, dict[str, dict[str, Any]]()
        try:
            self._measured = dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); remove it, and settings are measured again") from error

    @property
    def begun(self) -> bool:
        """Whether anything was measured."""
        return bool(self._measured)

    def of(self, digest: str) -> dict[str, Any] | None:
        """What was measured; None if it was not."""
        return self._measured.get(digest)

    def put(self, digest: str, values: Mapping[str, Any]) -> None:
        """Keeps what was measured."""
        self._measured[digest] = plain(values)
        write_text_atomic(self.path, json.dumps(self._measured, indent=1, ensure_ascii=False) + "\n")

    def remove(self) -> None:
        """Takes the file away, once what it was kept for is written."""
        self.path.unlink(missing_ok=True)


def ground(run: Run, stream: str, records: Mapping[str, Sequence[Streams]], metric: Metric) -> str:
    """What all trials of a track follow from, in 64 hex digits: models, layout, records, metric and version.

    Raises:
        ValueError: a metric that no file could name.
    """
    about = {"version": __version__, "stream": stream, "layout": run.layout.to_json(), "metric": plain(metric)}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, model in sorted(run.models.items()):
        digest.update(f"{name} {fingerprint(model.about(), model.state_dict())}".encode())
    for split, own in records.items():
        for one in own:
            for name, codes in one.items():
                said = {"split": split, "stream": name, "labels": {axis: list(of) for axis, of in codes.labels.items()}}
                digest.update(fingerprint(said, {"codes": codes.codes}).encode())
    return digest.hexdigest()
