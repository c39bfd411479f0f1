"""Fits the decoder of speech that ships to the codes that ship: python benchmarks/decoders.py --out FOLDER [--install].

The tokenizer that ships keeps its codes and its fingerprint; a head that takes phases from the pitch learns to decode
them. It learns from the training recordings, but for every eighth prompt: on those, settings were chosen, and the first
head and the new one are compared (DNSMOS where it is installed, tokenmask/analysis/recogniser.py). With --install it
goes into tokenmask/weights, with the figures of held-out recordings. Killed at any moment, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from tokenmask import data
from tokenmask.analysis.recogniser import speech_quality
from tokenmask.corpus import TRAIN
from tokenmask.demo import evaluate_tokenizer
from tokenmask.files import write_text_atomic
from tokenmask.modalities.audio import AudioClip, AudioTokenizer
from tokenmask.modalities.audio.figures import distances
from tokenmask.modalities.audio.pitched_fit import PitchedFit
from tokenmask.modalities.learned import stored
from tokenmask.modalities.windows import cut
from tokenmask.run import SHIPPED

SETTINGS = PitchedFit(steps=7000, pitch_share=0.4243)  # 2,970 steps of the pitch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/decoders"), help="checkpoints are kept here")
    parser.add_argument("--install", action="store_true", help="put the decoder into tokenmask/weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = SHIPPED / "tokenizers" / "audio"
    shipped = AudioTokenizer.load(folder)
    first = AudioTokenizer(shipped.config, stored(shipped._network))
    known, kept = recordings()
    made = first.fit_decoder(known, SETTINGS, folder=arguments.out / "audio", checkpoint_every=500)
    for name, tokenizer in (("first head", first), ("new head", made)):
        print(f"{name}: {compared(tokenizer, kept)}")
    if arguments.install:
        assert made.spec == shipped.spec  # or the shared model would be one of other codes
        made.save(folder)
        path = SHIPPED / "figures.json"
        figures = json.loads(path.read_text(encoding="utf-8")) | {"audio": evaluate_tokenizer("audio", made)}
        write_text_atomic(path, json.dumps(figures, indent=2) + "\n")


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


if __name__ == "__main__":
    main()
