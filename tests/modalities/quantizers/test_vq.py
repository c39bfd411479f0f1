"""The codebook: nearest codes and ties, the moving averages by hand, and that revival is what keeps codes in use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import tokenmask
from tokenmask.fitting import step_generator
from tokenmask.modalities.codebook_report import code_usage
from tokenmask.modalities.image import Image
from tokenmask.modalities.quantizers.vq import VectorQuantizer, VectorQuantizerConfig
from tokenmask.nn.init import build


def quantizer(**settings: float) -> VectorQuantizer:
    return build(lambda: VectorQuantizer(VectorQuantizerConfig(**settings)), seed=0)  # type: ignore[arg-type]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 200])
def test_nearest_is_the_smallest_distance(count: int) -> None:
    book, latents = quantizer(codes=37, width=5), draw(count, 5)
    distances = (latents.double()[:, None] - book.codebook.double()).square().sum(2)
    assert torch.equal(book.nearest(latents), distances.argmin(1))


def test_equal_distances_give_the_lower_code() -> None:
    book = quantizer(codes=64, width=4)
    book.codebook.copy_(draw(16, 4).repeat(4, 1))
    assert int(book.nearest(draw(500, 4, seed=1)).max()) < 16
    book.codebook.zero_()
    assert not book.nearest(draw(9, 4)).any()


def test_rows_do_not_depend_on_their_company() -> None:
    book, latents = quantizer(codes=512, width=16), draw(1024, 16)
    whole = book.nearest(latents)
    for size in (1, 2, 7, 64, 100):
        assert torch.equal(torch.cat([book.nearest(part) for part in latents.split(size)]), whole)


def test_gradient_passes_straight_through() -> None:
    book, latents = quantizer(codes=8, width=3, commitment=0.5), draw(20, 3).requires_grad_()
    before = book.codebook.clone()
    quantised, codes, loss = book(latents)
    assert torch.allclose(quantised, book.lookup(codes), atol=1e-6)
    assert loss.mean().item() == pytest.approx(0.5 * (latents - before[codes]).square().mean().item(), rel=1e-5)
    quantised.sum().backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, torch.ones_like(latents))
    assert torch.equal(book.codebook, before)  # forward changes nothing


def test_moving_averages_by_hand() -> None:
    book = quantizer(codes=2, width=1, decay=0.75, revive_below=0.0)
    generator = step_generator(0, 0)
    book.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    book.update(torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([0, 0, 1]), generator)
    assert torch.allclose(book.codebook, torch.tensor([[2.0], [9.0]]))  # the first step is the plain mean
    book.update(torch.tensor([[5.0]]), torch.tensor([0]), generator)
    # N0 = .75 * .5 + .25 = .625, m0 = .75 * 1 + .25 * 5 = 2; code 1 saw nothing and stays where it is.
    assert torch.allclose(book.codebook, torch.tensor([[3.2], [9.0]]))
    assert torch.allclose(book.ema_count, torch.tensor([0.625, 0.1875]))


def test_dead_codes_become_latents_of_the_batch() -> None:
    book = quantizer(codes=16, width=2)
    latents = draw(40, 2, seed=3)
    codes = book.nearest(latents)
    unused = sorted(set(range(16)) - set(codes.tolist()))
    book.update(latents, codes, step_generator(0, 0))
    revived = book.codebook[unused]
    assert unused
    assert all(bool((latents - code).abs().sum(1).min() < 1e-6) for code in revived)
    assert torch.allclose(book.ema_count[unused], book.ema_count[unused[0]])
    few = quantizer(codes=16, width=2)
    few.update(latents[:1], few.nearest(latents[:1]), step_generator(0, 0))  # fewer latents than dead codes
    assert bool(few.codebook.isfinite().all())


def emoji_patches() -> Tensor:
    """Real latents without a network: 4 x 4 patches of emoji, centred, with unit variance."""
    path = Path(tokenmask.__file__).parent / "data" / "images" / "noto_emoji_32.png"
    sheet = Image.load(path).pixels[:1024].float()
    patches = sheet.view(256, 4, 256, 4, 3).transpose(1, 2).reshape(-1, 48)
    return (patches - patches.mean(0)) / patches.std()


def usage_after(patches: Tensor, revive_below: float, seed: int) -> float:
    """From a random start, 256 latents a step: those of four pictures of 8 x 8 places."""
    book = build(lambda: VectorQuantizer(VectorQuantizerConfig(512, 48, revive_below=revive_below)), seed)
    for step in range(300):
        generator = step_generator(seed, step)
        batch = patches[torch.randint(len(patches), (256,), generator=generator)]
        book.update(batch, book.nearest(batch), generator)
    return code_usage(book.nearest(patches), 512)[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_revival_the_codebook_collapses(seed: int) -> None:
    """Nothing but ``revive_below`` differs: under 15 % of the codes are in use without it, over 90 % with it."""
    patches = emoji_patches()
    assert usage_after(patches, 0.0, seed) < 0.15
    assert usage_after(patches, 0.05, seed) > 0.9


@pytest.mark.parametrize("settings", [{"codes": 1}, {"width": 0}, {"decay": 1.0}, {"revive_below": 1.0}])
def test_settings_out_of_range_are_one_sentence(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a codebook needs"):
        VectorQuantizerConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("remembers", "replaced"), [(False, [3, 6]), (True, [3])])
def test_a_code_is_replaced_where_it_was_rare_after_every_update_since_the_last_look(
    remembers: bool, replaced: list[int]
) -> None:
    """Three codes, of which code 1 is used in the first update alone, code 2 never; a look after every third update.

    Counts of code 1, with decay 1/2: 2, 1, 1/2, 1/4, 1/8, 1/16 of a mean of about 2: above a fifth of it until the
    third update, so it lives at the first look, and below from the fourth on, so it does not at the second.
    """
    book = quantizer(codes=3, width=1, decay=0.5, revive_below=0.2, revive_every=3, remembers=remembers)
    book.codebook.copy_(torch.tensor([[0.0], [10.0], [20.0]]))
    found: list[tuple[int, list[int]]] = []
    for number in range(1, 7):
        here = torch.zeros(6, dtype=torch.int64)
        if number == 1:
            here[:4] = 1
        before = book.codebook.clone()
        book.update(torch.where(here == 1, 10.0, 0.0)[:, None], here, step_generator(0, number))
        moved = (book.codebook != before).any(1).nonzero().squeeze(1).tolist()
        if moved:
            found.append((number, moved))
    assert [number for number, _ in found] == replaced
    assert found[0] == (3, [2])
    if not remembers:  # and code 2, which was replaced at the first look and has had a mean count since
        assert found[1] == (6, [1])


def test_looks_at_every_update_are_the_default_and_keep_files_as_they_are() -> None:
    often, seldom = quantizer(codes=4, width=1), quantizer(codes=4, width=1, revive_every=2)
    assert set(often.state_dict()) == {"codebook", "ema_count", "ema_sum"}
    assert set(seldom.state_dict()) - set(often.state_dict()) == {"lived", "waited"}
    with pytest.raises(ValueError, match="revive_every must be a whole number of updates, at least 1, got 0"):
        VectorQuantizerConfig(revive_every=0)
