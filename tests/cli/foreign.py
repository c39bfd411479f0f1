"""Small media as other programs write them, for whoever tries their own data."""

import math
import shutil
import wave
from pathlib import Path

import edfio
import matplotlib
import numpy as np
from PIL import Image as pillow

from tests.modalities.mov import write_mov

JOINTS = [  # depth, name, offset in centimetres, as the CMU captures have them in BVH
    (0, "Hips", (0, 0, 0)),
    (1, "LHipJoint", (0, 0, 0)),
    (2, "LeftUpLeg", (10, -9, 0)),
    (3, "LeftLeg", (0, -40, 0)),
    (4, "LeftFoot", (0, -42, 0)),
    (1, "RHipJoint", (0, 0, 0)),
    (2, "RightUpLeg", (-10, -9, 0)),
    (3, "RightLeg", (0, -40, 0)),
    (4, "RightFoot", (0, -42, 0)),
    (1, "LowerBack", (0, 5, 0)),
    (2, "Spine", (0, 12, 0)),
    (3, "Head", (0, 40, 0)),
    (3, "LeftShoulder", (6, 30, 0)),
    (4, "LeftArm", (12, 0, 0)),
    (5, "LeftHand", (28, 0, 0)),
    (3, "RightShoulder", (-6, 30, 0)),
    (4, "RightArm", (-12, 0, 0)),
    (5, "RightHand", (-28, 0, 0)),
]


def audio(folder: Path, count: int = 6) -> None:
    """16-bit and 8-bit WAV files of falling tones, by Python's own module, one of them in stereo."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rate, width, channels = (11025, 1, 1) if number % 2 else (22050, 2, 1 + (number == 0))
        seconds = np.arange(int(rate * (0.3 + 0.05 * number))) / rate
        tone = np.sin(2 * math.pi * (200 + 90 * number) * seconds) * np.exp(-3 * seconds)
        values = (127 + 100 * tone).astype(np.uint8) if width == 1 else (20_000 * tone).astype("<i2")
        with wave.open(str(folder / f"beep-{number}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(rate)
            file.writeframes(np.repeat(values, channels).tobytes())


def image(folder: Path) -> None:
    """The icons of matplotlib's window: palettes, transparency, two sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((Path(matplotlib.__file__).parent / "mpl-data/images").glob("*.png")):
        shutil.copy(path, folder)


def motion(folder: Path, count: int = 5) -> None:
    """BVH files with tabs and the CMU captures' joints, at 120 Hz."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"walk-{number}.bvh").write_text(bvh(240, phase=number))


def bvh(frames: int, phase: float = 0.0, step: str = "0.0083333") -> str:
    lines = ["HIERARCHY"]
    for index, (depth, name, offset) in enumerate(JOINTS):
        tabs = "\t" * depth
        following = JOINTS[index + 1][0] if index + 1 < len(JOINTS) else 0
        x, y, z = offset
        lines += [f"{tabs}{'JOINT' if depth else 'ROOT'} {name}", f"{tabs}{{", f"{tabs}\tOFFSET {x} {y} {z}"]
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{tabs}\tCHANNELS {3 if depth else 6} {position}Zrotation Yrotation Xrotation ")
        if following <= depth:
            lines += [f"{tabs}\tEnd Site", f"{tabs}\t{{", f"{tabs}\t\tOFFSET 0 -8 2", f"{tabs}\t}}"]
            lines += ["\t" * above + "}" for above in range(depth, following - 1, -1)]
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {step}"]
    for frame in range(frames):
        time = frame / 120
        root = [0.0, 95 + 2 * math.sin(12 * time), 120 * time]
        turns = [15 * math.sin(6 * time + phase + 0.7 * place) for place in range(3 * len(JOINTS))]
        lines.append(" ".join(f"{number:.4f}" for number in root + turns))
    return "\n".join(lines) + "\n"


def eeg(folder: Path, count: int = 5) -> None:
    """EDF files of four electrodes at 250 Hz, with an annotation channel, by edfio."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for number in range(count):
        seconds = np.arange(250 * 4) / 250
        signals = [
            edfio.EdfSignal(
                20 * np.sin(2 * math.pi * (8 + number) * seconds + place) + 5 * draw.standard_normal(len(seconds)),
                250,
                label=f"EEG {name}",
                physical_dimension="uV",
                physical_range=(-100, 100),
            )
            for place, name in enumerate(("Fp1", "Cz", "O1", "O2"))
        ]
        edfio.Edf(signals, annotations=[edfio.EdfAnnotation(0.5, None, "begins")]).write(folder / f"rest-{number}.edf")


def video(folder: Path, count: int = 5) -> None:
    """QuickTime films of JPEG pictures at 24 and 15 frames a second, and a GIF: a square that moves."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        frames = np.full((18, 24, 32, 3), 40, np.uint8)
        for at, frame in enumerate(frames):
            frame[4 : 14 + number, at : at + 10] = (250, 40 * number, 60)
        if number:
            write_mov(folder / f"square-{number}.mov", frames, [1] * len(frames), 24 if number % 2 else 15)
        else:
            first, *others = map(pillow.fromarray, frames)
            first.save(folder / "square-0.gif", save_all=True, append_images=others, duration=60)


def text(folder: Path) -> None:
    """Lines about numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [f"{a} and {b} are {a + b}, and {a} times {b} is {a * b}." for a in range(20) for b in range(20)]
    (folder / "sums.txt").write_text("\n".join(words))
