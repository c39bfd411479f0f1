"""Converting: a published checkpoint whose arithmetic is ours as a Run with a Transformer of ours.

Arrow: folder or network, vocabulary --**convert**--> Run. Does not know: which tensor goes where
(tokenmask.models.families, tokenmask.models.taken).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.layout import Layout
from tokenmask.modalities.published.fast import FastTokenizer
from tokenmask.modalities.published.files import CONFIG_FILE, WANTED, json_of, located, tensors_of
from tokenmask.models import AttentionPattern, Causal, CodesOnly, Full, MaskedModel
from tokenmask.models.families import TWO_SIDED, Shape, renamed, shape_of
from tokenmask.models.taken import Rows, taken
from tokenmask.recipes import Recipe
from tokenmask.recipes.recipe import StreamOptions
from tokenmask.run.run import Run
from tokenmask.run.vocabulary import check_size, first, marks_named, opened
from tokenmask.sampling import CausalReuse, ForbidCodes, Sampler, UniformSchedule
from tokenmask.scores import RasterScore
from tokenmask.tokenizer import Tokenizer
from tokenmask.training import Packing

_WHO = "convert"
_TABLES = ("embed_tokens.weight", "word_embeddings.weight")
_LOADS = "transformers.AutoModel"


def convert(
    source: nn.Module | str | Path,
    tokenizer: Any = None,
    *,
    mask: str | None = None,
    max_length: int | None = None,
    reads_before: bool | None = None,
    causal: bool = False,
    sampler: Sampler | None = None,
    download: bool = False,
) -> Run:
    """A published language model as a run of ours: its weights in our Transformer, with our reuse and kernels.

    Logits are those of the network to rounding (1e-5 in float32). No code of the checkpoint is run, weights are read as
    safetensors only. Llama, Mistral, Qwen2, Qwen3 and EuroBERT, LLaDA and Dream, BERT and RoBERTa; each as a
    bidirectional model that fills hidden codes, so one that was trained causally alone fills badly until it is trained
    further, unless ``causal`` keeps it as it was: for exact likelihoods, as an expert, and to go on from left to right,
    a code a step. Heads that share keys and values get a copy each.

    Args:
        source: a network of transformers in memory, a local folder, or the name of a repository in the hub cache.
        tokenizer: its fast tokenizer, as transformers has it, or a folder with one; that of the folder if None.
        mask: the piece that hides a code, such as "<|mdm_mask|>"; what configuration and tokenizer say if None.
        max_length: longest sequence; what the configuration says if None.
        reads_before: whether a code is read at the position before it, as Dream's are; by the configuration if None.
        causal: each place sees those before it, where the next code is read; a text begins behind the piece that
            begins it or, where there is none, behind the one that ends it, which hides codes too where none does.
        sampler: how slots are filled; the usual one if None, which never draws marks. That of a causal model goes from
            left to right, a code a step whatever ``steps`` says, and keeps keys and values.
        download: fetches a repository that is not in the cache.

    Returns:
        a run in memory with the stream "text"; :meth:`Run.save` writes it.

    Raises:
        TypeError: a source that is none of the three.
        ValueError: ``causal`` for a model that sees both sides, arithmetic that is not ours, tensors that are missing
            or have no place, weights as pickle only, or a vocabulary without a piece that hides and one that ends; in
            a sentence.
    """
    values, tensors, words_from = _read(source, tokenizer, download)
    names = renamed(values, tensors)
    shape = shape_of(values, names, max_length=max_length)
    kind = str(values.get("model_type")).lower()
    if causal and kind in TWO_SIDED:
        raise ValueError(f"causal=True keeps a causal model as it was, but {kind} sees what follows; leave it out")
    if causal and reads_before is False:
        raise ValueError("a causal model reads a code at the place before it, got reads_before=False; leave it out")
    reads_before = True if causal else reads_before
    if reads_before is not None:
        style = replace(shape.config.style, reads_before=reads_before)
        shape = replace(shape, config=replace(shape.config, style=style))
    words, begin, hides, never = _vocabulary(words_from, values, mask, causal)
    if begin is None and shape.config.style.places == "table":
        raise ValueError(
            f"a {values['model_type']} counts places from the piece that begins a text, but its tokenizer adds none; "
            "pass the tokenizer of its folder"
        )
    layout = Layout({"text": words.spec})
    pattern: AttentionPattern = Causal() if causal else CodesOnly() if begin is None else Full()
    state = taken(shape, names, _rows(layout, words, names, begin, hides))
    model = MaskedModel.create(shape.config, layout, pattern=pattern, head=shape.head)
    model.load_state_dict(state)
    recipe = Recipe(
        about=f"a {values.get('model_type')} checkpoint in a Transformer",
        paper=_paper(shape),
        streams={"text": StreamOptions("fast")},
        packing=Packing(max_positions=shape.config.max_length, end_multiple=1),
        model=shape.config,
        head=shape.head,
        pattern=pattern,
        sampler=sampler or Sampler(constraint=ForbidCodes({"text": never}), **_orders(causal)),
    )
    tokenizers: dict[str, Tokenizer] = {"text": words}
    return Run(Path("."), recipe, layout, {"main": model}, tokenizers)


def _orders(causal: bool) -> dict[str, Any]:
    if not causal:
        return {}
    return {"order": RasterScore(), "schedule": UniformSchedule(each=1), "reuse": CausalReuse()}


def _read(source: Any, tokenizer: Any, download: bool) -> tuple[dict[str, Any], Mapping[str, Tensor], Any]:
    """(values of the configuration, tensors, what has the vocabulary)."""
    folder = None
    if isinstance(source, nn.Module):
        if not hasattr(getattr(source, "config", None), "to_dict"):
            raise ValueError(
                f"convert needs a network of transformers, which has a config, got {type(source).__name__}; name a "
                "folder"
            )
        values, tensors = source.config.to_dict(), source.state_dict()  # type: ignore[union-attr,operator]
    else:
        if not isinstance(source, str | Path) or not str(source):
            raise TypeError(f"convert takes a network, a folder or the name of a repository, got {source!r}; name one")
        folder = located(source, _WHO, download=download, wanted=WANTED)
        values, tensors = json_of(folder / CONFIG_FILE, _WHO), tensors_of(folder, convert=_LOADS)
    if tokenizer is None and folder is None:
        raise ValueError(
            "convert needs the tokenizer of a network in memory, got None; pass AutoTokenizer of its folder"
        )
    if tokenizer is None:
        tokenizer = folder
    elif isinstance(tokenizer, (str, Path)):
        tokenizer = located(tokenizer, _WHO, download=download, wanted=("*.json",))
    return values, tensors, tokenizer


def _vocabulary(
    source: Any, values: Mapping[str, Any], mask: str | None, causal: bool
) -> tuple[FastTokenizer, int | None, int, tuple[int, ...]]:
    """(pieces, the one that begins a row, the one that hides, those that are never drawn)."""
    marks = marks_named(source, _WHO)
    plain = opened(source, _WHO, None)
    end = first(marks, "sep_token", "eos_token") or _piece(plain, values.get("eos_token_id"))
    if end is None:
        raise ValueError("convert needs a tokenizer with a piece that ends a text, got one without eos_token; name it")
    words = opened(source, _WHO, end)
    hidden = mask or first(marks, "mask_token") or _piece(plain, values.get("mask_token_id"))
    hidden = end if causal and hidden is None else hidden
    hides = None if hidden is None else words.number_of(hidden)
    if hides is None:
        found = "none is named" if hidden is None else f"{hidden!r} is none of its vocabulary"
        raise ValueError(
            f"convert needs the piece that hides a code, but {found}; pass mask=, such as '[MASK]' or '<|mdm_mask|>'"
        )
    whole, bare = (words.network.encode("a", add_special_tokens=marked).ids for marked in (True, False))
    begin = int(whole[0]) if whole[:1] != bare[:1] else None
    if causal and begin is None:
        begin = words.number_of(first(marks, "bos_token", "cls_token") or end)
    known = [words.number_of(one) for one in marks.values()]
    never = {one for one in (begin, hides, *known) if one is not None} - {words.number_of(end)}
    return words, begin, hides, tuple(sorted(never))


def _piece(words: FastTokenizer, number: Any) -> str | None:
    """The piece of an id of a configuration, which may be a list of them."""
    number = number[0] if isinstance(number, list) and number else number
    return words.network.id_to_token(number) if isinstance(number, int) else None


def _rows(layout: Layout, words: FastTokenizer, names: Mapping[str, Tensor], begin: int | None, hides: int) -> Rows:
    table = next((names[name] for name in names if name.endswith(_TABLES)), None)
    if table is None:
        raise ValueError("the checkpoint must hold a table of embeddings, but does not; copy all of its files")
    size = check_size(words, len(table))
    codes = layout.range("text")
    pairs = [(piece, codes.offset + piece) for piece in range(size)] + [(hides, codes.mask_id)]
    pairs += [] if begin is None else [(begin, layout.control("BOS"))]
    ids, places = torch.tensor(pairs).T
    return Rows(ids, places, layout.num_ids)


def _paper(shape: Shape) -> str:
    from_whom = "BERT (arXiv:1810.04805)" if shape.config.style.post_norm else "LLaDA (arXiv:2502.09992)"
    return f"{from_whom} for the model; MaskGIT (arXiv:2202.04200) for the decoding"
