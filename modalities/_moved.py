"""Modules that have moved into the folder of their modality: the old names still import, with a warning.

Arrow: ``tokenmask.modalities.picture`` --> ``tokenmask.modalities.image.media``. Does not know what is in them.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tokenmask.deprecation import warn_deprecated

_PACKAGE = "tokenmask.modalities."
MOVED = {  # since 0.2
    "audio_clip": "audio.media",
    "audio_figures": "audio.figures",
    "audio_fit": "audio.fit",
    "audio_network": "audio.network",
    "bvh": "motion.bvh",
    "codec_frames": "audio.codec_frames",
    "codec_process": "audio.codec_process",
    "deepmimic": "motion.deepmimic",
    "eeg_figures": "eeg.figures",
    "eeg_fit": "eeg.fit",
    "eeg_network": "eeg.network",
    "eeg_scale": "eeg.scale",
    "image_fit": "image.fit",
    "image_network": "image.network",
    "joint_names": "motion.joint_names",
    "joints": "motion.joints",
    "mel": "audio.mel",
    "motion_clip": "motion.media",
    "motion_drawing": "motion.drawing",
    "motion_features": "motion.features",
    "motion_fit": "motion.fit",
    "motion_joining": "motion.joining",
    "motion_network": "motion.network",
    "motion_prepare": "motion.prepare",
    "picture": "image.media",
    "recording": "eeg.media",
    "retarget": "motion.retarget",
    "rotations": "motion.rotations",
    "skeleton": "motion",
    "system_codecs": "audio.system_codecs",
    "video_clip": "video.media",
}


class _Moved(MetaPathFinder, Loader):
    """Hands out the module at its new place under its old name: one module, so one of each class."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        known = fullname.startswith(_PACKAGE) and fullname.removeprefix(_PACKAGE) in MOVED
        return ModuleSpec(fullname, self) if known else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = _PACKAGE + MOVED[old.removeprefix(_PACKAGE)]
        warn_deprecated(f"the module {old}", instead=new, since="0.2", stacklevel=2)
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Lets the old names be imported; once, however often it is called."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
