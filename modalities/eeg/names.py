"""Names of electrodes and channels: their usual spelling, what files put around them, doubles.

Does not know: samples, files, codes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_ROWS = ["AF", "F", "FT", "FC", "T", "C", "TP", "CP", "P", "PO", "O", "I"]
_KNOWN = {
    name.casefold(): name
    for name in [
        *(f"{row}{place}" for row in _ROWS for place in ["z", *range(1, 11)]),
        *(["Fpz", "Fp1", "Fp2", "Nz", "A1", "A2", "M1", "M2", "F11", "F12", "FT11", "FT12", "TP11", "TP12"]),
    ]
}
_EARS = {"a1", "a2", "m1", "m2"}
_COMMON = {"ref", "vref", "reference", "avg", "av", "ave", "average", "car", "common", "cmn", "g2"}  # of ears too
_REFERENCES = {"le", "re", "ler", "lm", "linked", "linkedears", "linkedmastoids", "mastoids", "ears", *_EARS, *_COMMON}
_REFERENCES |= {"ar", "aa", "a1a2", "a1+a2", "m1m2", "m1+m2"}
_REFERRED = re.compile(  # a name and its reference: FP1-REF, Fp1_Ref, C3/A2, F7:REF1, Fp1(Ref), Fp1Ref
    r"(?P<name>[A-Za-z]{1,3}(?:z|\d{1,2}))(?:\s*[-_:/.(\[\s]\s*(?P<to>[^()\[\]]+?)\d?|(?P<at_once>ref))\s*[)\]]?",
    re.IGNORECASE,
)
_SAYS_EEG = re.compile(r"(?:EEG|POL)[ _:.-]*(?=.)", re.IGNORECASE)
_BESIDE = re.compile(  # what amplifiers, headsets and monitors record beside the electrodes, whatever its unit says
    r"(?:(?:ext|digital|analog|photo|edf|bdf|or)[ _-]?)?"
    r"(?:trig(?:gers?)?|sti|stim(?:ul(?:us|i))?|status|events?|mark(?:er)?s?(?:index|type|value\w*)?|mkr|sync|dc|photic|"
    r"pulse(?:[ _-]?rate)?|pleth|heart[ _-]?rate|hr|spo2|sao2|osat|etco2|buttons?|"
    r"(?:sample[ _-]?)?counter|time[ _-]?stamps?|interpolated|battery|raw[ _-]?[ce]q|[ce]q(?=_)|"
    r"(?:gyro|acc(?:el(?:eration|erometer)?)?)[ _-]?[xyz]?)"
    r"(?:[ _-]*\d+|[ _./-].*)?",
    re.IGNORECASE,
)

_OF_BODY = re.compile(  # voltages of a body that are none of its brain
    r"(?:(?:left|right|[lr]|chin|leg|horizontal|vertical|hor|ver)[ _.-]?)?"
    r"(?:[hvlr]?eog|ecg|ekg|emg|loc|roc|chin|leg|resp(?:iration)?|airflow|thor(?:ax)?|abdo?(?:men)?|snore|"
    r"plet|ppg|bvp|gsr|eda|scr|erg|temp(?:erature)?|aux(?:iliary)?|exg|misc|ibi)"
    r"(?:[lrhv]|[ _-]*\d+)?(?:[ _./(-].*)?",
    re.IGNORECASE,
)


def electrode(name: str) -> str:
    """The usual spelling of a 10-20 or 10-10 electrode ("FP1" and "fp1" are "Fp1"); other names stay as they are.

    Source: American Clinical Neurophysiology Society, guideline 2 (2016).
    """
    return _KNOWN.get(name.strip().casefold(), name.strip())


def without_reference(name: str) -> str:
    """ "FP1-REF", "c4-M1", "A1-REF", "Fp1_Ref", "Fc5." are "Fp1", "C4", "A1", "Fp1", "FC5"; pairs (FP1-F7) stay."""
    bare = electrode(name.strip().rstrip("."))
    found = _REFERRED.fullmatch(bare)
    if found is not None:
        known, to = found["name"].casefold(), re.sub(r"[\s_-]", "", found["to"] or found["at_once"]).casefold()
        whole = re.sub(r"[\s_-]", "", bare[found.end("name") :]).casefold().strip(":/.()[]")  # A2 ends in a digit, too
        allowed = _COMMON if known in _EARS else _REFERENCES
        if known in _KNOWN and (whole in allowed or to in allowed):
            return electrode(found["name"])
    return bare if bare.casefold() in _KNOWN else name.strip()


def is_electrode(label: str) -> bool:
    """Whether a label of a file is one of EEG: it says so, or it is an electrode or a pair of them."""
    name = without_eeg(label)
    parts = without_reference(name).split("-")
    return name != label.strip() or all(part.strip().casefold() in _KNOWN for part in parts)


def is_beside(label: str) -> bool:
    """Whether a label is one of triggers, marks or measures of a monitor: TRIG, STI 014, Status, DC01, SpO2 ..."""
    name = without_eeg(label)
    return _BESIDE.fullmatch(name[4:].strip() if name[:4].upper() == "POL " else name) is not None


def is_of_body(label: str) -> bool:
    """Whether a label is one of voltages of eyes, the heart, muscles or breath: EOG left, VEOG, ECG, EMG1-EMG2 ..."""
    return _OF_BODY.fullmatch(without_eeg(label)) is not None


def without_eeg(label: str) -> str:
    """The label without the "EEG " that EDF puts before it; before electrodes also "EEG_", "EEG-", "EEG", "POL "."""
    label = label.strip()
    said = _SAYS_EEG.match(label)
    rest = "" if said is None else label[said.end() :].strip()
    if rest and (label[:4].upper() == "EEG " or without_reference(rest).casefold() in _KNOWN):
        return rest
    return label


def usual_label(name: str) -> str:
    """How a channel is called in an EDF file: "EEG " before the names of electrodes, where there is room."""
    return f"EEG {name}" if is_electrode(name) and len(name) <= 12 else name


def find_channels(names: Sequence[str], asked: Sequence[str]) -> list[int]:
    """Places of channels that are asked for as people and files spell them ("fp1", "FP1-REF", "EEG Fp1").

    The name itself comes first, without regard to case; else the one that is the same without "EEG " and reference.

    Raises:
        ValueError: none asked for, one that is not there, or one that could be several.
    """
    exact = {name.casefold(): place for place, name in enumerate(names)}
    short: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        short.setdefault(without_reference(without_eeg(name)).casefold(), []).append(place)
    found, several = [], []
    for name in asked:
        whole = exact.get(electrode(name).casefold(), exact.get(electrode(without_eeg(name)).casefold()))
        places = short.get(without_reference(without_eeg(name)).casefold(), []) if whole is None else [whole]
        found.append(places)
        several += [f"{name}, which could be {' or '.join(names[place] for place in places)}"] * (len(places) > 1)
    absent = [name for name, places in zip(asked, found, strict=True) if not places] + several
    if absent or not asked:
        there = ", ".join(names) or "(none here)"
        advice = "" if absent else "; name one, or leave channels out for all"
        raise ValueError(f"channels must be among {there}, got {'; '.join(absent) or 'none'}{advice}")
    return [places[0] for places in found]


def channel_names(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels of a file as names of channels.

    A reference is left away where the name is clear without it; doubles are numbered, blank ones named by their place.

    Returns:
        a different name for each label, and the names that were made up.
    """
    plain = [electrode(without_eeg(label)) or str(place) for place, label in enumerate(labels, 1)]
    short = [without_reference(name) for name in plain]
    counts = Counter(name.casefold() for name in short)
    wanted = [one if counts[one.casefold()] == 1 else name for one, name in zip(short, plain, strict=True)]
    taken = {name.casefold() for name in wanted}
    seen: set[str] = set()
    names, made = [], [name for name, label in zip(wanted, labels, strict=True) if not without_eeg(label)]
    for name in wanted:
        own, number = name, 2
        while own.casefold() in seen or (own != name and own.casefold() in taken):
            own, number = f"{name}-{number}", number + 1
        if own != name:
            made.append(own)
        seen.add(own.casefold())
        names.append(own)
    return names, made
