"""The part of a BVH file before the word MOTION: joints, their parents, offsets and channels.

Does not know: numbers of frames, units, skeletons.
"""

from __future__ import annotations

import math
import re

MAX_JOINTS = 4096
_KEYWORD = re.compile(r"[ \t]+(?=(?:ROOT|JOINT|END|OFFSET|CHANNELS)[ \t])", re.IGNORECASE)


def hierarchy(text: str, notes: list[str]) -> tuple[list[str], list[int], list[tuple[float, ...]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints of a BVH file's first part, parents first.

    Words may stand in lines in any way. An end site without an offset lies in its joint, and is noted.

    Args:
        text: what stands before the word MOTION.
        notes: gets what was guessed.
    """
    names: list[str] = []
    taken: dict[str, int] = {}
    parents: list[int] = []
    offsets: list[tuple[float, ...]] = []
    channels: list[list[str]] = []
    placed: list[bool] = []
    open_joints: list[int] = []
    known = {f"{axis}{what}".lower(): f"{axis}{what}" for axis in "XYZ" for what in ("position", "rotation")}
    lines = iter(_lines(text))
    sites: list[int] = []
    double: list[str] = []
    for line in lines:
        word, _, rest = line.partition(" ") if "\t" not in line else line.replace("\t", " ").partition(" ")
        word = word.upper()
        if word in ("ROOT", "JOINT", "END"):
            if word == "ROOT" and names:
                raise ValueError("it holds several skeletons; split it")
            if word != "ROOT" and not open_joints:
                raise ValueError(f"its joint {rest!r} has no parent")
            if len(names) == MAX_JOINTS:
                raise ValueError(f"it holds more than {MAX_JOINTS} joints")
            parent = open_joints[-1] if open_joints else -1
            if word == "END":
                sites.append(len(names))
            name = rest.strip() if word != "END" else f"{names[parent]}_end"
            given = name
            while name in taken:
                name = given + "_" * taken[given]
                taken[given] += 1
            if name != given and word != "END":
                double.append(f"{given} again is {name}")
            taken[name] = 1
            names.append(name)
            parents.append(parent)
            offsets.append((0.0, 0.0, 0.0))
            channels.append([])
            placed.append(False)
            open_joints.append(len(names) - 1)
        elif word in ("OFFSET", "CHANNELS", "}") and not open_joints:
            raise ValueError(f"its line {line[:40]!r} belongs to no joint")
        elif word == "OFFSET":
            if placed[open_joints[-1]]:
                raise ValueError(f"its joint {names[open_joints[-1]]!r} has two offsets")
            placed[open_joints[-1]] = True
            offsets[open_joints[-1]] = _three(rest, names[open_joints[-1]])
        elif word == "CHANNELS":
            own = [known.get(word.lower(), word) for word in rest.split()[1:]]
            if not set(own) <= set(known.values()) or rest.split()[:1] != [str(len(own))]:
                raise ValueError(f"its channels {rest!r} are not their number and the standard ones")
            if len(set(own)) < len(own):
                raise ValueError(f"its joint {names[open_joints[-1]]!r} has a channel twice ({rest!r})")
            if channels[open_joints[-1]]:
                raise ValueError(f"its joint {names[open_joints[-1]]!r} has two lists of channels")
            channels[open_joints[-1]] = own
        elif word == "}":
            open_joints.pop()
        elif word not in ("", "{", "HIERARCHY"):
            raise ValueError(f"its word {word!r} is not of the format")
    if not names or open_joints:
        raise ValueError("its hierarchy does not end")
    if double:
        shown = ", ".join(double[:5] + ["..."] * (len(double) > 5))
        notes.append(f"joints of one name are kept under names of their own ({shown})")
    bare = [place for place in sites if not placed[place]]
    if bare:
        shown = ", ".join([names[place] for place in bare[:5]] + ["..."] * (len(bare) > 5))
        notes.append(f"end sites without an OFFSET are taken to lie in their joints ({shown})")
    for place in bare:
        placed[place] = True
    if not all(placed[1:]):  # that of the root does not count
        raise ValueError(f"its joint {names[placed.index(False, 1)]!r} must have an OFFSET")
    return names, parents, offsets, channels


def _three(words: str, joint: str) -> tuple[float, ...]:
    try:
        offset = tuple(float(part) for part in words.split())
    except ValueError:
        offset = ()
    if len(offset) != 3 or not all(map(math.isfinite, offset)) or "_" in words:
        raise ValueError(f"its OFFSET {words!r} of joint {joint!r} must be three finite numbers")
    return offset


def _lines(text: str) -> list[str]:
    """One word of the format with what belongs to it in each, as most programs write it; names are left whole."""
    found: list[str] = []
    for line in map(str.strip, text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()):
        has_no_name = line[:9].upper().startswith(("HIERARCHY", "OFFSET", "CHANNELS"))
        found += _KEYWORD.split(line) if has_no_name else [line]
    return found
