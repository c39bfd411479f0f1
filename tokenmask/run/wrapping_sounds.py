"""Wrapping sounds: a MAGNeT of audiocraft, its codec and its reader of texts as a Run.

Arrow: folder, codec, T5 --**wrap_magnet**--> Run in memory. Does not know: how the network is run
(tokenmask.models.magnet).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tokenmask.layout import Layout
from tokenmask.modalities.published.audiocraft import SETTINGS, check_settings, found, settings_of
from tokenmask.modalities.published.files import CONFIG_FILE, json_of, located, needed, tensors_of
from tokenmask.modalities.published.networks import pretrained, tried
from tokenmask.models.magnet import PROMPT, SOUND, Magnet, MagnetConfig
from tokenmask.models.magnet_network import MagnetNetwork
from tokenmask.models.wrapped import WrappedModel
from tokenmask.recipes import Recipe
from tokenmask.recipes.recipe import StreamOptions
from tokenmask.run.run import Run
from tokenmask.run.vocabulary import first, marks_named, opened
from tokenmask.sampling import Categorical, Chunks, ClassifierFree, Sampler, Stage
from tokenmask.scores import ChunkScore
from tokenmask.tokenizer import Tokenizer, open_tokenizer, tokenizer_name
from tokenmask.training import Packing

_WHO = "wrap"
_END = "</s>"  # of T5, whose older folders do not say so
_STEPS = (20, 10, 10, 10)
_HOW = (
    "package = torch.load('state_dict.bin', weights_only=True); save_file(package['best_state'], 'model.safetensors'); "
    f"open('{SETTINGS}', 'w').write(package['xp.cfg'])"
)
_WANTED: dict[str, Any] = {  # what the arithmetic of our network is, by the names of audiocraft's configuration
    "lm_model": "transformer_lm_magnet",
    "codebooks_pattern.modeling": "parallel",
    "transformer_lm.causal": False,
    "transformer_lm.norm_first": True,
    "transformer_lm.norm": "layer_norm",
    "transformer_lm.activation": "gelu",
    "transformer_lm.positional_embedding": "sin",
    "transformer_lm.layer_scale": None,
    "transformer_lm.qk_layer_norm": False,
    "transformer_lm.qk_layer_norm_cross": False,
    "transformer_lm.kv_repeat": 1,
    "fuser.cross": ["description"],
    "fuser.cross_attention_pos_emb": False,
    "conditioners.description.model": "t5",
}


def sampler_of(levels: int, span: int) -> Sampler:
    """That of audiocraft's ``MAGNeT``: 20 steps, then 10 a level; temperature 3 that falls, top-p 0.9, guidance 10."""
    steps = [*_STEPS, *([_STEPS[-1]] * levels)][:levels]
    return Sampler(
        stages=tuple(Stage(number, (level,)) for level, number in enumerate(steps)),
        schedule=Chunks(span=span),
        order=ChunkScore(span, "max"),
        pick=Categorical(3.0, 0.0, top_p=0.9, grid="after", least=0.01),
        guidance=ClassifierFree(10.0, 1.0, "cosine", grid="ends"),
    )


