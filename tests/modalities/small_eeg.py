"""Small networks of LaBraM's and NeuroRVQ's kind with random weights, and waves: for the tests and to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SAMPLES, WIDTH, DIM, CODES, HEADS = 40, 40, 8, 32, 4
"""T, of which an eighth is left, times 8 channels; a vector's numbers; codes; heads of attention."""
DEPTH = {"encoder": 2, "decoder": 1}
ELECTRODES, TIMES, LEVELS, BRANCHES = 128, 16, 3, 4
Draw = Callable[..., Tensor]


def waves(channels: int = 3, seconds: int = 4) -> Tensor:
    """float32 [channels, seconds * SAMPLES], sines and noise of some tens."""
    time = torch.arange(seconds * SAMPLES) / SAMPLES
    noise = torch.randn(channels, len(time), generator=torch.Generator().manual_seed(5))
    rows = [20 * (6.28 * (2 + channel) * time + channel).sin() for channel in range(channels)]
    return torch.stack(rows) + 8 * noise


def _linear(draw: Draw, name: str, out: int, wide: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", draw(out, wide) * 1.5 / wide**0.5
    yield f"{name}.bias", draw(out) * 0.1


def _conv(draw: Draw, name: str, out: int, wide: int, size: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", draw(out, wide, 1, size) * 1.5 / (wide * size) ** 0.5
    yield f"{name}.bias", draw(out) * 0.1


def _norm(draw: Draw, name: str, width: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", 1 + draw(width) * 0.1
    yield f"{name}.bias", draw(width) * 0.1


def _transformer(
    draw: Draw, part: str, spaces: tuple[int, ...], times: tuple[int, ...], norms: bool
) -> Iterator[tuple[str, Tensor]]:
    yield f"{part}.cls_token", draw(1, 1, WIDTH)
    yield f"{part}.pos_embed", draw(*spaces, WIDTH)
    yield f"{part}.time_embed", draw(*times, WIDTH)
    for layer in range(DEPTH[part]):
        block = f"{part}.blocks.{layer}"
        yield f"{block}.attn.qkv.weight", draw(3 * WIDTH, WIDTH) / WIDTH**0.5
        yield f"{block}.attn.q_bias", draw(WIDTH) * 0.3
        yield f"{block}.attn.v_bias", draw(WIDTH) * 0.3
        for norm in ("attn.q_norm", "attn.k_norm") if norms else ():
            yield from _norm(draw, f"{block}.{norm}", WIDTH // HEADS)
        for norm in ("norm1", "norm2"):
            yield from _norm(draw, f"{block}.{norm}", WIDTH)
        yield from _linear(draw, f"{block}.attn.proj", WIDTH, WIDTH)
        yield from _linear(draw, f"{block}.mlp.fc1", 4 * WIDTH, WIDTH)
        yield from _linear(draw, f"{block}.mlp.fc2", WIDTH, 4 * WIDTH)


def _drawn(seed: int) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator)


def labram_weights(seed: int = 0) -> dict[str, Tensor]:
    """A VQNSP by its published names, without what only training needs."""
    draw = _drawn(seed)
    found = dict(_transformer(draw, "encoder", (1, ELECTRODES + 1), (1, TIMES), False))
    found |= _transformer(draw, "decoder", (1, ELECTRODES + 1), (1, TIMES), False)
    for one, wide, size in ((1, 1, 15), (2, 8, 3), (3, 8, 3)):
        found |= _conv(draw, f"encoder.patch_embed.conv{one}", 8, wide, size)
        found |= _norm(draw, f"encoder.patch_embed.norm{one}", 8)
    found |= _conv(draw, "decoder.patch_embed.proj", WIDTH, DIM, 1)
    for norm in ("encoder.fc_norm", "decoder.fc_norm"):
        found |= _norm(draw, norm, WIDTH)
    for task, out in (("encode_task_layer", DIM), ("decode_task_layer", SAMPLES), ("decode_task_layer_angle", SAMPLES)):
        found |= _linear(draw, f"{task}.0", WIDTH, WIDTH)
        found |= _linear(draw, f"{task}.2", out, WIDTH)
    found["quantize.embedding.weight"] = torch.nn.functional.normalize(draw(CODES, DIM), dim=-1)
    return found


def neurorvq_weights(seed: int = 0, electrodes: int = 104, times: int = 32, levels: int = LEVELS) -> dict[str, Tensor]:
    """A tokenizer of NeuroRVQ by its published names, without what only training needs."""
    draw = _drawn(seed)
    found = dict(_transformer(draw, "encoder", (electrodes + 1,), (times,), True))
    found |= _transformer(draw, "decoder", (electrodes + 1,), (times,), True)
    for one, wide, sizes in ((1, 1, (21, 15, 9, 5)), (2, 8, (9, 7, 5, 3))):
        for branch, size in enumerate(sizes, 1):
            found |= _conv(draw, f"encoder.patch_embed.conv{one}_{branch}", 8, wide, size)
            found |= _norm(draw, f"encoder.patch_embed.norm{one}_{branch}", 8)
    for branch in range(1, BRANCHES + 1):
        found |= _conv(draw, f"decoder.patch_embed_{branch}.proj", WIDTH, DIM, 1)
        for part in ("encoder", "decoder"):
            found |= _norm(draw, f"{part}.fc_norm_{branch}", WIDTH)
        found |= _linear(draw, f"encode_task_layer_{branch}.0", WIDTH, WIDTH)
        found |= _linear(draw, f"encode_task_layer_{branch}.2", DIM, WIDTH)
        for level in range(levels):
            book = torch.nn.functional.normalize(draw(CODES, DIM), dim=-1)
            found[f"quantize_{branch}.layers.{level}.embedding.weight"] = book
    for what in ("amplitude", "angle_sin", "angle_cos"):
        found |= _linear(draw, f"decode_task_layer_{what}.0", WIDTH, BRANCHES * WIDTH)
        found |= _linear(draw, f"decode_task_layer_{what}.2", SAMPLES, WIDTH)
    return found
