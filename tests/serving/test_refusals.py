"""What a server refuses, in a sentence, and that the others get theirs all the same."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.serving.conftest import Client
from tokenmask import serving
from tokenmask.play.limits import LONGEST_SECONDS, MOST_LETTERS, MOST_PIXELS
from tokenmask.serving import Limits, serve
from tokenmask.serving.asked import FIELDS

JSON = {"Content-Type": "application/json"}
SUN = {"stream": "image", "given": {"text": "sun"}, "steps": 2}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "needs the field 'stream'"),
        ({"stream": "smell"}, "one of those of this run, text, image, got 'smell'"),
        ({**SUN, "stepz": 3}, "got stepz"),
        ({**SUN, "steps": 0}, "steps"),
        ({**SUN, "steps": 10**6}, "at most 1024 here"),
        ({**SUN, "seed": "x"}, "seed must be one whole number"),
        ({**SUN, "seed": 1 << 70}, "seed"),
        ({**SUN, "num_samples": 0}, "num_samples must be one whole number, at least 1, got 0"),
        ({**SUN, "num_samples": 65}, "at most 64 here"),
        ({**SUN, "temperature": "hot"}, "temperature"),
        ({**SUN, "ending": ".exe"}, "got '.exe'"),
        ({**SUN, "given": ["sun"]}, "given must be an object"),
        ({**SUN, "given": {"text": "x" * 3000}}, "2000 letters, got 3000"),
        ({**SUN, "given": {"smell": "sun"}}, "got 'smell'"),
        ({**SUN, "also": [[{"text": "moon"}]]}, "pairs"),
        ({"stream": "text", "given": {"image": "/etc/passwd"}, "length": 2}, "image is given as a file"),
        ({"stream": "text", "given": {"image": {"base64": "%", "ending": ".png"}}, "length": 2}, "base64 of image"),
        ({"stream": "text", "given": {"image": {"base64": "AAAA", "ending": ".png"}}, "length": 2}, "image.png"),
        ({"stream": "text", "given": {"image": {"base64": "AAAA", "ending": ".tokens"}}, "length": 2}, "tokens"),
        ({"stream": "text", "given": {"image": {"base64": "", "ending": "/../x.png"}}, "length": 2}, "ends in one of"),
        ({"stream": "text", "length": 10**6}, "may draw 131072 codes here, got 1000000"),
        ({"stream": "text", "given": {"text": "sun"}}, "no fixed size"),
    ],
)
def test_wrong_values_are_a_sentence(values, sentence, client):
    status, told = client.refusal("/generate", **values)
    assert status == 400 and sentence in told and "\n" not in told
    assert client.get("/health")["waiting"] == 0


def test_a_field_that_is_said_twice_is_refused(client):
    for body in (
        b'{"stream": "image", "seed": 1, "seed": 2}',
        b'{"stream": "image", "given": {"text": "a", "text": "b"}}',
    ):
        status, _, told = client.raw("POST", "/generate", body, **JSON)
        assert status == 400 and re.search(rb"the field '(seed|text)' stands there twice, leave one out", told)


def test_wrong_edits_are_a_sentence(client):
    assert client.refusal("/edit", stream="image")[1].startswith("edit needs the field 'media'")
    assert "stream says what media is" in client.refusal("/edit", media="red heart")[1]
    assert "regenerate" in client.refusal("/edit", stream="text", media="x", regenerate=3)[1]
    assert client.refusal("/edit", stream="text", media="red heart", regenerate=[["a", "b"]])[0] == 400
    assert "got [4, 9]" in client.refusal("/edit", stream="text", media="red heart", regenerate=[4, 9])[1]
    assert "strength must lie" in client.refusal("/edit", stream="text", media="red heart", strength=2)[1]


def test_sentences_name_no_folder_of_the_server(client, served):
    damaged = {"image": {"base64": "AAAA", "ending": ".png"}}
    told = client.refusal("/generate", stream="text", given=damaged, length=2)[1]
    assert "image.png" in told and str(served.folder) not in told


def test_other_methods_are_told_which_to_use(client):
    assert "by POST, got GET" in json.loads(client.raw("GET", "/edit")[2])["error"]
    assert "by GET and POST, got PUT" in json.loads(client.raw("PUT", "/edit")[2])["error"]


def test_addresses_that_cannot_be_had_are_a_sentence(run, served):
    taken = Client(served).port
    with pytest.raises(OSError, match=f"listen at '127.0.0.1', port {taken}, but cannot .*; choose another --port"):
        serve(run, port=taken)
    with pytest.raises(ValueError, match="port must be a number from 0 to 65535, got 99999"):
        serve(run, port=99999)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/generate", "{", JSON, 400),
        ("POST", "/generate", "[1]", JSON, 400),
        ("POST", "/generate", '{"stream": NaN}', JSON, 400),
        ("POST", "/generate", "[" * 100_000, JSON, 400),
        ("POST", "/generate", b"\xff\xfe", JSON, 400),
        ("POST", "/generate", "{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/generate", "{}", {**JSON, "Host": "evil.example"}, 403),
        ("GET", "/health", None, {"Host": "evil.example:80"}, 403),
        ("POST", "/generate", iter([b"{}"]), JSON, 411),
        ("POST", "/nowhere", "{}", JSON, 404),
        ("GET", "/generate", None, {}, 404),
        ("PUT", "/generate", "{}", JSON, 501),
    ],
)
def test_what_is_no_request_is_refused(method, path, body, headers, status, client):
    got, kind, told = client.raw(method, path, body, **headers)
    assert (got, kind) == (status, "application/json") and json.loads(told)["error"]
    assert client.get("/health")["status"] == "ok"


def lines(client, *sent):
    """All that comes back over one connection."""
    found = []
    with socket.create_connection(("127.0.0.1", client.port), 30) as line:
        line.sendall("\r\n".join(sent).encode())
        while got := line.recv(1 << 16):
            found.append(got)
    return b"".join(found)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("PUT /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100", 501),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\n" + "\r\n".join(f"X-{n}: 1" for n in range(300)), 431),
        ("POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Content-Length: 9", 411),
        ("GET /health HTTP/1.1\r\nHost: LOCALHOST\r\nContent-Length: 100", 200),
    ],
)  # fmt: skip
def test_what_stands_behind_a_request_is_not_taken_for_another(head, status, client):
    told = lines(client, head, "", "GET /streams HTTP/1.1", "Host: localhost", "Connection: close", "", "")
    assert told.startswith(b"HTTP/1.1 %d " % status) and told.count(b"HTTP/1.1 ") == 1 and b"codes_per" not in told


def test_a_refusal_does_not_repeat_all_that_was_asked(client):
    told = client.refusal("/generate", stream="x" * 100_000)[1]
    assert told.endswith("xxx ...") and len(told) < 2100
    deep = client.raw("POST", "/generate", '{"given":' * 40 + "1" + "}" * 40, **JSON)[2]
    assert b"may be 32 deep, got 41" in deep


def test_a_body_that_is_too_large_is_refused_before_it_is_read(run):
    up = serve(run, limits=Limits(most_bytes=1000))
    try:
        client = Client(up)
        status, _, told = client.raw("POST", "/generate", b" " * 50_000, **JSON)
        assert status == 413 and "may take 1,000 bytes, got 50000" in json.loads(told)["error"]
        with socket.create_connection(("127.0.0.1", client.port), 10) as line:  # one that asks first
            line.sendall(
                b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n"
            )
            assert line.recv(100).startswith(b"HTTP/1.1 413")
        assert client.post("/generate", **SUN)[0] == 200
    finally:
        up.close()


def test_a_full_row_says_come_again_and_loses_nobody(held):
    client, begun, free, _ = held
    answers = {}

    def ask(number):
        answers[number] = client.post("/generate", **SUN, seed=number)[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    threads[0].start()
    assert begun.acquire(timeout=30)  # runs, so that the next four wait
    for thread in threads[1:]:
        thread.start()
    client.until(waiting=4)
    status, told = client.refusal("/generate", **SUN, seed=9)
    assert status == 429 and "4 requests wait already" in told
    free.set()
    for thread in threads:
        thread.join()
    assert answers == dict.fromkeys(range(5), 200) and client.get("/health")["most_together"] == 4


def test_who_waits_too_long_is_told_and_who_has_gone_is_forgotten(run, held):
    client, begun, free, up = held
    first = threading.Thread(target=client.post, args=("/generate",), kwargs=SUN)
    first.start()
    assert begun.acquire(timeout=30)
    body = json.dumps(SUN).encode()
    head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), 10) as line:
        line.sendall(head.encode() + body)
        client.until(waiting=1)
    client.until(waiting=0)  # it closed the line
    object.__setattr__(up.waiting.limits, "wait_seconds", 0.1)
    status, told = client.refusal("/generate", **SUN)
    assert status == 503 and "waited longer than 0.1 s" in told
    free.set()
    first.join()
    assert client.get("/health") | {"calls": 1, "answered": 1, "refused": 2} == client.get("/health")


def test_one_wrong_request_does_not_spoil_those_beside_it(held):
    client, begun, free, _ = held
    answers = {}

    def ask(name, **values):
        answers[name] = client.post("/generate", **{**SUN, **values})[0]

    asks = [{}, {"given": {"text": "moon"}}, {"given": {"text": ""}}, {"given": {"text": "word " * 390}}]
    threads = [threading.Thread(target=ask, args=(number,), kwargs=values) for number, values in enumerate(asks)]
    threads[0].start()
    assert begun.acquire(timeout=30)
    for thread in threads[1:]:
        thread.start()
    client.until(waiting=3)
    free.set()
    for thread in threads:
        thread.join()
    assert answers == {0: 200, 1: 200, 2: 400, 3: 400}  # no letter; more than the model sees


def test_a_mistake_of_ours_is_said_as_such(run, capfd):
    class Broken:
        def __getattr__(self, name):
            return getattr(run, name)

        def generate(self, *args, **options):
            raise RuntimeError("secret")

    up = serve(Broken())
    try:
        status, told = Client(up).refusal("/generate", **SUN)
        assert status == 500 and "RuntimeError" in told and "secret" not in told
        assert "secret" in capfd.readouterr().err and Client(up).get("/health")["status"] == "ok"
    finally:
        up.close()


def test_stopping_finishes_what_runs_and_refuses_what_waits(held):
    client, begun, free, up = held
    answers = {}

    def ask(number):
        answers[number] = client.post("/generate", **SUN, seed=number)[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    threads[0].start()
    assert begun.acquire(timeout=30)
    for thread in threads[1:]:
        thread.start()
    client.until(waiting=2)
    closing = threading.Thread(target=up.close)
    closing.start()
    for thread in threads[1:]:
        thread.join()
    assert answers == {1: 503, 2: 503} and client.get("/health")["status"] == "stopping"
    assert client.refusal("/generate", **SUN)[0] == 503
    free.set()
    threads[0].join()
    closing.join()
    assert answers[0] == 200
    with pytest.raises(OSError):
        client.get("/health")


def test_a_second_signal_ends_the_command_while_it_draws(run):
    words = [sys.executable, "-m", "tokenmask", "serve", str(run.folder)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        client = Client(type("Up", (), {"address": re.match(r"http://127\.0\.0\.1:\d+/", child.stdout.readline())[0]}))
        body = json.dumps({**SUN, "num_samples": 64, "guidance": 2.0, "steps": 64})  # seconds; a text may end at once
        with socket.create_connection(("127.0.0.1", client.port), 10) as line:
            head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            while not client.get("/health")["running"]:
                time.sleep(0.05)
            child.send_signal(signal.SIGINT)
            while client.get("/health")["status"] != "stopping":
                time.sleep(0.05)
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 130
        assert child.stderr.read() == "tokenmask: stopped before the last requests were answered\n"
    finally:
        child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(number, run):
    words = [sys.executable, "-m", "tokenmask", "serve", str(run.folder), "--port", "0"]
    refused = subprocess.run(words, capture_output=True, text=True)
    assert refused.returncode == 2 and "--port" in refused.stderr
    child = subprocess.Popen(words[:-2], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        line = child.stdout.readline()
        client = Client(type("Up", (), {"address": re.match(r"http://127\.0\.0\.1:\d+/", line)[0]}))
        assert "this machine alone" in line and client.post("/generate", **SUN)[0] == 200
        child.send_signal(number)
        assert child.wait(60) == 0 and child.stdout.read() == "1 answered, 0 refused\n"
    finally:
        child.kill()


def test_the_page_says_what_holds():
    """docs/serve.md: every field, every status, and the numbers of the limits."""
    page = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8")
    limits = Limits()
    assert [name for names in FIELDS.values() for name in names if f"`{name}`" not in page] == []
    assert f"{limits.most_codes:,} codes or {limits.most_steps} steps" in page
    assert f"more than {limits.most_bytes // 10**6} MB" in page
    assert f"`--waiting` requests wait already ({limits.most_waiting})" in page
    assert (
        f"`--patience` seconds ({limits.wait_seconds:g})" in page and f"at most {limits.most_connections} are" in page
    )
    assert f"silent for {limits.read_seconds:g} seconds" in page
    assert f"{LONGEST_SECONDS:g} seconds, {MOST_LETTERS} letters, {MOST_PIXELS // 2**20} million pixels" in page
    source = "".join(path.read_text(encoding="utf-8") for path in Path(serving.__file__).parent.glob("*.py"))
    assert set(re.findall(r"Refused\((\d+)", source)) - {"404", "408", "499"} <= set(re.findall(r"\b[45]\d\d\b", page))
