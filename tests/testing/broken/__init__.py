"""Planted components: one for each requirement of each kind, broken in that and in as little else as can be."""

from __future__ import annotations

from typing import Any

from tests.testing.broken import any_kind, in_masking, in_sampling, in_the_loop, in_training

BROKEN: dict[tuple[str, str], Any] = {}
for module in (in_masking, in_training, in_sampling, in_the_loop, any_kind):
    BROKEN |= module.BROKEN
