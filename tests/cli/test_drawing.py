"""How codes are drawn, by words of the command line: sizes, fields of the sampler, prompts, codes in place of media."""

import json
from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import drawn_with
from tokenmask.run import complete, load
from tokenmask.sampling import Categorical, Sampler, Stage, UniformSchedule
from tokenmask.scores import HaltonScore
from tokenmask.streams import TokenStream


@pytest.fixture
def drawn(run, tmp_path, call):
    """The codes that a generation writes."""

    def codes(*words):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.tokens"
        assert call("generate", "image", "--run", run.folder, "--given", "text=sun", "--out", path, *words) == 0
        return TokenStream.load(path)

    return codes


def asked(run, **changes):
    sampler = replace(run.recipe.sampler_of("image"), **changes)
    return run.generate_tokens("image", given={"text": "sun"}, sampler=sampler)[0]


def test_codes_are_those_that_python_draws(run, drawn):
    def options(**some):
        return run.generate_tokens("image", given={"text": "sun"}, **some)[0]

    assert drawn() == asked(run)
    order = replace(run.recipe.sampler.pick, top_k=3, top_p=0.5)
    assert drawn("--top-k", 3, "--top-p", 0.5) == asked(run, pick=order) != asked(run)
    assert drawn("--top-k", 3, "--top-p", 0.5) == options(top_k=3, top_p=0.5)
    assert drawn("--min-p", 0.4) == options(min_p=0.4) == asked(run, pick=replace(run.recipe.sampler.pick, min_p=0.4))
    assert options(min_p=0.4) != asked(run)
    assert drawn("--order", "HaltonScore") == asked(run, order=HaltonScore()) != asked(run)
    assert drawn("--order", "HaltonScore") == options(order=HaltonScore())
    assert drawn("--order", "tokenmask.scores.HaltonScore") == drawn("--order", "HaltonScore")


def test_every_field_of_the_sampler_can_be_set(run, drawn):
    words = ("--set", "steps=3", "--set", "pick.min_p=0.2", "--set", "schedule.class_path=UniformSchedule")
    pick = replace(run.recipe.sampler.pick, min_p=0.2)
    assert drawn(*words) == asked(run, steps=3, pick=pick, schedule=UniformSchedule())
    assert drawn(*words[2:], "--steps", 2) == asked(run, steps=2, pick=pick, schedule=UniformSchedule())


def test_a_size_is_said_once_and_fits(run, drawn, refusal):
    assert drawn("--grid", "8,8") == drawn()
    image = ("generate", "image", "--run", run.folder)
    assert "is its row, column (8,8), got 4,8" in refusal(*image, "--grid", "4,8")
    assert "whole numbers with commas" in refusal(*image, "--grid", "8x8")
    text = ("generate", "text", "--run", run.folder)
    assert "said once, got --length and --grid" in refusal(*text, "--grid", "3", "--length", 3)
    assert "all of its sizes (index) with --grid" in refusal(*text, "--given", "text=In the")


def test_text_takes_a_grid_as_a_length(run, call, capsys):
    assert call("generate", "text", "--run", run.folder, "--grid", 5, "--seed", 3) == 0
    printed = capsys.readouterr().out
    assert printed == run.generate("text", length=5, seed=3)[0].text + "\n"


def test_wrong_fields_get_one_sentence(run, refusal):
    image = ("generate", "image", "--run", run.folder)
    told = refusal(*image, "--set", "stepz=3")
    assert "--set stepz=3 does not fit" in told and "a Sampler, has the fields steps, " in told and "recipe" not in told
    assert "a file of image that is written must end in .png, " in (told := refusal(*image, "--out", "a.doc"))
    assert ".tokens, got 'a.doc'" in told
    assert "write steps=VALUE" in refusal(*image, "--set", "steps")
    assert "tokenmask.scores.Nothing must be a Score" in refusal(*image, "--order", "Nothing")
    assert "at most 1, got '2'" in refusal(*image, "--top-p", 2)
    assert "at least 1, got '0'" in refusal(*image, "--top-k", 0)


def test_a_stage_that_takes_the_best_codes_still_does():
    sampler = Sampler(stages=(Stage(pick=Categorical(0.0)), Stage(pick=Categorical(2.0)), Stage()))
    changed = drawn_with(sampler, {"top_k": 4})
    assert [one.pick and one.pick.top_k for one in changed.stages] == [0, 4, None] and changed.pick.top_k == 4


