"""Evaluation of a run: a table for each stream, every number with its sample size and interval.

Arrow: Run + media --**evaluate**--> Evaluation. Does not know: how a figure is computed (``tokenmask.analysis``), where
media come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tokenmask.analysis import condition_ranks
from tokenmask.analysis.distances import (
    dimensions_for,
    diversity,
    diversity_interval,
    frechet_distance,
    frechet_interval,
)
from tokenmask.analysis.features import FeatureSpace
from tokenmask.analysis.figures import Evaluation, Figure, StreamFigures
from tokenmask.analysis.intervals import generator, mean_interval, percentile_interval, share_interval
from tokenmask.analysis.probe import ClassProbe
from tokenmask.analysis.recogniser import WORDS, is_installed, words_right
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.generation import Request, fill, growing_axis
from tokenmask.run import Run
from tokenmask.streams import TokenStream
from tokenmask.training import StreamScore

Streams = Mapping[str, TokenStream]
SAMPLES, QUICK_SAMPLES = 64, 16
MOST_TRAINING = 512  # training streams that a feature space is made from
MOST_CLASSES = 64
FLOORS = 20  # draws of training streams whose distance to held-out ones is averaged
CANDIDATES = 20
DIGITS = tuple(WORDS["digits"].split())
_SPOKEN_SECONDS = 0.9
_WITHOUT_ITEMS = re.compile(r"^(codes_used|perplexity|bits_|scale_bits|pca_|mean_|mpjpe_of)|_levels_")


@dataclass(frozen=True, eq=False)
class _Part:
    """What is measured of one stream with one set of conditions.

    Args:
        run: evaluated.
        name: of the stream.
        train, held_out: records with the stream, cut to what the model takes.
        samples: streams to generate for each figure.
        seed: of everything drawn.
        draws: masks of each rank.
        filled: what was generated, by the number of its record.
    """

    run: Run
    name: str
    train: Sequence[Streams]
    held_out: Sequence[Streams]
    samples: int
    seed: int
    draws: int
    filled: dict[int, TokenStream] = field(default_factory=dict)

    def generated(self, records: Sequence[Streams]) -> list[TokenStream]:
        """A stream for each record, one of ``train`` or ``held_out``; each is filled once, whatever asks for it."""
        number = {id(one): at for at, one in enumerate((*self.train, *self.held_out))}
        missing = {number[id(one)]: one for one in records if number[id(one)] not in self.filled}
        made = _generate(self, list(missing.values()), list(missing))
        self.filled.update(zip(missing, made, strict=True))
        return [self.filled[number[id(one)]] for one in records]

    def rng(self, number: int) -> np.random.Generator:
        """A generator for the figure with a number."""
        return generator(self.seed, 1000 * self.run.layout.index(self.name) + number)


def evaluate(
    run: Run,
    *,
    media: Mapping[str, Sequence[Any]] | None = None,
    samples: int = SAMPLES,
    draws: int = 4,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measures a run on the held-out records of its corpora.

    For each stream: bits a hidden code and a second; the Fréchet distance of generated streams to held-out ones, beside
    that of training streams; the diversity of what is generated, beside that of data; how well conditions are met,
    by the rank of the own condition, by a class probe and, for spoken digits, by a recogniser; and how well the
    tokenizer gives media back.

    Args:
        run: with corpora.
        media: stream name -> held-out media, for the figures of tokenizers.
        samples: streams to generate for each figure, at most.
        draws: masks of each held-out record.
        seed: of masks, samples and resamples.
        say: is told what is being done.

    Raises:
        ValueError: the run has no corpora or no held-out records.
    """
    tell = say or (lambda _: None)
    tell("scoring held-out records")
    scores = run.held_out_scores(draws=draws, seed=seed)
    records = {split: [_fitted(run, one.streams) for one in run.records(split)] for split in (TRAIN, HELD_OUT)}
    tables = []
    for name in run.layout.names:
        tell(f"generating and judging {name}")
        own = {split: [one for one in found if _usable(one, name)] for split, found in records.items()}
        part = _Part(run, name, own[TRAIN], own[HELD_OUT], samples, seed, min(draws, 2))
        figures = _bits(part, [score for score in scores if score.stream == name])
        space, rows = _distances(part)
        figures += [*rows, *_conditions(part, space), *_reconstruction(part, (media or {}).get(name, ()))]
        spec = run.layout.streams[name]
        tables.append(StreamFigures(name, spec.modality, space.name if space else "", tuple(figures)))
    about = {"draws": draws, "seed": seed, "samples": samples}
    return Evaluation(tuple(tables), tuple(scores), about)


