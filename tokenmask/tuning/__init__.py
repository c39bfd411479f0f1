"""Tuning: the settings of a sampler that fill a stream best for several budgets, found by measuring.

Arrow: Run + held-out records --**tune**--> Found --> ``tuned.yaml`` of the run. Does not know: how a figure is
computed, how slots are filled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tokenmask.components import plain
from tokenmask.corpus import HELD_OUT
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.metrics import Generated
from tokenmask.evaluation.part import LEAST, Streams, records_of
from tokenmask.recipes import Budget
from tokenmask.run import SHIPPED, Run
from tokenmask.scores.arguments import whole
from tokenmask.tuning.found import Chosen, Found
from tokenmask.tuning.kept import Kept
from tokenmask.tuning.race import Track, Trial, best_of, seconds_of
from tokenmask.tuning.space import OWN, Settings, Space, settings

__all__ = ["Chosen", "Found", "Settings", "Space", "Trial", "tune"]

_LONG = 30.0  # seconds; the wait is said before longer ones


def tune(
    run: Run,
    stream: str,
    *,
    budgets: Sequence[int] | None = None,
    candidates: int | None = 12,
    samples: int = 32,
    metric: Metric | None = None,
    figure: str = "",
    higher: bool = False,
    space: Space | None = None,
    seed: int = 0,
    write: bool = True,
    say: Callable[[str], None] | None = None,
) -> Found:
    """Finds settings by successive halving on one half of the held-out records, and reports them on the other.

    Records with the same conditions are in the same half. The settings for a budget are the best of those that take at
    most so many passes; the usual ones, where no budget is asked for, are the cheapest whose figure lies inside the
    95 % interval of the best one, if on the other half too they are no worse than the run's own, which stay otherwise.

    What is measured is kept in ``tuning/STREAM.measured.json`` until all of it is: a tuning that was stopped goes on
    from there if it is asked for again, and what follows from other weights, records or settings is measured anew.

    Args:
        run: with corpora that hold held-out records of the stream.
        stream: what is filled.
        budgets: passes of a record through the model, a guided step takes two; 4, 8 and 16 for each level of a group if
            None.
        candidates: settings that are tried, the run's own among them; None tries all of the space.
        samples: records of the last heat, at most those of a half.
        metric: one of ``evaluate``; :class:`tokenmask.evaluation.metrics.Generated` if None.
        figure: the beginning of the name of its figure; "" takes its first (of Generated the Fréchet distance).
        higher: whether a higher figure is better.
        space: what is combined.
        seed: of the choice of settings and of all draws.
        write: into the run's folder, ``tuned.yaml`` and ``tuning/STREAM.json`` and ``.svg``; a run in memory has none.
        say: is told what is being done, and how long it will take about.

    Returns:
        what was found, with a run that generates by it.

    Raises:
        ValueError: no such stream, too few held-out records, budgets that no setting fits, or a metric without a
            figure.
    """
    run.inputs.check(stream)
    whole("samples", samples, LEAST)
    if candidates is not None:
        whole("candidates", candidates)
    if write and run.folder == SHIPPED:
        raise ValueError(
            "the model that ships stays as it is, got its folder; save it first: run.save(FOLDER, corpora)"
        )
    levels = max(map(len, run.layout.streams[stream].level_groups))  # those of different groups are filled together
    wanted = sorted({whole("each budget", one) for one in budgets or [levels * each for each in (4, 8, 16)]})
    records, tell = records_of(run), say or (lambda _: None)
    choosing, reporting = _halves(stream, records)
    measure = metric or Generated()
    writes = write and (run.folder / "run.json").is_file()
    kept = _kept(run, stream, measure, tell) if writes else None
    track = Track(run, stream, choosing, measure, figure, higher, seed, kept)
    other = Track(run, stream, reporting, measure, figure, higher, seed + 1, kept)  # so that no draw is used twice
    own = run.recipe.sampler_of(stream)
    conditional = any(len(one) > 1 for one in records[HELD_OUT] if stream in one)
    tried = settings(own, space or Space(), candidates, conditional=conditional, seed=seed)

    resumed = kept is not None and kept.begun
    tell("the run's own settings")
    begun = time.perf_counter()
    first = track.measure(OWN, own, samples)
    wait = seconds_of(first, time.perf_counter() - begun, wanted, len(tried), samples)
    if wait > _LONG and not resumed:
        tell(f"about {wait / 60:.1f} minutes to go; fewer budgets, candidates or samples take less")
    trials, winners, chosen = [first], [first], []
    for passes in wanted:
        found = best_of(track, tried, passes, samples, levels, tell)
        trials += found
        winners += found[-1:]
        fitting = [one for one in winners if one.passes <= passes + 1e-6 and one.value is not None]
        if not fitting:
            raise ValueError(
                f"no setting of {stream} fits {passes} passes, which {levels} levels and guidance share; ask for more"
            )
        best = min(fitting, key=track.better)
        tell(f"{passes} passes: the best on the other half")
        chosen.append(Chosen(passes, best, other.measure(best.said, best.sampler, samples)))
    as_it_was = other.measure(OWN, own, samples)
    usual = _usual(track, first, chosen, as_it_was)
    tuned = replace(
        run.recipe,
        samplers={**run.recipe.samplers, stream: usual.sampler},
        budgets={**run.recipe.budgets, stream: tuple(Budget(one.passes, one.trial.sampler) for one in chosen)},
    )
    result = Found(
        replace(run, recipe=tuned),
        stream,
        tuple(chosen),
        as_it_was,
        usual,
        tuple(trials),
        figure or type(measure).__name__,
        higher,
    )
    if writes:
        result.write()
    if kept is not None:
        kept.remove()
    return result


def _kept(run: Run, stream: str, metric: Metric, tell: Callable[[str], None]) -> Kept | None:
    """What was measured for the stream before; None where the metric can't be told from others in a file."""
    try:
        plain(metric)
    except ValueError as error:
        tell(f"what is measured is not kept, so that a tuning that is stopped begins anew: {error}")
        return None
    kept = Kept(run.folder / "tuning" / f"{stream}.measured.json")
    if kept.begun:
        tell(f"what {kept.path} holds is not measured again")
    return kept


