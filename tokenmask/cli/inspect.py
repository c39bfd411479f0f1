"""``tokenmask inspect``: how a tokenizer uses its codes on some data, and how good it is there.

Arrow: tokenizer folder + media files --> a table, a report and plots. Does not know: any modality, models.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from torch import Tensor

from tokenmask.cli.asked import ask_media, asked
from tokenmask.cli.columns import mapped
from tokenmask.cli.corpora import one_tokenizer
from tokenmask.cli.media import LazyMedia, Loader
from tokenmask.cli.show import failures, figures, say, table
from tokenmask.cli.sources import media, unseen_by
from tokenmask.modalities.codebook_report import CodebookReport
from tokenmask.progress import progress_bar
from tokenmask.tokenizer import Tokenizer

Named = tuple[str, Loader]


def inspect(arguments: argparse.Namespace) -> int:
    """Encodes data, counts codes, and prints and keeps what comes out."""
    tokenizer = one_tokenizer(arguments.tokenizer)
    spec = tokenizer.spec
    found = media(arguments.on, spec.modality, arguments.per, mapped(arguments.map, [spec.modality]))
    found = ask_media(found, asked(arguments))
    named = [(one.name, one.loader) for one in found]
    good: list[Loader] = []
    failed: list[tuple[str, str]] = []
    codes = _codes(tokenizer, named, good, failed)
    try:
        report = CodebookReport.of(codes, spec.codebook_sizes)
    except ValueError:
        failures(failed, len(named))
        raise
    about = {
        "tokenizer": spec.fingerprint,
        "modality": spec.modality,
        "items": len(good),
        "data": [str(path) for path in arguments.on],
    }
    report = CodebookReport(report.counts, tokenizer.evaluate(LazyMedia(good)), about)
    passed = unseen_by(arguments.on, found)
    say(f"{arguments.tokenizer}: {spec.modality} tokenizer {spec.fingerprint[:12]} on {len(good)} items{passed}")
    table(report.head, report.rows())
    say("used: codes that occur at all; entropy: of their frequencies, bits a code; at most: log2 of the codebook size")
    figures(dict(report.figures), f"{len(good)} items")
    if arguments.out:
        report.save(arguments.out)
        say(f"report and plots: {arguments.out}")
    return failures(failed, len(named))


def _codes(
    tokenizer: Tokenizer, named: Sequence[Named], good: list[Loader], failed: list[tuple[str, str]]
) -> Iterator[Tensor]:
    """Codes of one item after the other; notes which worked and why others did not."""
    with progress_bar("encoding", len(named), 0, len(named) > 20) as show:
        for number, (name, loader) in enumerate(named, 1):
            try:
                codes = tokenizer.encode(loader()).codes
            except (ValueError, TypeError, OSError) as error:
                failed.append((name, str(error)))
            else:
                good.append(loader)
                yield codes
            show(number, None)
