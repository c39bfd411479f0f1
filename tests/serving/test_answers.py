"""What a server answers: the very media that the run alone makes, whoever else asks."""

import base64
import json
import socket
import threading

import pytest

from tests.serving.conftest import Client, file_in_json
from tokenmask.run import load
from tokenmask.serving import serve
from tokenmask.streams import TokenStream
from tokenmask.telling import tell

JSON = {"Content-Type": "application/json"}
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


@pytest.mark.filterwarnings("ignore:the region")
def test_what_was_left_out_of_a_request_is_told_to_who_asked(run, client):
    asked = {"stream": "text", "media": "red heart", "regenerate": [[4, 30]], "seed": 5}
    told = "the region (4, 30) of the text ends after its 9 characters; what lies inside is filled anew"
    _, headers, _ = client.whole("POST", "/edit", json.dumps(asked), **JSON)
    assert json.loads(headers["Tokenmask-Warnings"]) == [told]
    _, _, body = client.post("/edit", **asked, num_samples=2)
    answer = json.loads(body)
    assert answer["warnings"] == [told] and len(answer["samples"]) == 2
    _, headers, _ = client.whole("POST", "/edit", json.dumps(asked | {"regenerate": [[4, 9]]}), **JSON)
    assert "Tokenmask-Warnings" not in headers


@pytest.mark.filterwarnings("ignore:.*sun was left out")
def test_what_is_told_in_company_goes_to_whom_it_concerns_alone(run, held):
    client, begun, free, up = held
    plain = run.generate

    def telling(stream, given, **options):
        for one in given if isinstance(given, list) else [given]:
            if str(one["text"]) == "sun":
                tell(f"{up.folder}/a/sun.txt: the sun was left out")
        return plain(stream, given, **options)

    object.__setattr__(run, "generate", telling)
    try:
        threads, headers = [], {}
        for number, word in enumerate(("pizza", "sun", "red heart")):
            body = json.dumps({"stream": "text", "given": {"text": word}, "length": 2, "seed": number})

            def ask(word=word, body=body):
                headers[word] = client.whole("POST", "/generate", body, **JSON)[1]

            threads.append(threading.Thread(target=ask))
            threads[-1].start()
            if number == 0:
                assert begun.acquire(timeout=30)
        client.until(2)
        free.set()
        for thread in threads:
            thread.join()
    finally:
        object.__delattr__(run, "generate")
    assert json.loads(headers["sun"]["Tokenmask-Warnings"]) == ["sun.txt: the sun was left out"]
    assert "Tokenmask-Warnings" not in headers["pizza"] and "Tokenmask-Warnings" not in headers["red heart"]


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


def test_a_long_text_comes_in_pieces_while_it_is_made(run, client):
    values = {"stream": "text", "given": {"text": "sun"}, "length": 150, "steps": 2, "seed": 4}
    status, kind, body = client.post("/generate", pieces=True, **values)
    assert (status, kind) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in body.splitlines()]
    pieces = [base64.b64decode(line["base64"]).decode() for line in lines]
    given = {name: value for name, value in values.items() if name != "stream"}
    assert pieces == [str(piece) for piece in run.stream("text", **given)] and len(pieces) > 1
    assert "".join(pieces) == str(run.generate("text", window="early", **given)[0])
    answer = client.post("/generate", window="early", **values)[2]
    assert answer.decode() == "".join(pieces) != client.post("/generate", **values)[2].decode()
    asked = json.dumps({**values, "pieces": True}).encode()
    with socket.create_connection(("127.0.0.1", client.port), 60) as line:  # HTTP of before 1999, as nginx speaks it
        head = b"POST /generate HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(asked) + asked)
        told, _, plain = b"".join(iter(lambda: line.recv(1 << 16), b"")).partition(b"\r\n\r\n")
    assert plain == body and b"Transfer-Encoding" not in told
    status, told = client.refusal("/generate", pieces=True, **{**values, "length": 0})
    assert status == 400 and "length" in told
    assert "pieces are media" in client.refusal("/generate", pieces=True, ending=".tokens", **values)[1]


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
