"""A run goes to a hub and comes back: against a stand-in on 127.0.0.1 (stand_in.py), never the real hub.

The client is huggingface_hub itself; what the stand-in answers was written after that client's requests. Weights go by
Git LFS in most tests, and in some by Xet, as is usual where hf_xet is installed: then its own code chunks, keeps and
joins them, in a local storage in the place of the hub's.
"""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("huggingface_hub", reason="needs huggingface_hub: pip install 'tokenmask[hub]'")

import tokenmask as tm
from tests.sharing.stand_in import Chunked, hub
from tests.worlds import tiny_run
from tokenmask.cli import main
from tokenmask.sharing import files_of, pull, push


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run") / "mine", "captions", steps=3)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with hub() as opened:
        yield opened


@pytest.fixture
def chunks(server, monkeypatch, tmp_path):
    """The same hub, with Xet."""
    pytest.importorskip("hf_xet", reason="needs hf_xet: pip install 'tokenmask[hub]'")
    from huggingface_hub.utils import _xet

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_xet, "_GLOBAL_XET_HOLDER", _xet.XetSessionHolder())
    monkeypatch.setattr(_xet, "XET_CONNECTION_INFO_CACHE", {})
    server.xet = tmp_path / "storage"
    return server


CARD = tm.Card(licence="cc-by-4.0", data={"emoji": "apache-2.0"}, samples=1)


def test_a_run_comes_back_as_it_went(run, server, tmp_path):
    address = run.push("me/small", card=CARD, endpoint=server.address)
    assert address == f"{server.address}/me/small/commit/{server.commits[0]}" and len(server.commits) == 1
    assert server.private == {"me/small": True}
    sent = server.kept["me/small"]
    assert {name.partition("/")[0] for name in sent} == {
        *("README.md", "recipe.yaml", "layout.json", "run.json", "models", "tokenizers", "samples")
    }
    assert not any(str(run.folder).encode() in content for content in sent.values())
    assert sum(path.startswith("/objects/") for _, path in server.asked) == 2  # the weights of model and tokenizer
    back = tm.pull("me/small", tmp_path / "back", endpoint=server.address)
    asked = {"given": {"text": "sun"}, "steps": 2, "seed": 1}
    assert back.generate_tokens("image", **asked) == run.generate_tokens("image", **asked)
    assert {name: (tmp_path / "back" / name).read_bytes() for name in files_of(tmp_path / "back")} == sent
    assert [one.name for one in tmp_path.iterdir()] == ["back"]


def test_weights_go_and_come_by_xet(run, chunks, tmp_path):
    run.push("me/small", card=CARD, endpoint=chunks.address)
    sent, weights = chunks.kept["me/small"], (run.folder / "models" / "main.safetensors").read_bytes()
    large = {name: own for name, own in sent.items() if isinstance(own, Chunked)}
    assert {name.rpartition(".")[2] for name in large} == {"safetensors"} and len(large) == 2
    assert not any(path.startswith("/objects/") for _, path in chunks.asked)
    assert sum(path.stat().st_size for path in (tmp_path / "storage").rglob("*") if path.is_file()) > len(weights) / 2
    back = tm.pull("me/small", tmp_path / "back", endpoint=chunks.address)
    assert (back.folder / "models" / "main.safetensors").read_bytes() == weights
    assert set(files_of(back.folder)) == set(sent)
    assert not any(method == "GET" and path.endswith(".safetensors") for method, path in chunks.asked)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["back", "storage"]


def test_a_hub_that_refuses_its_storage_is_one_sentence(run, chunks, tmp_path):
    run.push("me/other", endpoint=chunks.address)
    chunks.refuse_tokens = True
    with pytest.raises(ValueError, match=r"me/small was not sent to the hub \(.*\); log in, or check its name"):
        run.push("me/small", endpoint=chunks.address)
    assert chunks.kept["me/small"] == {} and len(chunks.commits) == 1
    with pytest.raises(ValueError, match=r"me/other was not fetched from the hub \(.*\); check its name, or log in"):
        tm.pull("me/other", tmp_path / "back", endpoint=chunks.address)
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".back*"))


def test_a_storage_that_breaks_off_leaves_nothing(run, chunks, tmp_path):
    run.push("me/small", endpoint=chunks.address)
    for chunk in (chunks.xet / "xet" / "xorbs").rglob("default.*"):
        chunk.unlink()
    with pytest.raises(ValueError, match=r"me/small was not fetched from the hub \(.*\); check its name, or log in"):
        tm.pull("me/small", tmp_path / "back", endpoint=chunks.address)
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".back*"))
    chunks.xet = tmp_path / "full"
    chunks.xet.write_text("a file where the storage should be")
    with pytest.raises(ValueError, match=r"me/again was not sent to the hub \(.*\); log in, or check its name"):
        run.push("me/again", endpoint=chunks.address)
    assert chunks.kept["me/again"] == {}


def test_a_second_push_is_a_second_commit_and_both_can_be_fetched(run, server, tmp_path):
    push(run, "me/small", endpoint=server.address)
    push(run, "me/small", card=tm.Card(title="Better"), endpoint=server.address)
    assert len(server.commits) == 2 and b"# Better" in server.kept["me/small"]["README.md"]


