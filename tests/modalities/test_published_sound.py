"""Codecs of others: codes and sound are those of the library itself, on small networks with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tokenmask as tm
from tokenmask.modalities.audio.media import AudioClip
from tokenmask.modalities.published import PublishedCodec
from tokenmask.testing import tokenizer_checks
from tokenmask.tokenizer import load_tokenizer, load_tokenizer_class, tokenizer_at, tokenizer_name

from .conftest import DATA
from .contract import each_check, run_check
from .small_published import SMALL, needs_transformers, saved, untouched

pytestmark = [needs_transformers, pytest.mark.filterwarnings("ignore:.*for this .*Tokenizer")]
CODECS = pytest.mark.parametrize("codec", list(SMALL))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: saved(name, tmp_path_factory.mktemp(name)) for name in SMALL}


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path]) -> dict[str, PublishedCodec]:
    return {name: untouched(lambda name=name: tm.tokenizer(name, folders[name])) for name in SMALL}


@pytest.fixture(scope="module")
def clips() -> list[AudioClip]:
    folder = DATA / "audio" / "speech"
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    chosen = [entry for entry in entries if entry["group"] == "digits" and entry["seconds"] < 0.7][:2]
    return [AudioClip.load(folder / entry["file"]) for entry in chosen]


def codes_of_library(name: str, folder: Path, samples: torch.Tensor, levels: int) -> torch.Tensor:
    """int64 [levels, frames] by the library's own class and calls."""
    import transformers

    kind = getattr(transformers, f"{SMALL[name][0]}Model")
    network = untouched(lambda: kind.from_pretrained(folder)).eval()
    with torch.no_grad():
        if name == "encodec":
            return network.encode(samples, bandwidth={2: 3.0, 4: 6.0}[levels]).audio_codes[0, 0]
        if name == "xcodec":
            return network.encode(samples, bandwidth={2: 3.0, 4: 6.0}[levels]).audio_codes[0]
        return network.encode(samples, **{{"dac": "n_quantizers", "mimi": "num_quantizers"}[name]: levels}).audio_codes[
            0
        ]


@each_check
@CODECS
def test_contract(codec: str, name: str, opened: dict[str, PublishedCodec], clips: list[AudioClip]) -> None:
    items = [*clips, AudioClip(torch.full((1, 1), 0.5), 8000), AudioClip(torch.zeros(2, 900), 22050)]
    run_check(name, list(tokenizer_checks(opened[codec], items, suffix=".wav")))


@CODECS
@pytest.mark.parametrize("levels", [2, 4])
def test_codes_and_sound_are_those_of_the_library(
    codec: str, levels: int, folders: dict[str, Path], clips: list[AudioClip]
) -> None:
    import transformers

    tokenizer = untouched(lambda: tm.tokenizer(codec, folders[codec], levels=levels))
    clip = AudioClip(clips[0].resample(8000).samples[:, : 32 * 100], 8000)
    stream = tokenizer.encode(clip)
    wanted = codes_of_library(codec, folders[codec], clip.samples[None], levels)
    assert torch.equal(stream.codes.T.long(), wanted)
    assert len(set(stream.codes[:, 0].tolist())) > 3  # of many kinds
    network = untouched(lambda: getattr(transformers, f"{SMALL[codec][0]}Model").from_pretrained(folders[codec])).eval()
    with torch.no_grad():
        if codec == "encodec":
            sound = network.decode(wanted[None, None], [None]).audio_values
        elif codec == "dac":
            sound = network.decode(audio_codes=wanted[None]).audio_values
        else:
            sound = network.decode(wanted[None]).audio_values
    assert torch.equal(tokenizer.decode(stream).samples, sound.reshape(1, -1))
    assert sound.abs().max() > 0


def test_what_the_codes_mean(opened: dict[str, PublishedCodec], folders: dict[str, Path]) -> None:
    specs = {name: one.spec for name, one in opened.items()}
    assert {name: spec.codebook_sizes for name, spec in specs.items()} == dict.fromkeys(SMALL, (64,) * 4)
    assert {name: spec.rate_hz for name, spec in specs.items()} == {
        "encodec": 250.0,
        "dac": 250.0,
        "mimi": 125.0,
        "xcodec": 250.0,
    }
    assert specs["mimi"].level_groups == ((0,), (1, 2, 3))
    assert specs["dac"].level_groups == ((0, 1, 2, 3),)
    fewer = untouched(lambda: tm.tokenizer("dac", folders["dac"], levels=3)).spec
    assert fewer.codebook_sizes == (64,) * 3
    assert fewer.fingerprint != specs["dac"].fingerprint
    all_of_them = untouched(lambda: tm.tokenizer("dac", folders["dac"], levels=4)).spec
    assert all_of_them.fingerprint == specs["dac"].fingerprint


def test_other_rates_are_resampled_and_this_is_said(opened: dict[str, PublishedCodec], clips: list[AudioClip]) -> None:
    clip = AudioClip(clips[0].samples, 16000, source="four.wav")
    with pytest.warns(UserWarning, match=r"four\.wav is resampled from 16000 to 8000 Hz for this DacTokenizer"):
        stream = opened["dac"].encode(clip)
    assert stream == opened["dac"].encode(clip.resample(8000))


