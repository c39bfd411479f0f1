"""Pixels of many pictures in a file are those in memory, and judging in parts is judging at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tokenmask.modalities.codebook_report import PcaCoder, pca_coded
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig, kept_pixels
from tokenmask.tokenizer import fingerprint

PIXELS = torch.randint(0, 256, (40, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("most", [0, 1 << 20])
@pytest.mark.parametrize("part", [1, 5000, 1 << 22])
def test_a_file_holds_what_memory_holds(most: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_pixels, "MOST_BYTES", most)
    monkeypatch.setattr(kept_pixels, "_PART", part)
    kept = kept_pixels.KeptPixels(40, 16)
    for number in reversed(range(40)):
        kept.put(number, PIXELS[number])
    assert torch.equal(kept.of([7, 0, 39, 7]), PIXELS[[7, 0, 39, 7]])
    assert torch.equal(torch.cat(list(kept.parts())), PIXELS)
    assert kept.fingerprint() == fingerprint({}, {"pixels": PIXELS})
    assert kept.variance() == pytest.approx(float((PIXELS.double() / 127.5 - 1).var(correction=0)), rel=1e-12)


def test_a_fit_from_a_file_is_the_same_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ImageTokenizerConfig(size=16, width=8, codes=16, latent=4)
    images = [Image(one) for one in PIXELS]
    first = ImageTokenizer.fit(images, config=config, steps=3, batch_size=4, progress=False)
    monkeypatch.setattr(kept_pixels, "MOST_BYTES", 0)
    second = ImageTokenizer.fit(images, config=config, steps=3, batch_size=4, progress=False)
    assert first.spec.fingerprint == second.spec.fingerprint
    whole = first.evaluate(images, images)
    monkeypatch.setattr("tokenmask.modalities.image.tokenizer._AT_ONCE", 7)
    assert first.evaluate(images, images) == pytest.approx(whole, rel=1e-9)


def test_a_coder_does_part_by_part_what_is_done_at_once() -> None:
    train = torch.randn(200, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    items, before = train[:50] + 0.1, train.clone()
    coder = PcaCoder.fit(train, 20)
    assert torch.equal(train, before)  # which is not touched
    wanted = pca_coded(train, items, 20)
    assert torch.allclose(torch.cat([coder.coded(items[:13]), coder.coded(items[13:])]), wanted, atol=1e-12)
    assert float((wanted - items).square().mean()) < 0.3 * float(items.var())
