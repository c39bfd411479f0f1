"""What training keeps for the backward pass: little, and with the same gradients as if all were kept."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.models.small import randomise, small_batch, small_layout, small_masked
from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig, range_heads
from tokenmask.nn import attention, feed_forward, keeping, made_again, recomputed
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.streams import StreamSpec, TokenStream


def kept(loss_of) -> tuple[Tensor, list[Tensor]]:
    """The loss and the tensors that its graph holds, each memory once."""
    found: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = loss_of()
    return loss, list(found.values())


def size(tensors: list[Tensor], model: torch.nn.Module) -> int:
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    mine = [tensor.untyped_storage() for tensor in tensors]
    return sum(storage.nbytes() for storage in mine if storage.data_ptr() not in weights)


@pytest.fixture
def everything_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (attention, feed_forward, range_heads):
        monkeypatch.setattr(module, "recomputed", lambda function, *inputs, always=False: function(*inputs))
    yield


def gradients(config: TransformerConfig, head: RangeHeadsConfig, layout: Layout) -> list[Tensor]:
    model = MaskedModel.create(config, layout, head=head)
    randomise(model)
    masked = small_masked(layout, small_batch(layout))
    loss = MaskedCrossEntropy()(model, masked).total
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)]


Shape = tuple[TransformerConfig, RangeHeadsConfig]
SHAPES: list[Shape] = [
    (TransformerConfig(width=64, depth=2, heads=2), RangeHeadsConfig()),
    (TransformerConfig(width=64, depth=2, heads=2, adaln=True), RangeHeadsConfig(tied=False, transform=True)),
]


@pytest.fixture(params=SHAPES, ids=["plain", "adaln"])
def lean(request: pytest.FixtureRequest) -> tuple[Shape, list[Tensor]]:
    """A shape and its gradients as they are computed."""
    return request.param, gradients(*request.param, small_layout(4))


def test_gradients_are_those_of_keeping_everything(lean, everything_is_kept):
    shape, found = lean
    for mine, other in zip(found, gradients(*shape, small_layout(4)), strict=True):
        assert (mine is None and other is None) or torch.equal(mine, other)


@pytest.mark.parametrize("way", ["spares", "usual", "in full"])
def test_a_block_keeps_its_inputs_and_products(way):
    """Per position: both inputs, qkv (3), what was mixed, and, unless it spares, the first product of the feed-forward
    layer. In full: also what is normed of both inputs, turned queries and keys (2), and the result of the gate."""
    layout = Layout({"text": StreamSpec("text", (50,), ("index",))})
    sizes = []
    for depth in (1, 3):
        model = MaskedModel.create(TransformerConfig(width=128, depth=depth, heads=2), layout)
        stream = TokenStream(layout.streams["text"], torch.zeros(63, 1, dtype=torch.int32))
        masked = small_masked(layout, collate([layout.pack({"text": stream})] * 4))
        for block in model.backbone.blocks:
            block.feed_forward.spares = way == "spares"
        with keeping(way == "in full"):
            _, tensors = kept(lambda model=model, masked=masked: MaskedCrossEntropy()(model, masked).total)
        sizes.append(size(tensors, model))
    hidden = model.backbone.blocks[0].feed_forward.down.weight.shape[1]
    wide = {"spares": 0, "usual": 2, "in full": 3}[way] * hidden / 128
    floats = 2 + 3 + 1 + wide + (2 + 2 if way == "in full" else 0)
    block = (sizes[1] - sizes[0]) / 2
    assert block == pytest.approx(4 * 4 * 64 * 128 * floats, rel=0.02)
    config, said = model.config, {"usual": model.config.kept_floats, "in full": model.config.kept_floats_in_full}
    if way in said:  # which does not know that the hidden width is rounded up, from 341 to 384
        assert 4 * said[way](4 * 64) / config.depth == pytest.approx(block, rel=0.07)


def test_logits_of_many_queries_are_never_all_there(monkeypatch):
    layout = small_layout(4)
    model = MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout)
    randomise(model)
    masked = small_masked(layout, small_batch(layout), share=1.0)
    names = [name for name, _ in model.named_parameters()]

    def run() -> tuple[Tensor, list[Tensor], list[Tensor]]:
        loss, tensors = kept(lambda: MaskedCrossEntropy(label_smoothing=0.1)(model, masked).total)
        return loss, tensors, list(torch.autograd.grad(loss, list(model.parameters())))

    whole, tensors, expected = run()
    asked = {int((masked.queries.heads == head).sum()) for head in masked.queries.heads.unique()}
    columns = {place.size for place in layout.ranges} - {model.config.width}
    assert max(asked) > 32 and any(t.dim() == 2 and t.shape[0] in asked and t.shape[1] in columns for t in tensors)
    monkeypatch.setattr(range_heads, "LOGITS_AT_ONCE", 1)  # 16 queries at a time
    parts, tensors, found = run()
    assert not any(t.dim() == 2 and t.shape[1] in columns for t in tensors)
    torch.testing.assert_close(parts, whole)
    for name, mine, other in zip(names, found, expected, strict=True):
        torch.testing.assert_close(mine, other, msg=lambda text, name=name: f"{name}: {text}", rtol=1e-4, atol=1e-7)


def test_recomputed_is_a_plain_call_without_gradients():
    calls = []

    def twice(x: Tensor) -> Tensor:
        calls.append(1)
        return x.exp().sin()

    x = torch.linspace(0, 1, 5, requires_grad=True)
    with torch.no_grad():
        recomputed(twice, x)
    assert len(calls) == 1
    result = recomputed(twice, x)
    (mine,) = torch.autograd.grad(result.sum(), x)
    assert len(calls) == 3 and torch.equal(mine, torch.autograd.grad(x.exp().sin().sum(), x)[0])


def test_what_is_made_again_is_made_once_and_changes_no_gradient():
    calls = []

    def make(x: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        return x.exp(), x.sin()

    x = torch.linspace(0, 1, 9).view(3, 3).requires_grad_()
    found = []
    for keeps in (True, False):
        with keeping(keeps):
            one, other = make(x)
            with made_again((one, other), lambda: make(x.detach())):
                product = one @ other
        found.append(torch.autograd.grad(product.sum(), x)[0])
    assert len(calls) == 3 and torch.equal(*found)
    exact = torch.autograd.functional.jacobian(lambda x: (x.exp() @ x.sin()).sum(), x.detach())
    torch.testing.assert_close(found[1], exact)