# Bits -----------------------------------------------------------------------------------------------------------------


def _bits(part: _Part, scores: Sequence[StreamScore]) -> list[Figure]:
    """Means over the levels, and their sum over a second, for each set of conditions."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[StreamScore]] = {}
    for score in scores:
        groups.setdefault((score.record, score.given), []).append(score)
    spec, found = part.run.layout.streams[part.name], []
    for number, ((record, given), levels) in enumerate(groups.items()):
        sums = np.stack([level.by_record.numpy() for level in levels])  # [levels, records, 3]
        sums = sums[:, sums[:, :, 2].sum(0) > 0]  # in some records no code was hidden
        known = f", given {' and '.join(given)}" if given else (", nothing given" if len(record) > 1 else ", alone")
        count, of = sums.shape[1], "held-out records"
        model, unigram = (_bits_a_code(sums, np.arange(count), column) for column in (0, 1))

        def mean_bits(chosen: np.ndarray, sums: np.ndarray = sums) -> float:
            return _bits_a_code(sums, chosen, 0)

        interval = percentile_interval(mean_bits, count, part.rng(number))
        sizes = np.log2(spec.codebook_sizes)
        beside = f"unigram {unigram:.4g}, evenly {sizes.mean():.4g}"
        found.append(Figure(f"bits a hidden code{known}", model, interval, count, of, beside))
        if spec.rate_hz is not None and len(levels) == spec.num_levels:
            channel = "channel" in spec.axes
            factor = spec.rate_hz * spec.num_levels
            found.append(
                Figure(
                    f"bits a second{' and channel' if channel else ''}{known}",
                    model * factor,
                    interval and (interval[0] * factor, interval[1] * factor),
                    count,
                    of,
                    f"unigram {unigram * factor:.4g}, evenly {sizes.mean() * factor:.4g}",
                )
            )
    return found


def _bits_a_code(sums: np.ndarray, chosen: np.ndarray, column: int) -> float:
    """Mean over levels of the cross-entropy of all hidden codes of some records, in bits."""
    totals = sums[:, chosen].sum(1)
    return float(np.mean(totals[:, column] / np.maximum(totals[:, 2], 1))) / math.log(2)


# Distances ------------------------------------------------------------------------------------------------------------


def _distances(part: _Part) -> tuple[FeatureSpace | None, list[Figure]]:
    """Fréchet distance and diversity of streams that are generated for the conditions of held-out records."""
    chosen = _some(part.held_out, part.samples)
    if len(chosen) < 4 or len(part.train) < 4:
        reason = f"needs 4 training and 4 held-out records, got {len(part.train)} and {len(chosen)}"
        return None, [Figure("Fréchet distance", None, note=reason)]
    rng = part.rng(50)
    known = [part.train[at][part.name] for at in rng.permutation(len(part.train))[:MOST_TRAINING]]
    windows = [
        _window_like(known[at % len(known)], chosen[at % len(chosen)][part.name], rng) for at in range(len(known))
    ]
    space = FeatureSpace.fit(part.run.tokenizers[part.name], windows)
    made = part.generated(chosen)
    real = [one[part.name] for one in part.held_out]
    size = min(len(made), len(windows))
    dimensions = dimensions_for(size, len(real))
    generated, data, training = (space.principal(streams, dimensions) for streams in (made, real, windows))
    own = frechet_distance(generated, data)
    floor = [frechet_distance(training[rng.permutation(len(training))[:size]], data) for _ in range(FLOORS)]
    of = f"generated and {len(real):,} held-out streams"
    beside = f"{size:,} training streams {np.mean(floor):.4g}; {dimensions} dimensions"
    found = [
        Figure("Fréchet distance", own, frechet_interval(generated, data, part.rng(51)), len(made), of, beside),
        Figure(
            "diversity, mean distance of two",
            diversity(space.whole(made)),
            diversity_interval(space.whole(made), part.rng(52)),
            len(made),
            "generated streams",
            f"held-out streams {diversity(space.whole(real[: 2 * part.samples])):.4g}",
        ),
    ]
    return space, found


def _window_like(stream: TokenStream, like: TokenStream, rng: np.random.Generator) -> TokenStream:
    """A window of a stream as long as another one along the axis that grows; the whole stream if it is shorter."""
    axis = growing_axis(stream.spec)
    length = min(like.grid[axis], stream.grid[axis])
    start = int(rng.integers(stream.grid[axis] - length + 1))
    return TokenStream(stream.spec, stream.codes.narrow(axis, start, length).contiguous())


# Conditions -----------------------------------------------------------------------------------------------------------


def _conditions(part: _Part, space: FeatureSpace | None) -> list[Figure]:
    """The ranks of own conditions, a class probe, and what a recogniser hears."""
    found = []
    for split, records in (("training", part.train), ("held-out", part.held_out)):
        found += _ranks(part, split, records)
    if space is not None:
        found += _probe(part, space)
    if part.run.layout.streams[part.name].modality == "audio":
        found += _digits(part)
    return found


def _ranks(part: _Part, split: str, records: Sequence[Streams]) -> list[Figure]:
    """How often the model explains a stream best by its own condition, of those of other records."""
    found = []
    kinds: dict[tuple[str, ...], dict[Any, Streams]] = {}
    for one in records:
        given = tuple(sorted(name for name in one if name != part.name))
        if given and all(one[name].codes.numel() for name in given):
            key = tuple(tuple(one[name].codes.flatten().tolist()) for name in given)
            kinds.setdefault(given, {}).setdefault(key, one)
    for given, distinct in kinds.items():
        chosen = _some(list(distinct.values()), part.samples)
        candidates = min(CANDIDATES, len(chosen))
        if candidates < 4:
            continue
        ranks = condition_ranks(
            part.run.models["main"],
            part.run.recipe.packing,
            part.name,
            [one if one.codes.numel() else _something(one) for one in part.generated(chosen)],
            [{name: one[name] for name in given} for one in chosen],
            candidates=candidates,
            draws=part.draws,
            seed=part.seed,
        )
        first = (ranks.ranks == 0).double().numpy()
        found.append(
            Figure(
                f"own {' and '.join(given)} first of {candidates}, {split} conditions",
                float(first.mean()),
                share_interval(first),
                len(first),
                "generated streams",
                f"chance {ranks.chance:.3g}",
                "judged by the model itself",
            )
        )
    return found


def _probe(part: _Part, space: FeatureSpace) -> list[Figure]:
    """Whether a linear classifier, trained on training streams, sees the condition of generated ones."""
    labelled = [(_label(part, one), one) for one in part.train]
    by_class: dict[str, list[Streams]] = {}
    for label, one in labelled:
        if label is not None:
            by_class.setdefault(label, []).append(one)
    if not 2 <= len(by_class) <= MOST_CLASSES or sum(map(len, by_class.values())) < len(labelled):
        return []
    axis = growing_axis(part.run.layout.streams[part.name])
    lengths = sorted(one[part.name].grid[axis] for _, one in labelled)
    length = lengths[len(lengths) // 4]
    windows, labels = [], []
    for label, members in by_class.items():
        for one in members:
            for start in range(0, one[part.name].grid[axis] - length + 1, max(1, length // 4)):
                codes = one[part.name].codes.narrow(axis, start, length).contiguous()
                windows.append(TokenStream(one[part.name].spec, codes))
                labels.append(label)
    if len(set(labels)) < 2:
        return []
    probe = ClassProbe.fit(space.whole(windows), labels)
    asked = [label for label in by_class for _ in range(max(1, part.samples // len(by_class)))]
    wanted = [{**by_class[label][0], part.name: _cut(by_class[label][0][part.name], axis, length)} for label in asked]
    right = probe.right(space.whole(_generate(part, wanted, range(len(wanted)))), asked)
    held_out = [(_label(part, one), one[part.name]) for one in part.held_out]
    real = probe.right(space.whole([one for _, one in held_out]), [label for label, _ in held_out])
    return [
        Figure(
            f"condition seen by a class probe, of {len(by_class)}",
            float(right.mean()),
            share_interval(right),
            len(right),
            "generated streams",
            f"{len(real):,} held-out streams {real.mean():.3g}, chance {1 / len(by_class):.3g}",
            f"ridge regression on {len(windows):,} windows of training streams",
        )
    ]


def _label(part: _Part, streams: Streams) -> str | None:
    """The words a stream is given with, if it is given words alone."""
    given = [name for name in streams if name != part.name]
    if len(given) != 1 or part.run.layout.streams[given[0]].modality != "text":
        return None
    return str(part.run.tokenizers[given[0]].decode(streams[given[0]]))


def _digits(part: _Part) -> list[Figure]:
    """Spoken digits that a recogniser hears right."""
    name = "digits heard by a recogniser"
    words = {_label(part, one) for one in part.train}
    if not set(DIGITS) <= words:
        return [Figure(name, None, note="the training records do not name the ten digits")]
    if not is_installed():
        return [Figure(name, None, note="pocketsphinx is not installed: pip install --no-deps pocketsphinx")]
    given = next(n for one in part.train if _label(part, one) in DIGITS for n in one if n != part.name)
    asked = [word for word in DIGITS for _ in range(max(1, part.samples // len(DIGITS)))]
    clips = part.run.generate(
        part.name,
        given=[{given: word} for word in DIGITS],
        duration_seconds=_SPOKEN_SECONDS,
        num_samples=max(1, part.samples // len(DIGITS)),
        seed=part.seed,
    )
    samples = [clip.mono().resample(16000).samples[0].numpy() for clip in clips]
    right = np.array(words_right(samples, asked, "digits"), dtype=np.float64)
    return [Figure(name, float(right.mean()), share_interval(right), len(right), "generated clips", "chance 0.1")]


# Tokenizers -----------------------------------------------------------------------------------------------------------


def _reconstruction(part: _Part, media: Sequence[Any]) -> list[Figure]:
    """What the tokenizer's own figures are, item by item, on held-out media."""
    if not len(media):
        if part.name in part.run.layout.shares:
            return []
        return [Figure("reconstruction", None, note="no held-out media were given")]
    tokenizer = part.run.tokenizers[part.name]
    chosen = [media[at] for at in np.linspace(0, len(media) - 1, min(len(media), part.samples)).round().astype(int)]
    values: dict[str, list[float]] = {}
    for item in chosen:
        for figure, value in tokenizer.evaluate([item]).items():
            if not _WITHOUT_ITEMS.search(figure):
                values.setdefault(figure, []).append(value)
    return [
        Figure(
            f"reconstruction: {figure}",
            float(np.mean(found)),
            mean_interval(np.array(found), part.rng(90 + number)),
            len(found),
            "held-out items",
        )
        for number, (figure, found) in enumerate(values.items())
    ]


