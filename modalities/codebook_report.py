"""How good a codebook is: its use, a report of it, and a classical coder that spends the same bits.

Does not know: tokenizers, streams, media. Works on plain arrays, so any modality can call it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from tokenmask.files import write_text_atomic, writing_atomically
from tokenmask.modalities.principal import Parts, axes_of

REPORT_FILE = "report.json"
COUNTS_FILE = "counts.png"
PERPLEXITY_FILE = "perplexity.png"

_LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
_MOST_SCORES = 1 << 21  # values of components that quantisers are fitted to, 16 MB
_TOGETHER = 1 << 19  # of them, for which quantisers are fitted at a time
_SAMPLES_PER_LEVEL = 8  # fewer fit the noise of the training items


def code_usage(codes: Tensor, size: int) -> tuple[float, float]:
    """Args:
        codes: int [...], codes of one level.
        size: of its codebook.

    Returns:
        (share of the codes that occur, perplexity of their frequencies: 1 .. size).
    """
    counts = torch.bincount(codes.reshape(-1).long(), minlength=size)
    return float((counts > 0).double().mean()), math.exp(_entropy(counts))


def _entropy(counts: Tensor) -> float:
    """Of the frequencies that counts give, in nats."""
    share = counts.double() / counts.sum()
    return 0.0 - float((share * share.clamp_min(1e-300).log()).sum())  # not -0.0 for a single code


class LevelUse(NamedTuple):
    """How the codes of one level are used.

    Args:
        size: of the codebook.
        used: codes that occur at all.
        perplexity: of their frequencies, 1 .. size.
        entropy_bits: log2 of the perplexity: what a code costs if it is coded by its frequency alone.
        at_most_bits: log2 of the size.
    """

    size: int
    used: int
    perplexity: float
    entropy_bits: float
    at_most_bits: float


@dataclass(frozen=True, eq=False)
class CodebookReport:
    """How often each code occurs in some data, and figures of the tokenizer on them.

    Args:
        counts: for each level int64 [codebook size], occurrences of each code.
        figures: of merit, by name.
        about: JSON values that say what was measured, kept in the report.
    """

    counts: Sequence[Tensor]
    figures: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.counts or any(not int(count.sum()) for count in self.counts):
            raise ValueError("a codebook report needs a code of each level at least, got none; give more data")

    @classmethod
    def of(
        cls,
        codes: Iterable[Tensor],
        sizes: Sequence[int],
        *,
        figures: Mapping[str, float] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Self:
        """Counts codes.

        Args:
            codes: int [..., levels] each; only one is held at a time.
            sizes: of the codebooks.
            figures, about: see the class.

        Raises:
            ValueError: no codes.
        """
        counts = [torch.zeros(size, dtype=torch.int64) for size in sizes]
        for part in codes:
            levels = part.reshape(-1, len(sizes)).long().unbind(1)
            for count, level in zip(counts, levels, strict=True):
                count += torch.bincount(level, minlength=len(count))
        return cls(counts, dict(figures or {}), dict(about or {}))

    @property
    def levels(self) -> list[LevelUse]:
        """The use of each level, coarse to fine."""
        uses = []
        for count in self.counts:
            nats, size = _entropy(count), len(count)
            uses.append(
                LevelUse(size, int((count > 0).sum()), math.exp(nats), nats / math.log(2), math.log2(size)),
            )
        return uses

    @property
    def head(self) -> list[str]:
        """Names of the columns of :meth:`rows`."""
        return ["level", "codebook", "codes", "used", "used %", "perplexity", "entropy", "at most"]

    def rows(self) -> list[list[str]]:
        """A row of a table for each level."""
        return [
            [
                str(level),
                str(use.size),
                str(int(count.sum())),
                str(use.used),
                f"{100 * use.used / use.size:.1f}",
                f"{use.perplexity:.1f}",
                f"{use.entropy_bits:.2f}",
                f"{use.at_most_bits:.2f}",
            ]
            for level, (use, count) in enumerate(zip(self.levels, self.counts, strict=True))
        ]

    def __str__(self) -> str:
        grid = [self.head, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in grid]
        return "\n".join([*lines, *(f"{name}: {value:.4g}" for name, value in self.figures.items())])

    def to_json(self) -> dict[str, Any]:
        """JSON values: what was measured, figures, and the use of each level with all its counts."""
        levels = [
            {**use._asdict(), "counts": count.tolist()} for use, count in zip(self.levels, self.counts, strict=True)
        ]
        return {"about": dict(self.about), "figures": dict(self.figures), "levels": levels}

    def save(self, folder: str | Path) -> None:
        """Writes ``report.json``, ``counts.png`` and ``perplexity.png``, each atomically; older ones are replaced."""
        folder = Path(folder)
        self._save_plot(folder / COUNTS_FILE, self.plot_counts())
        self._save_plot(folder / PERPLEXITY_FILE, self.plot_perplexity())
        write_text_atomic(folder / REPORT_FILE, json.dumps(self.to_json(), indent=2) + "\n")

    def plot_counts(self) -> Any:
        """A ``matplotlib.figure.Figure``: how often codes occur, from the most to the least frequent, by level."""
        figure, axes = _figure("code, the most frequent first", "share of all codes of the level")
        for level, count in enumerate(self.counts):
            share = count.sort(descending=True).values.double() / count.sum()
            axes.step(range(1, len(count) + 1), share.where(share > 0, math.nan).tolist(), label=f"level {level}")
        axes.set_yscale("log")
        if len(self.counts) > 1:
            axes.legend(ncols=-(-len(self.counts) // 12))
        return figure

    def plot_perplexity(self) -> Any:
        """A ``matplotlib.figure.Figure``: perplexity of each level beside the size of its codebook."""
        figure, axes = _figure("level", "codes")
        levels, uses = range(len(self.counts)), self.levels
        axes.bar(levels, [use.size for use in uses], color="lightgrey", label="codebook")
        axes.bar(levels, [use.used for use in uses], width=0.6, color="tab:olive", label="used")
        axes.bar(levels, [use.perplexity for use in uses], width=0.4, color="tab:blue", label="perplexity")
        axes.set_xticks(levels)
        axes.legend()
        return figure

    def _save_plot(self, path: Path, figure: Any) -> None:
        with writing_atomically(path) as partial:
            figure.savefig(partial, format="png", dpi=120)


def _figure(across: str, up: str) -> tuple[Any, Any]:
    """A figure of its own with axes; pyplot, which keeps figures and chooses windows, is not used."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def psnr_db(originals: Tensor, copies: Tensor, peak: float = 255.0) -> float:
    """Mean over items of the peak signal-to-noise ratio; a perfect item counts as 100 dB.

    Args:
        originals: any dtype [items, ...].
        copies: the same shape.
        peak: largest possible value.
    """
    error = (originals.double() - copies.double()).flatten(1).square().mean(1) / peak**2
    return float((-10 * error.clamp_min(1e-10).log10()).mean())


