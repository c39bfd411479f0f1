"""Modules that have moved into the folder of their modality: the old names still import, with a warning.

Arrow: ``tokenmask.modalities.picture`` --> ``tokenmask.modalities.image.media``. Does not know: what is in them.
"""

from __future__ import annotations

from tokenmask.deprecation import moved_modules

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


def install() -> None:
    """Lets the old names be imported; once, however often it is called."""
    moved_modules({_PACKAGE + old: _PACKAGE + new for old, new in MOVED.items()}, since="0.2")
