"""Swapping a tokenizer: what is kept is bit-identical, what is new starts from what was known."""

import pytest
import torch

import tokenmask as tm
from tests.worlds import emoji, tiny_run, tokenizers
from tokenmask.corpus import Item, build_corpus
from tokenmask.demo import items
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.motion import MotionTokenizer, MotionTokenizerConfig
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.recipes import load_recipe
from tokenmask.run import train
from tokenmask.swapping import kept, relate, related_level, transplant
from tokenmask.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("swap") / "tiny", "captions", steps=30)


def pictures():
    return [Image(torch.from_numpy(e.pixels)) for e in emoji()]


@pytest.fixture(scope="module")
def other():
    """Another image tokenizer: more codes, and four times fewer places."""
    config = ImageTokenizerConfig(codes=96, stride=8, width=64)
    return ImageTokenizer.fit(pictures(), config=config, steps=5, seed=1, progress=False)


def test_all_other_streams_are_kept_bit_for_bit(run, other):
    swapped = run.swap_tokenizer("image", other)
    assert swapped.layout.streams["image"] == other.spec
    assert kept(run.models["main"], swapped.models["main"], ["image"])
    for options in ({"length": 12}, {"given": {"text": "the sun"}, "length": 12, "temperature": 0.7}):
        before = run.generate_tokens("text", seed=5, num_samples=3, **options)
        assert swapped.generate_tokens("text", seed=5, num_samples=3, **options) == before
    picture = swapped.generate("image", given={"text": "sun"}, steps=2)[0]
    assert picture.stream.spec == other.spec
    assert run.generate_tokens("image", seed=1) == run.generate_tokens("image", seed=1)


def test_kept_finds_a_change(run, other):
    swapped = run.swap_tokenizer("image", other)
    with torch.no_grad():
        swapped.models["main"].backbone.embedding.table[swapped.layout.range("text").offset + 3, 0] += 1e-3
    assert not kept(run.models["main"], swapped.models["main"], ["image"])


def test_swapping_to_the_same_codes_keeps_the_rows(run):
    """Codes that stand for each other one to one get the very rows and biases of their partners."""
    image = run.tokenizers["image"]
    relation = relate(image, image, pictures())
    model = transplant(run.models["main"], run.layout, "image", relation)
    seen = relation[0].sum(1) > 0
    own = run.layout.range("image")
    assert 10 < int(seen.sum()) < own.size
    for name in ("backbone.embedding.table", "heads.bias"):
        new, old = (m.state_dict()[name][own.offset : own.mask_id][seen] for m in (model, run.models["main"]))
        torch.testing.assert_close(new, old, atol=1e-6, rtol=1e-6)


def test_there_and_back(run, other):
    back = run.swap_tokenizer("image", other).swap_tokenizer("image", run.tokenizers["image"], media=pictures()[:32])
    assert back.layout == run.layout
    assert kept(run.models["main"], back.models["main"], ["image"])
    assert back.generate("image", steps=2)[0].stream.spec == run.layout.streams["image"]


def test_related_rows_know_more_than_unrelated_ones(run, other, tmp_path):
    """Before any training, held-out codes of the new tokenizer are likelier than under rows of the moments alone."""
    records = [
        Item(e.name, {"text": Text(e.name), "image": Image(torch.from_numpy(e.pixels))}, e.split) for e in emoji()
    ]
    tokens = {"text": run.tokenizers["text"], "image": other}
    build_corpus(records, tokens, tmp_path / "corpus", progress=False, on_error="raise")
    losses = []
    for name, media in (("related", pictures()), ("moments", [])):
        swapped = run.swap_tokenizer("image", other, media=media)
        saved = swapped.save(tmp_path / name, [(tmp_path / "corpus", 1.0)])
        scores = [s for s in saved.held_out_scores(draws=2) if s.stream == "image"]
        losses.append(sum(score.cross_entropy for score in scores) / len(scores))
    assert losses[0] < losses[1] - 0.1


def test_text_is_related_by_what_codes_say(run):
    words = [Text(e.name) for e in emoji()]
    fresh = TextTokenizer.fit(words, vocab_size=330)
    old = run.tokenizers["text"]
    (counts,) = relate(old, fresh, [])
    assert torch.equal(counts[:256], torch.eye(256, len(old.code_texts), dtype=counts.dtype))  # bytes
    said = set(old.code_texts[256:])
    shared = [code for code, text in enumerate(fresh.code_texts) if code >= 256 and text in said]
    assert len(shared) > 20
    for code in shared:
        assert counts[code].sum() == 1 and old.code_texts[int(counts[code].argmax())] == fresh.code_texts[code]
    assert bool((counts.sum(1) > 0).all())
    assert counts[fresh.spec.end_code, old.spec.end_code] == 1
    swapped = run.swap_tokenizer("text", fresh)
    assert kept(run.models["main"], swapped.models["main"], ["text"])
    assert swapped.generate_tokens("image", seed=3, steps=3) == run.generate_tokens("image", seed=3, steps=3)