def test_kept_samples_are_those_of_the_given_clip(opened: dict[str, PublishedCodec], clips: list[AudioClip]) -> None:
    tokenizer = opened["encodec"]
    stream, given = tokenizer.encode(clips[0]), AudioClip(torch.ones_like(clips[0].resample(8000).samples[:1]), 8000)
    keep = torch.zeros(len(stream.codes), dtype=torch.bool)
    keep[:10] = True
    mixed, plain = tokenizer.decode(stream, given=given, keep=keep), tokenizer.decode(stream)
    assert torch.equal(mixed.samples[0, :320], torch.ones(320))
    assert torch.equal(mixed.samples[0, 320 + 80 :], plain.samples[0, 400 : mixed.samples.shape[1]])
    with pytest.raises(ValueError, match=r"given must be no longer than the stream, got 1 s for 0\.6\d* s; cut it"):
        tokenizer.decode(stream, given=AudioClip(torch.ones(1, 8000), 8000), keep=keep)
    with pytest.raises(ValueError, match="decodes streams of one frame or more, got none"):
        tokenizer.decode(type(stream)(stream.spec, stream.codes[:0]))


# Opening, keeping, recipes --------------------------------------------------------------------------------------------


def test_what_is_kept_and_what_is_checked(folders: dict[str, Path], tmp_path: Path, clips: list[AudioClip]) -> None:
    source = saved("encodec", tmp_path / "source")
    whole, light = (
        untouched(lambda keep=keep: tm.tokenizer("encodec", source, keep=keep)) for keep in ("weights", "reference")
    )
    assert whole.spec == light.spec == untouched(lambda: tm.tokenizer("encodec", folders["encodec"])).spec
    whole.save(tmp_path / "whole")
    light.save(tmp_path / "light")
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"tokenizer.json", "tensors.safetensors"}
    assert {path.name for path in (tmp_path / "light").iterdir()} == {"tokenizer.json"}
    assert untouched(lambda: load_tokenizer(tmp_path / "light")).encode(clips[0]) == whole.encode(clips[0])
    saved("encodec", source, num_filters=8)
    with pytest.raises(ValueError, match=rf"light refers to {source} as it was with fingerprint .* gives"):
        untouched(lambda: load_tokenizer(tmp_path / "light"))
    source.rename(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"EncodecTokenizer is opened from a folder, but .*source is none; check"):
        load_tokenizer(tmp_path / "light")
    assert untouched(lambda: load_tokenizer(tmp_path / "whole")).encode(clips[0]) == whole.encode(clips[0])
    with pytest.raises(ValueError, match="keep must be one of weights, reference, got 'all'"):
        tm.tokenizer("encodec", folders["encodec"], keep="all")


def test_options_and_words(folders: dict[str, Path]) -> None:
    spoken = untouched(lambda: tokenizer_at(f"dac:{folders['dac']},levels=2,keep=reference"))
    assert (spoken.config.levels, spoken.config.keep, tokenizer_name(spoken)) == (2, "reference", "dac")
    fitted: Any = load_tokenizer_class("dac")
    made = untouched(lambda: fitted.fit([], source=str(folders["dac"]), levels=2))
    assert made.spec == spoken.spec
    with pytest.raises(ValueError, match=r"levels of .* must lie in 1\.\.4, got 5"):
        untouched(lambda: tm.tokenizer("dac", folders["dac"], levels=5))
    with pytest.raises(ValueError, match=r"DacTokenizer has the options levels, .*, got depth; leave it out"):
        untouched(lambda: tm.tokenizer("dac", folders["dac"], depth=5))
    for options, reason in (({"levels": "2"}, r"levels of a DacTokenizer .* got '2'"), ({"keep": "x"}, "keep must be")):
        with pytest.raises(ValueError, match=reason):  # before a folder is looked for
            tm.tokenizer("dac", "no folder at all", **options)
    with pytest.raises(ValueError, match=r"size of a CosmosTokenizer must be a whole number of pixels, .* got '8'"):
        tm.tokenizer("cosmos", "no folder at all", size="8")


def test_a_recipe_opens_it_and_a_run_is_trained(
    folders: dict[str, Path], tmp_path: Path, clips: list[AudioClip]
) -> None:
    from tokenmask.cli import main

    for number in range(6):
        clips[number % 2].between(0.05 * number, 0.05 * number + 0.3).save(tmp_path / "sounds" / f"{number}.wav")
    fit = f"streams.audio.fit={{source: {folders['dac']}, levels: 2}}"
    words = ["--set", "streams.audio.tokenizer=dac", "--set", fit, "--set", "training.steps=2"]
    out = tmp_path / "run"
    assert main(["train", "own", "--data", str(tmp_path / "sounds"), "--out", str(out), "--tiny", *words]) == 0
    run = tm.load(out)
    assert run.recipe.streams["audio"].tokenizer == "dac"
    assert run.layout.streams["audio"] == untouched(lambda: tm.tokenizer("dac", folders["dac"], levels=2)).spec
    assert run.generate("audio", length=4, steps=1, seed=0)[0].sample_rate_hz == 8000
