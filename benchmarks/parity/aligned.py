"""Token alignment (card 092; its code is not published any more) beside transformers' token healing and a trie.

``python benchmarks/parity/aligned.py`` needs transformers and pygtrie, and no checkout. One small Llama with random
weights and a vocabulary of 100 pieces stand on both sides, ours converted. For texts cut at every letter:
``GenerationMixin.heal_tokens`` takes one code back and asks for one that extends it. Equal: the codes that may stand
there, as ``StartsWith`` allows them with ``backtrack`` 1 where pieces that do not extend the rest are blank, and the
code that is the best of these. Theirs alone: the code that stood there gets 1 more on its logit, the piece that begins
a text is hidden (here it is not told which that is), a single extension and a text of one code are left as they are.
Further, the codes that ``StartsWith`` allows are those that pygtrie's ``CharTrie`` finds below the rest and on the way
to it, for every rest that a text leaves with 1 to 4 codes taken back.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch

import tokenmask as tm
from tokenmask.batch import collate
from tokenmask.generation import pieces_of, prompt_of
from tokenmask.layout import Layout
from tokenmask.modalities.text import Text
from tokenmask.sampling import Categorical, SamplerState, SlotContext, StartsWith
from tokenmask.scores import Progress
from tokenmask.streams import TokenStream

try:
    import pygtrie
    import tokenizers
    import transformers
except ImportError as missing:
    sys.exit(f"skipped: {missing.name} is not installed")

WORDS = "the rainbow returns there, then they return rain to the other brother; https://then.there and nothing else"


def vocabulary(begins: str = "<s>") -> Any:
    """A BPE vocabulary of letters and of words with the space before them, with marks; texts begin with "<s>"."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(" ?[a-z]+|."), "isolated")
    made.decoder = tokenizers.decoders.Fuse()
    marks = ["<s>", "<pad>", "</s>", "<mask>"]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=120, special_tokens=marks, show_progress=False)
    made.train_from_iterator([WORDS], trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    names = {"bos_token": begins, "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)


def network(size: int) -> Any:
    """A small Llama, in which logits lie well apart."""
    config = transformers.LlamaConfig(
        vocab_size=size, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=128, bos_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.LlamaForCausalLM(config).eval()
    for parameter in made.parameters():
        if parameter.dim() > 1:
            parameter.data *= 8
    return made


def allowed(layout: Layout, left: str, pieces: tuple[str, ...]) -> set[int]:
    """The codes that our constraint allows in the first of some slots."""
    spec = layout.streams["text"]
    packed = layout.pack({"text": TokenStream(spec, torch.zeros(8, 1, dtype=torch.int32))})
    state = SamplerState.start(collate([packed], multiple=1), layout, torch.tensor([0]))
    slot = state.is_open.flatten().nonzero()[0]
    head = int(layout.head_of(state.batch.ids.flatten()[slot]))
    at = SlotContext(layout, state, torch.ones_like(state.is_open), Progress(0, 1), slot, head)
    found = StartsWith(left, pieces).allowed(at)
    assert found is not None
    return set(found[0].nonzero().flatten().tolist())


def sets_are_equal(run: Any) -> int:
    """Ours and what a trie finds."""
    tokenizer = run.tokenizers["text"]
    pieces = pieces_of(tokenizer)
    trie: Any = pygtrie.CharTrie()
    for code, piece in enumerate(pieces):
        if piece:
            trie[piece] = [*trie.get(piece, []), code]
    rests = {
        prompt_of(tokenizer, Text(WORDS[:cut]), back).left for cut in range(3, len(WORDS)) for back in (1, 2, 3, 4)
    }
    for left in sorted(rests):
        below = [code for codes in trie.values(left) for code in codes] if trie.has_node(left) else []
        above = [code for _, codes in trie.prefixes(left) for code in codes]
        if allowed(run.layout, left, pieces) != {*below, *above}:
            raise SystemExit(f"aligned: other codes are allowed where {left!r} is left")
    return len(rests)


def codes_are_equal(run: Any, model: Any, words: Any) -> tuple[int, int]:
    """How many texts were healed alike, and in how many of these theirs kept a code for the 1 that it gets."""
    names, cases, kept = words.get_vocab(), 0, 0
    for cut in range(6, len(WORDS)):
        text = WORDS[:cut]
        ids = torch.tensor([words(text)["input_ids"]])
        if text != text.strip() or ids.shape[1] < 3:
            continue
        prompt = prompt_of(run.tokenizers["text"], Text(text), 1)
        blank = tuple(piece if piece.startswith(prompt.left) else "" for piece in prompt.pieces)
        trie = transformers.generation.utils.ExtensionsTrie(names)
        theirs = {names[piece] for piece in trie.extensions(prompt.left)}
        if allowed(run.layout, prompt.left, blank) != theirs:
            raise SystemExit(f"aligned: other codes extend {prompt.left!r}")
        if len(theirs) == 1:
            continue
        sampler = replace(prompt, pieces=blank).sampler(run.recipe.sampler_of("text"), "text", 1)
        (stream,) = run.generate_tokens(
            "text", {"text": prompt.kept}, length=1, seed=0, sampler=replace(sampler, pick=Categorical(0.0))
        )
        mine = int(stream.codes[len(prompt.kept.codes), 0])
        healed = model.heal_tokens(ids, words)
        found = int(healed[0, -1])
        if mine != found:
            with torch.inference_mode():
                logits = model(ids[:, :-1]).logits[0, -1]
            if found != int(ids[0, -1]) or not 0 < logits[mine] - logits[found] < 1:
                raise SystemExit(f"aligned: {text!r} is healed with {found}, ours {mine}")
            kept += 1
        cases += 1
    return cases, kept


def main() -> None:
    """Compares, and prints what was equal."""
    words = vocabulary()
    model = network(len(words))
    run = tm.convert(model, words, causal=True)
    rests, (cases, kept) = sets_are_equal(run), codes_are_equal(run, model, vocabulary("<mask>"))
    print(f"aligned: {rests} rests allow the codes of the trie, {cases} texts are healed alike")
    print(f"({kept} of them keep the code that stood there for the 1 that theirs adds to its logit)")


if __name__ == "__main__":
    main()
