"""Section about codes: how many of each codebook are used, and how evenly, level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import torch
from torch import Tensor

from tokenmask.corpus import Corpus, totals
from tokenmask.modalities.codebook_report import CodebookReport
from tokenmask.report.charts import bar
from tokenmask.report.page import Section, figure, grid
from tokenmask.run import Run
from tokenmask.streams import TokenStream


def corpus_counts(run: Run) -> dict[str, list[Tensor]]:
    """Occurrences of each code in all corpora of a run: stream name -> for each level int64 [codebook size]."""
    return totals(Corpus(path, specs=dict(run.layout.streams)) for path, _ in run.corpora)


def stream_counts(streams: Sequence[TokenStream]) -> list[Tensor]:
    """The same of a few streams of one tokenizer."""
    sizes = streams[0].spec.codebook_sizes
    rows = torch.cat([stream.codes.reshape(-1, len(sizes)) for stream in streams]).long()
    return [torch.bincount(column, minlength=size) for column, size in zip(rows.unbind(1), sizes, strict=True)]


def usage_section(counts: Mapping[str, Sequence[Tensor]], where: str) -> Section | None:
    """Bars of the use of each level.

    Args:
        counts: stream name -> for each level int64 [codebook size].
        where: they were counted, for the caption.
    """
    figures = []
    for name, levels in counts.items():
        if not all(int(level.sum()) for level in levels):
            continue
        report = CodebookReport(levels)
        rows = []
        for number, use in enumerate(report.levels, 1):
            text = f"level {number}" if len(levels) > 1 else "codes"
            value = f"{use.used:,} of {use.size:,}, perplexity {use.perplexity:.0f}"
            drawn = bar(use.entropy_bits / max(use.at_most_bits, 1e-9), f"{name} {text}: {value}")
            rows.append(f'<span>{escape(text)}</span>{drawn}<span class="value">{escape(value)}</span>')
        total = int(levels[0].sum())
        figures.append(figure(f'<div class="bars">{"".join(rows)}</div>', f"{name}: {total:,} codes a level, {where}"))
    if not figures:
        return None
    lead = (
        "How many codes of each level occur, and how evenly: a full bar is a codebook whose codes are all equally "
        "frequent (entropy over log2 of its size)."
    )
    return Section("Code usage", lead, grid(figures, "pairs"))
