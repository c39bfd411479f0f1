"""075 Follow the flow: words of a prompt that are read alone or not at all, position by position."""

from dataclasses import replace

import pytest
import torch

from tests.models.small import randomise
from tokenmask.batch import GIVEN, Batch, collate
from tokenmask.layout import Layout
from tokenmask.models import GivenFirst, MaskedModel, TransformerConfig
from tokenmask.sampling import ClassifierFree, PrefixReuse, PromptReuse, Sampler, SamplerState
from tokenmask.streams import StreamSpec, TokenStream

WORDS, PICTURE = StreamSpec("text", (9,), ("index",)), StreamSpec("image", (6,), ("row", "column"), grid=(2, 3))
LAYOUT = Layout({"text": WORDS, "image": PICTURE})


def batch_of(*prompts: list[int]) -> Batch:
    rows = []
    for prompt in prompts:
        text = TokenStream(WORDS, torch.tensor(prompt, dtype=torch.int32)[:, None])
        picture = TokenStream(PICTURE, torch.zeros(2, 3, 1, dtype=torch.int32))
        rows.append(LAYOUT.pack({"text": text, "image": picture}, roles={"text": GIVEN}))
    return collate(rows, torch.zeros(len(rows), dtype=torch.int64), multiple=1)


@pytest.fixture(scope="module", name="models")
def _models() -> dict[int, MaskedModel]:
    found = {}
    for depth in (1, 3):
        config = TransformerConfig(width=64, depth=depth, heads=2)
        found[depth] = MaskedModel.create(config, LAYOUT, pattern=GivenFirst())
        randomise(found[depth], size=0.4)
    return found


def filled(model: MaskedModel, batch: Batch, reuse, guidance=None) -> SamplerState:
    sampler = Sampler(3, reuse=reuse)
    if guidance is not None:
        sampler = replace(sampler, guidance=guidance)
    return sampler.run({"main": model}, LAYOUT, SamplerState.start(batch, LAYOUT, torch.full((len(batch.ids),), 5)))


def kept(model: MaskedModel, batch: Batch, reuse: PrefixReuse) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys [layers, B, H, L, D] and values of what is given, position by position."""
    given = batch.valid & ~(batch.role == 2).any(-1)
    slots = torch.where(given, given.cumsum(1) - 1, 0)
    with torch.inference_mode():
        kv, _ = reuse.read(model, batch, given, slots)
    keys = kv.keys.transpose(-1, -2).flatten(3, 4)
    return keys[:, :, :, : int(given.sum(1).max())], kv.values[:, :, :, : int(given.sum(1).max())]


def test_an_item_reads_as_it_does_without_the_other_words(models):
    """Position 0 is the control, 1 to 4 the words. Words 0 and 1 alone: as in rows in which 2 and 3 are no words."""
    batch = batch_of([1, 2, 3, 4])
    whole, spliced = (kept(models[3], batch, reuse) for reuse in (PrefixReuse(), PromptReuse(((0, 1),))))
    without = replace(batch, valid=batch.valid & ~torch.isin(torch.arange(batch.shape[1]), torch.tensor([3, 4])))
    given = without.valid & ~(without.role == 2).any(-1)
    alone = kept(models[3], replace(without, valid=given), PrefixReuse())
    for all_of, mended, apart in zip(whole, spliced, alone, strict=True):
        assert torch.allclose(mended[:, :, :, 1:3], apart[:, :, :, 1:3], atol=1e-5)
        assert torch.equal(mended[:, :, :, [0, 3, 4]], all_of[:, :, :, [0, 3, 4]])  # the others as they were
        assert torch.equal(mended[0, :, :, 1:3], all_of[0, :, :, 1:3]) or torch.allclose(
            mended[0], all_of[0], atol=1e-5
        )
        assert not torch.allclose(mended[1:, :, :, 1:3], all_of[1:, :, :, 1:3], atol=1e-2)


def test_a_model_of_one_layer_has_nothing_to_leak(models):
    """Keys and values of the first layer are those of each word alone, whatever stands beside it."""
    batch = batch_of([1, 2, 3, 4], [5, 6, 7, 8])
    whole, apart = (filled(models[1], batch, reuse) for reuse in (PrefixReuse(), PromptReuse(((0, 1), (2, 3)))))
    assert torch.allclose(whole.score, apart.score, atol=1e-5) and torch.equal(whole.batch.ids, apart.batch.ids)


def test_nothing_and_everything_alone_change_nothing(models):
    batch = batch_of([1, 2, 3, 4], [5, 6, 7, 8])
    for guidance in (None, ClassifierFree(3.0)):
        plain = filled(models[3], batch, PrefixReuse(), guidance)
        for reuse in (PromptReuse(), PromptReuse(((0, 1, 2, 3),)), PromptReuse(((7, 8),))):
            same = filled(models[3], batch, reuse, guidance)
            assert torch.allclose(same.score, plain.score, atol=1e-5) and torch.equal(same.batch.ids, plain.batch.ids)
        for reuse in (PromptReuse(((0, 1),)), PromptReuse(neutral=(2,))):
            assert not torch.allclose(filled(models[3], batch, reuse, guidance).score, plain.score, atol=1e-3)


def test_what_is_spliced_does_not_depend_on_the_other_words(models):
    """With both items alone the picture of "1 2 | 3 4" has keys of 1 2 that those of "1 2 | 8 7" have."""
    one, other = batch_of([1, 2, 3, 4]), batch_of([1, 2, 8, 7])
    both = PromptReuse(((0, 1), (2, 3)))
    (keys, _), (others, _) = (kept(models[3], batch, both) for batch in (one, other))
    assert torch.allclose(keys[:, :, :, 1:3], others[:, :, :, 1:3], atol=1e-5)
    (keys, _), (others, _) = (kept(models[3], batch, PrefixReuse()) for batch in (one, other))
    assert not torch.allclose(keys[:, :, :, 1:3], others[:, :, :, 1:3], atol=1e-2)


def test_a_neutral_prompt_says_nothing_of_its_words(models):
    every = PromptReuse(neutral=(0, 1, 2, 3), controls=True)
    one, other = (filled(models[3], batch_of(prompt), every) for prompt in ([1, 2, 3, 4], [8, 7, 6, 5]))
    assert torch.allclose(one.score, other.score, atol=1e-4)
    assert torch.equal(one.batch.ids[:, 5:], other.batch.ids[:, 5:])
    leaks = PromptReuse(neutral=(0, 1, 2, 3))  # through the control, which read them
    one, other = (filled(models[3], batch_of(prompt), leaks) for prompt in ([1, 2, 3, 4], [8, 7, 6, 5]))
    assert not torch.allclose(one.score, other.score, atol=1e-4)
    kept_one = PromptReuse(neutral=(0, 1, 3))  # word 2 is left: it decides, and the neutral ones do not
    read = [filled(models[3], batch_of([1, 2, word, 4]), kept_one).score for word in (3, 8)]
    assert not torch.allclose(read[0], read[1], atol=1e-3)


def test_rows_may_have_prompts_of_other_lengths(models):
    reuse = PromptReuse(((0, 1), (2,)), (3,))
    both = filled(models[3], batch_of([1, 2, 3, 4], [5, 6]), reuse)
    for row, prompt in enumerate(([1, 2, 3, 4], [5, 6])):
        alone = filled(models[3], batch_of(prompt), reuse)
        size = alone.batch.shape[1]
        assert torch.allclose(both.score[row, :size], alone.score[0], atol=1e-4)


def test_a_word_stands_once():
    with pytest.raises(ValueError, match="a word may stand once in PromptReuse"):
        PromptReuse(((0, 1), (1,)))
