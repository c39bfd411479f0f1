"""A convolution over packed positions is that of torch on the grid; others never enter, and it begins as nothing."""

import pytest
import torch

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Queries
from tokenmask.models import Causal, MaskedModel, OwnFrame, TransformerConfig
from tokenmask.nn import GridConvolution, neighbours
from tokenmask.nn.init import build
from tokenmask.streams import StreamSpec, TokenStream


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def grid(*sizes):
    return torch.cartesian_prod(*(torch.arange(size) for size in sizes)).int()


@pytest.mark.parametrize(("sizes", "kernel"), [((3, 4, 5), (3, 3, 3)), ((2, 6, 3), (1, 3, 5)), ((7, 1, 1), (5, 1, 1))])
def test_on_a_full_grid_it_is_that_of_torch(sizes, kernel):
    places, width = grid(*sizes)[None], 6
    layer = GridConvolution(width, kernel)
    layer.weight.data = drawn(*layer.weight.shape)
    x, length = drawn(1, len(places[0]), width, seed=1), len(places[0])
    shuffled = torch.randperm(length, generator=torch.Generator().manual_seed(2))  # packed in any order
    one = torch.zeros(1, length, dtype=torch.int8)
    near = neighbours(places[:, shuffled], one, one == 0, kernel)
    found = torch.empty_like(x)
    found[:, shuffled] = layer(x[:, shuffled], near)
    weight = layer.weight.view(*kernel, width, width).permute(3, 4, 0, 1, 2)
    around = tuple(size // 2 for size in kernel)
    theirs = torch.nn.functional.conv3d(x.view(1, *sizes, width).permute(0, 4, 1, 2, 3), weight, padding=around)
    expected = theirs.permute(0, 2, 3, 4, 1).reshape(x.shape)
    assert torch.allclose(found, expected, atol=1e-4)


def test_neighbours_are_valid_and_of_the_same_stream():
    places = torch.tensor([[[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0]]])
    stream = torch.tensor([[-1, 0, 1, 1, 1]]).to(torch.int8)
    valid = torch.tensor([[True, True, True, True, False]])
    near = neighbours(places, stream, valid, (3, 1, 1))[:, 0]
    assert near.tolist() == [[5, 5, 5, 2, 5], [0, 1, 2, 3, 4], [5, 5, 3, 5, 5]]


VIDEO = StreamSpec("video", (9,), ("time", "row", "column"))
LAYOUT = Layout({"video": VIDEO, "word": StreamSpec("word", (5,), ("index",))})


def model(mixing, pattern=None, **options):
    config = TransformerConfig(width=64, depth=2, heads=2, mixing=mixing, **options)
    return build(lambda: MaskedModel(config, LAYOUT, pattern), 0).eval()


def logits(of, frames=(0, 1, 2)) -> torch.Tensor:
    codes = torch.arange(27).view(3, 3, 3, 1).remainder(9).int()[list(frames)]
    role = torch.full(codes.shape, GIVEN, dtype=torch.int8)
    role[:, 1, 1] = FILL
    packed = LAYOUT.pack({"video": TokenStream(VIDEO, codes)}, roles={"video": role})
    batch = collate([packed], multiple=1)
    slots = (batch.role == FILL).flatten().nonzero()[:, 0]
    return next(iter(of.logits(batch, Queries(slots, torch.zeros(len(slots), dtype=torch.int64)))))[2]


def filled_weights(of, seed=3):
    for number, block in enumerate(of.backbone.blocks):
        block.mixing.weight.data = drawn(*block.mixing.weight.shape, seed=seed + number) / 20
    return of


def test_a_network_begins_as_it_would_without_one():
    with torch.no_grad():
        assert torch.equal(logits(model((3, 3, 3))), logits(model((1, 1, 1))))
        changed = logits(filled_weights(model((3, 3, 3))))
    assert not torch.allclose(changed, logits(model((1, 1, 1))), atol=1e-3)


def test_pictures_trained_as_a_film_meet_in_a_convolution_over_time_alone():
    """With attention inside of frames and no absolute places, frames in another order are answered in that order."""
    with torch.no_grad():
        for mixing, apart in (((1, 3, 3), True), ((3, 3, 3), False)):
            of = filled_weights(model(mixing, OwnFrame(alone=True), absolute=False))
            one, other = logits(of), logits(of, (2, 0, 1))
            assert torch.allclose(one[[2, 0, 1]], other, atol=1e-5) == apart


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TransformerConfig(mixing=(2, 3, 3)), "three odd sizes up to 15"),
        (lambda: TransformerConfig(mixing=(3, 3, 3), shifted=True), "does not go with shifted"),
        (lambda: logits(model((3, 1, 1), Causal())), "joins neighbours whatever may be seen"),
        (lambda: model((3, 1, 1)).backbone.empty_cache(1, 4), "set sampler.reuse to NoReuse"),
    ],
)
def test_what_does_not_go_with_it_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
