"""Mimi (Moshi, arXiv:2410.00037) as transformers has it, such as kyutai/mimi."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tokenmask.modalities.published.sound import PublishedCodec


class MimiTokenizer(PublishedCodec):
    """A level of meaning, then residual levels of sound, at 12.5 Hz; see :class:`PublishedCodec`."""

    name: ClassVar[str] = "mimi"
    model_class: ClassVar[str] = "MimiModel"
    model_type: ClassVar[str] = "mimi"
    levels_field: ClassVar[str] = "num_quantizers"
    hop_field: ClassVar[str] = "frame_size"

    def groups(self, levels: int) -> tuple[tuple[int, ...], ...]:
        """Meaning and sound are quantised side by side, not one after the other."""
        first = min(self.network.config.num_semantic_quantizers, levels)
        return tuple(group for group in (tuple(range(first)), tuple(range(first, levels))) if group)

    def codes_of(self, samples: Tensor) -> Tensor:
        """All levels."""
        return self.network.encode(samples).audio_codes[0]  # type: ignore[no-any-return]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any number of levels."""
        return self.network.decode(codes).audio_values  # type: ignore[no-any-return]
