"""edit and swap."""

import torch

from tokenmask.modalities.image import Image
from tokenmask.run import load
from tokenmask.swapping import kept


def test_a_region_of_a_picture(run, pictures, tmp_path, call):
    source, out = pictures / "00.png", tmp_path / "edited.png"
    words = ("edit", source, "--run", run.folder, "--regenerate", "0,0,16,16", "--given", "text=sun", "--steps", 2)
    assert call(*words, "--out", out) == 0
    before, after = Image.load(source).pixels, Image.load(out).pixels
    assert torch.equal(before[16:], after[16:]) and torch.equal(before[:, 16:], after[:, 16:])
    assert not torch.equal(before[:16, :16], after[:16, :16])
    (same,) = run.edit(source, [(0, 0, 16, 16)], stream="image", given={"text": "sun"}, steps=2)
    assert torch.equal(same.pixels, after)


def test_an_edit_is_pushed_and_pulled_as_a_generation_is(run, pictures, tmp_path, call):
    source, out = pictures / "00.png", tmp_path / "edited.png"
    more = ("--given", "text=sun", "--negative", "text=dog face", "--also", "1.5:text=moon", "--guidance", 2)
    assert call("edit", source, "--run", run.folder, "--steps", 2, *more, "--out", out) == 0
    options = {"given": {"text": "sun"}, "negative": {"text": "dog face"}, "also": [({"text": "moon"}, 1.5)]}
    (same,) = run.edit(source, stream="image", steps=2, guidance=2.0, **options)
    (other,) = run.edit(source, stream="image", steps=2, guidance=2.0, given={"text": "sun"})
    assert torch.equal(same.pixels, Image.load(out).pixels)
    assert not torch.equal(same.pixels, other.pixels)


def test_codes_of_a_token_file_are_edited(run, pictures, tmp_path, call, refusal):
    codes, out = tmp_path / "sun.tokens", tmp_path / "edited.png"
    assert call("generate", "image", "--run", run.folder, "--steps", 2, "--out", codes) == 0
    assert call("edit", codes, "--run", run.folder, "--regenerate", "0,0,16,16", "--steps", 2, "--out", out) == 0
    before = run.generate("image", steps=2)[0]
    (same,) = run.edit(before, [(0, 0, 16, 16)], steps=2)
    assert torch.equal(same.pixels, Image.load(out).pixels)
    assert torch.equal(same.stream.codes[4:], before.stream.codes[4:])
    foreign = tmp_path / "foreign.tokens"
    load().generate_tokens("image", steps=1)[0].save(foreign)
    assert "got codes of image by another tokenizer" in refusal("edit", foreign, "--run", run.folder, "--out", out)


def test_a_variation_is_that_of_python(run, pictures, tmp_path, call):
    source, out = pictures / "00.png", tmp_path / "varied.png"
    assert call("edit", source, "--run", run.folder, "--strength", 0.3, "--steps", 2, "--out", out) == 0
    (same,) = run.edit(source, stream="image", strength=0.3, steps=2)
    assert torch.equal(same.pixels, Image.load(out).pixels)
    assert int(same.stream.filled.sum()) == round(0.3 * same.stream.filled.numel())


def test_an_edit_without_a_mask_is_that_of_python(run, pictures, tmp_path, call):
    source, out = pictures / "00.png", tmp_path / "drifted.png"
    assert call("edit", source, "--run", run.folder, "--drift", 0.1, "--steps", 2, "--out", out) == 0
    (same,) = run.edit(source, stream="image", drift=0.1, steps=2)
    assert torch.equal(same.pixels, Image.load(out).pixels)


