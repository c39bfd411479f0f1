"""Judging: how probable a run finds media, and the records that it was not trained on.

Arrow: media, corpora --**likelihoods**, **held_out**--> scores. Does not know: how a figure is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenmask.analysis import LogLikelihood, log_likelihoods
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, Record, totals
from tokenmask.training import StreamScore, held_out_scores

if TYPE_CHECKING:
    from tokenmask.run.run import Run


def records_of(run: Run, split: str) -> list[Record]:
    """All records of the run's corpora in a split; see :meth:`Run.records`."""
    return [record for corpus in _corpora(run, split) for record in corpus]


def likelihoods(
    run: Run, media: Sequence[Any], stream: str | None, given: Mapping[str, Any] | None, draws: int, seed: int
) -> list[LogLikelihood]:
    """How probable each item is; see :meth:`Run.log_likelihood`."""
    if isinstance(media, str) or not isinstance(media, Sequence):
        raise TypeError(f"media must be a list of items, got {type(media).__name__}; write [item]")
    if not media:
        return []
    inputs = run.inputs
    name = stream or inputs.stream_of(media[0])
    beside = inputs.conditions(given)
    items = [{**beside, name: inputs.tokens(name, one)} for one in media]
    return log_likelihoods(run.models["main"], run.recipe.packing, items, name, draws=draws, seed=seed)


def held_out(run: Run, draws: int, seed: int) -> list[StreamScore]:
    """Cross-entropy of held-out records; see :meth:`Run.held_out_scores`."""
    counts = totals(_corpora(run, TRAIN))
    found = records_of(run, HELD_OUT)
    if not found:
        raise ValueError(f"the corpora of {run.folder} hold no held-out records to score; build them with a split")
    model, packing, process = run.models["main"], run.recipe.packing, run.recipe.process
    return held_out_scores(model, packing, found, counts, draws=draws, seed=seed, process=process)


def _corpora(run: Run, split: str) -> list[Corpus]:
    if not run.corpora:
        raise ValueError(f"{run.folder} names no corpus; train a run on a corpus, or name one in its run.json")
    specs = dict(run.layout.streams)
    return [Corpus(path, split=split, specs=specs) for path, _ in run.corpora]
