"""Run: the object that a person uses.

Arrow: media and words in --**Run.generate**--> media out; everything between is other files' work.
Does not know: how anything is computed. It holds a recipe, a layout, named models and tokenizers, and joins them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from tokenmask.analysis import LogLikelihood
from tokenmask.arguments import path_of
from tokenmask.corpus import Record
from tokenmask.devices import device_named
from tokenmask.generation import DrawOptions, ExpectedLengths, Inputs, Region
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.recipes import Recipe
from tokenmask.run.asked import Wish
from tokenmask.run.card import Card
from tokenmask.run.editing import Change, edited, edited_file
from tokenmask.run.expert import RunExpert, expert_of
from tokenmask.run.exporting import export
from tokenmask.run.folder import SHIPPED, read_run
from tokenmask.run.generating import generated, generated_tokens, streamed
from tokenmask.run.judging import held_out, likelihoods, records_of
from tokenmask.run.moving import moved
from tokenmask.run.outpainting import outpainted
from tokenmask.run.saving import saved
from tokenmask.run.swap import swap
from tokenmask.scores.arguments import is_a
from tokenmask.streams import TokenStream
from tokenmask.threads import free_cores
from tokenmask.tokenizer import Show, Tokenizer, nothing_shown
from tokenmask.training import StreamScore


@dataclass(frozen=True, eq=False)
class Run:
    """A trained system.

    Args:
        folder: where it lives.
        recipe: what it was made from.
        layout: of its models.
        models: by name; "main" fills slots.
        tokenizers: by stream name.
        corpora: (folder, weight) of the data it was trained on.
        labels: stream name -> axis -> names of its entries in the data (electrodes); new streams get the same.
        fresh: streams that were swapped or added since the last training, whose rows are still to be learned.
        lengths: how long new streams are that are asked for without a length, as the data of the last training tell.
    """

    folder: Path
    recipe: Recipe
    layout: Layout
    models: Mapping[str, MaskedModel]
    tokenizers: Mapping[str, Tokenizer]
    corpora: Sequence[tuple[str, float]] = field(default_factory=tuple)
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    lengths: ExpectedLengths = field(default_factory=ExpectedLengths)

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Opens a run folder.

        Raises:
            ValueError: no run, an unfinished or a damaged one. TypeError: no path.
        """
        folder = path_of("folder of a run", folder)
        return cls(folder, *read_run(folder))

    @property
    def device(self) -> torch.device:
        """Where its models compute."""
        return _weights(self.models["main"]).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights of its models."""
        return _weights(self.models["main"]).dtype

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Run:
        """This run on another device, as a copy: its models, and the tokenizers that have networks.

        Media and codes stay on the CPU, and a seed makes the same draws everywhere.

        Args:
            device: "cuda", "cpu" or the like; None leaves it where it is.
            dtype: of the models' weights, float32 or bfloat16; None leaves it. With bfloat16 they take half the memory
                and give other codes; tokenizers stay float32.

        Raises:
            TypeError: a dtype that is none of these.
            ValueError: a device that is not there, or that this build has no kernels for.
        """
        return moved(self, device, dtype)

    def __repr__(self) -> str:
        size = sum(p.numel() for model in self.models.values() for p in model.parameters())
        return f"Run({self.folder}: {', '.join(self.layout.names)}; {size / 1e6:.1f} M parameters)"

    # generate ----------------------------------------------------------------------------------------------------

    @free_cores()
    def generate(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        length: int | tuple[int, int] | None = None,
        grid: tuple[int, ...] | None = None,
        duration_seconds: float | None = None,
        invariant: bool = True,
        keep_original: bool | None = None,
        **options: Unpack[DrawOptions],
    ) -> list[Any]:
        """Fills a stream and decodes it: one media object per request and sample, each with its ``stream``.

        Media that are continued come back as they were given, at their rate, of their size and with their channels,
        and what is made follows.

        Args:
            stream, given, length, grid, duration_seconds, invariant, options: as of :meth:`generate_tokens`.
            keep_original: what is continued is what was given, not what its codes decode to. None does so for media
                that carry no codes of their own, where the tokenizer :class:`~tokenmask.tokenizer.Continues` media.
        """
        wish = Wish(stream, given, length, grid, duration_seconds, invariant, keep_original, options)
        return generated(self, wish)

    @free_cores()
    def generate_tokens(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        length: int | tuple[int, int] | None = None,
        grid: tuple[int, ...] | None = None,
        duration_seconds: float | None = None,
        invariant: bool = True,
        **options: Unpack[DrawOptions],
    ) -> list[TokenStream]:
        """Fills a stream.

        Args:
            stream: name of the stream to fill.
            given: stream name -> media, words, a path or a TokenStream, for one request or a list of them. Another
                stream is a condition; the same stream is a prefix that is continued and never changes. Of media that
                end inside of their last code that code is filled anew.
            length: new places along the time axis, or the first one, for a stream of free length. Of text also the
                least and the most, as of :meth:`edit`: each sample draws how long it is, and ends there. None, where no
                size is said and nothing is continued, takes the length that is expected beside what is given
                (:class:`tokenmask.generation.ExpectedLengths`); of text, room for the longest of the data.
            grid: size of all axes, where more than one is free.
            duration_seconds: the length of a stream with a clock, instead of ``length``, rounded to whole places.
            invariant: see :func:`tokenmask.generation.fill`.
            options: budget, steps, guidance, temperature, top_k, top_p, min_p, order, seed, num_samples, negative,
                also, matches, particles, window, sampler, progress and on_step; see
                :class:`tokenmask.generation.DrawOptions`.

        Returns:
            request by request, its samples in turn.

        Raises:
            ValueError: a stream that the run does not have, a length that is missing, zero or too long.
            TypeError: an option that there is not, or a value of another type.
        """
        return generated_tokens(self, Wish(stream, given, length, grid, duration_seconds, invariant, None, options))

    def stream(
        self,
        stream: str,
        given: Mapping[str, Any] | None = None,
        *,
        length: int | tuple[int, int] | None = None,
        grid: tuple[int, ...] | None = None,
        duration_seconds: float | None = None,
        invariant: bool = True,
        keep_original: bool | None = None,
        **options: Unpack[DrawOptions],
    ) -> Iterator[Any]:
        """:meth:`generate` of one sample in pieces, each as soon as it is decided: to hear a sound while it is made.

        It is filled window by window, and each window's media come before the next one is begun. Windows are short, so
        that the first is there soon: ``window="early"`` where nothing else is said. A text that matches a pattern, or
        whose length the model chooses, is one window. In memory are few pieces and the codes.

        Args:
            stream, given, length, grid, duration_seconds, invariant, keep_original, options: as of :meth:`generate`,
                of one request and one sample.

        Yields:
            media, without codes; joined they are those of :meth:`generate` with the same ``window``, bit for bit:
            ``stream(...)`` makes what ``generate(..., window="early")`` does, ``stream(..., window="most")`` what
            ``generate(...)`` does.

        Raises:
            ValueError: as of :meth:`generate`; several samples; a tokenizer that decodes whole streams only, or that
                joins what is given to what is made only as a whole.
        """
        wish = Wish(stream, given, length, grid, duration_seconds, invariant, keep_original, options)
        return streamed(self, wish)

    @free_cores()
    def edit(
        self,
        media: Any,
        regenerate: Sequence[Region] | None = None,
        *,
        stream: str | None = None,
        levels: Sequence[int] | None = None,
        channels: Sequence[str] | None = None,
        parts: Sequence[str] | None = None,
        length: int | tuple[int, int] | None = None,
        strength: float | None = None,
        drift: float | None = None,
        given: Mapping[str, Any] | None = None,
        keep_original: bool | None = None,
        **options: Unpack[DrawOptions],
    ) -> list[Any]:
        """Fills a region of media anew; every code outside of it stays, token for token.

        Media that were generated are edited from their own codes; others are encoded once. A stream longer than the
        model sees is edited in a window around the region.

        Args:
            media: media, words, a path or a TokenStream.
            regenerate: regions: (start, end) in seconds for audio, motion, EEG and video, in characters for text, where
                (7, 7) puts ``length`` codes in behind the seventh; (left, top, right, bottom) in pixels for images.
                None is everything.
            stream: name of its stream; needed for words, for paths, and where several streams hold such media.
            levels, channels, parts: only these, see :func:`tokenmask.generation.hole`.
            length: codes in place of the region, for text; as many as before if None. The least and the most leave it
                to the model: each sample draws a length by how well what stands behind the region goes with it
                (:func:`tokenmask.generation.length_scores`); the likeliest where best codes are taken.
            strength: share of the region's places that are made anew, drawn by the seed, so that the rest leads them:
                a variation. None is all.
            drift: nothing is hidden at first; in every step this share of the region's places, drawn each time, is made
                anew beside all that stands, so that it drifts to what the conditions say: editing without a mask, as
                Muse does with 0.08 in some 100 steps (arXiv:2301.00704, section 3.2.4). Finer levels follow as usual.
            given: stream name -> media, words, a path or a TokenStream: the conditions.
            keep_original: media outside of the region are those that came in, not their decoded codes; joined
                smoothly where the modality can. None does so for media that carry no codes of their own.
            options: budget, steps, guidance, temperature, top_k, top_p, min_p, order, seed, num_samples, negative,
                also, matches, particles, window, sampler, progress and on_step; see
                :class:`tokenmask.generation.DrawOptions`.

        Returns:
            one media object for each sample, with its ``stream``.

        Raises:
            ValueError: a region outside of the media, an unknown stream, level, channel or part.
            TypeError: an option that there is not, or a value of another type.
        """
        change = Change(regenerate, levels, channels, parts, length, strength, drift, given, options)
        return edited(self, media, stream, change, keep_original)

    @free_cores()
    def outpaint(
        self,
        picture: Any,
        *,
        left: int = 0,
        top: int = 0,
        right: int = 0,
        bottom: int = 0,
        stream: str | None = None,
        given: Mapping[str, Any] | None = None,
        **options: Unpack[DrawOptions],
    ) -> list[Any]:
        """Goes on beyond the sides of a picture, which stays as it is, pixel by pixel.

        A window of the picture's own size moves outward, by half of it at most, and what it does not know is filled:
        as MaskGIT extrapolates (arXiv:2202.04200, section 4.3), for models that see pictures of one size.

        Args:
            picture: an Image, an array, a path or a TokenStream.
            left, top, right, bottom: pixels beyond each side, in those of ``picture``.
            stream: name of its stream; needed for paths, and where several streams hold pictures.
            given: stream name -> media, words, a path or a TokenStream: the conditions of every window.
            options: as of :meth:`generate_tokens`. Each window of each sample draws by a seed made from ``seed``;
                ``on_step`` counts the steps of all windows of a sample and shows the codes of one.

        Returns:
            a picture for each sample, without codes, for no grid holds all of it.

        Raises:
            ValueError: no picture, nothing beyond any side, or more pixels than a picture may have.
            TypeError: numbers of pixels that are none.
        """
        sides = {"left": left, "top": top, "right": right, "bottom": bottom}
        return outpainted(self, picture, sides, stream, given, options)

    @free_cores()
    def edit_file(
        self,
        path: str | Path,
        out: Sequence[str | Path],
        regenerate: Sequence[Region] | None = None,
        *,
        stream: str,
        levels: Sequence[int] | None = None,
        channels: Sequence[str] | None = None,
        parts: Sequence[str] | None = None,
        strength: float | None = None,
        drift: float | None = None,
        given: Mapping[str, Any] | None = None,
        show: Show = nothing_shown,
        **options: Unpack[DrawOptions],
    ) -> None:
        """:meth:`edit` of a file of any length: the same files as its results would be saved as, made in pieces.

        Args:
            path: of the file.
            out: files to write, one for each sample.
            regenerate, levels, channels, parts, strength, drift, given, options: as of :meth:`edit`.
            stream: name of its stream; its tokenizer reads and writes files in pieces (:class:`WritesFiles`).
            show: called with seconds done and seconds in all, once through for each file that is read or written.

        Raises:
            ValueError: as of :meth:`edit`; a tokenizer that needs whole media; another number of files than of samples.
        """
        change = Change(regenerate, levels, channels, parts, None, strength, drift, given, options)
        edited_file(self, path, out, stream, change, show)

    @property
    def inputs(self) -> Inputs:
        """What its streams take: media, words and paths as tokens."""
        return Inputs(self.layout, self.tokenizers, self.labels, self.lengths)

    # change ------------------------------------------------------------------------------------------------------

    def swap_tokenizer(
        self, name: str, tokenizer: Tokenizer | None, *, media: Sequence[Any] | None = None, seed: int = 0
    ) -> Run:
        """The same run with another tokenizer for one stream; all else is kept bit for bit.

        Args:
            name: of the stream; one that is absent is added, and None as the tokenizer removes it.
            tokenizer: of the same kind of media as before, or of any kind for a new stream.
            media: items of the stream that tell which codes mean the same, best from the training data; text needs
                none. None takes the training records of the run's corpora, or, where it has none, media that the
                old model generates without a condition.
            seed: of media that are generated and of rows that nothing is known about.

        Returns:
            a run in memory without corpora, since theirs hold the old codes; :meth:`save` writes it. What it draws for
            other streams is the same as before, bit for bit; the swapped stream is to be trained a little.

        Raises:
            TypeError: no tokenizer.
            ValueError: media of another kind, or a stream that can't be removed.
        """
        return swap(self.to("cpu"), name, tokenizer, media, seed).to(self.device, self.dtype)

    def save(
        self, folder: str | Path, corpora: Sequence[tuple[str | Path, float]] = (), *, card: Card | None = None
    ) -> Run:
        """Writes a run folder with a model card, README.md, and opens it.

        Args:
            folder: new, or left over from the very same call; a README.md that is there stays as it is.
            corpora: (folder, weight) of data with the codes of these tokenizers.
            card: what the card says that no file knows: title, licence, data, limits, and how many samples it shows.

        Raises:
            TypeError: a folder that is no path, or a card that is none; then nothing was written.
            ValueError: the folder is a file or holds another run, a corpus holds foreign codes, or a component could
                not be read back (made in a notebook, or of a package that is not installed); then nothing was written.
        """
        from tokenmask.sharing import write_card  # late, as the two below: see CONTRIBUTING

        card = Card() if card is None else card
        is_a("card", card, Card)
        folder = saved(self, folder, corpora)
        write_card(self, folder, card)
        return Run.load(folder).to(self.device)

    def export(self, kind: str, folder: str | Path) -> Path:
        """Writes the model for another library; logits of codes are the same there.

        Args:
            kind: "transformers", a folder that ``AutoModelForMaskedLM.from_pretrained`` opens: a run of one stream of
                one level whose blocks are those of EuroBERT (Llama's, bidirectional) or BERT, see
                :class:`~tokenmask.models.BlockStyle`. Where a ``fast`` tokenizer makes the codes, its ``AutoTokenizer``
                is there too; else ids are codes.
            folder: new or empty.

        Returns:
            the folder.

        Raises:
            ValueError: another kind, a folder with something in it, or a field of the model that its classes do not
                have, in a sentence that names it; then nothing was written.
        """
        return export(self.models, self.tokenizers, kind, Path(folder))

    def push(self, name: str, *, card: Card | None = None, public: bool = False, endpoint: str | None = None) -> str:
        """Sends it to a hub as "user/name"; returns the address of the commit, see :func:`tokenmask.sharing.push`."""
        from tokenmask.sharing import push

        return push(self, name, card=card, public=public, endpoint=endpoint)

    def tune(self, stream: str, **options: Any) -> Any:
        """Finds the settings that fill a stream best for some budgets; see :func:`tokenmask.tuning.tune`.

        Returns:
            what was found, whose ``run`` generates by it; where this run has a folder, it is written there.
        """
        from tokenmask.tuning import tune

        return tune(self, stream, **options)

    # judge -------------------------------------------------------------------------------------------------------

    def records(self, split: str) -> list[Record]:
        """All records of the run's corpora in a split; refused if their tokenizers are not this run's."""
        return records_of(self, split)

    @free_cores()
    def log_likelihood(
        self,
        media: Sequence[Any],
        *,
        stream: str | None = None,
        given: Mapping[str, Any] | None = None,
        draws: int = 32,
        seed: int = 0,
    ) -> list[LogLikelihood]:
        """How probable the run's model finds each item: exact for a causal one, else a lower bound.

        Args:
            media: items: media, words, paths or TokenStreams.
            stream: name of their stream; needed for words, for paths, and where several streams hold such media.
            given: stream name -> media, words, a path or a TokenStream: the conditions, of all items.
            draws, seed: of the masks of a bound, see :func:`tokenmask.analysis.log_likelihoods`.

        Raises:
            ValueError: an unknown stream, or an item that is longer than the model sees.
            TypeError: one item alone instead of a list.
        """
        return likelihoods(self, media, stream, given, draws, seed)

    def expert(self, other: Run, *, stream: str | None = None, power: float = 1.0) -> RunExpert:
        """This run's causal model as an expert: a constraint that weighs what another run fills.

        With ``Sampler.particles`` what comes out goes to the law q(x) r(x) ** power / Z as their number grows: q is the
        other run's, r the probability of the same text by this one, whatever its vocabulary; see
        :class:`tokenmask.sampling.Expert`.

        Args:
            other: whose stream is filled; one level of the same media.
            stream: of ``other``; the one that has this run's name if None.
            power: of r.

        Raises:
            ValueError: a run that is not causal, or a stream that is not there or of other media.
        """
        return expert_of(self, other, stream, power)

    def held_out_scores(self, *, draws: int = 4, seed: int = 0) -> list[StreamScore]:
        """Masked cross-entropy of held-out records beside a unigram of the training codes."""
        return held_out(self, draws, seed)


def _weights(model: MaskedModel) -> Tensor:
    return next(model.parameters())


def load(
    folder: str | Path | None = None, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> Run:
    """Opens a run folder, what ``tokenmask train`` or ``make demo`` left; None opens the model that ships.

    Args:
        folder: of the run.
        device: where it computes; None takes a CUDA device where torch sees one and this build has kernels for it.
        dtype: of the weights, see :meth:`Run.to`.
    """
    place = device_named(device)
    return Run.load(SHIPPED if folder is None else folder).to(place, dtype)