def test_words_are_printed(run, tmp_path, call, capsys):
    words = ("edit", "the sun and the moon", "--stream", "text", "--run", run.folder, "--regenerate", "4:7")
    assert call(*words, "--num-samples", 2, "--temperature", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("the") and line.endswith(" the moon") for line in lines)
    (tmp_path / "words.txt").write_text("the sun and the moon")
    assert call("edit", f"@{tmp_path / 'words.txt'}", *words[2:], "--num-samples", 2, "--temperature", 2) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_conditions_with_weights(run, tmp_path, call):
    words = ("generate", "image", "--run", run.folder, "--given", "text=sun", "--steps", 2, "--guidance", 2)
    more = ("--negative", "text=dog face", "--also", "1.5:text=moon")
    assert call(*words, *more, "--out", tmp_path / "a.png") == 0
    options = {"negative": {"text": "dog face"}, "also": [({"text": "moon"}, 1.5)]}
    (same,) = run.generate("image", given={"text": "sun"}, steps=2, guidance=2.0, **options)
    assert torch.equal(same.pixels, Image.load(tmp_path / "a.png").pixels)


def test_swap_writes_a_run_that_keeps_all_else(run, pictures, tmp_path, call, capsys, refusal):
    fit = ("fit", "image", "--data", pictures, "--steps", 2, "--option", "config.codes=48", "--out", tmp_path / "small")
    assert call(*fit) == 0
    words = ("swap", run.folder, f"image={tmp_path / 'small'}", "--out", tmp_path / "swapped")
    assert call(*words) == 0 and "--from" in capsys.readouterr().out
    swapped = load(tmp_path / "swapped")
    assert kept(run.models["main"], swapped.models["main"], ["image"])
    assert swapped.layout.streams["image"].codebook_sizes == (48,)
    assert swapped.generate_tokens("text", length=6, seed=1) == run.generate_tokens("text", length=6, seed=1)
    assert "holds a run already" in refusal(*words)
    corpus = run.corpora[0][0]
    mixed = ("swap", run.folder, f"image={tmp_path / 'small'}", "--corpus", corpus, "--out", tmp_path / "mixed")
    sentence = refusal(*mixed)
    assert swapped.layout.streams["image"].fingerprint[:8] in sentence
    assert run.layout.streams["image"].fingerprint[:8] in sentence
    assert call("swap", run.folder, "--remove", "image", "--out", tmp_path / "words") == 0
    assert load(tmp_path / "words").layout.names == ("text",)


def test_wrong_words_get_one_sentence(run, pictures, tmp_path, refusal):
    out, picture = tmp_path / "out.png", pictures / "00.png"
    edit = ("edit", picture, "--run", run.folder, "--out", out, "--regenerate")
    assert "START:END or LEFT,TOP,RIGHT,BOTTOM, got 'x'" in refusal(*edit, "x")
    assert "in pixels" in refusal(*edit, "0:1")
    assert "--stream" in refusal("edit", "the sun", "--run", run.folder)
    assert "streams text, image, got 'audio'" in refusal("edit", picture, "--stream", "audio", "--run", run.folder)
    assert "NAME=FOLDER" in refusal("swap", run.folder, "image", "--out", tmp_path / "swapped")
    assert "--remove NAME" in refusal("swap", run.folder, "--out", tmp_path / "swapped")
    generate = ("generate", "image", "--run", run.folder, "--out", out, "--also")
    assert "WEIGHT:NAME=VALUE, got 'text=sun'" in refusal(*generate, "text=sun")


def test_a_picture_goes_on_beyond_its_sides(run, pictures, tmp_path, call, refusal):
    source, out = pictures / "00.png", tmp_path / "wider.png"
    words = ("edit", source, "--run", run.folder, "--outpaint", "0,8,16,0", "--given", "text=sun", "--steps", 2)
    assert call(*words, "--out", out) == 0
    before, after = Image.load(source).pixels, Image.load(out).pixels
    assert after.shape == (before.shape[0] + 8, before.shape[1] + 16, 3)
    assert torch.equal(after[8:, : before.shape[1]], before)
    (same,) = run.outpaint(source, top=8, right=16, stream="image", given={"text": "sun"}, steps=2)
    assert torch.equal(same.pixels, after)
    other = tmp_path / "other.png"
    sentence = refusal(*words, "--regenerate", "0,0,8,8", "--out", other)
    assert "--outpaint leaves all of a picture as it is" in sentence and not other.exists()
