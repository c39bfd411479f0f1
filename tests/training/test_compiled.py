"""``training.compile``: blocks as whole graphs, with the losses of those that are not compiled."""

import pytest
import torch

from tests.models.small import small_batch, small_layout, small_masked
from tests.training import worlds
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.training import Training


def gradients(model: MaskedModel) -> tuple[float, list[torch.Tensor]]:
    layout = model.layout
    model.zero_grad()
    found = MaskedCrossEntropy()(model, small_masked(layout, small_batch(layout)))
    loss = found.sum / found.weight
    torch.autograd.backward(loss)
    return float(loss.detach()), [own.grad for own in model.parameters() if own.grad is not None]


@pytest.mark.parametrize("recompute", [False, True])
def test_a_block_is_one_graph(recompute):
    plain, traced = (MaskedModel.create(TransformerConfig(64, 2, 2), small_layout(4), seed=0) for _ in range(2))
    for model in (plain, traced):
        model.backbone.recompute(recompute)
    for part in traced.backbone.parts():
        part.compile(fullgraph=True, backend="eager")
    assert traced.state_dict().keys() == plain.state_dict().keys()
    (loss, mine), (other, theirs) = gradients(plain), gradients(traced)
    assert abs(loss - other) < 1e-5
    for one, two in zip(mine, theirs, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_training_has_the_same_losses(tmp_path):
    worlds.write_corpus(tmp_path / "corpus")
    plain, compiled = (
        worlds.make_trainer(tmp_path / "corpus", steps=3, compile=how).fit(progress=False) for how in ("none", "blocks")
    )
    assert [step["loss"] for step in compiled] == pytest.approx([step["loss"] for step in plain], rel=1e-5)


def test_what_cannot_be_compiled_gets_one_sentence():
    with pytest.raises(
        ValueError, match=r"training.products is chosen product by product, .* set precision to bfloat16"
    ):
        Training(compile="blocks", products="bfloat16")