# Streams --------------------------------------------------------------------------------------------------------------


def _fitted(run: Run, streams: Streams) -> Streams:
    """The streams of a record, cut to what the model takes."""
    return run.layout.unpack(run.recipe.packing(run.layout, streams))


def _usable(streams: Streams, name: str) -> bool:
    return name in streams and streams[name].codes.numel() > 0


def _some(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items at even distances, all if there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[at * len(items) // count] for at in range(count)]


def _cut(stream: TokenStream, axis: int, length: int) -> TokenStream:
    codes = stream.codes.narrow(axis, 0, min(length, stream.grid[axis])).contiguous()
    return TokenStream(
        stream.spec, codes, labels={k: v for k, v in stream.labels.items() if k != stream.spec.axes[axis]}
    )


def _something(stream: TokenStream) -> TokenStream:
    """One code in place of none: a text that ended at once still has to be ranked."""
    return TokenStream(stream.spec, stream.codes.new_zeros(1, stream.spec.num_levels))


def _generate(part: _Part, records: Sequence[Streams], numbers: Sequence[int]) -> list[TokenStream]:
    """A stream for each record: its other streams are given, its size is asked for; numbers tell draws apart."""
    run, packing = part.run, part.run.recipe.packing
    requests = []
    for number, one in zip(numbers, records, strict=True):
        given = {name: stream for name, stream in one.items() if name != part.name}
        own = one[part.name]
        grid = own.grid
        if own.spec.end_code is not None:
            room = packing.max_positions - packing.positions(run.layout, given)
            grid = (max(1, min(packing.padded_length(own.spec, grid[0]), room)),)
        blank = Request.blank(run.layout, part.name, grid, labels=own.labels, given=given, seed=part.seed)
        requests.append(replace(blank, sample=number))
    sampler = run.recipe.sampler_of(part.name)
    return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=packing)
