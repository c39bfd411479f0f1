"""Run and generation, on a tiny run trained from data that ships: what a person calls, as written in the README."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tokenmask as tm
from tests.worlds import tiny_run
from tokenmask.generation import Request, fill
from tokenmask.masking import Queries
from tokenmask.sampling import Categorical, ConfidenceAbove, Sampler
from tokenmask.scores import ConfidenceScore
from tokenmask.streams import TokenStream


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run") / "tiny", "captions")


def test_generate_as_in_the_readme(run, tmp_path):
    run = tm.load(run.folder)
    image = run.generate("image", given={"text": "blue heart"}, steps=4, guidance=2.0, temperature=1.0, seed=0)[0]
    image.save(tmp_path / "heart.png")
    assert (tmp_path / "heart.png").read_bytes()[:4] == b"\x89PNG"
    line = run.generate("text", given={"text": "In the beginning"}, length=24, seed=0)[0]
    assert line.text.startswith("In the beginning")
    name = run.generate("text", given={"image": image}, length=8, seed=0)[0]
    assert isinstance(name.text, str) and name.stream.grid[0] <= 8
    many = run.generate("image", given=[{"text": "dog face"}, {"text": "sun"}], seed=[3, 4])
    streams = run.generate_tokens("image", given={"text": "sun"}, seed=4)
    assert isinstance(streams[0], TokenStream) and streams[0] == many[1].stream
    tokenizer = tm.load_tokenizer("image", run.folder)
    again = tokenizer.decode(tokenizer.encode(image))
    assert again.pixels.shape == image.pixels.shape == (32, 32, 3)


def test_a_request_gives_the_same_codes_alone_in_a_batch_and_with_two_threads(run):
    given = [{"text": caption} for caption in ("sun", "dog face", "smiling cat with a hat", "moon", "x")]
    together = run.generate_tokens("image", given=given, seed=[1, 2, 3, 4, 5], num_samples=2, steps=5)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for index, one in enumerate(given):
                alone = run.generate_tokens("image", given=one, seed=index + 1, num_samples=2, steps=5)
                assert alone == together[2 * index : 2 * index + 2]
    finally:
        torch.set_num_threads(threads)
    assert together[0] != together[1]


def test_rows_of_other_sizes_and_levels_change_nothing_where_the_schedule_decides(run):
    """Fading noise and a falling temperature follow the number of steps, which is then a row's own."""
    sampler = Sampler(schedule=ConfidenceAbove(0.02), order=ConfidenceScore(noise=2.0), pick=Categorical(1.5, 0.5))
    parts = {"layout": run.layout, "models": run.models, "sampler": sampler, "packing": run.recipe.packing}
    asked = [Request.blank(run.layout, "text", (length,), seed=length) for length in (5, 24, 12, 5)]
    together = fill(asked, **parts)
    assert together == [fill([one], **parts)[0] for one in asked]
    assert together[0] == together[3] and len({len(stream.codes) for stream in together}) == 3


def test_logits_are_bit_equal_alone_and_in_a_batch(run):
    given = [{"text": run.inputs.tokens("text", word)} for word in ("sun", "red apple", "dog")]
    requests = [Request.blank(run.layout, "image", (8, 8), given=one) for one in given]
    sequences = [request.pack(run.layout, run.recipe.packing) for request in requests]
    from tokenmask.batch import collate

    model, layout = run.models["main"], run.layout

    def logits(batch):
        ids = torch.where(batch.role == 2, layout.mask_of(batch.ids), batch.ids)
        slots = (batch.role == 2).flatten().nonzero().squeeze(1)
        from dataclasses import replace

        ((_, _, scores),) = model.logits(replace(batch, ids=ids), Queries(slots, layout.head_of(ids.flatten()[slots])))
        return scores.view(batch.shape[0], 64, -1)

    with torch.inference_mode():
        whole = logits(collate(sequences, multiple=64))
        for row, sequence in enumerate(sequences):
            assert torch.equal(logits(collate([sequence], multiple=64))[0], whole[row])


def test_given_slots_never_change(run):
    prefix = run.inputs.tokens("text", "the sun and the")
    stream = run.generate_tokens("text", given={"text": prefix}, length=9, seed=3)[0]
    assert torch.equal(stream.codes[: prefix.grid[0]], prefix.codes)
    assert stream.grid[0] <= prefix.grid[0] + 9


