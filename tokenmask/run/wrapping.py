"""Wrapping: a language model of transformers and its vocabulary as a Run.

Arrow: (network, tokenizer) --**wrap**--> Run in memory. Does not know: how a network is run (tokenmask.models.wrapped).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenmask.layout import Layout
from tokenmask.models.wrapped import Marks, WrappedConfig, WrappedModel
from tokenmask.recipes import Recipe
from tokenmask.recipes.recipe import StreamOptions
from tokenmask.run.run import Run
from tokenmask.run.vocabulary import check_size, first, marks_named, opened
from tokenmask.run.wrapping_pictures import is_pipeline, wrap_amused
from tokenmask.run.wrapping_sounds import wrap_magnet
from tokenmask.sampling import ForbidCodes, Sampler
from tokenmask.tokenizer import Tokenizer
from tokenmask.training import Packing

_SHIFTED = ("roberta", "camembert", "xlm-roberta")  # whose positions begin behind the pad id


def wrap(
    network: Any, tokenizer: Any = None, *, text: Any = None, sampler: Sampler | None = None, download: bool = False
) -> Run:
    """A published model with our samplers, edits, guidance and likelihoods.

    Logits are those of the network for the same ids and attention mask. It stays in memory: what the network keeps of
    itself is its library's business. A causal one (found by asking it whether it sees what follows) judges texts, by
    :meth:`Run.log_likelihood`, and refuses to fill: it answers each code from those before it, the first from the piece
    that begins a text or, where there is none, from the one that ends it.

    Args:
        network: a ``BertForMaskedLM``, ``ModernBertForMaskedLM``, ``LlamaForCausalLM`` or the like of transformers, or
            an ``AmusedPipeline`` of diffusers; set to evaluation. Or the folder of a MAGNeT of audiocraft, or its name
            in the hub cache: ``model.safetensors`` and ``config.yaml``, its best_state and xp.cfg.
        tokenizer: of a language model its fast tokenizer, as transformers has it (with mask, end and pad tokens; for a
            causal one, end); a pipeline has its own; of a MAGNeT the codec, opened by :func:`tokenmask.tokenizer`, or
            the folder of an EnCodec.
        text: of a MAGNeT the T5 that reads texts, a folder or (encoder, fast tokenizer); if None, the one that its
            configuration names, in the hub cache.
        sampler: how slots are filled; if None, the usual one, which never draws marks, or that of the pipeline.
        download: fetches what is named and not in the hub cache.

    Returns:
        a run with the stream "text"; of a pipeline also with "image", of a MAGNeT with "audio", filled for a text.

    Raises:
        ValueError: no fast tokenizer, marks that it lacks, or a vocabulary larger than the network's; a folder that is
            no MAGNeT's, weights as pickle only, or a codec or text encoder of another size.
        TypeError: neither a network nor a pipeline.
    """
    if isinstance(network, str | Path):
        return wrap_magnet(network, tokenizer, text, sampler, download)
    if text is not None or download:
        raise ValueError("text and download are for the folder of a MAGNeT; leave them out for a network in memory")
    if is_pipeline(network):
        return wrap_amused(network, sampler)
    if not isinstance(network, nn.Module) or not hasattr(getattr(network, "config", None), "vocab_size"):
        raise TypeError(
            f"wrap takes a language model of transformers or aMUSEd's pipeline of diffusers, got "
            f"{type(network).__name__}; open it with its library first"
        )
    named = marks_named(tokenizer, "wrap")
    begin = first(named, "cls_token", "bos_token")
    end, mask, pad = (first(named, *names) for names in (("sep_token", "eos_token"), ("mask_token",), ("pad_token",)))
    causal = not _sees_ahead(network)
    if causal:  # nothing is hidden, and what is behind a row is not seen
        begin, mask, pad = first(named, "bos_token", "cls_token") or end, end, end
    lacking = [what for what, token in (("end", end), ("mask", mask), ("pad", pad)) if token is None]
    if end is None or mask is None or pad is None:
        raise ValueError(
            f"wrap needs a tokenizer with tokens for end, mask and pad, got one without {', '.join(lacking)}"
        )
    words = opened(tokenizer, "wrap", end)
    config: Any = network.config
    check_size(words, config.vocab_size)
    number = {token: words.number_of(token) for token in (begin, end, mask, pad) if token is not None}
    marks = Marks(None if begin is None else number[begin], number[end], number[mask], number[pad])  # type: ignore[arg-type]
    shift = marks.pad + 1 if config.model_type in _SHIFTED else 0
    made = WrappedConfig(network, marks, config.max_position_embeddings - shift, causal, shift)
    layout = Layout({"text": words.spec})
    never = tuple(sorted({one for one in (marks.begin, marks.mask, marks.pad) if one is not None} - {marks.end}))
    recipe = Recipe(
        about=f"a {type(network).__name__} of transformers",
        paper="GPT-2 (Radford et al. 2019)"
        if causal
        else "BERT (arXiv:1810.04805) for training; MaskGIT (arXiv:2202.04200) for the decoding",
        streams={"text": StreamOptions("fast")},
        packing=Packing(max_positions=made.longest - 1, end_multiple=1),
        model=made,
        sampler=sampler or Sampler(constraint=ForbidCodes({"text": never})),
    )
    tokenizers: dict[str, Tokenizer] = {"text": words}
    return Run(Path("."), recipe, layout, {"main": WrappedModel(made, layout)}, tokenizers)


@torch.no_grad()
def _sees_ahead(network: nn.Module) -> bool:
    """Whether logits of the first place change with what stands behind it."""
    config: Any = network.config
    pieces = torch.arange(8, device=next(network.parameters()).device) % config.vocab_size
    ids = torch.stack([pieces[:4], torch.cat([pieces[:1], pieces[4:7]])])
    training = network.training
    network.eval()
    logits = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, 0].float()
    network.train(training)
    return not torch.allclose(logits[0], logits[1], rtol=1e-5, atol=1e-6)
