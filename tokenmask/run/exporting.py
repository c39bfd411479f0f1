"""Exporting: a run as a folder that another library opens.

Arrow: Run --**export**--> config.json, model.safetensors, tokenizer.json. Does not know: which tensor goes where
(tokenmask.models.handed).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenmask.files import write_text_atomic, writing_atomically
from tokenmask.modalities.published.fast import FILE, FastTokenizer
from tokenmask.modalities.published.files import CONFIG_FILE, needed
from tokenmask.models import MaskedModel
from tokenmask.models.handed import Handed, handed
from tokenmask.tokenizer import Tokenizer

KINDS = ("transformers",)
BEGIN, MASK = "<|begin|>", "<|mask|>"  # pieces for ids that the vocabulary does not have
_PADS = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>")


def export(models: Mapping[str, MaskedModel], tokenizers: Mapping[str, Tokenizer], kind: str, folder: Path) -> Path:
    """Writes the folder; see :meth:`tokenmask.run.Run.export`."""
    if kind not in KINDS:
        raise ValueError(f"a run can be exported for {', '.join(KINDS)}, got {kind!r}; name one of these")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"export writes into a new or empty folder, but {folder} is none; name another")
    made = handed(models["main"])
    tokenizer = next(iter(tokenizers.values()))
    texts = {CONFIG_FILE: json.dumps(made.values, indent=2) + "\n"}
    if isinstance(tokenizer, FastTokenizer):
        texts |= _vocabulary(tokenizer, made)
    folder.mkdir(parents=True, exist_ok=True)
    from safetensors.torch import save_file

    with writing_atomically(folder / "model.safetensors") as partial:
        whole = {name: tensor.clone().contiguous() for name, tensor in made.tensors.items()}
        save_file(whole, partial, metadata={"format": "pt"})
    for name, text in texts.items():
        write_text_atomic(folder / name, text)
    return folder


def _vocabulary(tokenizer: FastTokenizer, made: Handed) -> dict[str, str]:
    """The files of a fast tokenizer with the marks of the checkpoint: a text is begun and ended as the model saw it."""
    library = needed("tokenizers", "export")
    inner = library.Tokenizer.from_str(tokenizer.network.to_str())
    marks: dict[str, str] = {}
    for mark, piece, number in (("bos_token", BEGIN, made.begin), ("mask_token", MASK, made.mask)):
        if number is None:
            continue
        known = inner.id_to_token(number)
        if known is None:
            inner.add_special_tokens([piece])
            if inner.token_to_id(piece) != number:
                raise ValueError(
                    f"the vocabulary must end at its last code to get the piece {piece}, but its next id is "
                    f"{inner.token_to_id(piece)} and not {number}; use a tokenizer without gaps"
                )
        marks[mark] = known or piece
    end = inner.id_to_token(made.values["eos_token_id"])
    if end is not None:
        marks["eos_token"] = end
        marks["pad_token"] = next((pad for pad in _PADS if inner.token_to_id(pad) is not None), end)
        names = ["bos_token", "eos_token"] if made.begin is not None else ["eos_token"]
        inner.post_processor = library.processors.TemplateProcessing(
            single=" ".join([*(marks[name] for name in names[:-1]), "$A", end]),
            special_tokens=[(marks[name], inner.token_to_id(marks[name])) for name in names],
        )
    about: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **marks}
    return {FILE: inner.to_str(pretty=True), "tokenizer_config.json": json.dumps(about, indent=2) + "\n"}
