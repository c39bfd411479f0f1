"""Real data that ships: small excerpts for the demo, the tests and first experiments. README.md names the sources.

Arrow: files of this folder --> plain Python and numpy. Knows nothing of tokens, streams or torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
FASHION_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
EEG_CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
EEG_RATE_HZ = 128.0
_EMOJI_SIZE, _EMOJI_A_ROW = 32, 32
_LARGE = 64  # pixels of the emoji that are fetched
_NEVER_TRAINED = ("letters", "phonetic")  # groups of speech that judge a codec
_HELD_OUT_PROMPT = 8  # every eighth of the other prompts is held out


@dataclass(frozen=True, eq=False)
class Emoji:
    """A small picture with words for it.

    Args:
        name: lower case, unique among the emoji, for example "sunset over buildings": the caption.
        keywords: other names, lower case, for example ("city sunrise",); often none.
        category: one of six, for example "Travel & Places".
        subcategory: one of 65, for example "place-other".
        pixels: uint8 [32, 32, 3], on white; [64, 64, 3] from :func:`large_emoji`.
        split: "held-out" for every tenth without a near twin among the others (README.md), else "train".
    """

    name: str
    keywords: tuple[str, ...]
    category: str
    subcategory: str
    pixels: np.ndarray
    split: str


def emoji() -> list[Emoji]:
    """1,026 Noto emoji, in the order of the sheet: 928 to train, 98 held out."""
    from PIL import Image

    entries = json.loads((FOLDER / "images/noto_emoji_32.json").read_text(encoding="utf-8"))
    with Image.open(FOLDER / "images/noto_emoji_32.png") as sheet:
        rows = np.asarray(sheet.convert("RGB")).reshape(-1, _EMOJI_SIZE, _EMOJI_A_ROW, _EMOJI_SIZE, 3)
    cells = rows.swapaxes(1, 2).reshape(-1, _EMOJI_SIZE, _EMOJI_SIZE, 3)
    return [_emoji(entry, cells[index].copy()) for index, entry in enumerate(entries)]


def large_emoji(folder: str | Path) -> list[Emoji]:
    """The same emoji in the same order, but of 64 x 64 pixels, which do not ship.

    Args:
        folder: of the set ``emoji-64``, which ``python -m tokenmask.data.fetch emoji-64`` brings to data/emoji-64.

    Raises:
        ValueError: the set is not there.
    """
    from PIL import Image

    package = Path(folder) / "package"
    path = package / "img/google/sheets/64.png"
    if not path.is_file():
        raise ValueError(
            f"{folder} must hold the set emoji-64, but {path} is not there; run python -m tokenmask.data.fetch emoji-64"
        )
    known = {entry["unified"]: entry for entry in json.loads((package / "emoji.json").read_text(encoding="utf-8"))}
    entries = json.loads((FOLDER / "images/noto_emoji_32.json").read_text(encoding="utf-8"))
    with Image.open(path) as opened:
        sheet = opened.convert("RGBA")
    found = []
    for entry in entries:
        left, top = (known[entry["unified"]][at] * (_LARGE + 2) + 1 for at in ("sheet_x", "sheet_y"))
        picture = Image.new("RGBA", (_LARGE, _LARGE), "white")
        picture.alpha_composite(sheet.crop((left, top, left + _LARGE, top + _LARGE)))
        found.append(_emoji(entry, np.array(picture.convert("RGB"))))
    return found


def _emoji(entry: dict[str, str | list[str]], pixels: np.ndarray) -> Emoji:
    name = str(entry["name"])
    others = (str(short).replace("_", " ") for short in entry["short_names"])
    keywords = tuple(other for other in others if other != name)
    return Emoji(name, keywords, str(entry["category"]), str(entry["subcategory"]), pixels, str(entry["split"]))


def gospel_verses() -> list[str]:
    """3,778 verses of the World English Bible: Matthew, Mark, Luke and John, in order."""
    return (FOLDER / "text/web_nt_excerpt.txt").read_text(encoding="utf-8").splitlines()


def glosses() -> list[tuple[str, str]]:
    """4,000 (word, definition) pairs of WordNet 3.0, in random order; 69 words occur more than once."""
    lines = (FOLDER / "text/wordnet_glosses_4000.tsv").read_text(encoding="utf-8").splitlines()
    return [(word, gloss) for word, _, gloss in (line.partition("\t") for line in lines)]


def molecules() -> list[str]:
    """2,000 different drug-like molecules as SMILES, 35.9 characters each on average, 50 at most."""
    return (FOLDER / "molecules/moses_2000.smi").read_text(encoding="utf-8").splitlines()


def fashion() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of clothes, the first 1,000 of the Fashion-MNIST test set.

    Returns:
        (images uint8 [1000, 28, 28], labels uint8 [1000] into FASHION_LABELS); new arrays.
    """
    with np.load(FOLDER / "images/fashion_mnist_1000.npz") as file:
        return file["images"], file["labels"]


