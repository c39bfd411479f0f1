"""Muon: orthogonal updates, equal to torch's up to its bfloat16, and part of a checkpoint."""

import pytest
import torch

from tests.training import worlds
from tokenmask.fitting import fit
from tokenmask.training.muon import Muon, orthogonal


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (8, 40), (1, 5)])
def test_singular_values_are_about_one_and_vectors_stay(shape):
    source = matrix(*shape)
    result = orthogonal(source)
    left, _, right = torch.linalg.svd(source.double(), full_matrices=False)
    inner = left.T @ result.double() @ right.T
    assert ((inner.diagonal() > 0.5) & (inner.diagonal() < 1.3)).all()
    assert (inner - inner.diagonal().diag()).abs().max() < 1e-3
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_follows_torch_muon():
    ours, theirs = (torch.nn.Parameter(matrix(48, 32)) for _ in range(2))
    mine = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1)
    other = torch.optim.Muon(
        [theirs], lr=0.02, momentum=0.9, weight_decay=0.1, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    start = ours.detach().clone()
    for step in range(6):
        ours.grad, theirs.grad = matrix(48, 32, step + 1), matrix(48, 32, step + 1)
        mine.step()
        other.step()
    moved, expected = ours.detach() - start, theirs.detach() - start
    assert float((moved - expected).norm() / expected.norm()) < 0.02  # bfloat16 keeps 8 bits


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test_resumes_bit_for_bit(tmp_path):
    worlds.write_corpus(tmp_path / "corpus")
    history = worlds.make_trainer(tmp_path / "corpus", steps=8, muon=True).fit(tmp_path / "whole", progress=False)
    fit(worlds.make_trainer(tmp_path / "corpus", steps=8, muon=True), steps=5, folder=tmp_path / "cut", progress=False)
    resumed = worlds.make_trainer(tmp_path / "corpus", steps=8, muon=True)
    assert resumed.fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    assert history != worlds.make_trainer(tmp_path / "corpus", steps=8).fit(progress=False)
