"""Feature spaces: pooled codebook vectors, shares of codes, principal axes."""

import numpy as np
import pytest
import torch

from tests.worlds import tokenizers
from tokenmask.analysis import FeatureSpace
from tokenmask.analysis.intervals import generator
from tokenmask.demo import items
from tokenmask.modalities.text import Text
from tokenmask.run import load_tokenizer
from tokenmask.streams import TokenStream


def pictures(count: int, seed: int = 0) -> list[TokenStream]:
    spec, rng = tokenizers()["image"].spec, generator(seed)
    grids = rng.integers(spec.codebook_sizes[0], size=(count, 8, 8, 1)).astype(np.int32)
    return [TokenStream(spec, torch.from_numpy(codes)) for codes in grids]


def test_pooled_vectors_are_means_of_cells_and_a_deviation():
    tokenizer, streams = tokenizers()["image"], pictures(20)
    space = FeatureSpace.fit(tokenizer, streams)
    vectors = tokenizer.vectors(streams[0]).double()
    assert vectors.shape == (8, 8, 16)
    cells = vectors.view(4, 2, 4, 2, 16).mean((1, 3)).flatten()
    raw = space.whole(streams[:1])[0] * space.scale + space.centre
    assert (space.whole(streams) ** 2).sum(1).mean() == pytest.approx(1)
    assert raw[: len(cells)] == pytest.approx(cells.numpy(), abs=1e-5)
    assert raw[len(cells) :] == pytest.approx(vectors.flatten(0, 1).std(0, correction=0).numpy(), abs=1e-5)
    whole = space.whole(streams)
    assert np.abs(whole.mean(0)).max() < 1e-9 and whole.std(0) == pytest.approx(1 / np.sqrt(whole.shape[1]))


def test_principal_axes_are_ordered_and_orthogonal():
    streams = pictures(40)
    space = FeatureSpace.fit(tokenizers()["image"], streams)
    scores = space.principal(streams, 8)
    assert scores.shape == (40, 8)
    covariance = scores.T @ scores
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-6 * covariance.max()
    assert (np.diff(np.diag(covariance)) <= 1e-9).all()


@pytest.mark.parametrize("name", ["audio", "motion", "eeg"])
def test_streams_of_any_length_have_features_of_one_length(name):
    tokenizer = load_tokenizer(name)
    spec = tokenizer.spec
    axis = spec.axes.index("time")
    whole = tokenizer.encode(items.media(name, "held-out")[0])
    parts = [
        TokenStream(spec, whole.codes.narrow(axis, 0, size).contiguous())
        for size in (1, 2, 3, min(9, whole.grid[axis]))
    ]
    space = FeatureSpace.fit(tokenizer, parts)
    assert space.whole(parts).shape[0] == 4 and np.isfinite(space.whole(parts)).all()
    assert "codebook vectors" in space.name


def test_the_scale_of_eeg_counts_in_octaves():
    tokenizer = load_tokenizer("eeg")
    stream = tokenizer.encode(items.media("eeg", "held-out")[0])
    louder = TokenStream(stream.spec, stream.codes.clone())
    louder.codes[..., 0] += 1
    gap = tokenizer.vectors(louder) - tokenizer.vectors(stream)
    assert gap[..., 0].min() > 0 and gap[..., 0].std() < 1e-5 and not gap[..., 1:].any()


def test_text_is_counted():
    tokenizer = tokenizers()["text"]
    streams = [tokenizer.encode(Text(words)) for words in ("the sun", "the sun", "a moon")]
    empty = TokenStream(tokenizer.spec, streams[0].codes[:0])
    space = FeatureSpace.fit(tokenizer, [*streams, empty])
    whole = space.whole([*streams, empty])
    assert (whole[0] == whole[1]).all() and not (whole[0] == whole[2]).all() and "shares" in space.name
    assert (whole**2).sum(1).mean() == pytest.approx(1)


def test_one_stream_is_too_few():
    with pytest.raises(ValueError, match="2 training streams at least, got 1"):
        FeatureSpace.fit(tokenizers()["image"], pictures(1))