def test_a_training_is_saved_before_lengths_are_told(run, tmp_path, monkeypatch):
    def lost(*arguments):
        raise OSError("the store does not answer")

    short = replace(run.recipe, training=replace(run.recipe.training, steps=1))
    with monkeypatch.context() as patch:
        patch.setattr("tokenmask.run.training.lengths_told_by", lost)
        with pytest.raises(OSError, match="does not answer"):
            tm.run.train(tmp_path / "new", short, run.tokenizers, run.corpora, progress=False)
    assert tm.load(tmp_path / "new").lengths.seen == {}
    again = tm.run.train(tmp_path / "new", short, run.tokenizers, run.corpora, progress=False)
    assert again.lengths.seen == run.lengths.seen


def test_without_a_length_text_has_room_for_the_longest_of_the_data(run):
    image = run.generate("image", given={"text": "sun"}, steps=2, seed=0)[0]
    sizes = [len(one.streams["text"].codes) for one in run.records("train") if "image" in one.streams]
    assert run.lengths.seen["text", "image"].most == max(sizes)
    asked = {"given": {"image": image}, "steps": 3, "seed": 4}
    assert run.generate_tokens("text", **asked) == run.generate_tokens("text", length=max(sizes) + 1, **asked)


def test_options_reach_the_sampler(run):
    greedy = run.generate_tokens("image", given={"text": "sun"}, temperature=0.0, guidance=1.0, steps=1, num_samples=2)
    assert greedy[0] == greedy[1]
    sampler = Sampler(2)
    one = run.generate_tokens("image", given={"text": "sun"}, sampler=sampler)
    assert one == run.generate_tokens("image", given={"text": "sun"}, steps=2, sampler=sampler)
    unconditional = run.generate("image", num_samples=2)
    assert len(unconditional) == 2


def test_an_option_that_is_none_is_one_left_out(run):
    nothing = dict.fromkeys(("steps", "guidance", "temperature", "seed", "num_samples", "negative", "also", "sampler"))
    plain = run.generate_tokens("image", given={"text": "sun"})
    assert len(plain) == 1 and run.generate_tokens("image", given={"text": "sun"}, **nothing) == plain
    edited = run.edit(plain[0], **nothing)
    assert len(edited) == 1 and edited[0] == run.edit(plain[0], num_samples=1, seed=0)[0]
    with pytest.raises(TypeError, match=r"progress, on_step, got guidence; write one of these names, or leave it out"):
        run.generate("image", guidence=2.0)
    with pytest.raises(
        TypeError, match=r"got guidance_scale, foo; guidance is what is called guidance_scale elsewhere"
    ):
        run.generate("image", guidance_scale=2.0, foo=1)
    own = run.recipe.sampler_of("image")
    best = run.generate_tokens("image", seed=0, sampler=replace(own, pick=replace(own.pick, top_k=1)))
    assert best == run.generate_tokens("image", seed=0, top_k=1) != run.generate_tokens("image", seed=0)


def test_not_invariant_batches_still_give_valid_streams(run):
    given = [{"text": "sun"}, {"text": "smiling cat with a hat"}]
    for stream in run.generate_tokens("image", given=given, invariant=False, steps=3):
        assert stream.grid == (8, 8)


def test_a_run_can_be_moved(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "elsewhere")
    moved = tm.load(tmp_path / "elsewhere")
    assert moved.generate_tokens("image", seed=2) == run.generate_tokens("image", seed=2)
    assert len(moved.records("held-out")) == len(run.records("held-out")) > 0
    assert moved.recipe == run.recipe and moved.layout == run.layout


