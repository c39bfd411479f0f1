"""Speech codecs side by side: python benchmarks/codecs.py [--only TEXT]; writes results/codecs.json and prints a table.

On held-out recordings: bit rate, log-mel L1 (all bands, bands below 4 kHz, and of an unseen speaker), how many of 52
letters and phonetic words a recogniser hears, and DNSMOS. Codecs of the system take part where libcodec2 is installed,
judges where they are installed (``tokenmask.analysis.recogniser``); what is missing is left empty.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from speech import spoken
from torch import Tensor

import tokenmask as tm
from tokenmask import data
from tokenmask.analysis.recogniser import speech_quality, words_right
from tokenmask.files import write_text_atomic
from tokenmask.modalities.audio import AudioClip, AudioTokenizer
from tokenmask.modalities.audio.codec_frames import CODEC2_MODES, LPCNET_MODES
from tokenmask.modalities.audio.figures import distances
from tokenmask.modalities.audio.mel import griffin_lim, log_mel, magnitudes_of, margin, spectrum
from tokenmask.modalities.audio.system_codecs import Codec2Tokenizer, LpcnetTokenizer, SystemCodec
from tokenmask.modalities.codebook_report import pca_coded
from tokenmask.modalities.windows import cut

RESULTS = Path(__file__).parent / "results" / "codecs.json"
RATE_HZ, N_FFT, HOP, BANDS, ROUNDS = 16000, 1280, 320, 80, 32
Copies = Callable[[Sequence[Tensor]], list[Tensor]]
"""Waveforms float32 [time] at 16 kHz -> what a codec makes of them, of the same lengths."""


@dataclass(frozen=True)
class Row:
    """What a codec does. ``mel_l1``: mean over clips; ``words``: heard of 52; None where a judge is missing."""

    codec: str
    bits_per_second: float | None
    mel_l1: float
    mel_l1_below_4000_hz: float
    mel_l1_unseen_speaker: float
    words: int | None
    dnsmos: float | None


@dataclass(frozen=True)
class Items:
    """Held-out recordings, float32 [time] each: prompts of the speaker that codecs learned from, sentences of another
    one, and isolated words by group."""

    prompts: list[Tensor]
    others: list[Tensor]
    words: dict[str, dict[str, Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--only", default="", help="only codecs whose name holds this; other rows stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    items, rows = held_out(), []
    print(HEAD, flush=True)
    for name, bits, copies in codecs():
        if arguments.only in name:
            rows.append(judged(name, bits, copies, items))
            print(line(rows[-1]), flush=True)
    measured, before = {row.codec: asdict(row) for row in rows}, []
    if arguments.only and RESULTS.is_file():
        before = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    listed = [measured.pop(row["codec"], row) for row in before] + list(measured.values())
    about = {"date": datetime.date.today().isoformat(), "prompts": len(items.prompts), "others": len(items.others)}
    RESULTS.parent.mkdir(exist_ok=True)
    write_text_atomic(RESULTS, json.dumps({**about, "rows": listed}, indent=1) + "\n")


def held_out() -> Items:
    prompts = [one for one in data.speech() if one.split == "held-out" and one.group == "prompts"]
    others = [one for one in data.speech() if one.group == "librivox"]
    words = {
        group: {word: clip.samples[0] for word, clip in spoken(group).items()} for group in ("letters", "phonetic")
    }
    return Items([waveform_of(one) for one in prompts], [waveform_of(one) for one in others], words)


def waveform_of(utterance: data.Utterance) -> Tensor:
    return AudioClip.load(utterance.path).mono().resample(RATE_HZ).samples[0]


def codecs() -> list[tuple[str, float | None, Copies]]:
    """(name, bits a second, what it does), in the order of the table."""
    found: list[tuple[str, float | None, Copies]] = [
        ("as recorded", None, list),
        ("as recorded, below 4 kHz only", None, lambda clips: [resampled_twice(clip) for clip in clips]),
    ]
    tokenizer = tm.load_tokenizer("audio")
    assert isinstance(tokenizer, AudioTokenizer)
    each = tokenizer.config.rate_hz * math.log2(tokenizer.config.codes)
    for levels in range(1, tokenizer.config.levels + 1):
        name = f"tokenmask audio, {levels} of {tokenizer.config.levels} levels"
        found.append((name, levels * each, lambda clips, levels=levels: tokenized(tokenizer, clips, levels)))
    for kind, modes in ((Codec2Tokenizer, CODEC2_MODES), (LpcnetTokenizer, LPCNET_MODES)):
        for mode in modes:
            try:
                codec = kind(mode)
            except ImportError as error:
                print(f"left out: {error}")
                break
            bits = sum(map(math.log2, codec.spec.codebook_sizes)) * (codec.spec.rate_hz or 0.0)
            name = f"{codec.name} {mode}"
            found.append((name, bits, lambda clips, codec=codec: system_coded(codec, clips)))
    train = [waveform_of(one) for one in data.speech() if one.split == "train"]
    known = torch.cat([mel_frames(clip) for clip in train])
    for bits in (8, 32, 56):
        name = f"PCA of log-mel frames, {bits} bits each, Griffin-Lim"
        found.append((name, bits * RATE_HZ / HOP, lambda clips, bits=bits: pca_copies(known, clips, bits)))
    found.append(("log-mel frames as they are, Griffin-Lim", None, lambda clips: pca_copies(None, clips, 0)))
    return found


def resampled_twice(clip: Tensor) -> Tensor:
    return fitted(AudioClip(clip[None], RATE_HZ).resample(8000).resample(RATE_HZ).samples[0], clip)


def fitted(made: Tensor, clip: Tensor) -> Tensor:
    return cut(made, 0, len(clip))


def tokenized(tokenizer: AudioTokenizer, clips: Sequence[Tensor], levels: int) -> list[Tensor]:
    streams = tokenizer.encode_many([AudioClip(clip[None], RATE_HZ) for clip in clips])
    return [fitted(tokenizer.sound_of(stream.codes, levels), clip) for stream, clip in zip(streams, clips, strict=True)]


def system_coded(codec: SystemCodec, clips: Sequence[Tensor]) -> list[Tensor]:
    made = (codec.decode(codec.encode(AudioClip(clip[None], RATE_HZ))).resample(RATE_HZ) for clip in clips)
    return [fitted(one.samples[0], clip) for one, clip in zip(made, clips, strict=True)]


def mel_frames(clip: Tensor) -> Tensor:
    """float32 [time] -> log-mel [ceil(time / hop), bands]."""
    count, edge = math.ceil(len(clip) / HOP), margin(N_FFT, HOP)
    return log_mel(spectrum(cut(clip, -edge, (count - 1) * HOP + N_FFT), N_FFT, HOP), BANDS, RATE_HZ)


def pca_copies(known: Tensor | None, clips: Sequence[Tensor], bits: float) -> list[Tensor]:
    frames = [mel_frames(clip) for clip in clips]
    coded = torch.cat(frames) if known is None else pca_coded(known, torch.cat(frames), bits).float()
    made = []
    for clip, own in zip(clips, torch.split(coded, [len(one) for one in frames]), strict=True):
        wanted = magnitudes_of(own, N_FFT, RATE_HZ)
        angles = 2 * math.pi * torch.rand(wanted.shape, generator=torch.Generator().manual_seed(0))
        heard = griffin_lim(wanted, torch.polar(torch.ones_like(angles), angles), HOP, ROUNDS)
        made.append(fitted(heard[margin(N_FFT, HOP) :], clip))
    return made


def judged(name: str, bits: float | None, copies: Copies, items: Items) -> Row:
    made = copies(items.prompts)
    pairs = list(zip(items.prompts, made, strict=True))
    others = list(zip(items.others, copies(items.others), strict=True))
    whole, low, unseen = (
        sum(distances(clip, copy, RATE_HZ, below)[0] for clip, copy in part) / len(part)
        for part, below in ((pairs, math.inf), (pairs, 4000.0), (others, math.inf))
    )
    words = None
    try:
        words = sum(
            sum(words_right([one.numpy() for one in copies(list(group.values()))], list(group), kind))
            for kind, group in items.words.items()
        )
    except ImportError as error:
        print(f"left out: {error}")
    quality = None
    try:
        quality = speech_quality([one.numpy() for one in made])
    except ImportError as error:
        print(f"left out: {error}")
    return Row(name, bits, whole, low, unseen, words, quality)


HEAD = """| codec | bit/s | mel L1 | mel L1 below 4 kHz | mel L1, unseen speaker | words of 52 | DNSMOS |
|---|---|---|---|---|---|---|"""


def line(row: Row) -> str:
    bits = "-" if row.bits_per_second is None else f"{row.bits_per_second:,.0f}"
    words, quality = "" if row.words is None else str(row.words), "" if row.dnsmos is None else f"{row.dnsmos:.2f}"
    errors = f"{row.mel_l1:.3f} | {row.mel_l1_below_4000_hz:.3f} | {row.mel_l1_unseen_speaker:.3f}"
    return f"| {row.codec} | {bits} | {errors} | {words} | {quality} |"


if __name__ == "__main__":
    main()