def pca_coded(train: Tensor, items: Tensor, bits: float) -> Tensor:
    """Codes vectors by quantised principal components that spend ``bits`` each, and decodes them again.

    See :class:`PcaCoder`, which does it part by part.

    Args:
        train: float [N, d].
        items: float [M, d].
        bits: for each vector.

    Returns:
        float64 [M, d], the decoded items.
    """
    return PcaCoder.fit(train, bits).coded(items)


@dataclass(frozen=True, eq=False)
class PcaCoder:
    """A coder of vectors by quantised principal components.

    Components come from ``train``. Each has a Lloyd-Max quantiser fitted to its training values, with any number of
    levels (not only powers of two); levels are handed out where they lower the training error most per bit, until
    the logarithms of all level counts sum up to ``bits``: reverse water-filling with real quantisers.

    Args:
        mean: float64 [d].
        basis: float64 [d, components].
        books: levels of each component, ascending.

    Source: Lloyd 1982; Max 1960; reverse water-filling, Cover and Thomas, section 10.3.3.
    """

    mean: Tensor
    basis: Tensor
    books: Sequence[Tensor]

    @classmethod
    def fit(cls, train: Tensor, bits: float) -> Self:
        """Learns from training vectors, float [N, d], to spend ``bits`` for each vector."""
        held = train.double()
        mean = held.mean(0)
        centred = held - mean if held is train else held.sub_(mean)  # a copy of its own: thousands of images are large
        wanted = min(int(bits) + 1, len(train), train.shape[1])  # a component that is kept costs one bit at least
        basis = _principal_axes(centred, max(wanted, 1))
        if not basis.shape[1]:  # training items that are all alike have no components
            return cls(mean, basis, [])
        scores = (centred @ basis).T.contiguous()
        del held, centred
        return cls._with_books(mean, basis, scores, bits)

    @classmethod
    def fit_parts(cls, parts: Parts, bits: float) -> Self:
        """The same from more vectors than memory holds: axes of them all, quantisers of some drawn ones.

        Args:
            parts: all of them, [n, d] each, as often as it is called.
            bits: for each vector.
        """
        mean, basis, count = axes_of(parts, int(bits) + 1)
        if not basis.shape[1]:
            return cls(mean, basis, [])
        share, draw = _MOST_SCORES / (count * basis.shape[1]), torch.Generator().manual_seed(0)
        scores = []
        for part in parts():
            some = part[torch.rand(len(part), generator=draw) < share] if share < 1 else part
            scores.append((some.double() - mean) @ basis)
        made = cls._with_books(mean, basis, torch.cat(scores).T.contiguous(), bits)
        spent = [at for at, book in enumerate(made.books) if book.shape[1] > 1]  # others are left at their mean, 0
        return cls(mean, basis[:, spent].contiguous(), [made.books[at] for at in spent])

    @classmethod
    def _with_books(cls, mean: Tensor, basis: Tensor, scores: Tensor, bits: float) -> Self:
        """With quantisers for training values float64 [components, N]."""
        counts = [n for n in _LEVELS if n == 1 or n * _SAMPLES_PER_LEVEL <= scores.shape[1]]
        found: list[list[Tensor]] = []
        losses: list[Tensor] = []
        step = max(1, _TOGETHER // scores.shape[1])
        for first in range(0, len(scores), step):  # a component does not depend on others
            some = scores[first : first + step]
            ordered = some.sort(1).values
            found.append([_lloyd_max(ordered, n) for n in counts])
            losses.append(torch.stack([(some - _quantise(some, book)).square().mean(1) for book in found[-1]], 1))
        books = [torch.cat(of_all) for of_all in zip(*found, strict=True)]
        chosen = _hand_out(torch.cat(losses), torch.tensor(counts).double().log2(), bits)
        return cls(mean, basis, [books[n][i : i + 1] for i, n in enumerate(chosen)])

    def coded(self, items: Tensor) -> Tensor:
        """float64 [M, d], vectors float [M, d] coded and decoded again."""
        if not self.books:
            return self.mean.expand(items.shape).clone()
        own = ((items.double() - self.mean) @ self.basis).T.contiguous()
        coded = torch.stack([_quantise(own[i : i + 1], book)[0] for i, book in enumerate(self.books)])
        decoded: Tensor = coded.T @ self.basis.T + self.mean
        return decoded


def _principal_axes(centred: Tensor, number: int) -> Tensor:
    """Orthonormal directions of most variance, [N, d] -> [d, number]; by the smaller of the two Gram matrices."""
    wide = centred.shape[0] < centred.shape[1]
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    axes: Tensor = vectors.flip(1)[:, :number]
    if wide:
        axes = torch.linalg.qr(centred.T @ axes[:, values.flip(0)[:number] > values[-1] * 1e-12])[0]
    return axes


def _lloyd_max(ordered: Tensor, levels: int, rounds: int = 100) -> Tensor:
    """Levels of the quantiser of least square error for each row, ascending [rows, N] -> ascending [rows, levels]."""
    places = ((torch.arange(levels) + 0.5) / levels * ordered.shape[1]).long()
    book = ordered[:, places].contiguous()
    sums = torch.nn.functional.pad(ordered.cumsum(1), (1, 0))
    for _ in range(rounds):
        edges = torch.searchsorted(ordered, (book[:, 1:] + book[:, :-1]) / 2)
        ends = torch.nn.functional.pad(torch.nn.functional.pad(edges, (1, 0)), (0, 1), value=ordered.shape[1])
        count = ends.diff(dim=1)
        book = torch.where(count > 0, sums.gather(1, ends).diff(dim=1) / count.clamp_min(1), book)
    return book


def _quantise(values: Tensor, book: Tensor) -> Tensor:
    edges = ((book[:, 1:] + book[:, :-1]) / 2).contiguous()
    return book.gather(1, torch.searchsorted(edges, values.contiguous()))


def _hand_out(errors: Tensor, bits_of: Tensor, bits: float) -> list[int]:
    """Index of the level count of each component, by steepest descent: the most error removed per bit goes first.

    Looks up to three counts ahead, because errors need not fall evenly.
    """
    chosen, left = torch.zeros(len(errors), dtype=torch.long), bits + 1e-9
    rows = torch.arange(len(errors))
    while True:
        best, step = 0.0, None
        for ahead in (1, 2, 3):
            then = (chosen + ahead).clamp_max(len(bits_of) - 1)
            price = bits_of[then] - bits_of[chosen]
            gain = torch.where((price > 0) & (price <= left), (errors[rows, chosen] - errors[rows, then]) / price, -1.0)
            row = int(gain.argmax())
            if float(gain[row]) > best:
                best, step = float(gain[row]), (row, int(then[row]))
        if step is None:
            return [int(index) for index in chosen]
        left -= float(bits_of[step[1]] - bits_of[chosen[step[0]]])
        chosen[step[0]] = step[1]
