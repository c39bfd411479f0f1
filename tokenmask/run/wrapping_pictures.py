"""Wrapping pictures: aMUSEd's pipeline of diffusers as a Run.

Arrow: pipeline --**wrap_amused**--> Run in memory. Does not know: how the network is run (tokenmask.models.amused).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenmask.layout import Layout
from tokenmask.masking import Cosine
from tokenmask.modalities.published.vqmodel import VqmodelTokenizer
from tokenmask.models.amused import PICTURE, PROMPT, AmusedConfig
from tokenmask.models.wrapped import Marks, WrappedModel
from tokenmask.recipes import Recipe
from tokenmask.recipes.recipe import StreamOptions
from tokenmask.run.run import Run
from tokenmask.run.vocabulary import opened
from tokenmask.sampling import Categorical, ClassifierFree, ProcessSchedule, Sampler
from tokenmask.scores import ConfidenceScore
from tokenmask.tokenizer import Tokenizer
from tokenmask.training import Packing

PARTS = ("transformer", "text_encoder", "tokenizer", "vqvae")
_AESTHETIC = 6.0  # score that the pipeline asks for
SAMPLER = Sampler(
    steps=12,
    schedule=ProcessSchedule(process=Cosine(), rounding="floor"),
    order=ConfidenceScore(noise=2.0, grid="ends"),
    pick=Categorical(),
    guidance=ClassifierFree(start=10.0),
)
"""The pipeline's own: 12 steps, noise that fades from 2 to 0, guidance 10."""


def is_pipeline(one: Any) -> bool:
    """Whether it has the parts of aMUSEd's pipeline."""
    return all(hasattr(one, part) for part in PARTS)


def wrap_amused(pipeline: Any, sampler: Sampler | None) -> Run:
    """A run with the streams "text", which is given, and "image", which is filled; see :func:`tokenmask.wrap`."""
    network, tokenizer = pipeline.transformer, pipeline.tokenizer
    pictures = VqmodelTokenizer.of(pipeline.vqvae, size=_pixels(pipeline))
    end = tokenizer.eos_token
    words = opened(tokenizer, "wrap", end)
    number = {name: words.number_of(str(getattr(tokenizer, f"{name}_token"))) for name in ("bos", "eos", "pad")}
    layout = Layout({PICTURE: pictures.spec, PROMPT: words.spec})
    marks = Marks(number["bos"], number["eos"], pipeline.scheduler.config.mask_token_id, number["pad"])  # type: ignore[arg-type]
    side, (rows, columns) = pictures.config.size, pictures.grid
    config = AmusedConfig(
        network,
        pipeline.text_encoder,
        marks,
        tokenizer.model_max_length,
        (rows, columns),
        (side, side, 0.0, 0.0, _AESTHETIC),
    )
    recipe = Recipe(
        about="aMUSEd of diffusers: fills the codes of a picture for a prompt",
        paper="aMUSEd (arXiv:2401.01808)",
        streams={PICTURE: StreamOptions("vqmodel"), PROMPT: StreamOptions("fast")},
        packing=Packing(max_positions=rows * columns + config.longest + 2, end_multiple=1),
        model=config,
        sampler=SAMPLER if sampler is None else sampler,
    )
    tokenizers: dict[str, Tokenizer] = {PICTURE: pictures, PROMPT: words}
    return Run(Path("."), recipe, layout, {"main": WrappedModel(config, layout)}, tokenizers)


def _pixels(pipeline: Any) -> int:
    blocks = pipeline.vqvae.config.block_out_channels
    return int(pipeline.transformer.config.sample_size * 2 ** (len(blocks) - 1))
