"""What training keeps for the backward pass: little, and with the same gradients as if all were kept."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from tests.models.small import randomise, small_batch, small_layout, small_masked
from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig, range_heads
from tokenmask.nn import (
    Linear,
    attention,
    bfloat16_products,
    build,
    feed_forward,
    keeping,
    made_again,
    recomputed,
    shares,
)
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
    for module in (feed_forward, range_heads):
        monkeypatch.setattr(module, "recomputed", lambda function, *inputs, always=False: function(*inputs))
    monkeypatch.setattr(attention, "made_again", lambda function, *inputs: (function(*inputs), nullcontext()))
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
    """Per position: both inputs, what was mixed, and, unless it spares, the first product of the feed-forward layer.
    In full: also what is normed of both inputs, qkv (3), turned queries and keys (2), and the result of the gate."""
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
    floats = 2 + 1 + wide + (2 + 3 + 2 if way == "in full" else 0)
    block = (sizes[1] - sizes[0]) / 2
    assert block == pytest.approx(4 * 4 * 64 * 128 * floats, rel=0.02)
    config, said = model.config, {"usual": model.config.kept_floats, "in full": model.config.kept_floats_in_full}
    if way in said:  # which does not know that the hidden width is rounded up, from 341 to 384
        assert 4 * said[way](4 * 64) / config.depth == pytest.approx(block, rel=0.08)


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
    """Of three results in two memories: one read as it is, one as a view that begins later, one kept twice."""
    calls = []

    def make(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        calls.append(1)
        both = (x @ weight).exp()
        return both[:3], both[3:], x.sin()

    x = torch.linspace(0, 1, 18).view(6, 3).requires_grad_()
    weight = torch.linspace(-1, 1, 9).view(3, 3).requires_grad_()
    found = []
    for keeps in (True, False):
        with keeping(keeps):
            (one, other, sines), reading = made_again(make, x, weight)
            with reading:
                result = (one @ other).sum() + (sines * sines).sum() + (other[1:] * sines[4:]).sum()
        found.append(torch.autograd.grad(result, (x, weight), retain_graph=True))
    assert len(calls) == 3  # as they are kept, first, and again
    again = torch.autograd.grad(result, (x, weight))
    assert len(calls) == 4
    for kept, made, twice in zip(*found, again, strict=True):
        assert torch.equal(kept, made) and torch.equal(kept, twice)


def test_what_is_made_again_is_not_kept():
    """Memory of the results, and of what lies before them, is free when only the graph is left."""
    x, weight = torch.ones(64, 64, requires_grad=True), torch.ones(64, 64, requires_grad=True)
    for apart in (False, True):
        memory = []

        def make(x: Tensor, memory: list[StorageWeakRef] = memory) -> tuple[Tensor, ...]:
            before = x @ weight
            result = before.sin()
            memory += [StorageWeakRef(tensor.untyped_storage()) for tensor in (before, result)]
            return (result,)

        with keeping(not apart):
            (made,), reading = made_again(make, x)
            with reading:
                loss = (made * made).sum()
        del made, reading
        assert [one.expired() for one in memory] == [apart, apart]
        loss.backward()


def test_a_block_makes_its_heads_again_once(monkeypatch):
    layout, calls = small_layout(4), []
    turned = attention.Attention._turned
    monkeypatch.setattr(attention.Attention, "_turned", lambda *given: (calls.append(1), turned(*given))[1])
    model = MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), layout)
    loss = MaskedCrossEntropy()(model, small_masked(layout, small_batch(layout))).total
    assert len(calls) == 1
    loss.backward()
    assert len(calls) == 2


def test_inputs_that_changed_since_are_an_error():
    start = torch.ones(3, requires_grad=True)
    x = start * 2
    (made,), reading = made_again(lambda x: (x.exp(),), x)
    with reading:
        result = (made * made).sum()
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_products_in_bfloat16_are_made_again_in_bfloat16():
    x, layer = torch.linspace(0, 1, 64 * 16).view(16, 64).requires_grad_(), build(lambda: Linear(64, 64), 0)
    found = []
    for keeps in (True, False):
        with keeping(keeps), bfloat16_products():
            (made,), reading = made_again(lambda x: (layer(x),), x)
            with reading:
                result = (made * made).sum()
        found.append(torch.autograd.grad(result, (x, layer.weight)))
    assert all(map(torch.equal, *found))


def test_shares_sum_as_torch_does_and_into_one_memory():
    table = torch.linspace(-1, 1, 12).view(4, 3).requires_grad_()
    parts = [torch.linspace(0, number, 8).view(2, 4) for number in (1, 2, 3)]
    (expected,) = torch.autograd.grad(sum((part @ table).sin().sum() for part in parts), table)
    for _ in range(2):  # a memory that was not emptied would count twice
        loss = sum((part @ own).sin().sum() for part, own in zip(parts, shares(table), strict=False))
        first = torch.autograd.grad(loss, table, retain_graph=True)[0]
        assert torch.equal(first, expected) and torch.equal(torch.autograd.grad(loss, table)[0], expected)
    with torch.no_grad():
        assert next(shares(table)) is table


def test_a_share_is_summed_before_the_part_before_it_makes_its_gradient():
    table, events = torch.ones(3, requires_grad=True), []

    def part(number: int, own: Tensor) -> Tensor:
        own.register_hook(lambda grad: events.append(f"summed {number}"))
        result = own * number
        result.register_hook(lambda grad: events.append(f"made {number}"))
        return result.sum()

    sum(part(number, own) for number, own in zip((1, 2, 3), shares(table), strict=False)).backward()
    assert events == [f"{what} {number}" for number in (3, 2, 1) for what in ("made", "summed")]
    assert table.grad.tolist() == [6, 6, 6]
