"""The buttons, without a page: what they show, and what they refuse in a sentence."""

import numpy as np
import pytest
import soundfile
from PIL import Image as Picture

from tokenmask.play import limits
from tokenmask.play.actions import WRONG, Actions, suffixes
from tokenmask.play.swaps import Swaps

VALUES = {"stream": "image", "prompt": "blue heart", "prompt_stream": "text", "steps": 3, "seed": 5}


def last(found):
    return list(found)[-1]


def wrong(shown, sentence):
    assert list(shown) == ["status"] and shown["status"].startswith(WRONG) and sentence in shown["status"], shown
    return True


def uploaded(actions, name="photo.png", size=(40, 40)):
    path = actions.folder / name
    Picture.new("RGB", size, (200, 30, 30)).save(path)
    return path


def test_drawing_shows_its_steps_and_then_the_piece(actions):
    shown = list(actions.draw(VALUES))
    assert [one["status"] for one in shown] == [
        "Drawing image.",
        *(f"Drawing image: step {step} of 3." for step in (1, 2, 3)),
        "Done, with seed 5.",
    ]
    hidden = [one["codes"]["frames"][-1]["panels"][0]["codes"].count(-1) for one in shown if "codes" in one]
    assert hidden == sorted(hidden, reverse=True) and hidden[0] > hidden[-1] == 0
    end = shown[-1]
    assert [one["step"] for one in end["codes"]["frames"]] == [1, 2, 3]
    assert "run.generate(" in end["script"] and "srcdoc=" in end["stage"] and end["before"] == ""
    with Picture.open(end["file"]) as saved:
        assert saved.size == (64, 64)


@pytest.mark.filterwarnings("ignore:guidance=3 changes nothing")
def test_what_is_told_of_a_drawing_stands_in_the_status(actions):
    shown = last(actions.draw({"stream": "image", "steps": 1, "guidance": 3.0, "seed": 1}))
    assert shown["status"].startswith("Done, with seed 1. Guidance=3 changes nothing: it pushes away from what")
    assert last(actions.draw({**VALUES, "guidance": 3.0}))["status"] == "Done, with seed 5."


def test_painting_editing_and_taking_back(actions):
    piece = last(actions.draw(VALUES))["piece"]
    assert actions.paint(piece, [4, 5, 6, 7]) == {"regions": "32,0,64,8"}
    assert wrong(actions.paint(piece, [64]), "paint again") and actions.paint(None, [1]) == {}
    end = last(actions.remake(piece, {**VALUES, "prompt": "sun", "regions": "32,0,64,8"}))
    differs = (end["piece"].codes.codes != piece.codes.codes).squeeze(-1)
    assert not differs[1:].any() and not differs[:, :4].any()
    assert "before" in end["before"] and "run.edit(" in end["script"]
    assert actions.undo(end["piece"])["piece"] is piece
    assert wrong(actions.undo(piece), "nothing was made anew")
    assert wrong(last(actions.remake(None, VALUES)), "nothing on the stage")


def test_a_drawing_is_stopped_at_its_next_step_and_the_next_one_is_not(actions):
    drawing = actions.draw({**VALUES, "steps": 128})
    assert next(drawing)["status"] == "Drawing image."
    assert "step 1 of 128" in next(drawing)["status"]
    actions.stop()
    rest = list(drawing)
    assert rest[-1] == {"status": "Stopped."} and all("piece" not in one for one in rest)
    assert "piece" in last(actions.draw({**VALUES, "steps": 1}))


def test_an_edit_is_of_the_stream_on_the_stage(actions):
    piece = last(actions.draw(VALUES))["piece"]
    end = last(actions.remake(piece, {**VALUES, "stream": "audio", "regions": "0,0,8,8"}))
    assert end["piece"].stream == "image"


