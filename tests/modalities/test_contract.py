"""Every tokenizer that ships passes the public contract checks; so does what those checks say about a broken one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.text import Text, TextTokenizer
from tokenmask.streams import TokenStream
from tokenmask.testing import Check, check_tokenizer, global_random_state_untouched, tokenizer_checks
from tokenmask.tokenizer import TOKENIZERS, load_tokenizer, load_tokenizer_class

from .contract import NAMES, each_check, run_check


def text_checks(request: pytest.FixtureRequest) -> list[Check]:
    tokenizer, verses = request.getfixturevalue("text_tokenizer"), request.getfixturevalue("verses")
    items = [*verses[:6], Text("a"), Text("\0"), Text(" \n\u2581 "), Text("".join(verse.text for verse in verses[:40]))]
    return list(tokenizer_checks(tokenizer, items, refused=[Text(""), Text("a\ud800")], suffix=".txt"))


def image_checks(request: pytest.FixtureRequest) -> list[Check]:
    tokenizer, held_out = request.getfixturevalue("image_tokenizer"), request.getfixturevalue("held_out_emoji")
    other = [
        held_out[7].resize(48, 20),
        Image(torch.zeros(1, 1, 3, dtype=torch.uint8)),
        request.getfixturevalue("noise"),
    ]
    return list(tokenizer_checks(tokenizer, [*held_out[:10], *other], suffix=".png"))


CHECKS: dict[str, Callable[[pytest.FixtureRequest], list[Check]]] = {"text": text_checks, "image": image_checks}
SOUND, PICTURES = (
    ("encodec", "dac", "mimi", "xcodec", "snac", "wavtokenizer"),
    ("vqmodel", "janus", "emu3", "cosmos", "chameleon"),
)
PUBLISHED = (*SOUND, *PICTURES, "fast", "t2m", "labram", "neurorvq")
ELSEWHERE = {
    "audio",
    "motion",
    "eeg",
    "video",
    "symbols",
    "codec2",
    "lpcnet",
    *PUBLISHED,
    "tiktoken",
}  # in test_shipped.py and their own files
HOMES = {"codec2": "audio.system_codecs", "lpcnet": "audio.system_codecs"}
HOMES |= {name: f"published.{name}" for name in PUBLISHED} | {"tiktoken": "published.openai"}


def test_every_tokenizer_that_ships_is_checked() -> None:
    assert CHECKS.keys() | ELSEWHERE == TOKENIZERS.keys()
    for name in TOKENIZERS:
        assert load_tokenizer_class(name).__module__ == f"tokenmask.modalities.{HOMES.get(name, f'{name}.tokenizer')}"


@each_check
@pytest.mark.parametrize("modality", list(CHECKS))
def test_contract(modality: str, name: str, request: pytest.FixtureRequest) -> None:
    run_check(name, CHECKS[modality](request))


@pytest.mark.parametrize("modality", list(CHECKS))
def test_a_folder_is_loaded_without_saying_what_it_is(
    modality: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(f"{modality}_tokenizer")
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(tokenizer)
    assert loaded.spec == tokenizer.spec


class Broken(TextTokenizer):
    """Forgets that codes must repeat and that other media must be refused."""

    calls = 0

    def encode(self, media: Any) -> TokenStream:
        torch.rand(1)
        stream = super().encode(media if isinstance(media, Text) else Text(str(media)))
        Broken.calls += 1
        return replace(stream, codes=stream.codes.roll(Broken.calls, 0))


def test_a_broken_tokenizer_is_told_what_is_wrong(text_tokenizer: TextTokenizer, verses: list[Text]) -> None:
    broken = Broken(text_tokenizer.config, text_tokenizer.model)
    told = pytest.raises(AssertionError, match="Broken breaks the contract of tokenizers")
    with torch.random.fork_rng(devices=[]), told as caught:
        check_tokenizer(broken, verses[:4], refused=[Text("a")])
    named = re.findall(r"^(\w+):", str(caught.value), re.MULTILINE)
    assert {
        "codes_repeat",
        "many_equal_one_by_one",
        "other_media_are_refused",
        "global_random_state_is_untouched",
    } <= set(named)
    assert not {"codes_are_of_the_spec", "damage_is_noticed", "decodes_any_codes"} & set(named)
    assert check_tokenizer(text_tokenizer, verses[:4]) == NAMES
    with pytest.raises(ValueError, match="3 items"):
        check_tokenizer(text_tokenizer, verses[:2])


def test_fitting_leaves_the_global_random_state_alone(emoji: list[Image], verses: list[Text]) -> None:
    with global_random_state_untouched():
        ImageTokenizer.fit(emoji[:8], config=ImageTokenizerConfig(codes=8, blocks=0), steps=2, progress=False)
        TextTokenizer.fit(verses[:500], vocab_size=400, progress=False)
    told = pytest.raises(AssertionError, match="global random state")
    with torch.random.fork_rng(devices=[]), told, global_random_state_untouched():
        torch.rand(1)
