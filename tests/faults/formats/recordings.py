"""Formats of motions and of EEG."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, items, media

MOTION, EEG = media("motion", "MotionClip"), media("eeg", "EegRecording")


def bvh(folder: Path) -> Path:
    from tests.cli.foreign import bvh

    (folder / "a.bvh").write_text(bvh(8))
    return folder / "a.bvh"


def _motion(folder: Path) -> Path:
    from tokenmask.modalities.motion import MotionClip

    MotionClip.load(bvh(folder)).save(folder / "a.safetensors")
    return folder / "a.safetensors"


def _joints(folder: Path) -> Path:
    import numpy as np

    from tests.modalities.test_humanml import walk

    np.save(folder / "a.npy", walk(6).joint_positions().numpy())
    return folder / "a.npy"


def _load_joints(path: Path) -> Any:
    from tokenmask.modalities.motion.humanml import load_npy

    return load_npy(path)


def _capture(damaged: str) -> Callable[[Path], Path]:
    """The shortest capture that ships, cut to eight frames, with its body."""

    def make(folder: Path) -> Path:
        import tokenmask.data

        home = Path(tokenmask.data.__file__).parent / "motion"
        shutil.copy(home / "humanoid.urdf", folder / "a.urdf")
        whole = json.loads(min(home.glob("*.txt"), key=lambda path: path.stat().st_size).read_text())
        (folder / "a.txt").write_text(json.dumps(whole | {"Frames": whole["Frames"][:8]}))
        return folder / damaged

    return make


def _load_capture(path: Path) -> Any:
    from tokenmask.modalities.motion.deepmimic import load_deepmimic

    return load_deepmimic(path.with_suffix(".txt"), path.with_suffix(".urdf"))


def _recording(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from tests.cli.foreign import eeg
        from tokenmask.modalities.eeg.media import EegRecording

        eeg(folder, 1)
        if suffix != "edf":
            EegRecording.load(folder / "rest-0.edf").save(folder / f"a.{suffix}")
        return folder / ("rest-0.edf" if suffix == "edf" else f"a.{suffix}")

    return make


def _bdf(folder: Path) -> Path:
    """24 bits, two electrodes and events."""
    import edfio
    import numpy as np

    seconds = np.arange(250 * 4) / 250
    signals = [
        edfio.BdfSignal(
            20 * np.sin(2 * np.pi * (8 + place) * seconds),
            250,
            label=name,
            physical_dimension="uV",
            physical_range=(-300, 300),
        )
        for place, name in enumerate(("Fp1", "Cz"))
    ]
    edfio.Bdf(signals, annotations=[edfio.EdfAnnotation(0.5, None, "begins")]).write(folder / "a.bdf")
    return folder / "a.bdf"


def _bids(table: str) -> Callable[[Path], Path]:
    """A recording of a BIDS folder, of whose tables one is to be damaged."""

    def make(folder: Path) -> Path:
        from tests.cli.foreign import eeg

        eeg(folder, 1)
        home = folder / "d/sub-01/eeg"
        home.mkdir(parents=True)
        (folder / "rest-0.edf").rename(home / "sub-01_task-x_eeg.edf")
        (folder / "d/dataset_description.json").write_text("{}")
        (folder / "d/participants.tsv").write_text("participant_id\tage\nsub-01\t30\n")
        (home / "sub-01_task-x_events.tsv").write_text("onset\tduration\ttrial_type\n0.5\t1\tgo\n1.5\tn/a\tstop\n")
        rows = "".join(f"EEG {name}\tEEG\tuV\n" for name in ("Fp1", "Cz", "O1")) + "EEG O2\tTRIG\tuV\n"
        (home / "sub-01_task-x_channels.tsv").write_text("name\ttype\tunits\n" + rows)
        return folder / "d" / table

    return make


_TIMES = {"text": "text", "eeg": "eeg"}
FORMATS = {
    "bvh": Format(bvh, MOTION),
    "motion": Format(_motion, MOTION),
    "joints of HumanML3D": Format(_joints, _load_joints),
    "capture of DeepMimic": Format(_capture("a.txt"), _load_capture),
    "body of DeepMimic": Format(_capture("a.urdf"), _load_capture),
    "edf": Format(_recording("edf"), EEG),
    "bdf": Format(_bdf, EEG),
    "npz": Format(_recording("npz"), EEG),
    "recording": Format(_recording("safetensors"), EEG),
    "channels of BIDS": Format(_bids("sub-01/eeg/sub-01_task-x_channels.tsv"), items(_TIMES, 3)),
    "events of BIDS": Format(_bids("sub-01/eeg/sub-01_task-x_events.tsv"), items(_TIMES, 3)),
    "participants of BIDS": Format(_bids("participants.tsv"), items(_TIMES, 1)),
}