def _halves(stream: str, records: Mapping[str, Sequence[Streams]]) -> tuple[dict[str, list[Streams]], ...]:
    """The records twice, each time with half of those that are held out; the same conditions are in the same half."""
    groups: dict[tuple[object, ...], list[Streams]] = {}
    for number, one in enumerate(records[HELD_OUT]):
        if stream not in one or not one[stream].codes.numel():
            continue
        given = [(name, tuple(other.codes.flatten().tolist())) for name, other in one.items() if name != stream]
        groups.setdefault(tuple(given) or (number,), []).append(one)
    halves = [[one for group in list(groups.values())[first::2] for one in group] for first in (0, 1)]
    if min(map(len, halves)) < LEAST:
        raise ValueError(
            f"tuning chooses on one half of the held-out records of {stream} and reports on the other, {LEAST} each at "
            f"least, got {len(halves[0])} and {len(halves[1])} with conditions of their own; hold out more"
        )
    return tuple({**{split: list(own) for split, own in records.items()}, HELD_OUT: half} for half in halves)


def _usual(track: Track, own: Trial, chosen: Sequence[Chosen], as_it_was: Trial) -> Trial:
    """The cheapest of those that are as good as the best and on the other half no worse than the run's own settings."""
    winners = [own, *(one.trial for one in chosen)]
    best = min(winners, key=track.better)
    low, high = best.interval or (best.value, best.value)
    held = [True, *(track.better(one.reported) <= track.better(as_it_was) for one in chosen)]
    good = [
        one
        for one, holds in zip(winners, held, strict=True)
        if holds and None not in (one.value, low, high) and low <= one.value <= high  # type: ignore[operator]
    ]
    return min(good or [own], key=lambda one: round(one.passes, 6))
