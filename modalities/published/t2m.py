"""Vector-quantised motion of T2M-GPT (arXiv:2301.06052), MMM (arXiv:2312.03596) and MoMask (arXiv:2312.00063).

They see the 263 features of HumanML3D, less a mean and over a deviation, at 20 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.keeping import kept
from tokenmask.modalities.motion.humanml import FEATURES, NAMES, RATE_HZ, clip_of, joints_of
from tokenmask.modalities.motion.humanml_features import features_of
from tokenmask.modalities.motion.joining import into
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.published.base import exactly
from tokenmask.modalities.published.files import CONFIG_FILE, json_of, tensors_of
from tokenmask.modalities.published.levels import PublishedLevels
from tokenmask.modalities.published.motion_network import MotionVq
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream

_NAMES = ("mean", "std")
_CONVERT = "save_file(torch.load('net_best_fid.tar', weights_only=True)['vq_model'], 'model.safetensors')"
_SETTINGS = {"dilation_growth_rate": 3, "vq_act": "relu", "vq_norm": None}


class T2mTokenizer(PublishedLevels):
    """Codes of four frames at 20 Hz; see the module.

    A folder holds ``model.safetensors`` with the names of the published code, ``mean.npy`` and ``std.npy`` of its
    ``meta`` folder, and, where they differ from its defaults, dilation_growth_rate and vq_act in ``config.json``.

    Clips have the 22 joints of SMPL, by name (those of HumanML3D's ``.npy`` do), and keep their own bones; they are
    resampled to 20 Hz, and the last frame repeated up to whole codes. What is decoded begins at the origin, facing z.
    """

    name: ClassVar[str] = "t2m"
    library: ClassVar[str] = "torch"
    model_class: ClassVar[str] = "Module"
    model_type: ClassVar[str] = "t2m"
    media: ClassVar[type] = MotionClip
    continues: ClassVar[bool] = True

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights, mean and deviation; ValueError in a sentence for what is not there."""
        values = json_of(folder / CONFIG_FILE, cls.__name__) if (folder / CONFIG_FILE).is_file() else {}
        values = {name: values.get(name, usual) for name, usual in _SETTINGS.items()}
        tensors = tensors_of(folder, how=_CONVERT)
        tensors = {name.removeprefix("vqvae."): own for name, own in tensors.items()}
        lacking = [f"{name}.npy" for name in _NAMES if not (folder / f"{name}.npy").is_file()]
        if lacking:
            raise ValueError(
                f"{folder} must hold {' and '.join(lacking)} beside {CONFIG_FILE} and the weights, but does not; copy "
                f"{'it' if len(lacking) == 1 else 'them'} from the folder meta of the checkpoint"
            )
        for name in _NAMES:
            try:
                tensors[name] = torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False)).float()
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"{folder / name}.npy must hold the {name} of each feature, but cannot be read ({error}); copy it "
                    "from the folder meta of the checkpoint"
                ) from error
        return values, tensors

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> MotionVq:
        """Of ours; ValueError for another kind of motion than HumanML3D's."""
        self._mean, self._std = (tensors.pop(name) for name in _NAMES)
        if values.get("vq_norm") is not None:
            raise ValueError(f"vq_norm must be null, got {values['vq_norm']!r}; take weights without norms")
        network = MotionVq(tensors, int(values["dilation_growth_rate"]), str(values["vq_act"]))
        sizes = {network.width, len(self._mean), len(self._std)}
        if sizes != {FEATURES}:
            raise ValueError(
                f"a codec of HumanML3D's motion sees {FEATURES} features, got {sorted(sizes)}; take one of that data"
            )
        return network.eval().requires_grad_(False)

    @property
    def all_levels(self) -> int:
        """Its codebooks."""
        return len(self.network.sizes)

    def make_spec(self) -> StreamSpec:
        """Levels over ("time",)."""
        sizes = self.network.sizes[: self.config.levels]
        return StreamSpec("motion", sizes, ("time",), rate_hz=RATE_HZ / self.network.frames)

    def encode_many(self, items: Sequence[MotionClip]) -> list[TokenStream]:
        """The codes of many clips, one after the other.

        Returns:
            Streams of codes int32 [time, levels].

        Raises:
            TypeError: not a MotionClip.
            ValueError: a skeleton without the 22 joints of SMPL.
        """
        for item in items:
            check_media(self, item)
        return [TokenStream(self._spec, self._encoded(self._points(item))) for item in items]

    def _points(self, clip: MotionClip) -> Tensor:
        """float64 [frames, 22, 3] at 20 Hz, whole codes and a frame, as features are of steps."""
        lacks = [name for name in NAMES if name not in clip.skeleton.names]
        if lacks:
            raise ValueError(
                f"a {type(self).__name__} codes the 22 joints of SMPL, but this skeleton lacks {', '.join(lacks[:4])}; "
                "bring it on the skeleton of a clip of HumanML3D, with clip.on(other.skeleton)"
            )
        places = [clip.skeleton.names.index(name) for name in NAMES]
        points = clip.resample(RATE_HZ).joint_positions()[:, places].double()
        frames = self.network.frames
        count = -(-len(points) // frames) * frames
        return points[torch.arange(count + 1).clamp(max=len(points) - 1)]

    @exactly
    def _encoded(self, points: Tensor) -> Tensor:
        features = (features_of(points).float() - self._mean) / self._std
        codes: Tensor = self.network.codes(features.T[None].to(self.device))[:, : self.config.levels]
        return codes.to("cpu", torch.int32).contiguous()

    @exactly
    def features(self, stream: TokenStream) -> Tensor:
        """float32 [frames, 263] of any codes."""
        made: Tensor = self.network.features(stream.codes.long().to(self.device)).cpu()
        return made * self._std + self._mean

    def decode(self, stream: TokenStream, *, given: MotionClip | None = None, keep: Tensor | None = None) -> MotionClip:
        """The motion of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept frames come from, at any rate.
            keep: bool [frames of the result] or bool [time], what is copied from ``given``; the rest is decoded,
                brought on its skeleton and to its rate, and led from kept frame to kept frame.

        Raises:
            TypeError: ``given`` is no MotionClip.
            ValueError: the codes of another tokenizer or none; only one of given and keep; a keep of another shape.
        """
        check_stream(self, stream)
        if not len(stream.codes):
            raise ValueError("a motion stream must hold a code or more to be decoded, got none")
        made = clip_of(joints_of(self.features(stream).double()))
        made, pair = replace(made, stream=stream), kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return into(made, *pair)

    def evaluate(self, items: Sequence[MotionClip], train_items: Sequence[MotionClip] = ()) -> dict[str, float]:
        """How well motion is coded: mpjpe_mm, the mean distance of a joint, seen from the root; codes_used_share."""
        if not items:
            raise ValueError("evaluate needs at least one clip, got none")
        streams = self.encode_many(items)
        errors = []
        for item, stream in zip(items, streams, strict=True):
            wanted, made = (
                one[:, 4:67].view(-1, 21, 3) for one in (features_of(self._points(item)), self.features(stream))
            )
            errors.append((wanted - made).norm(dim=-1))
        used = {code for stream in streams for code in stream.codes[:, 0].tolist()}
        return {
            "mpjpe_mm": 1000 * float(torch.cat(errors).mean()),
            "codes_used_share": len(used) / self.spec.codebook_sizes[0],
        }
