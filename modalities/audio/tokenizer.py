"""Audio: log-mel frames coded by residual codebooks, and two ways back to a waveform.

Arrow: AudioClip --AudioTokenizer.encode--> TokenStream [time, level], and back.
Does not know: shared ids, models, other modalities.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.audio.figures import baseline_figures, distances, usage_figures
from tokenmask.modalities.audio.file_codes import coded_file, write_clip, write_made
from tokenmask.modalities.audio.fit import audio_fitting
from tokenmask.modalities.audio.joining import HeldSound, joined, joined_pieces
from tokenmask.modalities.audio.long import long_sound
from tokenmask.modalities.audio.media import AudioClip, resampled_length
from tokenmask.modalities.audio.mel import margin
from tokenmask.modalities.audio.network import CONTEXT_SECONDS, AudioNetwork, AudioTokenizerConfig
from tokenmask.modalities.audio.pitched import PitchedConfig, PitchedHead
from tokenmask.modalities.audio.pitched_fit import PitchedFit, PitchedFitting
from tokenmask.modalities.audio.telling import tell_changes, tell_changes_of_all
from tokenmask.modalities.audio.vocoder import TOGETHER, WINDOW, Vocoder
from tokenmask.modalities.keeping import check_keep, kept, length_of
from tokenmask.modalities.learned import FitSettings, LearnedTokenizer
from tokenmask.modalities.windows import Windows, cut
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.threads import free_cores, one_thread
from tokenmask.tokenizer import Show, check_media, check_stream, nothing_shown


class AudioTokenizer(LearnedTokenizer):
    """Log-mel frames, a ConvNeXt encoder, residual codebooks, and two decoders on the same codes.

    One decoder gives mel bands, to which Griffin-Lim finds phases; the other is a head that gives whole spectra: it
    corrects the magnitudes of those bands and adds phases. Loss: L1 + 0.3 squared error of the normalised bands, which
    alone moves the codes, and for the head L1 of log-mel and spectral convergence of the waveform with one window
    length in each step. Encoder and mel decoder are the principal components of the training frames plus corrections.
    Later another head can be fitted to the same codes (:meth:`fit_decoder`), which takes the phases of a voice from its
    pitch (:class:`~tokenmask.modalities.audio.pitched.PitchedHead`); then it is heard instead of the first.

    A clip of n samples (after averaging of channels and resampling) has ceil(n / hop) frames; beyond its ends there is
    silence, so the shortest clip, one sample, is one frame. Frames are coded in windows of 64 that begin at multiples
    of 64, each with the halo that the encoder can see; so memory does not grow with the clip, a recording that comes
    in blocks (:meth:`encode_blocks`) has the codes of the whole, and codes are equal, bit for bit, for a clip alone or
    in any batch and for any number of threads, on one machine.

    Source: SoundStream, arXiv:2107.03312 (residual codebooks, dropped levels), Vocos, arXiv:2306.00814 (blocks and
    head). Deviations: log-mel in instead of a waveform, which learns far faster; no discriminators.
    """

    name: ClassVar[str] = "audio"
    media: ClassVar[type] = AudioClip
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = AudioTokenizerConfig
    decoder_class: ClassVar[type | None] = PitchedConfig
    context_seconds: ClassVar[float | None] = CONTEXT_SECONDS
    config: AudioTokenizerConfig

    @staticmethod
    def make_network(config: AudioTokenizerConfig) -> nn.Module:
        """Encoder, codebooks and decoders."""
        return AudioNetwork(config)

    @staticmethod
    def make_decoder(config: AudioTokenizerConfig, own: PitchedConfig) -> nn.Module:
        """A head that takes the phases of a voice from its pitch."""
        return PitchedHead(config, own)

    @staticmethod
    def make_spec(config: AudioTokenizerConfig, network: nn.Module, identity: str) -> StreamSpec:
        """Levels over ("time",), coarse to fine."""
        return StreamSpec(
            "audio", (config.codes,) * config.levels, ("time",), rate_hz=config.rate_hz, fingerprint=identity
        )

    # Encoding ---------------------------------------------------------------------------------------------------------

    @free_cores()
    def encode_many(self, items: Sequence[AudioClip]) -> list[TokenStream]:
        """The codes of many clips; a warning says which are mixed down or resampled.

        Returns:
            Streams of codes int32 [frames, levels].

        Raises:
            TypeError: not an AudioClip.
        """
        for item in items:
            check_media(self, item)
        counts: list[int] = []

        def signals() -> Iterator[Tensor]:
            for item in items:
                tell_changes(item, self.config.sample_rate_hz, "this AudioTokenizer")
                samples = self._prepared(item)
                counts.append(math.ceil(len(samples) / self.config.hop))
                yield samples

        return [
            TokenStream(self._spec, codes[: counts[number]].clone())
            for number, codes in enumerate(self._frames.through(signals(), self._code))
        ]

    def encode_blocks(self, blocks: Iterable[AudioClip]) -> Iterator[TokenStream]:
        """Codes of a recording of any length, while it comes in.

        Args:
            blocks: its parts in order, of any lengths, at ``config.sample_rate_hz`` (resampling in parts would differ
                from resampling the whole).

        Yields:
            Streams of 64 frames or a multiple, the last of any number; ``start_seconds`` counts from the first block.
            Together they are the codes that :meth:`encode` gives for the whole.

        Raises:
            TypeError: not an AudioClip.
            ValueError: a block of another sample rate.
        """

        def samples() -> Iterator[Tensor]:
            for block in blocks:
                check_media(self, block)
                if block.sample_rate_hz != self.config.sample_rate_hz:
                    raise ValueError(
                        f"blocks must have {self.config.sample_rate_hz} samples a second, got {block.sample_rate_hz}; "
                        "resample the recording first"
                    )
                yield self._prepared(block)

        yield from self._stream_of_pieces(samples())

    def _stream_of_pieces(self, pieces: Iterable[Tensor]) -> Iterator[TokenStream]:
        """Codes of one channel at this rate, float32 [time] in pieces, while it comes in."""
        step, done, total = self._frames.step, 0, 0
        waiting = torch.zeros(self._frames.halo)
        for samples in pieces:
            total += len(samples)
            waiting = torch.cat([waiting, samples])
            ready = max(0, (len(waiting) - self._frames.size) // step + 1)
            if ready:
                yield self._stream_from(waiting, ready, done)
                waiting, done = waiting[ready * step :].clone(), done + ready * WINDOW
        frames = math.ceil(total / self.config.hop) - done
        if frames > 0:
            yield self._stream_from(waiting, math.ceil(frames / WINDOW), done, frames)

    @free_cores()
    def encode_file(
        self, path: str | Path, *, show: Show = nothing_shown, channels: Sequence[str] | None = None
    ) -> TokenStream:
        """The codes of ``encode(AudioClip.load(path))``, from pieces: memory grows with the codes alone.

        Files that are damaged, or have fewer samples than their header says, are read whole, see :func:`long_sound`.

        Args:
            path: of a sound file.
            show: called with seconds done and seconds in all.
            channels: as of :meth:`AudioClip.load`.

        Raises:
            ValueError: as of :meth:`AudioClip.load`.
        """
        sound = long_sound(path, channels or None)
        if sound is None:
            return self.encode(AudioClip.load(path, channels=channels))
        return TokenStream(self._spec, coded_file(path, sound, self.config, self._stream_of_pieces, show))

    def _stream_from(self, waiting: Tensor, windows: int, done: int, frames: int | None = None) -> TokenStream:
        starts = range(0, windows * self._frames.step, self._frames.step)
        parts = (cut(waiting, start, self._frames.size) for start in starts)
        codes = torch.cat(list(self._frames.run(parts, self._code)))[:frames].clone()
        return TokenStream(self._spec, codes, start_seconds=done / self.config.rate_hz)

    @property
    def _frames(self) -> Windows:
        """Windows of samples, with what the frames of their codes can see."""
        config = self.config
        return Windows(
            WINDOW * config.hop, config.encoder_reach * config.hop + margin(config.n_fft, config.hop), TOGETHER
        )

    def _prepared(self, clip: AudioClip) -> Tensor:
        """float32 [time] at the tokenizer's rate."""
        return clip.mono().resample(self.config.sample_rate_hz).samples[0]

    @torch.no_grad()
    def _code(self, windows: Tensor) -> Tensor:
        """Windows of samples float32 [4, size] -> codes int32 [4, 64, levels]."""
        reach, network = self.config.encoder_reach, self._network
        latents = network.encoder(network.features(windows.to(self.device)))[:, reach : reach + WINDOW]
        codes: Tensor = network.quantizer.nearest(latents.reshape(-1, self.config.latent))
        return codes.view(len(windows), WINDOW, -1).to("cpu", torch.int32)

    # Decoding ---------------------------------------------------------------------------------------------------------

    @free_cores()
    def decode(self, stream: TokenStream, *, given: AudioClip | None = None, keep: Tensor | None = None) -> AudioClip:
        """The sound of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept parts come from, of any rate and channels.
            keep: bool [frames] or bool [samples of the result], what is copied from ``given``; the rest is decoded, and
                fades in over ``FADE_SECONDS``.

        Returns:
            An AudioClip of one channel and frames * hop samples that keeps the stream; with ``given`` one of its rate,
            channels and length, or longer where the stream is, see :func:`~tokenmask.modalities.audio.joining.joined`.

        Raises:
            TypeError: ``given`` is no AudioClip.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep of another shape.
        """
        check_stream(self, stream)
        made = AudioClip(self.sound_of(stream.codes)[None], self.config.sample_rate_hz, stream)
        pair = kept(given, keep)
        if pair is None:
            return made
        check_media(self, pair[0])
        return joined(made, *pair)

    def sound_of(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """The waveform of codes, float32 [frames * hop].

        Args:
            codes: int32 [frames, levels].
            levels: how many of them to hear, coarse ones first; None for all.
        """
        return self._vocoder.whole(codes, levels)

    def decode_pieces(
        self,
        streams: Iterable[TokenStream],
        places: int,
        *,
        given: AudioClip | None = None,
        keep: Tensor | None = None,
    ) -> Iterator[AudioClip]:
        """Clips that joined are those of :meth:`decode`; see :class:`~tokenmask.tokenizer.DecodesPieces`."""
        own, rate_hz, pair = self.config.sample_rate_hz, self.config.rate_hz, kept(given, keep)
        if pair is not None:
            check_media(self, pair[0])
            check_keep(pair[1], (places,))

        def codes() -> Iterator[Tensor]:
            for stream in streams:
                check_stream(self, stream)
                yield stream.codes

        made, rate = self._vocoder.pieces(codes(), places), own
        pieces: Iterable[Tensor] = (piece[None] for piece in made)
        if pair is not None:
            time, rate = pair[0].samples.shape[1], pair[0].sample_rate_hz
            size = length_of(time, rate, resampled_length(time, rate, own), places * self.config.hop, own, rate_hz)
            pieces = joined_pieces(made, own, HeldSound(pair[0]), pair[1], size, rate_hz)
        return (AudioClip(piece, rate) for piece in pieces if piece.shape[1])

    @free_cores()
    def decode_file(
        self,
        stream: TokenStream,
        path: str | Path,
        *,
        given: str | Path | None = None,
        keep: Tensor | None = None,
        show: Show = nothing_shown,
    ) -> None:
        """Writes what ``decode(stream, given=AudioClip.load(given), keep=keep).save(path)`` would, in pieces.

        Args:
            stream: codes of this tokenizer.
            path: of the sound file to write.
            given: the file that kept parts come from.
            keep: bool [frames], what is copied from it. Where all is kept, nothing is decoded.
            show: called with seconds done and seconds in all.

        Raises:
            ValueError: as of :meth:`decode`; a suffix that cannot be written; a WAV file of more than 4 GiB.
        """
        check_stream(self, stream)
        codes = stream.codes
        kept(given, keep)
        if keep is not None:
            check_keep(keep, (len(codes),))
        sound = None if given is None or keep is None else long_sound(given)
        if given is not None and keep is not None and sound is None:
            write_clip(path, self.decode(stream, given=AudioClip.load(given), keep=keep), show)
            return
        pair = None if sound is None or keep is None else (sound, keep)
        made = functools.partial(self._vocoder.pieces, [codes], len(codes), None)
        write_made(path, len(codes), made, self.config, pair, show)

    @property
    def _vocoder(self) -> Vocoder:
        later = None if self._decoder is None else (self._decoder, self.decoder_config)
        return Vocoder(self.config, self._network, later, self._silence)

    @functools.cached_property
    def _silence(self) -> Tensor:
        """The codes of silence, int32 [1, levels]."""
        quiet = next(self._frames.run([torch.zeros(self._frames.size)], self._code))
        return quiet[WINDOW // 2 :][:1]

    # Judging ----------------------------------------------------------------------------------------------------------

    def evaluate(self, items: Sequence[AudioClip], train_items: Sequence[AudioClip] = ()) -> dict[str, float]:
        """How well clips are coded, and how well simple coders do.

        Args:
            items: held-out clips.
            train_items: clips for the baselines to learn from, those the tokenizer learned from. Without them there
                are no baselines.

        Returns:
            mel_l1: mean over clips of the L1 distance of ln max(mel, 1e-2), 80 bands, windows of 1024 samples, hop
            256; spectral_convergence of the same windows; mel_l1_levels_1 ... from the first levels only;
            bits_per_second; codes_used_share and perplexity of the first level, and both with _level_2 ... of the
            others; mean_mel_l1: a coder that always says the mean frame; pca_mel_l1: quantised principal components
            of log-mel frames, one frame a code, that spend the same bits (see :func:`pca_coded`), without the loss
            that a way back to a waveform adds.
        """
        if not items:
            raise ValueError("evaluate needs at least one clip, got none")
        config, streams = self.config, self.encode_many(items)
        clips = [self._prepared(item) for item in items]
        figures: dict[str, float] = {}
        for levels in range(1, config.levels + 1):
            pairs = [(clip, self.sound_of(stream.codes, levels)) for clip, stream in zip(clips, streams, strict=True)]
            errors = torch.tensor([distances(clip, made, config.sample_rate_hz) for clip, made in pairs]).mean(0)
            figures[f"mel_l1_levels_{levels}"] = float(errors[0])
        figures = {"mel_l1": float(errors[0]), "spectral_convergence": float(errors[1]), **figures}
        figures["bits_per_second"] = config.rate_hz * config.levels * math.log2(config.codes)
        figures |= usage_figures(torch.cat([stream.codes for stream in streams]), self._spec.codebook_sizes)
        if train_items:
            train, bits = [self._prepared(item) for item in train_items], config.levels * math.log2(config.codes)
            figures |= baseline_figures(train, clips, config.hop, config.sample_rate_hz, bits)
        return figures

    # Fitting ----------------------------------------------------------------------------------------------------------

    @classmethod
    @one_thread()
    def fit(
        cls,
        items: Sequence[AudioClip],
        *,
        config: AudioTokenizerConfig | None = None,
        steps: int = 1000,
        batch_size: int = 8,
        peak_lr: float = 1e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 200,
        pitched: PitchedFit | None = None,
        progress: bool = True,
    ) -> Self:
        """Learns from clips; one to two minutes on two cores with the defaults.

        Crops of 0.64 s come from all clips one after the other, with silence in between, played up to 20 % slower or
        faster (pitch and all) and 6 dB softer to 3 dB louder.

        Args:
            items: clips; channels are averaged, other rates resampled.
            config: of the network.
            steps: optimisation steps.
            batch_size: crops in a step.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            pitched: a head that takes the phases of a voice from its pitch learns afterwards, see
                :meth:`fit_decoder`; None leaves it at the first head.
            progress: show progress on stderr.

        Raises:
            TypeError: not an AudioClip.
            ValueError: no clip, or a folder with the checkpoint of another run.
        """
        config = config or AudioTokenizerConfig()
        _check_items(cls, items, config)
        task = audio_fitting(items, config, FitSettings(steps, batch_size, peak_lr, seed))
        made = cls(
            config,
            task.run("audio tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )
        if pitched is None:
            return made
        later = None if folder is None else Path(folder) / "decoder"
        return made.fit_decoder(items, pitched, folder=later, checkpoint_every=checkpoint_every, progress=progress)

    @one_thread()
    def fit_decoder(
        self,
        items: Sequence[AudioClip],
        settings: PitchedFit | None = None,
        *,
        folder: str | Path | None = None,
        checkpoint_every: int = 200,
        progress: bool = True,
    ) -> Self:
        """Learns a head that takes the phases of a voice from its pitch; codes stay as they are, bit for bit.

        Args:
            items: clips; channels are averaged, other rates resampled.
            settings: of the head and of the optimisation.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Returns:
            a tokenizer with the fingerprint of this one.

        Raises:
            TypeError: not an AudioClip.
            ValueError: no clip, a tokenizer without a head, or a folder with the checkpoint of another run.
        """
        settings = PitchedFit() if settings is None else settings
        if not isinstance(settings, PitchedFit):
            raise TypeError(f"settings must be a PitchedFit, got {settings!r}; write PitchedFit(steps=...) or None")
        _check_items(type(self), items, self.config)
        task = PitchedFitting(items, self._network, settings)
        tensors = task.run("pitched head", folder=folder, checkpoint_every=checkpoint_every, progress=progress)
        return self.with_decoder(settings.config, tensors)


def _check_items(kind: type, items: Sequence[AudioClip], config: AudioTokenizerConfig) -> None:
    if isinstance(items, str | bytes) or not isinstance(items, Sequence):
        raise TypeError(f"clips to fit to must be a list, got {type(items).__name__}; write [clip]")
    if not items:
        raise ValueError("fitting needs 1 clip at least, got none; pass some")
    for item in items:
        check_media(kind, item)
    tell_changes_of_all(items, config.sample_rate_hz)
