"""EEG codes: contract, scales, pieces equal the whole, kept samples, bit-equal latents."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import pytest
import soxr
import torch

from tests.modalities.contract import each_check, run_check
from tests.modalities.eeg.windows import TINY, piece
from tokenmask.data import EEG_CHANNELS, EEG_RATE_HZ
from tokenmask.modalities.eeg import EegTokenizer, Event, Session
from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.scale import normalised, octaves_per_step
from tokenmask.streams import TokenStream
from tokenmask.testing import Check, tokenizer_checks
from tokenmask.tokenizer import stream_of


def checks(tokenizer: Any, held_out: list[EegRecording], long: EegRecording) -> list[Check]:
    items = [
        held_out[0],
        held_out[1].select(["O1", "T7"]),
        long,
        piece(long, 0, 1),
        piece(long, 30, 133),
        EegRecording(torch.zeros(2, 100), EEG_RATE_HZ, ("flat", "Cz")),
        EegRecording(torch.full((1, 64), 4e4), EEG_RATE_HZ, ("offset",)),
    ]
    return list(tokenizer_checks(tokenizer, items, suffix=".npz"))


@each_check
def test_contract(name: str, tokenizer: EegTokenizer, held_out: list[EegRecording], long: EegRecording) -> None:
    run_check(name, checks(tokenizer, held_out, long))


def test_branches_with_own_unit_codebooks_keep_the_contract(
    train: list[EegRecording], held_out: list[EegRecording], long: EegRecording
) -> None:
    config = replace(TINY, kernels=(21, 15, 9, 5), unit=True, levels=1)
    branched = EegTokenizer.fit(train[:4], config=config, steps=3, progress=False)
    assert branched.spec.codebook_sizes == (64, 16, 16, 16, 16)
    assert branched.spec.level_groups == ((0,), (1,), (2,), (3,), (4,))
    for check in checks(branched, held_out, piece(long, 0, 300)):
        check()


def test_spec(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    spec = tokenizer.spec
    assert (spec.modality, spec.codebook_sizes, spec.axes) == ("eeg", (64, 128, 128), ("channel", "time"))
    assert (spec.rate_hz, spec.level_groups) == (16.0, ((0,), (1, 2)))
    stream = tokenizer.encode(held_out[0])
    assert stream.codes.shape == (14, 16, 3)
    assert stream.labels == {"channel": EEG_CHANNELS}
    assert tokenizer.decode(stream).channels == EEG_CHANNELS
    assert tokenizer.decode(replace(stream, labels={})).channels[:2] == ("1", "2")


def test_channels_are_independent(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    whole = tokenizer.encode(held_out[0])
    some = tokenizer.encode(held_out[0].select(["O2", "F3"]))
    assert torch.equal(some.codes, whole.codes[[7, 2]])


def test_pieces_with_their_context_have_the_codes_of_the_whole(tokenizer: EegTokenizer, long: EegRecording) -> None:
    whole = tokenizer.encode(long).codes
    context = round((tokenizer.context_seconds or 0.0) * 16)
    assert context == 32
    for begin, end in ((0, 40), (40, 45), (45, 100), (100, 144)):
        first, last = max(begin - context, 0), min(end + context, 144)
        part = tokenizer.encode(piece(long, first * 8, last * 8)).codes
        assert torch.equal(part[:, begin - first : end - first], whole[:, begin:end])


def test_a_piece_without_context_has_other_codes_at_its_edge(tokenizer: EegTokenizer, long: EegRecording) -> None:
    part = tokenizer.encode(piece(long, 320, 1024)).codes
    whole = tokenizer.encode(long).codes[:, 40:128]
    assert not torch.equal(part[:, :8], whole[:, :8])
    assert torch.equal(part[:, 32:-32], whole[:, 32:-32])


def test_encoding_sees_a_recording_as_fitting_does(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    """Windows with halo and zero padding of whole rows are the same network: latents agree but for rounding."""
    config, network = tokenizer.config, tokenizer._network
    wave, gain = normalised(held_out[3].samples, config)
    with torch.no_grad():
        latents = network.latents(wave[:, None], torch.ones(14, 1, 16))
        codes = network.quantizer.nearest(latents.reshape(-1, config.latent)).view(14, 16, -1)
        made = network.wave(network.quantizer.lookup(codes), torch.ones(14, 1, 16))[:, 0] * gain
    stream = tokenizer.encode(held_out[3])
    assert (stream.codes[..., 1:] == codes).double().mean() > 0.99
    assert torch.allclose(tokenizer.decode(stream).samples.std(1), made.std(1), rtol=0.05)


def test_the_scale_follows_the_power(tokenizer: EegTokenizer, long: EegRecording) -> None:
    codes = tokenizer.encode(long).codes[..., 0].double()
    louder = replace(long, samples=long.samples * 16)
    steps = (tokenizer.encode(louder).codes[..., 0] - codes).mean()
    assert abs(steps - 4 / octaves_per_step(tokenizer.config)) < 0.1
    half = replace(long, samples=torch.cat([long.samples[:, :576], long.samples[:, 576:] / 16], 1))
    scales = tokenizer.encode(half).codes[..., 0]
    assert torch.equal(scales[:, :60].double(), codes[:, :60])
    assert bool((scales[:, 90:] < 4).all())  # near the lowest scale
    assert bool((codes[:, 90:] > 16).all())
    made = tokenizer.decode(tokenizer.encode(louder)).samples
    assert abs((made.std() / tokenizer.decode(tokenizer.encode(long)).samples.std()).log2() - 4) < 0.1


def test_rounding_of_the_scale_costs_nothing(long: EegRecording) -> None:
    coarse = replace(TINY, scale_steps=5)
    wave, gain = normalised(long.samples, coarse)
    assert torch.allclose(wave * gain, long.samples, rtol=1e-5)
    assert wave.square().mean().sqrt() < 3


def test_flat_channels_decode_to_next_to_nothing(tokenizer: EegTokenizer) -> None:
    flat = EegRecording(torch.zeros(1, 256), EEG_RATE_HZ, ("Cz",))
    stream = tokenizer.encode(flat)
    assert bool((stream.codes[..., 0] == 0).all())
    assert tokenizer.decode(stream).samples.abs().max() < 1  # microvolt: a quarter is the lowest scale


def test_windows_are_bit_equal_in_any_row_and_with_threads(tokenizer: EegTokenizer, long: EegRecording) -> None:
    """On latents, not only on codes: a change of the last bit almost never flips a code."""
    network, draw = tokenizer._network, torch.Generator().manual_seed(0)
    waves, order = torch.randn(32, 1, 38 * 8, generator=draw), torch.randperm(32, generator=draw)
    lone = torch.zeros_like(waves)
    lone[5] = waves[7]
    inside = torch.ones(32, 1, 38)
    before, seen = torch.get_num_threads(), []
    try:
        with torch.no_grad():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                latents = network.latents(waves, inside)
                assert torch.equal(network.latents(waves[order], inside), latents[order])
                assert torch.equal(network.latents(lone, inside)[5], latents[7])
                seen.append((latents, network.wave(latents, inside)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])


def test_kept_samples_are_those_of_the_given_recording(tokenizer: EegTokenizer, long: EegRecording) -> None:
    given = piece(long, 0, 253)  # the last of 32 tokens is cut
    stream = tokenizer.encode(piece(long, 400, 656))
    plain = tokenizer.decode(stream).samples[:, :253]
    keep = torch.zeros(3, 32, dtype=torch.bool)
    keep[1, 10:] = True
    mixed = tokenizer.decode(stream, given=given, keep=keep)
    assert torch.equal(mixed.samples[1, 80:], given.samples[1, 80:])
    assert torch.equal(mixed.samples[1, :72], plain[1, :72])  # then it fades over a token of 8 samples
    assert torch.equal(mixed.samples[[0, 2]], plain[[0, 2]])
    assert mixed.stream == stream
    fine = torch.zeros(3, 253, dtype=torch.bool)
    fine[0, 5] = True
    mixed = tokenizer.decode(stream, given=given, keep=fine)
    assert torch.equal(mixed.samples[fine], given.samples[fine])
    assert torch.equal(mixed.samples[1:], plain[1:]) and torch.equal(mixed.samples[0, 13:], plain[0, 13:])
    with pytest.raises(ValueError, match="given and keep belong together"):
        tokenizer.decode(stream, given=given)
    with pytest.raises(ValueError, match=r"keep must be bool \[3, 32\] or \[3, 253\], got bool \[3, 16\]"):
        tokenizer.decode(stream, given=given, keep=keep[:, :16])
    with pytest.raises(ValueError, match="got int64"):
        tokenizer.decode(stream, given=given, keep=keep.long())
    with pytest.raises(ValueError, match=r"and its tokens at the most, \[3, 32\], got EegRecording\(2 channels"):
        tokenizer.decode(stream, given=given.select(["F3", "O1"]), keep=keep)
    with pytest.raises(TypeError, match="encodes EegRecording, got Tensor"):
        tokenizer.decode(stream, given=given.samples, keep=keep)  # type: ignore[arg-type]


def test_generated_recordings_are_not_encoded_again_unless_changed(
    tokenizer: EegTokenizer, held_out: list[EegRecording]
) -> None:
    made = tokenizer.decode(tokenizer.encode(held_out[4]))
    assert stream_of(tokenizer, made) is made.stream
    turned = replace(made, samples=made.samples.flip(1))
    assert stream_of(tokenizer, turned) == tokenizer.encode(turned) != made.stream


def test_other_rates_are_resampled_with_a_word(tokenizer: EegTokenizer, long: EegRecording) -> None:
    """The soxr library gives the expected samples."""
    fast = long.resample(512)
    values = soxr.resample(fast.samples.T.double().numpy(), 512, 128, quality="VHQ").T
    there = EegRecording(torch.from_numpy(values).float().contiguous(), 128, long.channels)
    with pytest.warns(UserWarning, match=r"EegRecording\(3 channels, 9 s at 512 Hz\) is resampled to the 128 Hz"):
        stream = tokenizer.encode(fast)
    assert stream.grid == (3, 144)
    assert stream == tokenizer.encode(there)
    keep = torch.ones(3, 144, dtype=torch.bool)
    keep[0, 40:60] = False
    mixed = tokenizer.decode(stream, given=fast, keep=keep)  # at its own rate
    assert mixed.sample_rate_hz == 512 and mixed.samples.shape == fast.samples.shape
    assert torch.equal(mixed.samples[1:], fast.samples[1:])
    assert torch.equal(mixed.samples[0, :1280], fast.samples[0, :1280])
    assert torch.equal(mixed.samples[0, 1920:], fast.samples[0, 1920:])
    values = soxr.resample(tokenizer.decode(stream).samples[0].double().numpy(), 128, 512, quality="VHQ")
    anew = torch.from_numpy(values).float()[1312:1888]  # behind fades of a token, 32 samples
    assert torch.equal(mixed.samples[0, 1312:1888], anew)


@pytest.mark.parametrize("rate", [512.0, 64.0, 100.0])
def test_what_is_kept_may_be_told_at_the_rate_of_the_recording(
    tokenizer: EegTokenizer, long: EegRecording, rate: float
) -> None:
    given = long.resample(rate)
    keep = torch.ones(given.samples.shape, dtype=torch.bool)
    keep[0, round(2.5 * rate) : round(3.75 * rate)] = False  # seconds
    with pytest.warns(UserWarning, match="is resampled"):
        stream = tokenizer.encode(given)
    mixed, plain = tokenizer.decode(stream, given=given, keep=keep), tokenizer.decode(stream).resample(rate)
    assert torch.equal(mixed.samples[1:], given.samples[1:])
    changed = (mixed.samples[0] != given.samples[0]).nonzero()[:, 0]
    first, stop = round(2.5 * rate), round(3.75 * rate)
    assert first <= int(changed[0]) <= first + 1 and stop - 2 <= int(changed[-1]) < stop
    fade = math.ceil(rate / 16)  # a token
    inside = slice(first + fade, stop - fade)
    assert torch.equal(mixed.samples[0, inside], plain.samples[0, inside])


def test_an_offset_that_hides_the_wave_is_told(tokenizer: EegTokenizer, long: EegRecording) -> None:
    shifted = replace(long, samples=long.samples + torch.tensor([[0.0], [4000.0], [0.0]]))
    with pytest.warns(UserWarning, match=r"beside an offset or drift \(O1: 4000 microvolts\).*without_offset"):
        tokenizer.encode(shifted)
    made = tokenizer.decode(tokenizer.encode(shifted.without_offset())).samples
    assert torch.corrcoef(torch.stack([made[1], long.samples[1]]))[0, 1] > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer.encode(long)


def test_what_is_kept_has_its_events(tokenizer: EegTokenizer, long: EegRecording) -> None:
    session = Session(events=(Event(1.5, "spike"),))
    stream = tokenizer.encode(long)
    mixed = tokenizer.decode(stream, given=replace(long, session=session), keep=torch.ones(3, 144, dtype=torch.bool))
    assert mixed.session == session
    assert torch.equal(mixed.samples, long.samples)


def test_wrong_media_are_one_sentence(tokenizer: EegTokenizer, long: EegRecording) -> None:
    with pytest.raises(ValueError, match="must hold a token and a channel"):
        tokenizer.decode(TokenStream(tokenizer.spec, torch.zeros(3, 0, 3, dtype=torch.int32)))
    with pytest.raises(ValueError, match="evaluate needs at least one recording"):
        tokenizer.evaluate([])