def test_held_out_scores_cover_every_stream(run):
    scores = run.held_out_scores(draws=1)
    assert {score.stream for score in scores} == {"text", "image"}
    assert {score.given for score in scores} == {(), ("text",), ("image",)}
    assert all(score.cross_entropy > 0 and score.unigram > 0 for score in scores)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run: run.generate("audio"), "those of this run, text, image, got 'audio'"),
        (lambda run: run.generate("image", given={"audio": "x"}), "those of this run, text, image, got 'audio'"),
        (lambda run: run.generate("text", given={"image": "missing.png"}, length=4), "missing.png"),
        (lambda run: run.generate("text", given={"text": "In the"}), "length="),
        (lambda run: run.generate("text", length=0), "length must be at least 1, got 0"),
        (lambda run: run.generate("image", given={"text": "a word " * 99}), "at most 96 positions"),
        (lambda run: run.generate("image", length=9), "always has 8 x 8 places"),
        (lambda run: run.generate("image", given={"text": ""}), "empty"),
        (lambda run: run.generate("image", given=[{}, {}], seed=[1]), "one for each of 2 requests, got 1"),
        (lambda run: run.generate("image", num_samples=0), r"num_samples must be in 1\.\.8388608, got 0"),
        (lambda run: run.generate("image", steps=0), "at least 1"),
        (lambda run: run.generate("image", duration_seconds=1.0), "has no clock"),
        (lambda run: tm.load("no/such/run"), "run.json"),
        (lambda run: tm.load_tokenizer("audio", run.folder), "tokenizers for image, text, got 'audio'"),
        (lambda run: tm.load_tokenizer("text", run.folder / "tokenizers" / "image"), "holds a image tokenizer"),
    ],
)
def test_wrong_input_gets_one_sentence(run, call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(run)


@pytest.mark.parametrize(
    "name",
    ["run.json", "layout.json", "recipe.yaml", "models/main.safetensors", "tokenizers/image/tokenizer.json"],
)
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_damaged_run_is_refused_with_one_sentence(run, tmp_path, name, damage):
    shutil.copytree(run.folder, tmp_path / "hurt", ignore=shutil.ignore_patterns("corpus", "checkpoint*"))
    path = tmp_path / "hurt" / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 3])
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])
    with pytest.raises(ValueError) as caught:
        tm.load(tmp_path / "hurt")
    assert len(str(caught.value).splitlines()) == 1


def test_another_recipe_in_the_same_folder_is_refused(run):
    from tokenmask.recipes import load_recipe
    from tokenmask.run import prepare

    other = load_recipe("captions", tiny=True, overrides=["training.steps=3"])
    corpora = [(Path(path), weight) for path, weight in run.corpora]
    with pytest.raises(ValueError, match="holds another run"):
        prepare(run.folder, other, run.tokenizers, corpora)
    with pytest.raises(ValueError, match="tokenizer for image"):
        prepare(run.folder, other, {"text": run.tokenizers["text"]}, corpora)


def test_passes_over_the_corpus_are_counted_when_it_is_opened(run, tmp_path):
    from dataclasses import replace

    from tokenmask.corpus import Corpus
    from tokenmask.recipes import load_recipe
    from tokenmask.run import prepare

    recipe = load_recipe("captions", tiny=True, overrides=["training.epochs=2.5", "training.batch_size=4"])
    corpora = [(Path(path), weight) for path, weight in run.corpora]
    trainer = prepare(tmp_path / "run", recipe, run.tokenizers, corpora)
    records = sum(len(Corpus(path, "train")) for path, _ in corpora)
    assert trainer.training.steps == -(-5 * records // 8) and trainer.training.epochs == 2.5
    again = prepare(tmp_path / "run", recipe, run.tokenizers, corpora)  # the same run
    assert again.training == trainer.training
    with pytest.raises(ValueError, match="holds another run"):
        other = replace(recipe, training=replace(recipe.training, epochs=3.0))
        prepare(tmp_path / "run", other, run.tokenizers, corpora)


@pytest.mark.parametrize("source", [3, None, ""])
def test_what_is_no_checkpoint_is_refused(source):
    with pytest.raises(TypeError, match=f"a folder or the name of a repository, got {source!r}; name one"):
        tm.convert(source)


@pytest.mark.parametrize("corpora", ["pictures", ["pictures"], [("pictures",)], [("pictures", "2")]])
def test_corpora_that_are_no_pairs_are_a_sentence(corpora, run, tmp_path):
    with pytest.raises(TypeError, match=r"corpora must be pairs of a folder and a weight, got .*; write"):
        tm.run.train(tmp_path / "new", run.recipe, run.tokenizers, corpora, progress=False)