def test_what_is_no_file_of_a_run_is_neither_sent_nor_fetched(run, server, tmp_path):
    (run.folder / "notes.txt").write_text("mine")
    push(run, "me/small", endpoint=server.address)
    (run.folder / "notes.txt").unlink()
    assert not {"notes.txt", "metrics.jsonl", "checkpoint.safetensors"} & set(server.kept["me/small"])
    assert not any(name.startswith("corpus") for name in server.kept["me/small"])
    server.kept["me/small"] |= {"evil.py": b"1", "models/x.bin": b"\x80\x04", "tokenizers/../../up": b"1", ".x": b"1"}
    tm.pull("me/small", tmp_path / "back", endpoint=server.address)
    assert not {"evil.py", "models/x.bin", "up", ".x"} & {path.name for path in tmp_path.rglob("*")}
    assert "models/x.bin" not in files_of(tmp_path / "back")
    fetched = {path for method, path in server.asked if method == "GET"}
    assert not any(path.endswith(("evil.py", "x.bin", "/up", ".x")) for path in fetched)


@pytest.mark.parametrize("name", ["tokenizers/image/weights.pkl", "tokenizers/image/data"])
def test_a_pickle_among_fetched_files_leaves_nothing(run, server, tmp_path, name):
    push(run, "me/small", endpoint=server.address)
    server.kept["me/small"][name] = b"\x80\x04\x95"
    with pytest.raises(ValueError, match=f"a shared run holds data only, but {name} may run a program"):
        tm.pull("me/small", tmp_path / "back", endpoint=server.address)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_breaks_off_leaves_nothing(run, server, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # it asks again for a while
    push(run, "me/small", endpoint=server.address)
    server.broken = {"models/main.safetensors"}
    with pytest.raises(ValueError, match=r"me/small was not fetched from the hub .*500"):
        tm.pull("me/small", tmp_path / "back", endpoint=server.address)
    assert list(tmp_path.iterdir()) == []
    server.broken = set()
    server.kept["me/small"]["recipe.yaml"] += b"# changed\n"
    with pytest.raises(ValueError, match=r"recipe\.yaml was changed or damaged"):
        tm.pull("me/small", tmp_path / "back", endpoint=server.address)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_commit_changes_nothing_on_the_hub(run, server):
    server.refuse_commits = True
    with pytest.raises(ValueError, match=r"me/small was not sent to the hub .*507"):
        push(run, "me/small", endpoint=server.address)
    assert server.kept == {"me/small": {}} and server.commits == []


def test_wrong_requests_are_refused_before_anything_is_asked(run, server, tmp_path):
    with pytest.raises(ValueError, match="is called \"user/name\", got 'small'"):
        push(run, "small", endpoint=server.address)
    with pytest.raises(ValueError, match="a public run must say its licence"):
        push(run, "me/small", public=True, endpoint=server.address)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(ValueError, match="full holds something; name another"):
        tm.pull("me/small", tmp_path / "full", endpoint=server.address)
    assert server.asked == []
    with pytest.raises(ValueError, match="me/absent was not fetched from the hub"):
        tm.pull("me/absent", tmp_path / "back", endpoint=server.address)
    server.kept["me/other"] = {"config.json": b"{}"}
    with pytest.raises(ValueError, match=r"me/other must hold a run of tokenmask, but has no run\.json"):
        tm.pull("me/other", tmp_path / "back", endpoint=server.address)


def test_a_hub_that_is_not_there_is_one_sentence(run, tmp_path):
    nowhere = "http://127.0.0.1:9"  # the port of "discard", where nothing listens
    with pytest.raises(ValueError, match="was not sent to the hub"):
        push(run, "me/small", endpoint=nowhere)
    with pytest.raises(ValueError, match="was not fetched from the hub"):
        tm.pull("me/small", tmp_path / "back", endpoint=nowhere)


def test_the_commands(run, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tokenmask.cli.sharing.send", partial(push, endpoint=server.address))
    monkeypatch.setattr("tokenmask.cli.sharing.fetch", partial(pull, endpoint=server.address))
    words = ["push", str(run.folder), "me/small", "--licence", "cc-by-4.0", "--data", "my=pictures=cc0-1.0", "--public"]
    assert main([*words, "--dry-run"]) == 0 and server.asked == []
    assert "models/main.safetensors" in capsys.readouterr().out
    assert main(words) == 0 and capsys.readouterr().out.strip().endswith(server.commits[0])
    assert server.private == {"me/small": False} and b"- my=pictures: cc0-1.0" in server.kept["me/small"]["README.md"]
    assert main(["pull", "me/small", str(tmp_path / "back")]) == 0
    assert "streams" not in capsys.readouterr().err and tm.load(tmp_path / "back").layout == run.layout
    assert main([*words[:3], "--licence", "mit"]) == 0  # the run itself has no README.md: another is made
    assert main(["push", str(tmp_path / "back"), "me/again", "--licence", "mit"]) == 2
    assert "README.md is there and is sent as it is" in capsys.readouterr().err
