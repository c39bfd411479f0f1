"""The part of a BVH file before the word MOTION: joints, their parents, offsets and channels.

Does not know: numbers of frames, units, skeletons.
"""

from __future__ import annotations

MAX_JOINTS = 4096


def hierarchy(text: str) -> tuple[list[str], list[int], list[tuple[float, ...]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints of a BVH file's first part, parents first."""
    names: list[str] = []
    taken: dict[str, int] = {}
    parents: list[int] = []
    offsets: list[tuple[float, ...]] = []
    channels: list[list[str]] = []
    placed: list[bool] = []
    open_joints: list[int] = []
    known = {f"{axis}{what}".lower(): f"{axis}{what}" for axis in "XYZ" for what in ("position", "rotation")}
    lines = iter([line.strip() for line in text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()])
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
            name = rest.strip() if word != "END" else f"{names[parent]}_end"
            given = name
            while name in taken:
                name = given + "_" * taken[given]
                taken[given] += 1
            taken[name] = 1
            names.append(name)
            parents.append(parent)
            offsets.append((0.0, 0.0, 0.0))
            channels.append([])
            placed.append(False)
            open_joints.append(len(names) - 1)
        elif word == "OFFSET":
            if placed[open_joints[-1]]:
                raise ValueError(f"its joint {names[open_joints[-1]]!r} has two offsets")
            placed[open_joints[-1]] = True
            offsets[open_joints[-1]] = tuple(float(part) for part in rest.split())
            if len(offsets[open_joints[-1]]) != 3:
                raise ValueError(f"its OFFSET {rest!r} must be three numbers")
        elif word == "CHANNELS":
            own = [known.get(word.lower(), word) for word in rest.split()[1:]]
            if not set(own) <= set(known.values()) or len(own) != int(rest.split()[0]):
                raise ValueError(f"its channels {rest!r} are not the standard ones")
            if channels[open_joints[-1]]:
                raise ValueError(f"its joint {names[open_joints[-1]]!r} has two lists of channels")
            channels[open_joints[-1]] = own
        elif word == "}":
            open_joints.pop()
        elif word not in ("", "{", "HIERARCHY"):
            raise ValueError(f"its word {word!r} is not of the format")
    if not names or open_joints:
        raise ValueError("its hierarchy does not end")
    if not all(placed[1:]):  # that of the root does not count
        raise ValueError(f"its joint {names[placed.index(False, 1)]!r} must have an OFFSET")
    return names, parents, offsets, channels
