"""A MAGNeT's folder as a run: real code of T5 and EnCodec, random weights; its steps stand in test_magnet.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

import tokenmask as tm
from tests.modalities.small_published import needs_transformers, saved, untouched
from tests.models import small_magnet as small
from tokenmask.play.calls import script
from tokenmask.sampling import Chunks
from tokenmask.scores import ChunkScore

pytestmark = needs_transformers
PIECES = ["<pad>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz"]


def reader() -> tuple[Any, Any]:
    """(T5's encoder, its tokenizer of letters), small."""
    import tokenizers as library
    import transformers

    made = library.Tokenizer(library.models.Unigram([(piece, -float(at)) for at, piece in enumerate(PIECES)], 2))
    made.pre_tokenizer, made.decoder = library.pre_tokenizers.Metaspace(), library.decoders.Metaspace()
    made.post_processor = library.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    words = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    config = transformers.T5Config(
        vocab_size=len(PIECES), d_model=small.READS, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    return untouched(lambda: transformers.T5EncoderModel(config)).eval(), words


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of the network, the codec (24 frames of 16 samples a second) and T5."""
    root = tmp_path_factory.mktemp("magnet")
    made = {name: root / name for name in ("network", "codec", "t5")}
    made["network"].mkdir()
    save_file(small.weights(), made["network"] / "model.safetensors")
    (made["network"] / "config.yaml").write_text(yaml.safe_dump(small.settings()))

    shape = {"upsampling_ratios": [4, 4], "sampling_rate": 384, "codebook_size": small.CODES}

    saved("encodec", made["codec"], **shape, target_bandwidths=[0.24])
    encoder, words = reader()
    encoder.save_pretrained(made["t5"])
    words.save_pretrained(made["t5"])
    return made


@pytest.fixture(scope="module")
def run(folders: dict[str, Path]) -> tm.Run:
    return tm.wrap(folders["network"], folders["codec"], text=folders["t5"])


def test_a_folder_is_a_run_that_fills_sounds_for_a_text(run: tm.Run, folders: dict[str, Path]) -> None:
    sound, again = (run.generate("audio", {"text": "a dog barks"}, duration_seconds=1, seed=3)[0] for _ in range(2))
    assert sound.sample_rate_hz == 384 and sound.samples.shape == (1, 384)
    assert torch.equal(sound.stream.codes, again.stream.codes) and sound.stream.codes.shape == (24, 2)
    other = run.generate("audio", {"text": "rain"}, duration_seconds=1, seed=3)[0]
    assert not torch.equal(sound.stream.codes, other.stream.codes)
    together = run.generate("audio", [{"text": "a dog barks"}, {"text": "rain"}], duration_seconds=1, seed=3)
    assert torch.equal(together[0].stream.codes, sound.stream.codes)
    (edited,) = run.edit(sound, [(0.25, 0.5)], given={"text": "rain"}, seed=4)
    kept = torch.ones(24, dtype=torch.bool)
    kept[6:12] = False
    assert torch.equal(edited.stream.codes[kept], sound.stream.codes[kept])
    assert not torch.equal(edited.stream.codes, sound.stream.codes)
    (score,) = run.log_likelihood([sound], stream="audio", draws=4)
    assert score.codes == 48 and score.nats < 0 and not score.exact


def test_what_the_network_is_told_is_what_t5_says(run: tm.Run, folders: dict[str, Path]) -> None:
    import transformers

    encoder = transformers.T5EncoderModel.from_pretrained(folders["t5"]).eval()
    words = transformers.AutoTokenizer.from_pretrained(folders["t5"])
    backbone: Any = run.models["main"].backbone
    ids = words("a dog barks", return_tensors="pt")
    with torch.no_grad():
        wanted = backbone.network.projected(encoder(**ids).last_hidden_state[0])
    pieces = run.tokenizers["text"].encode(tm.Text("a dog barks")).codes[:, 0].tolist()
    assert pieces == ids["input_ids"][0, :-1].tolist()
    assert torch.equal(backbone._prompt(pieces), wanted) and torch.equal(backbone._prompt([*pieces, 1]), wanted)
    assert torch.equal(backbone._prompt([]), torch.zeros(1, small.WIDTH))


def test_its_loop_is_that_of_audiocraft(run: tm.Run) -> None:
    sampler = run.recipe.sampler
    assert [(stage.steps, stage.levels) for stage in sampler.stages] == [(20, (0,)), (10, (1,))]
    assert isinstance(sampler.schedule, Chunks) and sampler.order == ChunkScore(3, "max")
    assert (sampler.pick.temperature, sampler.pick.top_p) == (3.0, 0.9)
    assert (sampler.guidance.start, sampler.guidance.end) == (10.0, 1.0)
    assert run.recipe.model.longest == 24


def test_a_pair_in_memory_reads_texts_too(folders: dict[str, Path], run: tm.Run) -> None:
    codec = tm.tokenizer("encodec", folders["codec"], levels=2)
    other = tm.wrap(str(folders["network"]), codec, text=reader())
    options: dict[str, Any] = {"duration_seconds": 0.5, "seed": 1}
    (one,) = other.generate("audio", {"text": "rain"}, **options)
    assert torch.equal(one.stream.codes, run.generate("audio", {"text": "rain"}, **options)[0].stream.codes)


def test_a_page_that_draws_with_it_does_not_say_that_it_is_loaded(run: tm.Run) -> None:
    text = script(run, "audio", ["made = run.generate('audio', length=3)[0]"])
    assert "tm.load" not in text and "run = tm.wrap(...)  # what you wrapped" in text


def test_what_cannot_be_is_one_sentence(folders: dict[str, Path], run: tm.Run, tmp_path: Path) -> None:
    network, codec, t5 = (folders[name] for name in ("network", "codec", "t5"))
    with pytest.raises(ValueError, match=r"opened from a folder with config\.yaml, but .* has none; write it: package"):
        tm.wrap(tmp_path, codec, text=t5)
    (tmp_path / "state_dict.bin").write_bytes(b"")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small.settings()))
    with pytest.raises(ValueError, match=r"as pickle only \(state_dict\.bin\).* trust it: package = torch\.load"):
        tm.wrap(tmp_path, codec, text=t5)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**small.settings(), "lm_model": "transformer_lm"}))
    with pytest.raises(
        ValueError, match=r"must say lm_model: transformer_lm_magnet, as MAGNeT has it, got transformer_"
    ):
        tm.wrap(tmp_path, codec, text=t5)
    with pytest.raises(
        ValueError, match=r"needs a codec of 2 levels of 32 codes, got \(32,\); pass the EnCodec it was"
    ):
        tm.wrap(network, tm.tokenizer("encodec", codec, levels=1), text=t5)
    with pytest.raises(ValueError, match=r"needs a codec of 2 levels of 32 codes, got None; pass the EnCodec"):
        tm.wrap(network, None, text=t5)
    with pytest.raises(ValueError, match=r"text must be a folder or \(T5EncoderModel, its tokenizer\), got 3"):
        tm.wrap(network, codec, text=3)
    with pytest.raises(ValueError, match=r"t5-small is neither a folder here nor in the hub cache"):
        tm.wrap(network, codec)
    with pytest.raises(ValueError, match=r"text must be a T5, but .*config\.json is of 'encodec'; name one"):
        tm.wrap(network, codec, text=codec)
    with pytest.raises(ValueError, match=r"text and download are for the folder of a MAGNeT; leave them out"):
        tm.wrap(reader()[0], reader()[1], text=t5)
    with pytest.raises(ValueError, match=r"MAGNeT of width 32, 2 blocks is wrapped and knows the codes of its own"):
        run.swap_tokenizer("audio", run.tokenizers["audio"], media=[])
    with pytest.raises(ValueError, match=r"a wrapped MagnetNetwork stays in memory; keep its folder, and wrap it"):
        run.save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"longest|at most"):
        run.generate("audio", {"text": "a"}, duration_seconds=60)
