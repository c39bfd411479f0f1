"""``tokenmask encode --engine``: the files that every engine makes, and what it cannot be beside."""

import pytest

from tests.worlds import emoji, tokenizers


@pytest.fixture
def words(tmp_path):
    """(a folder of texts, of which one cannot be read, a tokenizer folder)"""
    folder = tmp_path / "words"
    folder.mkdir()
    for number, entry in enumerate(emoji()[:6]):
        (folder / f"{number}.txt").write_text(entry.name)
    (folder / "6.txt").write_bytes(b"\xff\xfe\xfa")
    tokenizers()["text"].save(tmp_path / "text")
    return folder, tmp_path / "text"


def test_token_files_of_a_pool_are_those_of_one_process(words, tmp_path, call, capsys):
    for name, more in {"local": [], "pool": ["--engine", "processes", "--workers", "1"]}.items():
        assert call("encode", words[0], "--tokenizer", words[1], "--out", tmp_path / name, *more) == 1
        assert "6 encoded, 0 done before, 1 failed" in capsys.readouterr().out
    local, pool = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("local", "pool"))
    assert local == pool and len(local) == 6


def test_engines_that_are_not_there_are_told(words, tmp_path, call, capsys):
    options = ["encode", words[0], "--tokenizer", words[1], "--out", tmp_path / "out"]
    assert call(*options, "--engine", "spark") == 2
    assert "an engine is local, processes, ray" in capsys.readouterr().err
    assert call(*options, "--engine", "processes", "--device", "cuda") == 2
    assert "--engine processes computes on CPUs, got --device cuda" in capsys.readouterr().err
