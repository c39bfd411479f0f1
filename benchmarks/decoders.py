"""Fits decoders that ship to the codes that ship: python benchmarks/decoders.py --only STREAM --out FOLDER [--install].

The tokenizer that ships keeps its codes and its fingerprint; a later decoder learns from training media alone:
  audio  a head that takes phases from the pitch. Every eighth training prompt is left out: on those, settings were
         chosen, and the first head and the new one are compared (DNSMOS where it is installed,
         tokenmask/analysis/recogniser.py).
  image  a decoder that gives 64 x 64 pixels to codes of 32 x 32. It needs python -m tokenmask.data.fetch emoji-64.
         With --validate every eighth training picture is left out and judged, to choose settings by.
With --install it goes into tokenmask/weights, with the figures of held-out media. Killed at any moment, it goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from tokenmask import data
from tokenmask.analysis.recogniser import speech_quality
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.demo import evaluate_tokenizer
from tokenmask.files import write_text_atomic
from tokenmask.modalities.audio import AudioClip, AudioTokenizer
from tokenmask.modalities.audio.figures import distances
from tokenmask.modalities.audio.pitched_fit import PitchedFit
from tokenmask.modalities.image import Image, ImageTokenizer
from tokenmask.modalities.image.finer_fit import FinerFit
from tokenmask.modalities.learned import LearnedTokenizer
from tokenmask.modalities.windows import cut
from tokenmask.run import SHIPPED

PITCHED = PitchedFit(steps=7000, pitch_share=0.4243)  # 2,970 steps of the pitch
PICTURES = FinerFit(steps=5500, peak_lr=1.5e-3, structure=0.5, precision="bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--only", choices=("audio", "image"), required=True, help="of which tokenizer")
    parser.add_argument("--out", type=Path, default=Path("runs/decoders"), help="checkpoints are kept here")
    parser.add_argument("--large", type=Path, default=Path("data/emoji-64"), help="the set of large pictures")
    parser.add_argument("--validate", action="store_true", help="learn without some training pictures, judged by them")
    parser.add_argument("--install", action="store_true", help="put the decoder into tokenmask/weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = SHIPPED / "tokenizers" / arguments.only
    if arguments.only == "audio":
        made, figures = speech(AudioTokenizer.load(folder).with_first_decoder(), arguments.out)
    else:
        first = ImageTokenizer.load(folder).with_first_decoder()
        made, figures = pictures(first, arguments.out, arguments.large, arguments.validate)
    if arguments.install and not arguments.validate:
        install(made, folder, figures)


def install(made: LearnedTokenizer, folder: Path, more: dict[str, float]) -> None:
    """Puts the decoder beside the codes that ship, and the figures of held-out media to the others."""
    assert made.spec == type(made).load(folder).spec  # or the shared model would be one of other codes
    made.save(folder)
    path = SHIPPED / "figures.json"
    figures = json.loads(path.read_text(encoding="utf-8"))
    figures[folder.name] = evaluate_tokenizer(folder.name, made) | more
    write_text_atomic(path, json.dumps(figures, indent=2) + "\n")


def speech(first: AudioTokenizer, out: Path) -> tuple[AudioTokenizer, dict[str, float]]:
    """The tokenizer with the new head; the demo's figures are all of it."""
    known, kept = recordings()
    made = first.fit_decoder(known, PITCHED, folder=out / "audio", checkpoint_every=500)
    for name, tokenizer in (("first head", first), ("new head", made)):
        print(f"{name}: {compared(tokenizer, kept)}")
    return made, {}


def recordings() -> tuple[list[AudioClip], list[AudioClip]]:
    """Training recordings to learn from, and every eighth training prompt to choose by."""
    train = [one for one in data.speech() if one.split == TRAIN and one.group != "librivox"]
    kept = {one.path for one in [one for one in train if one.group == "prompts"][7::8]}
    clips = {one.path: AudioClip.load(one.path) for one in train}
    return [clips[path] for path in clips if path not in kept], [clips[path] for path in clips if path in kept]


def compared(tokenizer: AudioTokenizer, clips: list[AudioClip]) -> str:
    """Log-mel distance, spectral convergence and DNSMOS of clips that were coded."""
    made = [cut(tokenizer.decode(tokenizer.encode(clip)).samples[0], 0, clip.samples.shape[1]) for clip in clips]
    pairs = zip(clips, made, strict=True)
    mel, convergence = torch.tensor([distances(clip.samples[0], copy, 16000) for clip, copy in pairs]).mean(0).tolist()
    try:
        quality = f"{speech_quality([copy.numpy() for copy in made]):.2f}"
    except ImportError as error:
        quality = f"left out: {error}"
    return f"log-mel {mel:.3f}, spectral convergence {convergence:.3f}, DNSMOS {quality}"


def pictures(first: ImageTokenizer, out: Path, large: Path, validate: bool) -> tuple[ImageTokenizer, dict[str, float]]:
    """The tokenizer with the finer decoder, and figures at its size, beside the first decoder's pictures enlarged."""
    entries = data.large_emoji(large)
    train, judged = ([one for one in entries if one.split == split] for split in (TRAIN, HELD_OUT))
    if validate:
        train, judged = [one for number, one in enumerate(train) if number % 8 != 3], train[3::8]
    known = _media(train)
    place = out / ("image-validate" if validate else "image")
    made = first.fit_decoder(known, PICTURES, folder=place, checkpoint_every=250)
    figures = made.evaluate(_media(judged), known)
    for name, value in figures.items():
        print(f"{name}: {value:.4f}")
    return made, {name: value for name, value in figures.items() if "fine_" in name or "enlarged_" in name}


def _media(entries: Sequence[data.Emoji]) -> list[Image]:
    return [Image(one.pixels) for one in entries]


if __name__ == "__main__":
    main()
