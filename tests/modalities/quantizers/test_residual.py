"""Levels by hand: what is left goes on, dropout of levels and drawn codes have the law they claim."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tokenmask.fitting import step_generator
from tokenmask.modalities.quantizers.kmeans import kmeans
from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizer, VectorQuantizerConfig
from tokenmask.nn.init import build


def residual(levels: int, codes: int = 16, width: int = 4, dropout: float = 0.0) -> ResidualQuantizer:
    config = ResidualQuantizerConfig(levels, VectorQuantizerConfig(codes, width), dropout)
    return build(lambda: ResidualQuantizer(config), seed=0)


def latents(count: int, width: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_two_levels_by_hand() -> None:
    book = residual(2, codes=2, width=1)
    for level, values in zip(book._books(), ([0.0, 10.0], [-1.0, 2.0]), strict=True):
        level.codebook.copy_(torch.tensor(values)[:, None])
    x = torch.tensor([[9.2], [1.4], [12.0]])
    codes = book.nearest(x)
    assert codes.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert book.lookup(codes).flatten().tolist() == [9.0, 2.0, 12.0]
    assert book.lookup(codes, 1).flatten().tolist() == [10.0, 0.0, 10.0]


def test_dropout_of_levels_has_its_law() -> None:
    """P(k of 6 levels | fewer) = sqrt(k / 5) - sqrt((k - 1) / 5) for k = 1 .. 5, so few more often than many."""
    book, count = residual(6, dropout=0.4), 60_000
    used = book._levels_used(count, step_generator(0, 0))
    shares = torch.bincount(used, minlength=7)[1:] / count
    fewer = [0.4 * ((k / 5) ** 0.5 - ((k - 1) / 5) ** 0.5) for k in range(1, 6)]
    assert shares.tolist() == pytest.approx([*fewer, 0.6], abs=0.008)
    assert fewer[0] > fewer[1] > fewer[4]


def test_an_item_keeps_its_number_of_levels_and_no_draw_means_all() -> None:
    book, x = residual(4, dropout=1.0), latents(60)
    quantised, codes, _ = book(x, items=12, draw=step_generator(0, 1))
    levels = torch.stack([book.lookup(codes, count) for count in range(1, 5)])
    near = (levels - quantised).abs().amax(2) < 1e-5  # [count - 1, latent]
    numbers = near.float().argmax(0).view(12, 5)
    assert bool(near.any(0).all())
    assert bool((numbers == numbers[:, :1]).all())
    assert len(numbers.unique()) > 1 and int(numbers.max()) < 3  # all items were dropped somewhere
    whole, codes, _ = book(x, items=12)
    assert torch.allclose(whole, book.lookup(codes), atol=1e-5)


def test_drawn_codes_follow_the_softmax_of_distances() -> None:
    config = VectorQuantizerConfig(5, 3, temperature=0.7)
    book, count = build(lambda: VectorQuantizer(config), seed=1), 40_000
    one = latents(1, 3, seed=2)
    codes = book(one.expand(count, 3).contiguous(), step_generator(0, 0))[1]
    wanted = torch.softmax(-(one - book.codebook).square().sum(1) / 0.7, 0)
    assert (torch.bincount(codes, minlength=5) / count - wanted).abs().max() < 0.01
    assert wanted.max() < 0.95
    assert torch.equal(book(one)[1], book.nearest(one))  # encoding draws nothing


def test_each_level_moves_towards_what_is_left_for_it() -> None:
    config = ResidualQuantizerConfig(2, VectorQuantizerConfig(2, 1, decay=0.5, revive_below=0.0))
    book = build(lambda: ResidualQuantizer(config), seed=0)
    for level, values in zip(book._books(), ([0.0, 10.0], [-1.0, 2.0]), strict=True):
        level.codebook.copy_(torch.tensor(values)[:, None])
        level.ema_sum.copy_(level.codebook)
        level.ema_count.fill_(1.0)
    x = torch.tensor([[9.0], [13.0], [-1.0], [2.0]])  # 10 is taken twice and 0 twice; -1, 3, -1 and 2 are left
    codes = book.nearest(x)
    assert codes.tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]
    book.update(x, codes, step_generator(0, 0))
    first, second = (level.codebook.flatten().tolist() for level in book._books())
    # Half of what was, half of what comes: counts (1 + 2) / 2, sums (0 + 1) / 2 and (10 + 22) / 2.
    assert first == pytest.approx([0.5 / 1.5, 16 / 1.5])
    assert second == pytest.approx([-1.5 / 1.5, 3.5 / 1.5])  # sums (-1 - 2) / 2 and (2 + 5) / 2


def test_a_level_that_is_dropped_adds_neither_codes_nor_loss() -> None:
    config = ResidualQuantizerConfig(2, VectorQuantizerConfig(2, 1, commitment=0.25), level_dropout=1.0)
    book = build(lambda: ResidualQuantizer(config), seed=0)
    for level, values in zip(book._books(), ([0.0, 10.0], [-1.0, 2.0]), strict=True):
        level.codebook.copy_(torch.tensor(values)[:, None])
    x = torch.tensor([[8.5]])  # 10, then -1 for the -1.5 that are left; of two levels fewer is one
    for draw, value, loss in ((None, 9.0, (1.5**2 + 0.5**2) / 4), (step_generator(0, 0), 10.0, 1.5**2 / 4)):
        quantised, codes, commitment = book(x, draw=draw)
        assert quantised.item() == value and codes.tolist() == [[1, 0]] and commitment.item() == loss


def test_without_a_temperature_the_nearest_code_is_taken() -> None:
    assert VectorQuantizerConfig() == VectorQuantizerConfig(512, 16, 0.99, 0.05, 0.25, False, 0.0)
    book = build(lambda: VectorQuantizer(VectorQuantizerConfig(2, 1)), seed=0)
    book.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    assert book(torch.tensor([[9.0], [1.0]]), step_generator(0, 0))[1].tolist() == [1, 0]


def test_levels_learn_what_the_ones_before_leave() -> None:
    book, x = residual(3, codes=8), latents(2000)
    book.start_from(x, per_step=2000, generator=step_generator(0, 0))
    for step in range(5):
        book.update(x, book.nearest(x), step_generator(0, step))
    codes = book.nearest(x)
    errors = [float((book.lookup(codes, levels) - x).square().mean()) for levels in (1, 2, 3)]
    assert errors[0] < 0.6 and errors[1] < 0.65 * errors[0] and errors[2] < 0.65 * errors[1]


def test_groups_are_residual_quantisers_side_by_side() -> None:
    configs = [ResidualQuantizerConfig(2, VectorQuantizerConfig(8, 3)), ResidualQuantizerConfig(1)]
    both = build(lambda: GroupedQuantizer(configs), seed=0)
    assert (both.groups, both.width, both.codebook_sizes) == (((0, 1), (2,)), 19, (8, 8, 512))
    x = latents(40, 19)
    codes = both.nearest(x)
    first, second = both._parts()
    assert torch.equal(codes[:, :2], first.nearest(x[:, :3].contiguous()))
    assert torch.equal(codes[:, 2:], second.nearest(x[:, 3:].contiguous()))
    assert torch.equal(both.lookup(codes.view(5, 8, 3)), both.lookup(codes).view(5, 8, 19))
    assert torch.equal(both.lookup(codes), torch.cat([first.lookup(codes[:, :2]), second.lookup(codes[:, 2:])], 1))


def test_each_group_learns_from_its_own_numbers_and_codes() -> None:
    configs = [
        ResidualQuantizerConfig(2, VectorQuantizerConfig(4, 3)),
        ResidualQuantizerConfig(1, VectorQuantizerConfig(4, 2)),
    ]
    both, alone = (build(lambda: GroupedQuantizer(configs), seed=0) for _ in range(2))
    x = latents(40, 5)
    codes = both.nearest(x)
    both.update(x, codes, step_generator(0, 0))
    draw = step_generator(0, 0)  # revives codes of one part after the other
    first, second = alone._parts()
    first.update(x[:, :3], codes[:, :2], draw)
    second.update(x[:, 3:], codes[:, 2:], draw)
    assert all(torch.equal(one, other) for one, other in zip(both.codebooks, alone.codebooks, strict=True))
    assert not torch.equal(both.codebooks[2], build(lambda: GroupedQuantizer(configs), seed=0).codebooks[2])


def test_kmeans_finds_clusters_that_stand_apart() -> None:
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    x = centres.repeat(30, 1) + latents(90, 2)
    tries = [kmeans(x, 3, rounds=20, generator=step_generator(seed, 0)) for seed in range(8)]
    found, counts = min(tries, key=lambda one: float(torch.cdist(x, one[0]).amin(1).sum()))  # starts are drawn
    order = torch.cdist(centres, found).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    assert counts.tolist() == [30, 30, 30]
    assert torch.allclose(found[order], x.view(30, 3, 2).mean(0), atol=1e-4)


@pytest.mark.parametrize(("levels", "dropout"), [(0, 0.0), (2, 1.5), (2, -0.1)])
def test_settings_out_of_range_are_one_sentence(levels: int, dropout: float) -> None:
    with pytest.raises(ValueError, match="a residual quantiser needs levels"):
        ResidualQuantizerConfig(levels, level_dropout=dropout)
