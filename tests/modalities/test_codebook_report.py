"""Figures about codebooks against values worked out by hand or known from theory."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image as pillow

from tokenmask.modalities.codebook_report import CodebookReport, code_usage, pca_coded, psnr_db


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_usage_and_perplexity_by_hand() -> None:
    assert code_usage(torch.tensor([[3, 3], [3, 3]]), 4) == pytest.approx((0.25, 1.0))
    assert code_usage(torch.arange(8), 8) == pytest.approx((1.0, 8.0))
    share, perplexity = code_usage(torch.tensor([0, 0, 1, 2]), 8)
    assert (share, perplexity) == pytest.approx((3 / 8, 2**1.5))


def test_psnr_by_hand() -> None:
    black = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    other = black.clone()
    other[1] = 255
    assert psnr_db(black, black) == 100
    assert psnr_db(black, other) == pytest.approx(50)  # 100 dB and 0 dB
    assert psnr_db(black, black + 1) == pytest.approx(20 * math.log10(255))


@pytest.mark.parametrize(("bits", "distortion"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_one_normal_component_has_the_distortion_of_max(bits: int, distortion: float) -> None:
    """Max 1960, table I: least square error of quantisers of 2, 4, 8, 16 levels for the unit normal."""
    train, items = normal(40_000, 1, seed=0), normal(40_000, 1, seed=1)
    error = (pca_coded(train, items, bits) - items).square().mean()
    assert float(error) == pytest.approx(distortion, rel=0.04)


def test_bits_go_where_the_variance_is() -> None:
    """Deviations 8, 4 and 1/16 with 4 bits: 5 and 3 levels, whose distortions are .07994 and .1902 (Max, table I)."""
    turn = torch.linalg.qr(normal(3, 3, seed=5))[0]
    scale = torch.tensor([8.0, 4.0, 1 / 16])
    train, items = (normal(40_000, 3, seed=seed) * scale @ turn for seed in (0, 1))
    error = float((pca_coded(train, items, 4) - items).square().sum(1).mean())
    assert error == pytest.approx(64 * 0.07994 + 16 * 0.1902 + 1 / 256, rel=0.04)
    assert error > 2 * 2.0 + 1 / 256  # what no coder of this source can go below, by reverse water-filling


def test_error_falls_with_bits_also_for_few_training_items() -> None:
    train, items = normal(60, 200, seed=0) @ normal(200, 200, seed=2), normal(9, 200, seed=1) @ normal(200, 200, seed=2)
    errors = [float((pca_coded(train, items, bits) - items).square().mean()) for bits in (0, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(float((items - train.mean(0)).square().mean()))


def report() -> CodebookReport:
    codes = [torch.tensor([[[0, 2], [0, 2]], [[1, 2], [1, 2]]]), torch.tensor([[2, 2], [3, 2]], dtype=torch.int32)]
    return CodebookReport.of(codes, (8, 4), figures={"psnr_db": 21.5}, about={"items": 2})


def test_training_items_that_are_all_alike_code_everything_as_themselves() -> None:
    train = torch.full((20, 6), 0.5)
    assert torch.equal(pca_coded(train, torch.rand(3, 6, generator=torch.Generator().manual_seed(0)), 8), train[:3])
    assert torch.equal(pca_coded(train[:3], train[:2], 8), train[:2])


def test_a_report_counts_levels_by_hand() -> None:
    first, second = report().levels
    assert report().counts[0].tolist() == [2, 2, 1, 1, 0, 0, 0, 0]
    assert (first.size, first.used, first.at_most_bits) == (8, 4, 3)
    entropy = 2 / 3 * math.log2(3) + 1 / 3 * math.log2(6)
    assert (first.entropy_bits, first.perplexity) == pytest.approx((entropy, 2**entropy))
    assert second == pytest.approx((4, 1, 1.0, 0.0, 2.0))
    assert (first.used / 8, first.perplexity) == pytest.approx(code_usage(torch.tensor([0, 0, 1, 1, 2, 3]), 8))


def test_a_report_prints_itself() -> None:
    head, first, second, figure = str(report()).splitlines()
    assert head.split("  ")[0] == "level"
    assert first.split() == ["0", "8", "6", "4", "50.0", "3.8", "1.92", "3.00"]
    assert second.split() == ["1", "4", "6", "1", "25.0", "1.0", "0.00", "2.00"]
    assert figure == "psnr_db: 21.5"


def test_a_report_saves_itself_whole_and_again(tmp_path: Path) -> None:
    for _ in range(2):
        report().save(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["counts.png", "perplexity.png", "report.json"]
    kept = json.loads((tmp_path / "new/report.json").read_text())
    assert (kept["about"], kept["figures"]) == ({"items": 2}, {"psnr_db": 21.5})
    assert kept["levels"][1] == {**report().levels[1]._asdict(), "counts": [0, 0, 6, 0]}
    for name in ("counts.png", "perplexity.png"):
        with pillow.open(tmp_path / "new" / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 10


def test_plots_show_what_was_counted() -> None:
    lines = report().plot_counts().axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([1 / 3, 1.0])
    assert lines[0].get_ydata()[:4].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6])
    heights = [bar.get_height() for bar in report().plot_perplexity().axes[0].patches]
    assert heights == pytest.approx([8, 4, 4, 1, report().levels[0].perplexity, 1.0])


def test_no_codes_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="a codebook report needs a code of each level"):
        CodebookReport.of([], (8, 4))
