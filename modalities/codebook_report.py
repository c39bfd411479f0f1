"""How good a codebook is: its use, and a classical coder that spends the same bits.

Does not know: tokenizers, streams, media. Works on plain arrays, so any modality can call it.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
_SAMPLES_PER_LEVEL = 8  # fewer fit the noise of the training items


def code_usage(codes: Tensor, size: int) -> tuple[float, float]:
    """Args:
        codes: int [...], codes of one level.
        size: of its codebook.

    Returns:
        (share of the codes that occur, perplexity of their frequencies: 1 .. size).
    """
    counts = torch.bincount(codes.reshape(-1).long(), minlength=size).double()
    share = counts / counts.sum()
    entropy = -(share * share.clamp_min(1e-300).log()).sum()
    return float((counts > 0).double().mean()), float(entropy.exp())


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

    Components come from ``train``. Each has a Lloyd-Max quantiser fitted to its training values, with any number of
    levels (not only powers of two); levels are handed out where they lower the training error most per bit, until
    the logarithms of all level counts sum up to ``bits``: reverse water-filling with real quantisers.

    Args:
        train: float [N, d].
        items: float [M, d].
        bits: for each vector.

    Returns:
        float64 [M, d], the decoded items.

    Source: Lloyd 1982; Max 1960; reverse water-filling, Cover and Thomas, section 10.3.3.
    """
    train, items = train.double(), items.double()
    mean = train.mean(0)
    wanted = min(int(bits) + 1, len(train), train.shape[1])  # a component that is kept costs one bit at least
    basis = _principal_axes(train - mean, max(wanted, 1))
    scores, own = ((train - mean) @ basis).T.contiguous(), ((items - mean) @ basis).T.contiguous()
    counts = [n for n in _LEVELS if n == 1 or n * _SAMPLES_PER_LEVEL <= len(train)]
    books = [_lloyd_max(scores, n) for n in counts]
    errors = torch.stack([(scores - _quantise(scores, book)).square().mean(1) for book in books], 1)  # [component, n]
    chosen = _hand_out(errors, torch.tensor(counts).double().log2(), bits)
    coded = torch.stack([_quantise(own[i : i + 1], books[n][i : i + 1])[0] for i, n in enumerate(chosen)])
    decoded: Tensor = coded.T @ basis.T + mean
    return decoded


def _principal_axes(centred: Tensor, number: int) -> Tensor:
    """Orthonormal directions of most variance, [N, d] -> [d, number]; by the smaller of the two Gram matrices."""
    wide = centred.shape[0] < centred.shape[1]
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    axes: Tensor = vectors.flip(1)[:, :number]
    if wide:
        axes = torch.linalg.qr(centred.T @ axes[:, values.flip(0)[:number] > values[-1] * 1e-12])[0]
    return axes


def _lloyd_max(values: Tensor, levels: int, rounds: int = 100) -> Tensor:
    """Levels of the quantiser of least square error for each row, [rows, N] -> [rows, levels], ascending."""
    ordered = values.sort(1).values
    places = ((torch.arange(levels) + 0.5) / levels * values.shape[1]).long()
    book = ordered[:, places].contiguous()
    sums = torch.nn.functional.pad(ordered.cumsum(1), (1, 0))
    for _ in range(rounds):
        edges = torch.searchsorted(ordered, (book[:, 1:] + book[:, :-1]) / 2)
        ends = torch.nn.functional.pad(torch.nn.functional.pad(edges, (1, 0)), (0, 1), value=values.shape[1])
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