def test_files_are_opened_and_given(actions):
    path = uploaded(actions)
    shown = actions.open(VALUES, str(path))
    assert shown["piece"].media.pixels.shape == (40, 40, 3) and "photo.png" in shown["script"]
    text = last(actions.draw({"stream": "text", "size": 3, "steps": 2, "files": [str(path)]}))
    direct = actions.run.generate_tokens("text", {"image": path}, length=3, steps=2)[0]
    assert text["piece"].codes == direct
    assert actions.open({**VALUES, "stream": "text"}, None)["piece"].media.text == "blue heart"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"stream": "smell"}, "must be one of those of this run"),
        ({"prompt": "a" * 3000}, "2000 letters, got 3000"),
        ({"negative": "a" * 3000}, "the negative prompt may have"),
        ({"prompt_stream": "image"}, "given to a stream of words"),
        ({"prompt_stream": None}, "got None; name one"),
        ({"steps": 10_000}, "1..128, got 10000"),
        ({"steps": 0}, "1..128, got 0"),
        ({"steps": "many"}, "steps must be"),
        ({"guidance": 1e9}, "guidance may be 50"),
        ({"guidance": float("nan")}, "guidance must be"),
        ({"temperature": -1}, "temperature must be"),
        ({"order": "__import__"}, "order must be one of"),
        ({"seed": -1}, "seed must be"),
        ({"seed": "x"}, "seed must be"),
        ({"stream": "audio", "size": 1000}, "up to 30 s, got 1000"),
        ({"stream": "audio", "size": 0}, "above 0"),
        ({"stream": "text", "size": 1e6}, "length must be"),
        ({"files": ["/etc/passwd"]}, "passwd lies elsewhere"),
        ({"files": ["../secret.png"]}, "secret.png lies elsewhere"),
    ],
)
def test_what_a_page_may_not_ask_is_refused_in_a_sentence(actions, changed, sentence):
    assert wrong(last(actions.draw({**VALUES, **changed})), sentence)


def test_paths_outside_of_the_folder_are_refused(actions, tmp_path):
    secret = tmp_path / "secret.png"
    Picture.new("RGB", (8, 8)).save(secret)
    inside = actions.folder / "link.png"
    inside.symlink_to(secret)
    for path in (secret, inside, actions.folder / ".." / "secret.png", actions.folder / "none.png", actions.folder):
        assert list(actions.open(VALUES, str(path))) == ["status"]
    assert wrong(actions.open(VALUES, str(inside)), "link.png lies elsewhere")
    assert wrong(actions.open(VALUES, None), "uploaded")


def test_files_that_are_too_large_are_refused_before_they_are_read(actions, monkeypatch):
    assert wrong(actions.open(VALUES, str(uploaded(actions, "wide.png", (4000, 2000)))), "4,194,304 pixels")
    sound = actions.folder / "long.flac"
    soundfile.write(sound, np.zeros(8000 * 40, np.float32), 8000)
    assert wrong(actions.open({**VALUES, "stream": "audio"}, str(sound)), "may last 30 s, got 40.0")
    monkeypatch.setattr(limits, "MOST_BYTES", 100)
    assert wrong(actions.open(VALUES, str(uploaded(actions, size=(64, 64)))), "may take 100 bytes")


def test_a_file_of_another_kind_is_refused(actions):
    path = actions.folder / "words.png"
    path.write_text("no picture")
    assert wrong(actions.open(VALUES, str(path)), "words.png")
    (actions.folder / "some.xyz").write_text("x")
    assert wrong(last(actions.draw({**VALUES, "files": [str(actions.folder / "some.xyz")]})), "some.xyz must end as")
    assert {".png", ".wav", ".bvh", ".edf"} <= set(suffixes(actions.run)) and ".txt" not in suffixes(actions.run)


def test_before_and_after_a_swap(actions, run):
    from tests.worlds import tokenizers

    other = tokenizers()["image"]
    swaps = Swaps(run, {"image": (other, "tokenizers/small")})
    swaps._made["image"] = run.swap_tokenizer("image", other, media=[run.generate("image", steps=1)[0]])
    compared = Actions(run, actions.folder, swaps)
    piece = last(actions.draw(VALUES))["piece"]
    shown = last(compared.compare(piece, VALUES))
    assert shown["compared"].count("<iframe") == 2 and shown["about"].startswith("1024 codes before, 64 after.")
    assert 'run.swap_tokenizer("image", tokenizer_at("tokenizers/small"))' in shown["swap_script"]
    compile(shown["swap_script"], "copied", "exec")
    assert last(compared.compare(None, VALUES))["compared"].count("<iframe") == 1
    refused = last(compared.compare(piece, {**VALUES, "stream": "audio"}))
    assert wrong(refused, "--swap audio=FOLDER, but it names one for image")
