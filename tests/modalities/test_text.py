"""Text codes: every string comes back, any codes decode, and fitting is repeatable and says what it lacks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tokenmask.modalities.text import Text, TextTokenizer, TextTokenizerConfig
from tokenmask.streams import TokenStream

CHARACTERS = st.characters(exclude_categories=("Cs",))
AWKWARD = st.sampled_from(
    [
        "\0",
        "\t",
        " ",
        "  ",
        "\n",
        "\r\n",
        " the",
        "\u00a0",
        "\u2581",
        "\u2585",
        "\u2047",
        "\ufffd",
        "\ufeff",
        "\u2028",
        "\x1a",
        "😀",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "\ue000",
        "\U0010ffff",
        "\U000f0000",
        "e\u0301",
        "é",
        "\u200d",
        "\ufb01",
        "\u210c",
        "한국",
        "שלום",
        "<0x41>",
        "<unk>",
        "<s>",
        "</s>",
        "<pad>",
        "the",
        "Jesus",
    ]
)


@pytest.fixture(scope="session")
def bpe_tokenizer(verses: list[Text]) -> TextTokenizer:
    return TextTokenizer.fit(verses, model="bpe", vocab_size=700)


@settings(max_examples=400, deadline=None)
@given(text=st.text(CHARACTERS, min_size=1) | st.lists(AWKWARD | CHARACTERS, min_size=1, max_size=12).map("".join))
@example(text="\0")
@example(text="\u2581")
@example(text=" \u2581 \u2581\u2581\n")
@example(text="a" * 5000)
def test_every_string_comes_back(text_tokenizer: TextTokenizer, bpe_tokenizer: TextTokenizer, text: str) -> None:
    for tokenizer in (text_tokenizer, bpe_tokenizer):
        stream = tokenizer.encode(Text(text))
        assert tokenizer.decode(stream).text == text
        assert tokenizer.spec.end_code not in stream.codes.tolist()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(codes=st.lists(st.integers(0, 1023), max_size=40))
def test_any_codes_decode_up_to_the_end_code(text_tokenizer: TextTokenizer, codes: list[int]) -> None:
    spec = text_tokenizer.spec
    stream = TokenStream(spec, torch.tensor(codes, dtype=torch.int32).view(-1, 1))
    kept = codes[: codes.index(1023)] if 1023 in codes else codes
    text = text_tokenizer.decode(stream)
    text.text.encode()  # a string of characters
    assert text.stream is not None
    assert text.stream.codes[:, 0].tolist() == kept


def test_half_a_character_becomes_a_replacement_character(text_tokenizer: TextTokenizer) -> None:
    stream = text_tokenizer.encode(Text("a😀b"))
    assert len(stream.codes) == 6
    assert text_tokenizer.decode(replace(stream, codes=stream.codes[:3])).text == "a\ufffd"
    assert text_tokenizer.decode(replace(stream, codes=stream.codes[2:])).text == "\ufffd\ufffd\ufffdb"


def test_end_code_first_is_an_empty_text(text_tokenizer: TextTokenizer) -> None:
    end = torch.full((3, 1), 1023, dtype=torch.int32)
    assert text_tokenizer.decode(TokenStream(text_tokenizer.spec, end)).text == ""


def test_codes_of_a_prefix_begin_the_codes_of_the_whole(text_tokenizer: TextTokenizer) -> None:
    prefix = text_tokenizer.encode(Text("In the beginning"))
    whole = text_tokenizer.encode(Text("In the beginning was the Word"))
    assert torch.equal(whole.codes[: len(prefix.codes)], prefix.codes)


def test_refusals_are_one_sentence(text_tokenizer: TextTokenizer) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        text_tokenizer.encode(Text(""))
    with pytest.raises(ValueError, match=r"position 2 holds the lone surrogate U\+D83D"):
        text_tokenizer.encode(Text("ab\ud83d"))


def test_fitting_repeats_and_says_nothing(verses: list[Text], capfd: pytest.CaptureFixture[str]) -> None:
    first = TextTokenizer.fit(verses[:800], vocab_size=600)
    second = TextTokenizer.fit([verse.text for verse in verses[:800]], vocab_size=600, seed=7)
    assert first.model == second.model
    assert first.spec == second.spec
    assert first.spec.codebook_sizes == (600,)
    assert first.spec.fingerprint != TextTokenizer.fit(verses[:800], vocab_size=601).spec.fingerprint
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("items", "settings_", "message"),
    [
        (["hello"], {}, "must fill 1024 codes, but give 2.. at most; give more text"),
        ([], {}, "must hold something to learn from"),
        (["", "\n"], {}, "must hold something to learn from"),
        (["hello"], {"vocab_size": 100}, "room beyond 256 byte codes"),
        (["hello"], {"model": "word"}, "model must be 'unigram' or 'bpe'"),
        (["hello"], {"character_coverage": 0.0}, "character_coverage must lie in"),
        (["fine", "a\udc00"], {}, "text 1 holds a lone surrogate"),
    ],
)
def test_what_fitting_lacks_is_one_sentence(items: list[str], settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        TextTokenizer.fit(items, **settings_)
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="got int at 0"):
        TextTokenizer.fit([3])  # type: ignore[list-item]


@pytest.mark.parametrize("model", ["unigram", "bpe"])
@pytest.mark.parametrize("vocab_size", [300, 512, 1300, 1500])
def test_rare_characters_are_coded_by_their_bytes(model: Any, vocab_size: int) -> None:
    """1137 characters, as in a script of many; the frequent ones have codes, all come back."""
    generator = torch.Generator().manual_seed(0)
    often = torch.randint(0, 20, (200, 30), generator=generator).tolist()
    lines = ["".join(chr(0x4E00 + at) for at in row) for row in often]
    lines += ["".join(chr(0x4E00 + at) for at in range(first, min(first + 40, 1137))) for first in range(0, 1137, 40)]
    tokenizer = TextTokenizer.fit(lines, vocab_size=vocab_size, model=model, shrink=True)
    assert tokenizer.config.vocab_size <= vocab_size
    for text in (*lines[::9], chr(0x4E00 + 1100), "other: é 😀"):
        assert tokenizer.decode(tokenizer.encode(Text(text))).text == text
    assert len(tokenizer.encode(Text(chr(0x4E00 + 3))).codes) == 1
    rare = chr(0x4E00 + 1100)
    assert len(tokenizer.encode(Text(rare)).codes) == (3 if vocab_size < 1137 + 257 else 1)


def test_figures(text_tokenizer: TextTokenizer, verses: list[Text]) -> None:
    figures = text_tokenizer.evaluate(verses[::7])
    assert figures["round_trip_share"] == 1
    assert figures["characters_per_code"] > 2.8
    assert 0.5 < figures["codes_used_share"] <= 1
    with pytest.raises(ValueError, match="at least one text"):
        text_tokenizer.evaluate([])


def test_code_texts_spell_what_codes_decode_to(text_tokenizer: TextTokenizer) -> None:
    texts = text_tokenizer.code_texts
    assert len(texts) == 1024
    assert texts[-1] == ""
    stream = text_tokenizer.encode(Text("In the beginning"))
    assert "".join(texts[code] for code in stream.codes[:, 0].tolist()) == "In the beginning"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("\ufeffone\r\ntwo\rthree\n\0", "", "\u2581😀"):
        Text(text).save(path)
        assert Text.load(path) == Text(text)
        assert str(Text.load(path)) == text
    path.write_bytes(b"abc\xff")
    with pytest.raises(
        ValueError, match="byte 4 of its line 1 is 0xff; if 'abc\xff' is right it is Windows-1252 or Latin-1"
    ):
        Text.load(path)
    with pytest.raises(ValueError, match="cannot be read"):
        Text.load(tmp_path)


def test_a_folder_with_unknown_settings_is_refused(tmp_path: Path, text_tokenizer: TextTokenizer) -> None:
    text_tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"config": values["config"] | {"lower": True}}))
    with pytest.raises(ValueError, match="a configuration this tokenmask does not know"):
        TextTokenizer.load(tmp_path)
    with pytest.raises(ValueError, match="must have 512 pieces, got 1024"):
        TextTokenizer(TextTokenizerConfig(vocab_size=512), text_tokenizer.model)
    with pytest.raises(ValueError, match="do not parse"):
        TextTokenizer(TextTokenizerConfig(), b"no model")


def test_fewer_codes_where_texts_are_few():
    texts = [Text(f"picture of a {word}") for word in ("sun", "moon", "red heart", "blue heart")]
    with pytest.raises(ValueError, match="give more text, or set vocab_size to at most 277, or shrink to true"):
        TextTokenizer.fit(texts, vocab_size=512)
    small = TextTokenizer.fit(texts, vocab_size=512, shrink=True)
    assert 256 < small.config.vocab_size < 512
    assert all(small.decode(small.encode(text)).text == text.text for text in texts)
    assert TextTokenizer.fit(texts, vocab_size=300, shrink=True).config.vocab_size <= 300


@pytest.mark.parametrize(
    ("mark", "coding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_text_in_any_coding_of_unicode(mark: bytes, coding: str, tmp_path: Path) -> None:
    words = "a red caf\u00e9 \U0001f600\r\n"
    (tmp_path / "a.txt").write_bytes(mark + words.encode(coding))
    assert Text.load(tmp_path / "a.txt").text == words
    if len(mark) == 2:
        (tmp_path / "a.txt").write_bytes(mark + b"a")
        with pytest.raises(
            ValueError, match=r"a\.txt must be UTF-16.*, as its byte order mark says, but is not .*; save it"
        ):
            Text.load(tmp_path / "a.txt")


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_no_text_with_zeros_in_it(coding: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("plain words".encode(coding))
    with pytest.raises(
        ValueError, match=r"a\.txt must be text in UTF-8, but is not \(every second byte is 0, as in UTF"
    ):
        Text.load(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    assert Text.load(tmp_path / "a.txt").text == "a\0b"
