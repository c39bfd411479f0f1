"""Vocabularies of others: codes and texts are those of the libraries themselves, on small vocabularies trained here."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tokenmask as tm
from tokenmask.modalities.text import Text
from tokenmask.testing import check_tokenizer
from tokenmask.tokenizer import load_tokenizer

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="needs tokenizers: pip install 'tokenmask[hub]'"
)
needs_tiktoken = pytest.mark.skipif(
    importlib.util.find_spec("tiktoken") is None, reason="needs tiktoken: pip install 'tokenmask[hub]'"
)
ITEMS = [Text("a"), Text("In the beginning was the Word"), Text("Überraschung 3.14\n </s> äöü €"), Text(" \t ")]


def byte_level(folder: Path, verses: list[Text]) -> Path:
    """A byte-level BPE vocabulary as GPT-2's and RoBERTa's are."""
    import tokenizers as library

    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([verse.text for verse in verses], trainer)
    made.post_processor = library.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    made.enable_truncation(4)
    made.save(str(folder / "tokenizer.json"))
    return folder


def word_pieces(folder: Path, verses: list[Text]) -> Path:
    """A WordPiece vocabulary as BERT's is: capitals and spaces are lost."""
    import tokenizers as library

    made = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    made.decoder = library.decoders.WordPiece()
    trainer = library.trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[SEP]"], show_progress=False)
    made.train_from_iterator([verse.text for verse in verses], trainer)
    made.save(str(folder / "tokenizer.json"))
    return folder


@needs_tokenizers
def test_byte_level_vocabularies_keep_the_contract_and_every_text(tmp_path: Path, verses: list[Text]) -> None:
    import tokenizers as library

    tokenizer = tm.tokenizer("fast", byte_level(tmp_path, verses))
    passed = check_tokenizer(tokenizer, [*ITEMS, *verses[:3]], refused=[Text(""), Text("a\ud800")], suffix=".txt")
    assert "damage_is_noticed" in passed
    direct = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    direct.no_truncation()
    for item in (ITEMS[1], *verses[:20]):
        stream = tokenizer.encode(item)
        assert stream.codes[:, 0].tolist() == direct.encode(item.text, add_special_tokens=False).ids
        assert tokenizer.decode(stream) == item
    assert tokenizer.decode(tokenizer.encode(ITEMS[2])) == ITEMS[2]  # "</s>" is four characters, not the piece
    assert tokenizer.spec.codebook_sizes == (401,)
    assert tokenizer.spec.end_code == 400
    ended = tm.tokenizer("fast", tmp_path, end="</s>")
    assert (ended.spec.codebook_sizes, ended.spec.end_code) == ((400,), 1)
    assert ended.encode(ITEMS[2]).codes.equal(tokenizer.encode(ITEMS[2]).codes)
    with pytest.raises(ValueError, match=r"end must be a piece of the vocabulary of .*, got '\[PAD\]'"):
        tm.tokenizer("fast", tmp_path, end="[PAD]")


@needs_tokenizers
def test_a_transformers_tokenizer_gives_the_same_codes(tmp_path: Path, verses: list[Text]) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'tokenmask[hub]'")
    byte_level(tmp_path, verses)
    direct = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    direct.save_pretrained(tmp_path / "saved")
    tokenizer = tm.tokenizer("fast", tmp_path / "saved")
    for verse in verses[:20]:
        codes = tokenizer.encode(verse).codes[:, 0].tolist()
        assert codes == direct(verse.text, add_special_tokens=False, truncation=False)["input_ids"]


@needs_tokenizers
def test_vocabularies_that_lose_something_keep_the_contract(tmp_path: Path, verses: list[Text]) -> None:
    tokenizer = tm.tokenizer("fast", word_pieces(tmp_path, verses), end="[SEP]", keep="reference")
    check_tokenizer(tokenizer, verses[:4], refused=[Text(""), Text("  ")])
    stream = tokenizer.encode(Text("In the Beginning"))
    ended = replace(stream, codes=torch.full_like(stream.codes, tokenizer.spec.end_code))
    assert tokenizer.decode(ended.with_filled(torch.ones_like(ended.codes, dtype=torch.bool))).text == ""
    assert tokenizer.decode(stream).text == "in the beginning"
    places = tokenizer.places(Text("In the Beginning"), stream, (3, 6))
    assert tokenizer.decode(type(stream)(stream.spec, stream.codes[places])).text == "the"
    generated = type(stream)(stream.spec, torch.cat([stream.codes, torch.tensor([[1]]).int(), stream.codes]))
    assert tokenizer.decode(generated).text == "in the beginning"
    assert tokenizer.code_texts[1] == ""
    with pytest.raises(ValueError, match=r"a region of a text must be \(start, end\) that begins within its 16 "):
        tokenizer.places(Text("In the Beginning"), stream, (16, 60))