def test_a_file_of_prompts_gives_what_each_alone_gives(run, tmp_path, call, capsys, refusal):
    (tmp_path / "p.txt").write_text("sun\n\npizza\n")
    rows = [{"text": "sun"}, {"text": "pizza", "note": "kept out"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("generate", "image", "--run", run.folder, "--steps", 2, "--num-samples", 2, "--prompts")
    assert call(*words, tmp_path / "p.txt", "--out", tmp_path / "many.tokens") == 0
    assert call(*words, tmp_path / "p.jsonl", "--out", f"{tmp_path / 'folder'}/") == 0
    named = [f"{prompt}-{sample}" for prompt in (0, 1) for sample in (0, 1)]
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [f"image-0-{one}.png" for one in named]
    for number, prompt in enumerate(("sun", "pizza")):
        alone = run.generate_tokens("image", given={"text": prompt}, steps=2, num_samples=2)
        made = [TokenStream.load(tmp_path / f"many-{number}-{sample}.tokens") for sample in (0, 1)]
        assert made == alone
    capsys.readouterr()
    with pytest.warns(UserWarning, match=r"p\.txt: 1 blank line passed over; samples are numbered without"):
        assert call("generate", "text", "--run", run.folder, "--length", 3, "--prompts", tmp_path / "p.txt") == 0
    printed = capsys.readouterr()
    assert [line[:3] for line in printed.out.splitlines()] == ["sun", "piz"]
    assert "is in --given and in" in refusal(*words, tmp_path / "p.txt", "--given", "text=sun")
    (tmp_path / "empty.txt").write_text("\n")
    assert "must hold a prompt a line, but holds none" in refusal(*words, tmp_path / "empty.txt")
    assert "must end in .txt, .jsonl" in refusal(*words, tmp_path / "p.png")
    (tmp_path / "odd.jsonl").write_text('{"sound": "x"}\n')
    assert "must have one of text, image" in refusal(*words, tmp_path / "odd.jsonl")


def test_a_prompt_that_fails_does_not_stop_the_others(run, pictures, tmp_path, call, capsys):
    """Its line is named, and the others have the names and the codes that they have without it."""
    lines = ["sun", "long " * 400, "", "pizza"]
    (tmp_path / "p.txt").write_text("\n".join(lines) + "\n")
    words = ("generate", "image", "--run", run.folder, "--steps", 2, "--out", tmp_path / "p.tokens", "--prompts")
    with pytest.warns(UserWarning, match="1 blank line"):
        assert call(*words, tmp_path / "p.txt") == 1
    said = capsys.readouterr()
    assert f"failed: line 2 of {tmp_path}/p.txt: a request may take at most 96 positions" in said.err
    assert said.out.splitlines() == [f"{tmp_path}/p-0.tokens", f"{tmp_path}/p-2.tokens"]
    assert [TokenStream.load(tmp_path / f"p-{number}.tokens") for number in (0, 2)] == [
        run.generate_tokens("image", given={"text": text}, steps=2)[0] for text in ("sun", "pizza")
    ]
    rows = ['{"text": "sun"}', "{", '{"text": 3}', '{"other": 3}', '{"text": "pizza"}']
    (tmp_path / "p.jsonl").write_text("\n".join(rows))
    assert call(*words, tmp_path / "p.jsonl", "--force") == 1
    said = capsys.readouterr()
    assert [line.partition(":")[2][:10] for line in said.err.splitlines() if line.startswith("failed")] == [
        f" line {number} of" for number in (2, 3, 4)
    ]
    assert said.out.splitlines() == [f"{tmp_path}/p-0.tokens", f"{tmp_path}/p-4.tokens"]
    (tmp_path / "cut.png").write_bytes((pictures / "01.png").read_bytes()[:60])
    (tmp_path / "p.csv").write_text(f"image\nnone.png\n{pictures}/00.png\ncut.png\n{pictures}/01.png\n")
    words = ("generate", "text", "--run", run.folder, "--length", 4, "--prompts", tmp_path / "p.csv")
    assert call(*words) == 1
    said = capsys.readouterr()
    wanted = [run.generate("text", {"image": pictures / name}, length=4)[0] for name in ("00.png", "01.png")]
    assert said.out == "".join(f"{one}\n" for one in wanted)
    assert f"failed: line 2 of {tmp_path}/p.csv: " in said.err and f"failed: line 4 of {tmp_path}/p.csv: " in said.err
    assert "none.png" in said.err and "cut.png" in said.err


def test_columns_of_prompts_that_nothing_takes_are_told(run, tmp_path, call, capsys):
    (tmp_path / "p.csv").write_text("key,text,seed\na//b,one,3\nc,t\0wo,4\n")
    words = ("generate", "image", "--run", run.folder, "--steps", 1, "--out", tmp_path / "p.tokens")
    with pytest.warns(UserWarning, match=r"p\.csv: columns that no stream takes are not used.*: key, seed$"):
        assert call(*words, "--prompts", tmp_path / "p.csv") == 1
    assert "line 3 of " in (said := capsys.readouterr().err) and "without characters of code 0" in said
    assert [path.name for path in sorted(tmp_path.glob("*.tokens"))] == ["p-0.tokens"]


def test_pictures_can_be_prompts(run, pictures, call, capsys):
    words = ("generate", "text", "--run", run.folder, "--length", 4)
    (pictures / "prompts.csv").write_text("image\n00.png\n01.png\n")
    assert call(*words, "--prompts", pictures / "prompts.csv") == 0
    together = capsys.readouterr().out
    for name in ("00.png", "01.png"):
        assert call(*words, "--given", f"image={pictures / name}") == 0
    assert capsys.readouterr().out == together
    (pictures / "prompts.csv").unlink()


@pytest.mark.parametrize("command", ["generate", "edit"])
def test_what_cannot_be_written_is_refused_before_anything_is_drawn(
    run, pictures, tmp_path, refusal, monkeypatch, command
):
    monkeypatch.setattr("tokenmask.run.drawing.fill", None)  # drawing would end in a traceback
    words = ("generate", "image") if command == "generate" else ("edit", pictures / "00.png", "--regenerate", "0,0,9,9")
    (tmp_path / "file").write_text("")
    for out, sentence in (("x.wav", "must end in .png"), ("file/x.png", "is a file; choose another --out")):
        assert sentence in refusal(*words, "--run", run.folder, "--out", tmp_path / out)


def test_an_edit_leaves_codes_too(run, pictures, tmp_path, call):
    out = tmp_path / "edited.tokens"
    words = ("edit", pictures / "00.png", "--run", run.folder, "--regenerate", "0,0,16,16", "--top-k", 2)
    assert call(*words, "--out", out) == 0
    before = run.tokenizers["image"].encode(run.tokenizers["image"].media.load(pictures / "00.png"))
    after = load(run.folder).tokenizers["image"].spec
    codes = TokenStream.load(out)
    assert codes.spec == after and (codes.codes != before.codes).any()
    assert (codes.codes == before.codes)[:, 4:].all()


def test_lines_are_words_of_the_text_and_not_of_its_labels(tmp_path, call):
    """The model that ships has labels, which share the vocabulary of texts."""
    (tmp_path / "p.txt").write_text("sun\npizza\n")
    words = ("generate", "image", "--prompts", tmp_path / "p.txt", "--steps", 1, "--out", tmp_path / "p.png")
    assert call(*words) == 0
    alone = tm.load().generate("image", [{"text": "sun"}, {"text": "pizza"}], steps=1)
    for number, one in enumerate(alone):
        assert tm.Image.load(tmp_path / f"p-{number}.png") == one


def test_prompts_that_leave_nothing_to_fill_are_told_once(run, tmp_path, call, capsys):
    """They are looked at before they are drawn, which is no second reason to tell of them."""
    tm.Image(torch.zeros(32, 32, 3, dtype=torch.uint8)).save(tmp_path / "a.png")
    (tmp_path / "p.jsonl").write_text('{"image": "a.png"}\n{"text": "sun"}\n{"image": "a.png", "text": "sun"}\n')
    words = ("generate", "image", "--run", run.folder, "--steps", 1, "--out", tmp_path / "o", "--prompts")
    with pytest.warns(UserWarning) as told:
        assert call(*words, tmp_path / "p.jsonl") == 0
    said = [str(one.message) for one in told if "nothing is to be filled" in str(one.message)]
    assert len(said) == 1 and said[0].startswith("nothing is to be filled in 2 of 3 requests: ")


def test_patterns_and_words_that_are_cut_are_those_of_python(run, call, capsys, refusal):
    words = ("generate", "text", "--run", run.folder, "--length", 3, "--num-samples", 2, "--seed", 1)
    assert call(*words, "--matches", "[st]h?[a-z ]*", "--particles", 2) == 0
    options = {"length": 3, "num_samples": 2, "seed": 1}
    found = run.generate("text", matches="[st]h?[a-z ]*", particles=2, **options)
    assert capsys.readouterr().out.splitlines() == [one.text for one in found]
    assert call(*words, "--window", 2) == 0
    assert capsys.readouterr().out.splitlines() == [one.text for one in run.generate("text", window=2, **options)]
    assert "--window: must be a whole number" in refusal(*words, "--window", "soon")
    assert call(*words, "--given", "text=the su", "--backtrack", 2) == 0
    found = complete(run, "the su", backtrack=2, **options)
    assert capsys.readouterr().out.splitlines() == [one.text for one in found]
    assert all(one.text.startswith("the su") for one in found)
    assert "needs --given text=WORDS and --length N" in refusal(*words, "--backtrack", 2)
