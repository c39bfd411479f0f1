"""Residual vector quantisation: each codebook codes what the ones before it left over.

Does not know: media, encoders, streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tokenmask.modalities.quantizers.vq import VectorQuantizer, VectorQuantizerConfig
from tokenmask.ops import quantize_residual


@dataclass(frozen=True)
class ResidualQuantizerConfig:
    """Codebooks in a row and how many of them a training item uses.

    Args:
        levels: number of codebooks.
        codebook: what each of them is.
        level_dropout: probability that a training item is quantised by fewer levels, 1 .. levels - 1, few being more
            likely than many; one network then serves every bit rate. Codebooks of all levels go on learning.
    """

    levels: int = 4
    codebook: VectorQuantizerConfig = field(default_factory=VectorQuantizerConfig)
    level_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.levels < 1 or not 0 <= self.level_dropout <= 1:
            raise ValueError(
                f"a residual quantiser needs levels >= 1 and level_dropout in 0..1, got {self.levels} "
                f"and {self.level_dropout}"
            )


class ResidualQuantizer(nn.Module):
    """A latent is the sum of one code of each level; every quantiser of this folder has this interface.

    Source: SoundStream, arXiv:2107.03312, section III-C and algorithm 1 (levels, dropout of levels); NeuroRVQ,
    arXiv:2510.13068 (unit codes: what is left is taken from the latent as it is, not from the one of length one).
    """

    levels: nn.ModuleList

    def __init__(self, config: ResidualQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(VectorQuantizer(config.codebook) for _ in range(config.levels))

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (self.config.codebook.codes,) * self.config.levels

    @property
    def width(self) -> int:
        """Numbers in a latent."""
        return self.config.codebook.width

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Levels that refine each other, coarse to fine: all of them."""
        return (tuple(range(self.config.levels)),)

    @property
    def codebooks(self) -> tuple[Tensor, ...]:
        """The vectors of each level's codes, float32 [codes, width]."""
        return tuple(book.codebook for book in self._books())

    @torch.no_grad()
    def start_from(self, latents: Tensor, *, per_step: int, generator: torch.Generator, rounds: int = 8) -> None:
        """k-means of one level after the other; see :meth:`VectorQuantizer.start_from`."""
        for book in self._books():
            book.start_from(latents, per_step=per_step, generator=generator, rounds=rounds)
            latents = latents - book.lookup(book.nearest(latents))

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """float32 [N, width] -> int64 [N, levels], the nearest code of what each level is given."""
        books = torch.stack([book.codebook for book in self._books()])
        return quantize_residual(latents, books, unit_norm=self.config.codebook.unit)[0].long()

    def lookup(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """int [..., levels] -> float32 [..., width]: the sum over the first ``levels`` of them, None for all."""
        total = self._books()[0].lookup(codes[..., 0])
        for book, code in zip(self._books()[1:levels], codes.unbind(-1)[1:levels], strict=True):
            total = total + book.lookup(code)
        return total

    def forward(
        self, latents: Tensor, *, items: int = 1, draw: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises for training; nothing in the module changes, see :meth:`update`.

        Args:
            latents: float32 [N, width], the latents of one item after those of another.
            items: how many items they are of; an item's latents use the same number of levels.
            draw: for the number of levels and for drawn codes; None uses all levels and the nearest codes.

        Returns:
            (quantised float32 [N, width], with the latents' gradient passed straight through;
            codes int64 [N, levels], of unused levels too; the weighted commitment loss, a scalar).
        """
        used = self._levels_used(items, draw).to(latents.device).repeat_interleave(len(latents) // items)
        left, total, codes = latents, torch.zeros_like(latents), []
        loss = latents.new_zeros(())
        for level, book in enumerate(self._books()):
            quantised, chosen, commitment = book(left, draw)
            keeps = level < used
            total = total + quantised.detach() * keeps[:, None]
            loss = loss + (commitment * keeps).mean()
            left = left - book.lookup(chosen)
            codes.append(chosen)
        return latents + (total - latents).detach(), torch.stack(codes, 1), loss

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Moves every codebook; see :meth:`VectorQuantizer.update`."""
        left = latents.detach()
        parts = []
        for book, level in zip(self._books(), codes.unbind(1), strict=True):
            parts.append(left)
            left = left - book.lookup(level)
        for book, level, part in zip(self._books(), codes.unbind(1), parts, strict=True):
            book.update(part, level, generator)

    def _levels_used(self, items: int, draw: torch.Generator | None) -> Tensor:
        levels = self.config.levels
        if draw is None or levels == 1 or not self.config.level_dropout:
            return torch.full((items,), levels)
        fewer = 1 + (torch.rand(items, generator=draw).square() * (levels - 1)).long()
        return torch.where(torch.rand(items, generator=draw) < self.config.level_dropout, fewer, levels)

    def _books(self) -> list[VectorQuantizer]:
        return list(self.levels)  # type: ignore[arg-type]


class GroupedQuantizer(nn.Module):
    """Residual quantisers side by side: a latent is cut into parts and each part has codebooks of its own.

    Levels are numbered group by group: those of the first part, coarse to fine, then those of the second. Used for
    body parts of a motion and for the branches of NeuroRVQ.

    Args:
        configs: one for each part, in the order of the latent's parts.
    """

    parts: nn.ModuleList

    def __init__(self, configs: Sequence[ResidualQuantizerConfig]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(ResidualQuantizer(config) for config in configs)
        self._widths = [config.codebook.width for config in configs]
        self._levels = [config.levels for config in configs]

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return tuple(size for part in self._parts() for size in part.codebook_sizes)

    @property
    def width(self) -> int:
        """Numbers in a whole latent."""
        return sum(self._widths)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of each part's levels."""
        ends = torch.tensor(self._levels).cumsum(0).tolist()
        return tuple(tuple(range(end - size, end)) for end, size in zip(ends, self._levels, strict=True))

    @property
    def codebooks(self) -> tuple[Tensor, ...]:
        """The vectors of each level's codes, float32 [codes, width of the part]."""
        return tuple(book for part in self._parts() for book in part.codebooks)

    @torch.no_grad()
    def start_from(self, latents: Tensor, *, per_step: int, generator: torch.Generator, rounds: int = 8) -> None:
        """k-means of every part."""
        for part, own in zip(self._parts(), torch.split(latents, self._widths, 1), strict=True):
            part.start_from(own, per_step=per_step, generator=generator, rounds=rounds)

    def nearest(self, latents: Tensor) -> Tensor:
        """float32 [N, width] -> int64 [N, levels of all parts]."""
        pairs = zip(self._parts(), torch.split(latents, self._widths, 1), strict=True)
        return torch.cat([part.nearest(own.contiguous()) for part, own in pairs], 1)

    def lookup(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """int [..., levels of all parts] -> float32 [..., width]; ``levels`` of each part, None for all."""
        pairs = zip(self._parts(), torch.split(codes, self._levels, -1), strict=True)
        return torch.cat([part.lookup(own, levels) for part, own in pairs], -1)

    def forward(
        self, latents: Tensor, *, items: int = 1, draw: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`ResidualQuantizer.forward`; the loss is the mean over the parts."""
        pairs = zip(self._parts(), torch.split(latents, self._widths, 1), strict=True)
        quantised, codes, losses = zip(*[part(own, items=items, draw=draw) for part, own in pairs], strict=True)
        return torch.cat(quantised, 1), torch.cat(codes, 1), torch.stack(losses).mean()

    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Moves every codebook of every part."""
        own = zip(
            self._parts(), torch.split(latents, self._widths, 1), torch.split(codes, self._levels, 1), strict=True
        )
        for part, latent, code in own:
            part.update(latent, code, generator)

    def _parts(self) -> list[ResidualQuantizer]:
        return list(self.parts)  # type: ignore[arg-type]
