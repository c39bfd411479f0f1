"""Run: the object that a person uses.

Arrow: media and words in --**Run.generate**--> media out; everything between is other files' work.
Does not know: how anything is computed. It holds a recipe, a layout, named models and tokenizers, and joins them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack, cast

import torch
from torch import Tensor

from tokenmask.analysis import LogLikelihood, log_likelihoods
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, Record, totals
from tokenmask.devices import DTYPES, copied, device_named
from tokenmask.generation import (
    DrawOptions,
    Fill,
    Filling,
    Inputs,
    Placed,
    Region,
    Request,
    check_options,
    drawn_with,
    enclosed,
    fill,
    fill_any,
    fill_in_turn,
    growing_axis,
    hole,
    left_beside,
    resized,
    sees,
    thinned,
    touched,
    window,
)
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.recipes import Recipe
from tokenmask.run.asked import Asked, asked_of, marked
from tokenmask.run.card import Card
from tokenmask.run.exporting import export
from tokenmask.run.folder import SHIPPED, model_path, read_run, write_run
from tokenmask.run.swap import swap
from tokenmask.sampling import AllOf, ForbidCodes, Sampler
from tokenmask.scores.arguments import is_a
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.telling import tell
from tokenmask.threads import free_cores
from tokenmask.tokenizer import DecodesPieces, Moves, ReadsFiles, Show, Tokenizer, WritesFiles, nothing_shown
from tokenmask.training import StreamScore, held_out_scores


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
    """

    folder: Path
    recipe: Recipe
    layout: Layout
    models: Mapping[str, MaskedModel]
    tokenizers: Mapping[str, Tokenizer]
    corpora: Sequence[tuple[str, float]] = field(default_factory=tuple)
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Opens a run folder.

        Raises:
            ValueError: no run, an unfinished or a damaged one.
        """
        folder = Path(folder)
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
        if dtype is not None and dtype not in DTYPES:
            raise TypeError(f"dtype must be torch.float32 or torch.bfloat16, got {dtype!r}; take one of them, or None")
        place = self.device if device is None else device_named(device)
        if place == self.device and dtype in (None, self.dtype):
            return self
        elsewhere = {id(one): _there(one, place) for one in self.tokenizers.values()}
        return replace(
            self,
            models={name: copied(model, place, dtype) for name, model in self.models.items()},
            tokenizers={name: elsewhere[id(one)] for name, one in self.tokenizers.items()},
        )

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
        length: int | None = None,
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
        tokens, asked = self._generated(
            stream, given, length, grid, duration_seconds, invariant, keep_original, options
        )
        tokenizer = self.tokenizers[stream]
        return [one.decoded(tokenizer, filled) for one, filled in zip(asked, tokens, strict=True)]

    @free_cores()
    def generate_tokens(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        length: int | None = None,
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
            length: new places along the time axis, or the first one, for a stream of free length.
            grid: size of all axes, where more than one is free.
            duration_seconds: the length of a stream with a clock, instead of ``length``.
            invariant: see :func:`tokenmask.generation.fill`.
            options: budget, steps, guidance, temperature, seed, num_samples, negative, also, sampler, progress and
                on_step; see :class:`tokenmask.generation.DrawOptions`.

        Returns:
            request by request, its samples in turn.

        Raises:
            ValueError: a stream that the run does not have, a length that is missing, zero or too long.
            TypeError: an option that there is not, or a value of another type.
        """
        return self._generated(stream, given, length, grid, duration_seconds, invariant, None, options)[0]

    def _generated(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        length: int | None,
        grid: tuple[int, ...] | None,
        duration_seconds: float | None,
        invariant: bool,
        keep_original: bool | None,
        options: DrawOptions,
    ) -> tuple[list[TokenStream], list[Asked]]:
        asked = self._asked(stream, given, length, grid, duration_seconds, invariant, keep_original, options)
        filled = self._fill([one.request for one in asked], self._sampler(stream, options), options, invariant)
        return [one.marked(tokens) for one, tokens in zip(asked, filled, strict=True)], asked

    def _asked(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        length: int | None,
        grid: tuple[int, ...] | None,
        duration_seconds: float | None,
        invariant: bool,
        keep_original: bool | None,
        options: DrawOptions,
    ) -> list[Asked]:
        if not isinstance(invariant, bool):
            raise TypeError(f"invariant must be True or False, got {invariant!r}; write one of these")
        return asked_of(
            self.inputs,
            stream,
            given,
            length=length,
            grid=grid,
            duration_seconds=duration_seconds,
            keep_original=keep_original,
            options=options,
        )

    def stream(
        self,
        stream: str,
        given: Mapping[str, Any] | None = None,
        *,
        length: int | None = None,
        grid: tuple[int, ...] | None = None,
        duration_seconds: float | None = None,
        invariant: bool = True,
        keep_original: bool | None = None,
        **options: Unpack[DrawOptions],
    ) -> Iterator[Any]:
        """:meth:`generate` of one sample in pieces, each as soon as it is decided: to hear a sound while it is made.

        A stream that is longer than the model sees is filled window by window, and each window's media come before the
        next one is begun; a shorter one comes as one piece. In memory are few pieces and the codes.

        Args:
            stream, given, length, grid, duration_seconds, invariant, keep_original, options: as of :meth:`generate`,
                of one request and one sample.

        Yields:
            media, without codes; joined they are those of :meth:`generate`, bit for bit.

        Raises:
            ValueError: as of :meth:`generate`; several samples; a tokenizer that decodes whole streams only, or that
                joins what is given to what is made only as a whole.
        """
        if not isinstance(given, Mapping | None):
            raise TypeError(f"stream takes one request, got given={given!r}; write a dict, or use generate for several")
        asked = self._asked(stream, given, length, grid, duration_seconds, invariant, keep_original, options)
        if len(asked) != 1:
            raise ValueError(f"stream makes one sample, got num_samples={len(asked)}; use generate for several")
        tokenizer = self.tokenizers[stream]
        if not isinstance(tokenizer, DecodesPieces):
            raise ValueError(f"{type(tokenizer).__name__} decodes whole streams only, not pieces; use generate")
        one, filler = asked[0], self._filler(self._sampler(stream, options), options, invariant)
        codes = fill_in_turn(one.request, self.layout, self.recipe.packing, filler)
        kept = {} if one.source is None else {"given": one.source, "keep": one.keep}
        places = one.request.canvas.grid[growing_axis(one.request.canvas.spec)]
        return _with_free_cores(tokenizer.decode_pieces(codes, places, **kept))

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
        length: int | None = None,
        strength: float | None = None,
        given: Mapping[str, Any] | None = None,
        keep_original: bool | None = None,
        **options: Unpack[DrawOptions],
    ) -> list[Any]:
        """Fills a region of media anew; every code outside of it stays, token for token.

        Media that were generated are edited from their own codes; others are encoded once. A stream longer than the
        model sees is edited in a window around the region.

        Args:
            media: media, words, a path or a TokenStream.
            regenerate: regions: (start, end) in seconds for audio, motion, EEG and video, in characters for text;
                (left, top, right, bottom) in pixels for images. None is everything.
            stream: name of its stream; needed for words, for paths, and where several streams hold such media.
            levels, channels, parts: only these, see :func:`tokenmask.generation.hole`.
            length: codes in place of the region, for text; as many as before if None.
            strength: share of the region's places that are made anew, drawn by the seed, so that the rest leads them:
                a variation. None is all.
            given: stream name -> media, words, a path or a TokenStream: the conditions.
            keep_original: media outside of the region are those that came in, not their decoded codes; joined
                smoothly where the modality can. None does so for media that carry no codes of their own.
            options: budget, steps, guidance, temperature, seed, num_samples, negative, also, sampler, progress and
                on_step; see :class:`tokenmask.generation.DrawOptions`.

        Returns:
            one media object for each sample, with its ``stream``.

        Raises:
            ValueError: a region outside of the media, an unknown stream, level, channel or part.
            TypeError: an option that there is not, or a value of another type.
        """
        if not isinstance(keep_original, bool | None):
            raise TypeError(f"keep_original must be True, False or None, got {keep_original!r}; write one of these")
        inputs = self.inputs
        name = stream or inputs.stream_of(media)
        inputs.check(name)
        tokenizer = self.tokenizers[name]
        source = media if isinstance(media, TokenStream) else inputs.media(name, media)
        codes = inputs.tokens(name, source)
        shown = tokenizer.decode(codes) if isinstance(source, TokenStream) else source
        where = {"levels": levels, "channels": channels, "parts": parts}
        edited, chosen = self._remade(name, codes, shown, regenerate, length, strength, given, options, **where)
        if keep_original is None:
            keep_original = not (isinstance(source, TokenStream) or getattr(source, "stream", None) is codes)
        if keep_original:
            return [tokenizer.decode(one, given=shown, keep=~chosen.any(-1)) for one in edited]
        return [tokenizer.decode(one) for one in edited]

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
        given: Mapping[str, Any] | None = None,
        show: Show = nothing_shown,
        **options: Unpack[DrawOptions],
    ) -> None:
        """:meth:`edit` of a file of any length: the same files as its results would be saved as, made in pieces.

        Args:
            path: of the file.
            out: files to write, one for each sample.
            regenerate, levels, channels, parts, strength, given, options: as of :meth:`edit`.
            stream: name of its stream; its tokenizer reads and writes files in pieces (:class:`WritesFiles`).
            show: called with seconds done and seconds in all, once through for each file that is read or written.

        Raises:
            ValueError: as of :meth:`edit`; a tokenizer that needs whole media; another number of files than of samples.
        """
        self.inputs.check(stream)
        tokenizer = self.tokenizers[stream]
        if not isinstance(tokenizer, ReadsFiles) or not isinstance(tokenizer, WritesFiles):
            raise ValueError(f"{type(tokenizer).__name__} needs whole media, not files in pieces; use edit")
        if len(out) != options.get("num_samples", 1):
            raise ValueError(f"an edit writes a file for each of num_samples samples, got {len(out)} names")
        codes = tokenizer.encode_file(path, show=show)
        where = {"levels": levels, "channels": channels, "parts": parts}
        edited, chosen = self._remade(stream, codes, None, regenerate, None, strength, given, options, **where)
        for one, target in zip(edited, out, strict=True):
            tokenizer.decode_file(one, target, given=path, keep=~chosen.any(-1), show=show)

    def _remade(
        self,
        name: str,
        codes: TokenStream,
        shown: Any,
        regenerate: Sequence[Region] | None,
        length: int | None,
        strength: float | None,
        given: Mapping[str, Any] | None,
        options: DrawOptions,
        **where: Any,
    ) -> tuple[list[TokenStream], Tensor]:
        """The codes of each sample, and which places of ``codes`` were filled anew, bool [*grid, levels]."""
        mine = ("stream", "levels", "channels", "parts", "length", "strength", "given", "keep_original")
        seed, samples = check_options(options, mine)
        if not isinstance(seed, int):
            raise ValueError(f"an edit has one seed, got {seed!r}; write one whole number")
        inputs, tokenizer = self.inputs, self.tokenizers[name]
        chosen = hole(tokenizer, shown, codes, regenerate, **where)
        if strength is not None:
            if length is not None:
                raise ValueError(
                    "strength keeps places of the region and length replaces them all; write one of the two"
                )
            chosen = thinned(chosen, strength, seed)
        whole, opened = (codes, chosen) if length is None else resized(codes, chosen, length)
        beside = left_beside(tokenizer, name, shown, codes, chosen, regenerate)
        conditions, others = inputs.conditions(given), inputs.companions(options)
        canvas, open_places, first = whole, opened, 0
        piece = self.recipe.packing.window(self.layout, name, whole, conditions)
        if piece is not None and not _fits(opened, whole.spec.axes.index(piece[0]), piece[1]):
            piece = None  # a hole longer than the model sees is filled window by window
        if piece is not None:
            first, stop = window(whole, opened, piece[1])
            canvas = cut(whole, piece[0], first, stop)
            open_places = opened.narrow(whole.spec.axes.index(piece[0]), first, stop - first)
        request = Request(name, canvas, open_places, conditions, seed=seed, cut=piece is not None, **others)
        sampler = self._sampler(name, options)
        end = codes.spec.end_code
        if end is not None and not bool(opened[-1].any()):  # what follows must not be cut off
            owner = self.layout.range(name).stream
            sampler = replace(sampler, constraint=AllOf((sampler.constraint, ForbidCodes({owner: (end,)}))))
        if beside is not None:
            if sees(request, self.layout, self.recipe.packing) is None:
                sampler = enclosed(sampler, beside, int(opened.any(-1).sum()))
            else:
                tell(
                    f"a region of {name!r} that is longer than the model sees is filled by whole codes at its ends, too"
                )
        requests = [replace(request, sample=sample) for sample in range(samples)]
        filled = self._fill(requests, sampler, options)
        edited = [one if piece is None else pasted(whole, one, piece[0], first) for one in filled]
        return [marked(one, opened) for one in edited], chosen

    @property
    def inputs(self) -> Inputs:
        """What its streams take: media, words and paths as tokens."""
        return Inputs(self.layout, self.tokenizers, self.labels)

    def _sampler(self, stream: str, options: DrawOptions) -> Sampler:
        return drawn_with(self.recipe.sampler_of(stream, options.get("budget")), options)

    def _fill(
        self, requests: Sequence[Request], sampler: Sampler, options: DrawOptions, invariant: bool = True
    ) -> list[TokenStream]:
        filled = self._filler(sampler, options, invariant)
        return fill_any(requests, self.layout, self.recipe.packing, filled, options.get("progress", False))

    def _filler(self, sampler: Sampler, options: DrawOptions, invariant: bool = True) -> Fill:
        packing, on_step = self.recipe.packing, options.get("on_step")

        def filled(some: Sequence[Request], placed: Sequence[Placed], bar: bool) -> list[TokenStream]:
            def shown(now: Filling) -> None:
                if on_step is not None:
                    on_step(placed[now.request](now))

            return fill(
                some,
                layout=self.layout,
                models=self.models,
                sampler=sampler,
                packing=packing,
                invariant=invariant,
                progress=bar,
                on_step=shown if on_step is not None else None,
            )

        return filled

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
        if tokenizer is None:
            self.inputs.check(name)
        elif not hasattr(tokenizer, "encode_many") or isinstance(tokenizer, type):
            raise TypeError(
                f"swap_tokenizer takes a tokenizer, got {tokenizer!r}; open it first, with tokenmask.tokenizer(name, "
                "folder) or load_tokenizer"
            )
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
        if not isinstance(folder, str | Path) or not str(folder):
            raise TypeError(f"folder must be the path of a run folder, got {folder!r}; name one")
        if card is not None:
            is_a("card", card, Card)
        folder = Path(folder)
        for above in (folder, *folder.parents):
            if above.exists() and not above.is_dir():
                raise ValueError(f"a run is saved as a folder, but {above} is a file; name another")
        for model in self.models.values():
            model.about()  # refuses what no file could name
        for path, _ in corpora:
            Corpus(path, specs=dict(self.layout.streams))
        labels = {name: {axis: list(names) for axis, names in axes.items()} for name, axes in self.labels.items()}
        origin = {"fresh": list(self.fresh)} if self.fresh else {}
        write_run(folder, self.recipe, self.layout, self.tokenizers, corpora, labels, origin)
        for name, model in self.models.items():
            path = model_path(folder, name)
            path.parent.mkdir(exist_ok=True)
            model.save(path)
        from tokenmask.sharing import write_card  # late, as the two below: see CONTRIBUTING

        write_card(self, folder, Card() if card is None else card)
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
        return [record for corpus in self._corpora(split) for record in corpus]

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
        if isinstance(media, str) or not isinstance(media, Sequence):
            raise TypeError(f"media must be a list of items, got {type(media).__name__}; write [item]")
        if not media:
            return []
        inputs = self.inputs
        name = stream or inputs.stream_of(media[0])
        beside = inputs.conditions(given)
        records = [{**beside, name: inputs.tokens(name, one)} for one in media]
        return log_likelihoods(self.models["main"], self.recipe.packing, records, name, draws=draws, seed=seed)

    def held_out_scores(self, *, draws: int = 4, seed: int = 0) -> list[StreamScore]:
        """Masked cross-entropy of held-out records beside a unigram of the training codes."""
        counts = totals(self._corpora(TRAIN))
        records = self.records(HELD_OUT)
        if not records:
            raise ValueError(f"the corpora of {self.folder} hold no held-out records to score; build them with a split")
        model, packing, process = self.models["main"], self.recipe.packing, self.recipe.process
        return held_out_scores(model, packing, records, counts, draws=draws, seed=seed, process=process)

    def _corpora(self, split: str) -> list[Corpus]:
        if not self.corpora:
            raise ValueError(f"{self.folder} names no corpus; train a run on a corpus, or name one in its run.json")
        specs = dict(self.layout.streams)
        return [Corpus(path, split=split, specs=specs) for path, _ in self.corpora]


def _with_free_cores(pieces: Iterator[Any]) -> Iterator[Any]:
    """The same pieces; between two of them torch has the threads that it had."""
    while True:
        with free_cores():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _fits(opened: Tensor, axis: int, steps: int) -> bool:
    first, stop = touched(opened.movedim(axis, 0).flatten(1).any(1))
    return stop - first <= steps


def _weights(model: MaskedModel) -> Tensor:
    return next(model.parameters())


def _there(tokenizer: Tokenizer, device: torch.device) -> Tokenizer:
    """The tokenizer, or a copy of it on a device that it is not on."""
    if not isinstance(tokenizer, Moves) or tokenizer.device == device:
        return tokenizer
    return cast(Tokenizer, copy.deepcopy(tokenizer).to(device))


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
