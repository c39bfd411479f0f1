"""Published codecs of motion: clips in and out of a network that sees the 263 features of HumanML3D, at 20 Hz.

Arrow: MotionClip --PublishedMotion.encode--> TokenStream [time, level], and back. Does not know: which codec.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.keeping import kept
from tokenmask.modalities.motion.humanml import NAMES, RATE_HZ, clip_of, joints_of
from tokenmask.modalities.motion.humanml_features import features_of
from tokenmask.modalities.motion.joining import into
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.published.base import exactly
from tokenmask.modalities.published.levels import PublishedLevels
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream


class PublishedMotion(PublishedLevels):
    """Base of codecs of motion.

    An adapter has :meth:`codes_of`, :meth:`features_from`, :attr:`frames` and :attr:`sizes`.

    Clips have the 22 joints of SMPL, by name (those of HumanML3D's ``.npy`` do), and keep their own bones; they are
    resampled to 20 Hz, and the last frame repeated up to whole codes. What is decoded begins at the origin, facing z.
    """

    library: ClassVar[str] = "torch"
    model_class: ClassVar[str] = "Module"
    media: ClassVar[type] = MotionClip
    continues: ClassVar[bool] = True

    @abstractmethod
    def codes_of(self, features: Tensor) -> Tensor:
        """Features float32 [frames, 263] -> codes int [time, levels or more]."""

    @abstractmethod
    def features_from(self, codes: Tensor) -> Tensor:
        """Codes int64 [time, levels] -> features float32 [frames, 263]."""

    @property
    @abstractmethod
    def frames(self) -> int:
        """Of a code."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """How many codes each level has."""

    @property
    def all_levels(self) -> int:
        """Its codebooks."""
        return len(self.sizes)

    def make_spec(self) -> StreamSpec:
        """Levels over ("time",)."""
        return StreamSpec("motion", self.sizes[: self.config.levels], ("time",), rate_hz=RATE_HZ / self.frames)

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
        count = -(-len(points) // self.frames) * self.frames
        return points[torch.arange(count + 1).clamp(max=len(points) - 1)]

    @exactly
    def _encoded(self, points: Tensor) -> Tensor:
        codes = self.codes_of(features_of(points).float())[:, : self.config.levels]
        return codes.to("cpu", torch.int32).contiguous()

    @exactly
    def features(self, stream: TokenStream) -> Tensor:
        """float32 [frames, 263] of any codes."""
        return self.features_from(stream.codes.long().to(self.device)).cpu()

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
