"""A generation is shown step by step: the map says when each code was decided, as counted by hand."""

import pytest
import torch

import tokenmask as tm
from tokenmask.cli import main
from tokenmask.generation import Filling, Recording
from tokenmask.report.filling import decided_in, filling_section, steps_shown
from tokenmask.streams import StreamSpec, TokenStream

SPEC = StreamSpec("text", (9,), ("index",))


def steps(*rows: str) -> list[Filling]:
    """A step for each row, "#" where a code is decided."""
    made = []
    for number, row in enumerate(rows, 1):
        decided = torch.tensor([[one == "#"] for one in row])
        stream = TokenStream(SPEC, torch.zeros(len(row), 1, dtype=torch.int32))
        made.append(Filling(0, number, len(rows), stream, decided))
    return made


def test_a_code_counts_from_when_it_was_decided_for_good():
    assert decided_in(steps("#...", "##..", "#.#.", "###.")).flatten().tolist() == [1, 4, 3, 0]
    assert decided_in(steps("#", "#.", "##")).flatten().tolist() == [1, 3]  # a text that grows


@pytest.mark.parametrize(("count", "shown"), [(1, [1]), (4, [1, 2, 3, 4]), (12, [1, 3, 5, 8, 10, 12])])
def test_at_most_six_steps_are_shown(count, shown):
    assert [one.step for one in steps_shown(steps(*["#"] * count))] == shown


def test_a_recording_of_codes_that_nothing_decodes_is_a_map():
    kept = Recording()
    assert filling_section(kept, {}) is None
    for one in steps("#.", "##"):
        kept(one)
    body = filling_section(kept, {}).body
    assert body.count("<img") == 1 and "No tokenizer of the run decodes these codes of text" in body


def test_a_recorded_generation_is_shown_by_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["generate", "image", "--given", "text=sun", "--steps", "4", "--num-samples", "2"]
    assert main([*words, "--record", "steps.safetensors", "--out", "sun.png"]) == 0
    assert len(Recording.load("steps.safetensors")) == 8
    assert main(["show", "steps.safetensors"]) == 0
    assert "steps.html" in capsys.readouterr().out
    page = (tmp_path / "steps.html").read_text()
    assert page.count('<img class="wide"') == 2 and page.count("100% decided</figcaption>") == 2
    assert page.count("step 2 of 4") >= 2 and "Request 2 of 2" in page
    assert main(["show", "absent.safetensors"]) == 2
    assert main(["show", "steps.safetensors", "--out", "page.txt"]) == 2
    told = capsys.readouterr().err
    assert "absent.safetensors does not exist; name a recording" in told and "ends in .html" in told


def test_sounds_and_words_are_shown_too(tmp_path):
    run, kept = tm.load(), Recording()
    run.generate("audio", given={"text": "one"}, duration_seconds=0.3, steps=2, on_step=kept)
    run.edit("the sun and the moon", [(4, 7)], stream="text", steps=2, on_step=kept)
    body = filling_section(kept, run.tokenizers).body
    assert "<audio" in body and "the" in body and body.count("100% decided") >= 1