@dataclass(frozen=True)
class Utterance:
    """A recorded prompt.

    Args:
        path: Ogg Vorbis, 16 kHz, one channel.
        text: what is said, as in the source.
        group: "digits", "letters", "phonetic" (the phonetic alphabet), "prompts", "dictate" or "followme";
            "librivox" for the other speaker.
        seconds: its length.
        split: "train" or "held-out" (README.md).
    """

    path: Path
    text: str
    group: str
    seconds: float
    split: str


def speech() -> list[Utterance]:
    """405 prompts of one speaker, then 5 sentences of another, who is held out: 537 s in all."""
    utterances, prompts = [], 0
    for entry in _manifest("audio/speech"):
        held_out = entry["group"] in _NEVER_TRAINED
        if entry["group"] == "prompts":
            prompts += 1
            held_out = prompts % _HELD_OUT_PROMPT == 0
        utterances.append(_utterance("audio/speech", entry, str(entry["group"]), held_out))
    return utterances + [_utterance("audio/librivox", entry, "librivox", True) for entry in _manifest("audio/librivox")]


def _manifest(folder: str) -> list[dict[str, str | float]]:
    entries: list[dict[str, str | float]] = json.loads((FOLDER / folder / "manifest.json").read_text(encoding="utf-8"))
    return entries


def _utterance(folder: str, entry: dict[str, str | float], group: str, held_out: bool) -> Utterance:
    path, split = FOLDER / folder / str(entry["file"]), "held-out" if held_out else "train"
    return Utterance(path, str(entry["text"]), group, float(entry["seconds"]), split)


@dataclass(frozen=True)
class Capture:
    """A captured motion.

    Args:
        path: a DeepMimic clip, JSON.
        name: what it shows, for example "turn left".
    """

    path: Path
    name: str


def motions() -> list[Capture]:
    """20 clips, 39.9 s in all, of the skeleton in ``motion/humanoid.urdf``; several may share a name."""
    return [Capture(path, _motion_name(path.stem)) for path in sorted((FOLDER / "motion").glob("*.txt"))]


def _motion_name(stem: str) -> str:
    """humanoid3d_getup_faceup -> getup faceup; walker_0walk_forward -> walk forward; turn_left1 -> turn left."""
    return stem.partition("_")[2].strip("0123456789").replace("_", " ")


def eyes_open_shut() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EEG of one person, windows of one second at ``EEG_RATE_HZ``, electrodes ``EEG_CHANNELS``.

    Returns:
        (samples float32 [98, 14, 128], microvolts without the device's offset; eyes shut bool [98]; held out bool [98],
        the 42 windows of the source's test part); new arrays.
    """
    with np.load(FOLDER / "eeg/eyes_open_shut.npz", allow_pickle=False) as file:
        parts = [(file["train"], file["train_label"]), (file["test"], file["test_label"])]
    samples = np.concatenate([part for part, _ in parts])
    shut = np.concatenate([labels for _, labels in parts]).astype(bool)
    held_out = np.arange(len(samples)) >= len(parts[0][0])
    microvolts = (samples - samples.mean(2, keepdims=True)) * 0.51
    return microvolts.astype(np.float32), shut, held_out
