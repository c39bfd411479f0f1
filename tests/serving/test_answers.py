"""What a server answers: the very media that the run alone makes, whoever else asks."""

import base64
import json

import pytest

from tests.serving.conftest import Client, file_in_json
from tokenmask.run import load
from tokenmask.serving import serve
from tokenmask.streams import TokenStream

WORDS = ("red heart", "sun", "blue heart", "full moon", "pizza")


def alone(run, tmp_path, path, values):
    """The bytes that a person gets who asks the run."""
    values = dict(values)
    stream, ending = values.pop("stream"), values.pop("ending", None)
    if path == "/edit":
        (one,) = run.edit(values.pop("media"), stream=stream, **values)
    else:
        (one,) = run.generate(stream, values.pop("given", None), **values)
    file = tmp_path / f"alone{ending or ('.txt' if stream == 'text' else '.png')}"
    (one.stream if file.suffix == ".tokens" else one).save(file)
    return file.read_bytes()


def asked(count):
    """Requests of several streams, prompts, seeds, steps and endings."""
    requests = []
    for number in range(count):
        values = {"stream": "image", "given": {"text": WORDS[number % 5]}, "seed": number, "steps": 2 + number % 2}
        if number % 4 == 1:
            values["ending"] = ".tokens"
        if number % 4 == 2:
            values |= {"guidance": 2.0}
        if number % 8 == 3:
            values = {"stream": "text", "given": {"text": WORDS[number % 5]}, "length": 3, "seed": number}
        requests.append(("/generate", values))
    requests[-1] = ("/edit", {"stream": "text", "media": "red heart", "regenerate": [[0, 3]], "seed": 5})
    return requests


def test_64_clients_at_once_each_get_what_they_would_get_alone(run, served, client, tmp_path):
    requests = asked(64)
    answers = client.together(requests)
    assert [status for status, _, _ in answers] == [200] * 64
    for (path, values), (_, _, body) in zip(requests, answers, strict=True):
        assert body == alone(run, tmp_path, path, values), values
    now = client.get("/health")
    assert (now["answered"], now["refused"], now["waiting"], now["running"]) == (64, 0, 0, 0)
    assert now["rows"] == 64 and now["calls"] < 40 and now["most_together"] > 4
    assert len({body for _, _, body in answers}) > 40  # they differ, so a mix-up would be seen


@pytest.mark.slow
def test_64_clients_of_the_model_that_ships(tmp_path):
    run = load()
    up = serve(run)
    try:
        requests = asked(64)
        for (path, values), (status, _, body) in zip(requests, Client(up).together(requests), strict=True):
            assert status == 200 and body == alone(run, tmp_path, path, values), values
    finally:
        up.close()


def test_media_come_in_and_go_out_as_files(run, client, tmp_path):
    picture = run.generate("image", {"text": "sun"}, steps=2, seed=3)[0]
    picture.save(tmp_path / "sun.png")
    picture.stream.save(tmp_path / "sun.tokens")
    for file, value in (("sun.png", tmp_path / "sun.png"), ("sun.tokens", TokenStream.load(tmp_path / "sun.tokens"))):
        status, kind, words = client.post(
            "/generate", stream="text", given={"image": file_in_json(tmp_path / file)}, length=4
        )
        assert (status, kind) == (200, "text/plain; charset=utf-8")
        assert words.decode() == str(run.generate("text", {"image": value}, length=4)[0])
    status, kind, edited = client.post(
        "/edit", stream="image", media=file_in_json(tmp_path / "sun.png"), regenerate=[[16, 0, 32, 32]], seed=1
    )
    run.edit(tmp_path / "sun.png", [(16, 0, 32, 32)], stream="image", seed=1)[0].save(tmp_path / "edited.png")
    assert (status, kind, edited) == (200, "image/png", (tmp_path / "edited.png").read_bytes())


def test_a_sound_that_is_continued_stays_as_it_came(tmp_path):
    """Of the model that ships: what is given of the stream itself is media, not only their codes."""
    run = load()
    run.generate("audio", {"text": "seven"}, duration_seconds=0.4, steps=2, seed=1)[0].save(tmp_path / "begun.wav")
    run.generate("audio", {"audio": tmp_path / "begun.wav"}, duration_seconds=0.2, steps=2)[0].save(tmp_path / "on.wav")
    up = serve(run)
    try:
        begun = file_in_json(tmp_path / "begun.wav")
        status, kind, body = Client(up).post(
            "/generate", stream="audio", given={"audio": begun}, duration_seconds=0.2, steps=2
        )
        (tmp_path / "served.wav").write_bytes(body)  # such files hold the second in which they were written
        assert (status, kind) == (200, "audio/wav")
        assert run.inputs.media("audio", tmp_path / "served.wav") == run.inputs.media("audio", tmp_path / "on.wav")
    finally:
        up.close()


def test_several_samples_come_as_json_and_conditions_have_weights(run, client, tmp_path):
    values = {"stream": "image", "given": {"text": "sun"}, "steps": 2, "seed": 1, "num_samples": 3, "guidance": 2.0}
    status, kind, body = client.post("/generate", negative={"text": "moon"}, **values)
    assert (status, kind) == (200, "application/json")
    samples = json.loads(body)["samples"]
    given = {name: value for name, value in values.items() if name != "stream"}
    for number, one in enumerate(run.generate("image", negative={"text": "moon"}, **given)):
        one.save(tmp_path / "one.png")
        assert base64.b64decode(samples[number]["base64"]) == (tmp_path / "one.png").read_bytes()
    assert [sample["ending"] for sample in samples] == [".png"] * 3


def test_streams_and_health(run, client):
    streams = client.get("/streams")
    assert set(streams) == set(run.tokenizers) and streams["text"]["words"] and not streams["image"]["words"]
    assert streams["image"]["grid"] == [8, 8] and ".png" in streams["image"]["writes"]
    assert client.get("/health") == {
        **{"status": "ok", "waiting": 0, "running": 0, "answered": 0, "refused": 0},
        **{"calls": 0, "rows": 0, "most_together": 0},
    }
