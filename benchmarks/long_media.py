"""Long sound in constant memory: python benchmarks/long_media.py [--minutes 10 30]. Prints a table.

For each length a WAV file of one channel at 24 kHz is encoded, decoded and edited (one second in its middle) by the
command line with what ships: peak resident memory and CPU time of the process, progress on stderr.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 24_000
TOKENIZER = Path(__file__).parents[1] / "tokenmask" / "weights" / "tokenizers" / "audio"


def make(path: Path, minutes: float) -> None:
    """Noise that is low and comes and goes four times a second, like syllables."""
    draw, weights = np.random.default_rng(0), np.exp(-np.arange(24) / 6)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for second in range(round(60 * minutes)):
            at = second + np.arange(RATE) / RATE
            noise = np.convolve(draw.standard_normal(RATE), weights, "same")
            file.write(0.03 * noise * (0.55 + 0.45 * np.sin(8 * np.pi * at)))


def measured(*words: str | Path) -> tuple[float, float]:
    """Peak resident MB and seconds of CPU time of a command."""
    process = subprocess.Popen([sys.executable, "-m", "tokenmask", *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"tokenmask {words[0]} failed")
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30], help="lengths, default 10 30")
    print("| minutes | job | peak MB | CPU s |\n|---|---|---|---|")
    for minutes in parser.parse_args().minutes:
        with tempfile.TemporaryDirectory() as name:
            folder, middle = Path(name), 30 * minutes
            sound = folder / "sound.wav"
            make(sound, minutes)
            edit = ["--stream", "audio", "--regenerate", f"{middle}:{middle + 1}", "--given", "text=seven"]
            for words in (
                ["encode", sound, "--tokenizer", TOKENIZER, "--out", folder / "tokens"],
                ["decode", folder / "tokens", "--tokenizer", TOKENIZER, "--out", folder / "made"],
                ["edit", sound, *edit, "--out", folder / "edited.wav"],
            ):
                memory, seconds = measured(*words)
                print(f"| {minutes:g} | {words[0]} | {memory:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
