"""Long media in constant memory: python benchmarks/long_media.py [--kind audio motion eeg] [--minutes 10 30].

For each kind and length a file is encoded, decoded and edited (one second in its middle) by the command line with what
ships: peak resident memory and CPU time of the process, progress on stderr. A sound is one channel at 24 kHz (WAV; with
--suffix .flac, .ogg or .mp3 those), a motion 30 frames a second of the body that ships (BVH), EEG eight channels at
256 Hz (EDF; --channels). Prints a table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch

from tokenmask.demo.items import motions
from tokenmask.modalities.eeg.edf_write import write_edf
from tokenmask.modalities.motion.bvh import write_bvh

RATE, FRAMES_HZ, EEG_HZ = 24_000, 30.0, 256.0
CHANNELS = ("Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2")
SUFFIXES = {"audio": ".wav", "motion": ".bvh", "eeg": ".edf"}
MINUTES = {"audio": [10.0, 30.0], "motion": [10.0, 60.0], "eeg": [60.0, 480.0]}
TOKENIZERS = Path(__file__).parents[1] / "tokenmask" / "weights" / "tokenizers"


def make_audio(path: Path, minutes: float) -> None:
    """Noise that is low and comes and goes four times a second, like syllables."""
    draw, weights = np.random.default_rng(0), np.exp(-np.arange(24) / 6)
    subtype = {".wav": "PCM_16", ".flac": "PCM_16"}.get(path.suffix)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype=subtype) as file:
        for second in range(round(60 * minutes)):
            at = second + np.arange(RATE) / RATE
            noise = np.convolve(draw.standard_normal(RATE), weights, "same")
            file.write(0.03 * noise * (0.55 + 0.45 * np.sin(8 * np.pi * at)))


def make_motion(path: Path, minutes: float) -> None:
    """The motions that ship, one after the other and again."""
    clips = [one.train.resample(FRAMES_HZ) for one in motions()]
    frames, each = round(60 * minutes * FRAMES_HZ), sum(map(len, clips))

    def pieces():
        for begin in range(0, frames, each):
            done = begin
            for clip in clips:
                if done < frames:
                    yield clip.cut(0, min(len(clip), frames - done))
                done += len(clip)

    write_bvh(path, pieces(), clips[0].skeleton, frames, FRAMES_HZ)


def make_eeg(path: Path, minutes: float, channels: int = len(CHANNELS)) -> None:
    """Alpha waves that come and go, in noise."""
    draw, size = torch.Generator().manual_seed(0), round(60 * minutes * EEG_HZ)
    at = torch.arange(size, dtype=torch.float64) / EEG_HZ

    def rows():
        for number in range(channels):
            wave = 20 * (20 * torch.pi * at + number).sin() * (0.6 + 0.4 * (torch.pi * at / 5).sin())
            yield wave.float() + 8 * torch.randn(size, generator=draw)

    write_edf(path, rows(), EEG_HZ, CHANNELS[:channels], None)


RUN = """
import sys
from tokenmask.cli import main
code = main(sys.argv[2:])
with open("/proc/self/status") as status, open(sys.argv[1], "w") as file:
    file.write(next(line for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""


def measured(note: Path, *words: str | Path) -> tuple[float, float]:
    """Peak resident MB and seconds of CPU time of a command, which leaves its peak in a note.

    What the system says of a process that has ended counts the memory of the one that started it, too.
    """
    process = subprocess.Popen([sys.executable, "-c", RUN, note, *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"tokenmask {words[0]} failed")
    return int(note.read_text().split()[1]) / 1024, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=list(SUFFIXES), nargs="+", default=list(SUFFIXES), help="default all")
    parser.add_argument("--minutes", type=float, nargs="+", help="lengths; default an hour of motion, a night of EEG")
    parser.add_argument("--suffix", default=".wav", help="of the sound")
    parser.add_argument("--channels", type=int, default=len(CHANNELS), help="of the EEG, up to 8")
    asked = parser.parse_args()
    print("| kind | minutes | job | peak MB | CPU s |\n|---|---|---|---|---|")
    for kind in asked.kind:
        for minutes in asked.minutes or MINUTES[kind]:
            with tempfile.TemporaryDirectory() as name:
                folder, middle = Path(name), 30 * minutes
                suffix = asked.suffix if kind == "audio" else SUFFIXES[kind]
                media = folder / f"long{suffix}"
                made = {"audio": make_audio, "motion": make_motion, "eeg": partial(make_eeg, channels=asked.channels)}
                made[kind](media, minutes)
                written = suffix if suffix != ".mp3" else ".wav"  # which is read, and written by no one here
                edit = ["--stream", kind, "--regenerate", f"{middle}:{middle + 1}", "--steps", "4"]
                for words in (
                    ["encode", media, "--tokenizer", TOKENIZERS / kind, "--out", folder / "tokens"],
                    ["decode", folder / "tokens", "--tokenizer", TOKENIZERS / kind, "--out", folder / "made"],
                    ["edit", media, *edit, "--out", folder / f"edited{written}"],
                ):
                    memory, seconds = measured(folder / "peak", *words)
                    print(f"| {kind} | {minutes:g} | {words[0]} | {memory:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