def wrap_magnet(
    source: str | Path, codec: Any, text: Any, sampler: Sampler | None = None, download: bool = False
) -> Run:
    """A run with the streams "text", which is given, and "audio", which is filled; see :func:`tokenmask.wrap`."""
    folder = located(source, _WHO, download=download, wanted=(SETTINGS, "*.safetensors"))
    settings = _settings(folder)
    tensors = tensors_of(folder, how=_HOW)
    transformer = settings["transformer_lm"]
    network = MagnetNetwork(tensors, transformer["num_heads"], transformer.get("subcodes_context", 5))
    tried(lambda: _run_once(network), Magnet)
    sound: Any = open_tokenizer("encodec", codec, levels=network.levels) if isinstance(codec, str | Path) else codec
    levels = getattr(getattr(sound, "spec", None), "codebook_sizes", None)
    if levels != (network.codes,) * network.levels or sound.spec.modality != SOUND:
        raise ValueError(
            f"{source} needs a codec of {network.levels} levels of {network.codes} codes, got "
            f"{levels or codec!r}; pass the EnCodec it was trained with, as tm.tokenizer('encodec', ..., "
            f"levels={network.levels})"
        )
    encoder, words, end = _reader(text or found(settings, "conditioners.description.t5.name"), download)
    if encoder.config.d_model != network.reads:
        raise ValueError(
            f"{source} reads texts by vectors of {network.reads} numbers, but this text encoder gives "
            f"{encoder.config.d_model}; pass text={found(settings, 'conditioners.description.t5.name')!r}"
        )
    span = int(found(settings, "masking.span_len") or 3)
    longest = round(float(found(settings, "dataset.segment_duration") or 10) * sound.spec.rate_hz)
    config = MagnetConfig(network.eval(), encoder, end, longest)
    layout = Layout({SOUND: sound.spec, PROMPT: words.spec})
    recipe = Recipe(
        about="MAGNeT of audiocraft: fills the codes of a sound for a text, level by level",
        paper="MAGNeT (arXiv:2401.04577)",
        streams={SOUND: StreamOptions(tokenizer_name(sound)), PROMPT: StreamOptions("fast")},
        packing=Packing(max_positions=longest + 514, end_multiple=1),  # T5's 512 pieces
        model=config,
        sampler=sampler or sampler_of(network.levels, span),
    )
    tokenizers: dict[str, Tokenizer] = {SOUND: sound, PROMPT: words}
    return Run(Path("."), recipe, layout, {"main": WrappedModel(config, layout)}, tokenizers)


def _run_once(network: MagnetNetwork) -> None:
    """At every level, over a frame and a piece of a text."""
    text = network.projected(torch.zeros(1, network.reads))
    for level in range(network.levels):
        network(torch.zeros(1, 1, network.levels, dtype=torch.long), [text], level)


def _settings(folder: Path) -> dict[str, Any]:
    """The configuration beside the weights; ValueError in a sentence where it is missing, damaged or of another."""
    path = folder / SETTINGS
    if not path.is_file():
        raise ValueError(f"a MAGNeT is opened from a folder with {SETTINGS}, but {folder} has none; write it: {_HOW}")
    settings = settings_of(path, _HOW)
    if not isinstance(settings.get("transformer_lm"), Mapping):
        raise ValueError(f"{path} must be a configuration of audiocraft with transformer_lm; write it again: {_HOW}")
    for name, usual in (("num_heads", None), ("subcodes_context", 5)):
        said = settings["transformer_lm"].get(name, usual)
        if isinstance(said, bool) or not isinstance(said, int):
            raise ValueError(f"{path} must say transformer_lm.{name}, a number, got {said!r}; write it again: {_HOW}")
    check_settings(path, settings, _WANTED, "MAGNeT")
    return settings


def _reader(text: Any, download: bool) -> tuple[Any, Any, int]:
    """(encoder, words, number of the piece that ends a text) of a T5: a pair, or where one is."""
    if isinstance(text, str | Path):
        folder = located(text, _WHO, download=download)
        values = json_of(folder / CONFIG_FILE, "a T5")
        if values.get("model_type") != "t5":
            raise ValueError(
                f"text must be a T5, but {folder / CONFIG_FILE} is of {values.get('model_type')!r}; name one"
            )
        kind = needed("transformers", _WHO).T5EncoderModel
        encoder = pretrained(kind, values, tensors_of(folder, convert="transformers.T5EncoderModel"), "a T5")
        tokenizer: Any = folder
        piece = first(marks_named(folder, _WHO), "eos_token") or _END
    elif isinstance(text, tuple) and len(text) == 2:
        encoder, tokenizer = text
        piece = str(tokenizer.eos_token)
    else:
        raise ValueError(
            f"MAGNeT reads texts with T5: text must be a folder or (T5EncoderModel, its tokenizer), got {text!r}"
        )
    words = opened(tokenizer, _WHO, piece)
    end = words.number_of(piece)
    assert end is not None  # it opened
    return encoder.eval(), words, end