def test_another_number_of_levels(tmp_path):
    shipped, clips = tm.load(), items.media("motion", "train")
    config = MotionTokenizerConfig.of(clips[0].skeleton, codes=16, levels=1)
    small = MotionTokenizer.fit(clips, config=config, steps=2, progress=False)
    swapped = shipped.swap_tokenizer("motion", small, media=clips[:4])
    assert (swapped.layout.streams["motion"].num_levels, shipped.layout.streams["motion"].num_levels) == (6, 12)
    assert kept(shipped.models["main"], swapped.models["main"], ["motion"])
    request = {"given": {"text": "sun"}, "seed": 2, "steps": 2}
    assert swapped.generate_tokens("image", **request) == shipped.generate_tokens("image", **request)
    assert len(swapped.generate("motion", given={"text": "kick"}, duration_seconds=0.5, steps=2)[0]) > 0
    back = swapped.swap_tokenizer("motion", shipped.tokenizers["motion"], media=clips[:4])
    assert back.layout.streams == shipped.layout.streams
    assert kept(shipped.models["main"], back.models["main"], ["motion"])


def test_streams_that_share_ranges_are_swapped_together(tmp_path):
    shipped = tm.load()
    fresh = TextTokenizer.fit([Text(e.name) for e in emoji()], vocab_size=330)
    swapped = shipped.swap_tokenizer("label", fresh)
    assert swapped.layout.streams["text"] == swapped.layout.streams["label"] == fresh.spec
    assert swapped.tokenizers["text"] is swapped.tokenizers["label"] is fresh
    assert kept(shipped.models["main"], swapped.models["main"], ["text", "label"])
    saved = swapped.save(tmp_path / "saved")
    assert saved.layout == swapped.layout and saved.recipe == swapped.recipe


def test_a_stream_is_added_trained_and_removed(run, tmp_path):
    audio = tm.load_tokenizer("audio")
    wider = run.swap_tokenizer("audio", audio)
    assert wider.layout.names == ("text", "image", "audio")
    assert kept(run.models["main"], wider.models["main"])
    request = {"given": {"text": "sun"}, "seed": 2, "steps": 3}
    assert wider.generate_tokens("image", **request) == run.generate_tokens("image", **request)
    clip = wider.generate("audio", length=10, steps=2)[0]
    assert clip.stream.spec == audio.spec
    narrow = wider.swap_tokenizer("audio", None)
    assert narrow.layout == run.layout and kept(run.models["main"], narrow.models["main"])
    with pytest.raises(ValueError, match="only one"):
        narrow.swap_tokenizer("image", None).swap_tokenizer("text", None)


def test_a_middle_stream_can_be_removed(run):
    audio = tm.load_tokenizer("audio")
    narrow = run.swap_tokenizer("audio", audio).swap_tokenizer("image", None)
    assert narrow.layout.names == ("text", "audio")
    assert kept(run.models["main"], narrow.models["main"])
    assert narrow.generate_tokens("text", length=8, seed=4) == run.generate_tokens("text", length=8, seed=4)


def test_lengths_that_were_told_by_old_codes_are_forgotten(run, other):
    assert ("text", "image") in run.lengths.seen
    assert run.swap_tokenizer("image", other).lengths.seen.keys() == {("text",)}


def test_old_codes_are_refused_by_name(run, other, tmp_path):
    swapped = run.swap_tokenizer("image", other)
    old, new = run.layout.streams["image"].fingerprint[:8], other.spec.fingerprint[:8]
    with pytest.raises(ValueError, match=f"(?s)(?=.*{old})(?=.*{new})"):
        swapped.save(tmp_path / "mixed", run.corpora)
    with pytest.raises(ValueError, match=f"(?s)(?=.*{old})(?=.*{new})"):
        swapped.generate_tokens("text", given={"image": run.generate_tokens("image", steps=1)[0]}, length=4)
    with pytest.raises(ValueError, match="holds Image, got a tokenizer of Text"):
        run.swap_tokenizer("image", tokenizers()["text"])


def test_a_saved_swap_goes_on_learning(run, other, tmp_path):
    saved = run.swap_tokenizer("image", other, media=pictures()[:16]).save(tmp_path / "swapped")
    assert saved.generate_tokens("text", length=6, seed=1) == run.generate_tokens("text", length=6, seed=1)
    assert load_tokenizer(tmp_path / "swapped" / "tokenizers" / "image").spec == other.spec
    records = [Item(e.name, {"text": Text(e.name), "image": Image(torch.from_numpy(e.pixels))}) for e in emoji()[:20]]
    build_corpus(records, saved.tokenizers, tmp_path / "corpus", progress=False, on_error="raise")
    small = load_recipe(saved.folder / "recipe.yaml", overrides=["training.steps=2"])
    again = train(tmp_path / "again", small, saved.tokenizers, [(tmp_path / "corpus", 1.0)], progress=False)
    assert again.layout.streams["image"] == other.spec


def test_levels_are_related_inside_their_groups():
    shipped = tm.load().tokenizers
    motion, eeg, audio = (shipped[name].spec for name in ("motion", "eeg", "audio"))
    assert [related_level(motion, motion, level) for level in range(12)] == list(range(12))
    assert related_level(eeg, eeg, 2) == 2
    assert related_level(audio, motion, 0) is None
