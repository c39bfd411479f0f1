"""The server: what it answers to whom, and what is said where its library is missing."""

import importlib
import importlib.util
import json
import os
import urllib.error
import urllib.request

import pytest

from tokenmask.cli import main
from tokenmask.cli.parser import make_parser
from tokenmask.play import server

THERE = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio: make play")


def test_without_its_library_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(importlib.sys.modules, "gradio", None)
    assert main(["play"]) == 2
    told = capsys.readouterr().err
    assert "the playground needs the library gradio" in told and "pip install 'tokenmask[play]'" in told


@pytest.mark.parametrize("word", ["image", "image=", "=x"])
def test_swaps_are_named_with_their_stream(word, monkeypatch, capsys):
    monkeypatch.setattr("tokenmask.cli.play.needed", lambda: None)
    assert main(["play", "--swap", word]) == 2 and "NAME=FOLDER" in capsys.readouterr().err


def test_a_swap_of_a_stream_that_there_is_not(monkeypatch, capsys):
    monkeypatch.setattr("tokenmask.cli.play.needed", lambda: None)
    assert main(["play", "--swap", "smell=shipped"]) == 2 and "one of those of this run" in capsys.readouterr().err


def test_examples_of_the_help_work_as_written(monkeypatch, capsys, run, tmp_path):
    pages, opened = [], []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/demo").mkdir(parents=True)
    (tmp_path / "runs/demo/run.json").touch()

    class Page:
        address = "http://127.0.0.1:1/"

        def wait(self):
            pages.append(self)

    def serve(run, swaps, *, port, browser):
        opened.append((sorted(swaps.places), port, browser))
        return Page()

    monkeypatch.setattr("tokenmask.cli.play.needed", lambda: None)
    monkeypatch.setattr("tokenmask.cli.play.serve", serve)
    monkeypatch.setattr("tokenmask.cli.play.load", lambda folder, device: run)
    epilog = make_parser()._subparsers._group_actions[0].choices["play"].epilog
    examples = [line.split()[1:] for line in epilog.splitlines() if line.startswith("  tokenmask ")]
    assert [main(words) for words in examples] == [0, 0, 0] and len(pages) == 3
    assert opened == [([], 0, False), ([], 0, True), (["audio"], 0, False)]
    assert capsys.readouterr().out.count("http://127.0.0.1:1/ (this machine alone; Ctrl-C stops it)") == 3


@pytest.fixture(scope="module")
def served(run):
    before, random = dict(os.environ), importlib.import_module("random").getstate()
    up = server.serve(run)
    importlib.import_module("random").setstate(random)
    yield up
    up.close()
    os.environ.clear()
    os.environ.update(before)
    assert not up.folder.exists()


def answer(address, path="", *, host=None, data=None):
    asked = urllib.request.Request(address.rstrip("/") + path, data, {} if host is None else {"Host": host})
    if data is not None:
        asked.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(asked, timeout=20) as told:
            return told.status, dict(told.headers), told.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@THERE
def test_it_is_at_this_machine_alone_and_forbids_other_addresses(served):
    assert served.address.startswith("http://127.0.0.1:")
    status, headers, body = answer(served.address)
    assert status == 200 and b"tokenmask play" in body
    policy = {key.lower(): value for key, value in headers.items()}["content-security-policy"]
    assert policy == server.POLICY and "http" not in policy and "*" not in policy
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert answer(served.address, host="evil.example")[0] == 400


@THERE
def test_files_of_the_machine_are_not_served(served, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for path in (secret, "/etc/passwd", served.folder / ".." / secret):
        status, _, body = answer(served.address, f"/gradio_api/file={path}")
        assert status in (403, 404) and b"secret" not in body.lower().replace(b"secret.txt", b"")


@THERE
def test_one_thing_is_drawn_at_a_time(served):
    config = json.loads(answer(served.address, "/config")[2])
    slow = [one for one in config["dependencies"] if one["queue"]]
    assert len(slow) >= 7
    drawing = [fn for fn in served.blocks.fns.values() if fn.concurrency_id == "draw"]
    assert len(drawing) >= 7 and {fn.concurrency_limit for fn in drawing} == {1}
    assert served.blocks.max_file_size == 20_000_000 and config["analytics_enabled"] is False