@needs_tokenizers
def test_folders_without_a_fast_tokenizer_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"FastTokenizer is opened from a folder with tokenizer\.json, but .* has none"
    ):
        tm.tokenizer("fast", tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\nthe\n")
    with pytest.raises(
        ValueError, match=r"a slow tokenizer without tokenizer\.json; convert it once: from transformers"
    ):
        tm.tokenizer("fast", tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="must be of the library tokenizers, but has no model"):
        tm.tokenizer("fast", tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(ValueError, match="must be one that the library tokenizers reads, but is not"):
        tm.tokenizer("fast", tmp_path)


@needs_tokenizers
def test_the_words_of_a_run_are_swapped(tmp_path: Path, verses: list[Text]) -> None:
    from tokenmask.cli import main

    byte_level(tmp_path, verses)
    assert (
        main(["swap", str(tm.run.SHIPPED), f"text=fast:{tmp_path},keep=reference", "--out", str(tmp_path / "run")]) == 0
    )
    run = tm.load(tmp_path / "run")
    assert run.layout.streams["text"].codebook_sizes == (401,)
    assert run.recipe.streams["text"].tokenizer == "fast"
    assert len(run.generate("text", length=6, steps=2, seed=0)) == 1
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text().replace('"</s>"', '"<|s|>"'))
    with pytest.raises(ValueError, match=r"text refers to .* as it was with fingerprint"):
        tm.load(tmp_path / "run")


# tiktoken -------------------------------------------------------------------------------------------------------------


def ranks(verses: list[Text]) -> bytes:
    """A .tiktoken file: all bytes, and pairs of letters that are frequent."""
    text = " ".join(verse.text for verse in verses).encode()
    pairs = sorted({text[at : at + 2] for at in range(2000)})[:100]
    pieces = [bytes([number]) for number in range(256)] + pairs
    return b"\n".join(base64.b64encode(piece) + b" " + str(rank).encode() for rank, piece in enumerate(pieces)) + b"\n"


@needs_tiktoken
def test_tiktoken_gives_its_own_codes(tmp_path: Path, verses: list[Text]) -> None:
    import tiktoken
    import tiktoken.load

    path = tmp_path / "cl100k_base.tiktoken"
    path.write_bytes(ranks(verses))
    tokenizer = tm.tokenizer("tiktoken", tmp_path)
    check_tokenizer(tokenizer, [*ITEMS, *verses[:3]], refused=[Text("")], suffix=".txt")
    pattern = tokenizer.network._pat_str
    direct = tiktoken.Encoding(
        "own", pat_str=pattern, mergeable_ranks=tiktoken.load.load_tiktoken_bpe(str(path)), special_tokens={}
    )
    assert r"\p{N}{1,3}" in pattern
    for item in (*ITEMS, *verses[:20]):
        stream = tokenizer.encode(item)
        assert stream.codes[:, 0].tolist() == direct.encode_ordinary(item.text)
        assert tokenizer.decode(stream) == item
    places = tokenizer.places(ITEMS[2], tokenizer.encode(ITEMS[2]), (0, 1))
    assert places.nonzero().flatten().tolist() == [0, 1]  # the two bytes of a letter
    path.rename(tmp_path / "mine.tiktoken")
    with pytest.raises(ValueError, match="mine is no encoding of tiktoken"):
        tm.tokenizer("tiktoken", tmp_path)
    assert tm.tokenizer("tiktoken", tmp_path, pattern="cl100k_base").encode(verses[0]).codes.shape[1] == 1


@needs_tiktoken
def test_tiktoken_reads_its_cache_and_downloads_nothing(
    tmp_path: Path, verses: list[Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="cl100k_base is neither a folder here nor in tiktoken's cache"):
        tm.tokenizer("tiktoken", "cl100k_base")
    url = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / hashlib.sha1(url.encode()).hexdigest()).write_bytes(ranks(verses))
    tokenizer = tm.tokenizer("tiktoken", "cl100k_base", keep="reference")
    tokenizer.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").spec == tokenizer.spec
