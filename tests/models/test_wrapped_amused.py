"""aMUSEd's pipeline as a run: logits and every step are those of diffusers, on a small random one of its own code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import tokenmask as tm
from tests.modalities.small_published import needs_diffusers, needs_transformers, untouched
from tokenmask.run.wrapping_pictures import SAMPLER
from tokenmask.sampling import Categorical
from tokenmask.scores import ConfidenceScore

pytestmark = [needs_diffusers, needs_transformers, pytest.mark.filterwarnings("ignore::FutureWarning")]
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
CODES = 64


def tokenizer() -> Any:
    """Letters as CLIP has them: those that end a word are others."""
    import tokenizers as library
    import transformers

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [BEGIN, END, *letters, *(f"{letter}</w>" for letter in letters)]
    numbered = {piece: at for at, piece in enumerate(pieces)}
    made = library.Tokenizer(library.models.BPE(numbered, [], end_of_word_suffix="</w>", unk_token=END))
    made.pre_tokenizer, made.normalizer = library.pre_tokenizers.Whitespace(), library.normalizers.Lowercase()
    made.post_processor = library.processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, 0), (END, 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=BEGIN, eos_token=END, pad_token=END, model_max_length=16
    )


def networks() -> tuple[Any, Any, Any]:
    """(U-ViT, text encoder, VQ model), small, in evaluation mode."""
    import diffusers
    import transformers

    fills = diffusers.UVit2DModel(
        hidden_size=32,
        cond_embed_dim=24,
        micro_cond_encode_dim=8,
        micro_cond_embed_dim=40,
        encoder_hidden_size=32,
        vocab_size=CODES + 4,
        codebook_size=CODES,
        in_channels=32,
        block_out_channels=32,
        num_res_blocks=1,
        block_num_heads=2,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        sample_size=8,
    )
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    marks = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    reads = transformers.CLIPTextModelWithProjection(
        transformers.CLIPTextConfig(vocab_size=60, projection_dim=24, max_position_embeddings=16, **shape, **marks)
    )
    draws = diffusers.VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        num_vq_embeddings=CODES,
        vq_embed_dim=8,
        latent_channels=8,
        lookup_from_codebook=True,
        force_upcast=False,
    )
    for parameter in (*fills.parameters(), *reads.parameters()):  # so that prompts and codes matter
        draw = torch.Generator().manual_seed(parameter.numel())
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    fills.mlm_layer = torch.nn.Sequential(fills.mlm_layer, PlacesDiffer())
    return fills.eval(), reads.eval(), draws.eval()


@pytest.fixture(scope="module")
def pipeline() -> Any:
    import diffusers
    from diffusers.pipelines.deprecated.amused.pipeline_amused import AmusedPipeline

    fills, reads, draws = untouched(networks)
    made = AmusedPipeline(draws, tokenizer(), reads, fills, diffusers.AmusedScheduler(mask_token_id=CODES))
    made.set_progress_bar_config(disable=True)
    return made


class PlacesDiffer(torch.nn.Module):
    """Behind the last layer: it has no places of its own, so inside a blank picture all answers are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.there = torch.randn(CODES, 8, 8, generator=torch.Generator().manual_seed(3))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits + self.there


def likeliest(probabilities: torch.Tensor, count: int, generator: Any = None) -> torch.Tensor:
    """In the place of a draw."""
    return probabilities.argmax(-1, keepdim=True)


@pytest.mark.parametrize(("prompt", "negative", "scale"), [("a cat", "", 3.0), ("A dog sits", "grey", 1.5)])
def test_every_step_is_that_of_the_pipeline(
    pipeline: Any, prompt: str, negative: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the network sees in every step and the last codes, with guidance; the likeliest in the place of draws."""
    seen: list[torch.Tensor] = []
    hook = pipeline.transformer.register_forward_pre_hook(lambda _, given: seen.extend(given[0]))
    with monkeypatch.context() as patched:
        patched.setattr(torch, "multinomial", likeliest)
        options = {"guidance_scale": scale, "num_inference_steps": 7, "temperature": (0, 0)}
        theirs = untouched(lambda: pipeline(prompt, negative_prompt=negative, output_type="latent", **options)).images
    wanted, seen[:] = list(seen), []
    sampler = replace(SAMPLER, steps=7, order=ConfidenceScore(noise=0.0), pick=Categorical(temperature=0.0))
    run, pushed = tm.wrap(pipeline, sampler=sampler), {"negative": {"text": negative}} if negative else {}
    (made,) = run.generate_tokens("image", {"text": prompt}, guidance=scale, **pushed)
    hook.remove()
    assert len(seen) == len(wanted) == 14  # with the prompt and without, seven times
    assert all(torch.equal(ours, other) for ours, other in zip(seen, wanted, strict=True))
    assert [int((codes == CODES).sum()) for codes in wanted[::2]] == [64, 62, 57, 50, 39, 27, 14]
    assert torch.equal(made.codes[:, :, 0].long(), theirs[0]) and len(theirs.unique()) > 4


def test_what_it_fills_and_what_not(pipeline: Any) -> None:
    run = tm.wrap(pipeline)
    picture, again = (run.generate("image", {"text": "a cat"}, seed=seed)[0] for seed in (1, 1))
    assert picture.pixels.shape == (16, 16, 3) and torch.equal(picture.stream.codes, again.stream.codes)
    wanted = pipeline.vqvae.decode(
        picture.stream.codes[:, :, 0].long()[None], force_not_quantize=True, shape=(1, 8, 8, 8)
    ).sample
    assert torch.equal(picture.pixels.movedim(2, 0), (wanted[0].clamp(0, 1) * 255).round().to(torch.uint8))
    (edited,) = run.edit(picture, [(0, 0, 8, 16)], given={"text": "a dog"}, seed=2)
    assert torch.equal(edited.stream.codes[:, 4:], picture.stream.codes[:, 4:])
    with pytest.raises(ValueError, match=r"UVit2DModel fills pictures alone; give texts as conditions"):
        run.generate("text", {"image": picture}, length=4)
    with pytest.raises(ValueError, match=r"sees prompts of 15 pieces at most, got 16; write a shorter one"):
        run.generate("image", {"text": "a" * 15})
    with pytest.raises(TypeError, match=r"wrap takes a language model .* got dict; open it with its library"):
        tm.wrap({})


def test_a_copy_in_another_dtype_reads_prompts_anew(pipeline: Any) -> None:
    run = tm.wrap(pipeline)
    before = run.generate_tokens("image", {"text": "a cat"}, steps=2, seed=1)[0].codes
    half = run.to(dtype=torch.bfloat16)
    made = half.generate_tokens("image", {"text": "a cat"}, steps=2, seed=1)[0].codes
    assert made.shape == before.shape and int(made.min()) >= 0 and int(made.max()) < CODES
    states = half.models["main"].backbone._prompt([28, 4])[0]
    assert states.dtype == torch.bfloat16 and run.models["main"].backbone._prompt([28, 4])[0].dtype == torch.float32
