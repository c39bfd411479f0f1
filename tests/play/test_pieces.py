"""What is drawn and edited equals what a person's own calls give, and the program that is shown does the same."""

import ast

import pytest
import torch
from PIL import Image as Picture

from tokenmask.play import calls
from tokenmask.play.controls import ORDERS, Asked, Controls, told
from tokenmask.play.piece import drawn, opened, remade
from tokenmask.play.watching import watched
from tokenmask.scores import HaltonScore

HEART = Asked("image", {"text": "blue heart"}, steps=3, seed=5)


def done(text, folder, monkeypatch, run=None):
    """What a program leaves under the name ``made``; with a run it opens that one, which is quicker."""
    monkeypatch.chdir(folder)
    if run is not None:
        monkeypatch.setattr("tokenmask.run.load", lambda: run)
    names = {}
    exec(compile(text, "copied", "exec"), names)
    return names["made"]


def test_the_same_seed_gives_the_codes_of_a_direct_call(run):
    direct = run.generate_tokens("image", given={"text": "blue heart"}, steps=3, seed=5)[0]
    assert drawn(run, HEART).codes == direct
    assert drawn(run, Asked("image", {"text": "blue heart"}, steps=3, seed=6)).codes != direct


def test_an_order_and_a_negative_prompt_are_those_of_a_direct_call(run):
    asked = Asked(
        "image", {"text": "sun"}, {"text": "moon"}, steps=3, guidance=4.0, temperature=0.5, order="HaltonScore"
    )
    sampler = run.recipe.sampler_of("image").ordered(HaltonScore())
    options = {"negative": {"text": "moon"}, "steps": 3, "guidance": 4.0, "temperature": 0.5, "sampler": sampler}
    direct = run.generate_tokens("image", given={"text": "sun"}, **options)[0]
    assert drawn(run, asked).codes == direct


def test_what_is_as_usual_is_not_said(run):
    own = Controls.of(run, "image")
    usual = Asked("image", steps=own.steps, guidance=own.guidance, temperature=own.temperature, order=own.order)
    assert usual.arguments(run, sized=True) == {"seed": 0}


@pytest.mark.parametrize(("stream", "size"), [("audio", 0.2), ("motion", 0.5), ("text", 4), ("label", 3)])
def test_sizes_are_in_seconds_or_codes(run, stream, size):
    piece = drawn(run, Asked(stream, size=size, steps=1))
    spec = run.layout.streams[stream]
    if spec.rate_hz:
        assert piece.codes.grid[-1] == round(size * spec.rate_hz)
    else:
        assert 0 < len(piece.codes.codes) <= size
    assert Controls.of(run, stream).size == ("duration_seconds" if spec.rate_hz else "length")


def test_an_edit_changes_its_region_alone(run):
    piece = drawn(run, HEART)
    after = remade(run, piece, [(32, 0, 64, 32)], [], Asked("image", {"text": "broken heart"}, steps=3, seed=1))
    differs = (piece.codes.codes != after.codes.codes).squeeze(-1)
    assert bool(differs[:4, 4:].any())
    differs[:4, 4:] = False
    assert not bool(differs.any())
    assert after.before is piece and after.spans == [(0, 32, 32, 64)]


def test_an_edit_of_a_part_of_a_body_leaves_the_others(run):
    piece = drawn(run, Asked("motion", {"text": "kick"}, size=0.8, steps=2))
    tokenizer = run.tokenizers["motion"]
    part = tokenizer.group_names[1]
    after = remade(run, piece, None, [part], Asked("motion", steps=2, seed=9))
    changed = (piece.codes.codes != after.codes.codes).any(0).nonzero().flatten().tolist()
    assert changed and set(changed) <= set(tokenizer.spec.level_groups[1])


def test_the_program_gives_the_same_codes(run, tmp_path, monkeypatch):
    first = drawn(run, Asked("image", {"text": "blue heart"}, steps=3, seed=5, order="RandomScore"))
    asked = Asked("image", {"text": "broken heart"}, {"text": "sun"}, steps=3, guidance=3.0, seed=1)
    last = remade(run, first, [(16, 0, 32, 16), (0, 24, 8, 32)], [], asked)
    text = calls.script(run, "image", last.calls)
    assert "import RandomScore" in text and max(map(len, text.splitlines())) <= 100
    assert done(text, tmp_path, monkeypatch).stream == last.codes
    assert (tmp_path / "image.png").is_file()


def test_the_program_opens_the_same_file(run, tmp_path, monkeypatch):
    pixels = torch.arange(32 * 32 * 3, dtype=torch.int64).mul(7).remainder(255).to(torch.uint8).view(32, 32, 3)
    Picture.fromarray(pixels.numpy()).save(tmp_path / 'a "quoted" name.png')
    last = remade(
        run, opened(run, "image", tmp_path / 'a "quoted" name.png'), [(0, 0, 8, 8)], [], Asked("image", steps=2)
    )
    made = done(calls.script(run, "image", last.calls), tmp_path, monkeypatch, run)
    assert torch.equal(made.pixels, last.media.pixels)
    assert torch.equal(made.pixels[16:, 16:], pixels[16:, 16:])  # outside it is the file, not its codes


def test_words_are_never_more_than_words_in_the_program(run):
    prompt = 'a ".ordered(os; import evil(" + __import__("os").name + "\\'
    first = Asked("image", {"text": prompt}, steps=1)
    text = calls.script(run, "image", drawn(run, first).calls)
    tree = ast.parse(text)
    assert [node.names[0].name for node in tree.body if isinstance(node, ast.Import)] == ["tokenmask"]
    assert not any(isinstance(node, ast.ImportFrom) for node in tree.body)
    assert prompt in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def test_the_program_opens_the_same_words(run, tmp_path, monkeypatch, capsys):
    first = opened(run, "text", 'He said: "In the beginning"\nwas')
    last = remade(run, first, [(9, 12)], [], Asked("text", steps=2, seed=3))
    assert done(calls.script(run, "text", last.calls), tmp_path, monkeypatch, run) == last.media
    assert capsys.readouterr().out == f"{last.media}\n"


def test_every_step_is_seen_and_a_closed_drawing_stops(run):
    seen = list(watched(lambda on_step: drawn(run, HEART, on_step)))
    assert [one.step for one in seen[:-1]] == [1, 2, 3] and seen[-1].codes == drawn(run, HEART).codes
    shares = [float(one.decided.float().mean()) for one in seen[:-1]]
    assert shares == sorted(shares) and shares[0] < shares[-1] == 1.0
    steps = []

    def work(on_step):
        def counted(now):
            steps.append(now.step)
            on_step(now)

        return drawn(run, Asked("image", steps=40), counted)

    begun = watched(work)
    next(begun)
    begun.close()
    assert 0 < len(steps) < 40


def test_what_goes_wrong_in_a_drawing_is_raised(run):
    with pytest.raises(ValueError, match="its own condition"):
        list(
            watched(lambda on_step: run.generate("text", {"text": "a"}, negative={"text": "b"}, length=2, guidance=2.0))
        )


def test_options_are_told_by_their_docstring():
    words = told()
    assert words["steps"] == "of the sampler's longest stage; others keep their ratio to it"
    assert set(words) >= {"guidance", "temperature", "negative", "seed"} and all(words.values())


def test_orders_are_those_of_the_command():
    from tokenmask.cli.parser import make_parser

    told_of = make_parser()._subparsers._group_actions[0].choices["generate"].format_help()
    assert all(order in told_of for order in ORDERS)
