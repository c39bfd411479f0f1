"""Run: a folder, and the object that a person uses.

Arrow: media and words in --**Run.generate**--> media out; everything between is other files' work.
Does not know: how anything is computed. It holds a recipe, a layout, named models and tokenizers, and joins them.

    recipe.yaml  layout.json  run.json  tokenizers/NAME/  models/NAME.safetensors  checkpoint.safetensors  metrics.jsonl
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenmask import editing
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, Mixture, Record, statistics
from tokenmask.editing import Region
from tokenmask.fitting import write_text_atomic
from tokenmask.generation import Request, fill, growing_axis
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, start_rows, transfer
from tokenmask.processes import Processes
from tokenmask.recipes import Recipe, load_recipe, recipe_yaml
from tokenmask.sampling import AllOf, ClassifierFree, ForbidCodes, Sampler
from tokenmask.streams import TokenStream, cut, pasted
from tokenmask.swapping import Relation, relate, transplant
from tokenmask.tokenizer import Tokenizer, stream_of, tokenizer_name
from tokenmask.tokenizer import load_tokenizer as load_tokenizer_folder
from tokenmask.training import StreamScore, Trainer, held_out_scores

FORMAT = 1
SHIPPED = Path(__file__).parent / "weights"  # a run folder without corpora; its README.md is the model card


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
    """

    folder: Path
    recipe: Recipe
    layout: Layout
    models: Mapping[str, MaskedModel]
    tokenizers: Mapping[str, Tokenizer]
    corpora: Sequence[tuple[str, float]] = field(default_factory=tuple)
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Opens a run folder.

        Raises:
            ValueError: no run, an unfinished or a damaged one.
        """
        folder = Path(folder)
        about = _read_json(folder / "run.json", "a run folder")
        if about.get("format") != FORMAT:
            raise ValueError(f"{folder} has run format {about.get('format')}, this tokenmask reads {FORMAT}")
        if not all(isinstance(about.get(k), t) for k, t in (("sha256", dict), ("streams", list), ("corpora", list))):
            raise ValueError(f"{folder / 'run.json'} is damaged (a field is missing); restore it or train again")
        for name, digest in about["sha256"].items():
            if not (folder / name).is_file() or _sha256((folder / name).read_bytes()) != digest:
                raise ValueError(f"{folder / name} was changed or damaged since the run was made; restore it")
        recipe = load_recipe(folder / "recipe.yaml")
        if about["streams"] != list(recipe.streams):
            raise ValueError(f"{folder / 'run.json'} is damaged (its streams are not those of the recipe); restore it")
        homes = {name: recipe.streams[name].shares or name for name in about["streams"]}
        opened = {home: load_tokenizer_folder(folder / "tokenizers" / home) for home in dict.fromkeys(homes.values())}
        tokenizers = {name: opened[home] for name, home in homes.items()}
        layout = _read_layout(folder / "layout.json")
        for name, tokenizer in tokenizers.items():
            if tokenizer.spec != layout.streams[name]:
                raise ValueError(
                    f"stream {name!r} of {folder} was trained on the codes of another tokenizer than the one in "
                    f"{folder / 'tokenizers' / homes[name]}; put the right one back"
                )
        paths = {path.stem: path for path in sorted((folder / "models").glob("*.safetensors"))}
        if "main" not in paths:
            raise ValueError(f"{folder} has no trained model yet; finish its training with `tokenmask train`")
        models = {name: MaskedModel.load(path) for name, path in paths.items()}
        for name, model in models.items():
            if model.layout != layout:
                raise ValueError(f"model {name!r} of {folder} belongs to another layout; train it again")
        corpora = tuple((str(folder / path), float(weight)) for path, weight in about["corpora"])
        labels = {
            name: {axis: tuple(names) for axis, names in axes.items()} for name, axes in about.get("labels", {}).items()
        }
        return cls(folder, recipe, layout, models, tokenizers, corpora, labels)

    def __repr__(self) -> str:
        size = sum(p.numel() for model in self.models.values() for p in model.parameters())
        return f"Run({self.folder}: {', '.join(self.layout.names)}; {size / 1e6:.1f} M parameters)"

    # generate ----------------------------------------------------------------------------------------------------

    def generate(self, stream: str, given: Any = None, **options: Any) -> list[Any]:
        """Fills a stream and decodes it: one media object per request and sample, each with its ``stream``.

        Arguments are those of :meth:`generate_tokens`.
        """
        tokens = self.generate_tokens(stream, given, **options)
        return [self.tokenizers[stream].decode(tokens_of_one) for tokens_of_one in tokens]

    def generate_tokens(
        self,
        stream: str,
        given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        *,
        length: int | None = None,
        grid: tuple[int, ...] | None = None,
        duration_seconds: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        seed: int | Sequence[int] = 0,
        num_samples: int = 1,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[Mapping[str, Any], float]] = (),
        sampler: Sampler | None = None,
        invariant: bool = True,
        progress: bool = False,
    ) -> list[TokenStream]:
        """Fills a stream.

        Args:
            stream: name of the stream to fill.
            given: stream name -> media, words, a path or a TokenStream, for one request or a list of them. Another
                stream is a condition; the same stream is a prefix that is continued and never changes.
            length: new places along the time axis, or the first one, for a stream of free length.
            grid: size of all axes, where more than one is free.
            duration_seconds: the length of a stream with a clock, instead of ``length``.
            steps: of the sampler, for each stage.
            guidance: s of u + s (c - u); 1 is none.
            temperature: 0 takes the best code.
            seed: of every request, or one for each.
            num_samples: samples of each request; they differ, and the first is the one that num_samples=1 gives.
            negative: stream name -> what guidance pushes away from, instead of from no condition.
            also: further conditions, (stream name -> what is given, weight w) each: the logits gain w (c - u).
            sampler: replaces the recipe's; the options above change it.
            invariant: see :func:`tokenmask.generation.fill`.
            progress: a bar on stderr.

        Returns:
            request by request, its samples in turn.

        Raises:
            ValueError: a stream that the run does not have, a length that is missing, zero or too long.
        """
        self._check(stream)
        wanted = [dict(one) for one in ([given or {}] if given is None or isinstance(given, Mapping) else given)]
        seeds = [seed] * len(wanted) if isinstance(seed, int) else list(seed)
        if not wanted or len(seeds) != len(wanted):
            raise ValueError(f"generate needs one seed, or one for each of {len(wanted)} requests, got {len(seeds)}")
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        others = self._others(negative, also)
        requests = []
        for one, its_seed in zip(wanted, seeds, strict=True):
            streams = {name: self._tokens(name, value) for name, value in one.items()}
            prefix = streams.pop(stream, None)
            size = self._grid(stream, prefix, length, grid, duration_seconds)
            names = dict(prefix.labels) if prefix else self.labels.get(stream, {})
            axes = self.layout.streams[stream].axes
            names = {axis: own for axis, own in names.items() if size[axes.index(axis)] == len(own)}
            blank = Request.blank(
                self.layout, stream, size, prefix=prefix, labels=names, given=streams, seed=its_seed, **others
            )
            requests += [replace(blank, sample=sample) for sample in range(num_samples)]
        return fill(
            requests,
            layout=self.layout,
            models=self.models,
            sampler=_adapt(sampler or self.recipe.sampler_of(stream), steps, guidance, temperature, negative, also),
            packing=self.recipe.packing,
            invariant=invariant,
            progress=progress,
        )

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
        given: Mapping[str, Any] | None = None,
        negative: Mapping[str, Any] | None = None,
        also: Sequence[tuple[Mapping[str, Any], float]] = (),
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        seed: int = 0,
        num_samples: int = 1,
        sampler: Sampler | None = None,
        keep_original: bool | None = None,
        progress: bool = False,
    ) -> list[Any]:
        """Fills a region of media anew; every code outside of it stays, token for token.

        Media that were generated are edited from their own codes; others are encoded once. A stream longer than the
        model sees is edited in a window around the region.

        Args:
            media: media, words, a path or a TokenStream.
            regenerate: regions: (start, end) in seconds for audio, motion, EEG and video, in characters for text;
                (left, top, right, bottom) in pixels for images. None is everything.
            stream: name of its stream; needed for words, for paths, and where several streams hold such media.
            levels, channels, parts: only these, see :func:`tokenmask.editing.hole`.
            length: codes in place of the region, for text; as many as before if None.
            given, negative, also, steps, guidance, temperature, seed, num_samples, sampler, progress: as in
                :meth:`generate`.
            keep_original: media outside of the region are those that came in, not their decoded codes; joined
                smoothly where the modality can. None does so for media that carry no codes of their own.

        Returns:
            one media object for each sample, with its ``stream``.

        Raises:
            ValueError: a region outside of the media, an unknown stream, level, channel or part.
        """
        name = stream or self._stream_of(media)
        self._check(name)
        tokenizer = self.tokenizers[name]
        source = media if isinstance(media, TokenStream) else self._media(name, media)
        codes = self._tokens(name, source)
        shown = tokenizer.decode(codes) if isinstance(source, TokenStream) else source
        hole = editing.hole(tokenizer, shown, codes, regenerate, levels=levels, channels=channels, parts=parts)
        canvas, open_places = codes, hole
        if length is not None:
            canvas, open_places = editing.resized(codes, hole, length)
        first, axis = 0, codes.spec.axes.index("time") if "time" in codes.spec.axes else 0
        most = self.recipe.packing.steps(self.layout, name, canvas)
        if most is not None:
            first, stop = editing.window(canvas, hole, most)
            canvas, open_places = cut(canvas, "time", first, stop), hole.narrow(axis, first, stop - first)
        conditions = {key: self._tokens(key, value) for key, value in (given or {}).items()}
        request = Request(name, canvas, open_places, conditions, seed=seed, **self._others(negative, also))
        chosen = _adapt(sampler or self.recipe.sampler_of(name), steps, guidance, temperature, negative, also)
        end = codes.spec.end_code
        if end is not None and not bool(open_places[-1].any()):  # what follows must not be cut off
            owner = self.layout.range(name).stream
            chosen = replace(chosen, constraint=AllOf((chosen.constraint, ForbidCodes({owner: (end,)}))))
        filled = fill(
            [replace(request, sample=sample) for sample in range(num_samples)],
            layout=self.layout,
            models=self.models,
            sampler=chosen,
            packing=self.recipe.packing,
            progress=progress,
        )
        edited = [one if most is None else pasted(codes, one, "time", first) for one in filled]
        if keep_original is None:
            keep_original = not (isinstance(source, TokenStream) or getattr(source, "stream", None) is codes)
        if keep_original:
            return [tokenizer.decode(one, given=shown, keep=~hole.any(-1)) for one in edited]
        return [tokenizer.decode(one) for one in edited]

    def _check(self, stream: str) -> None:
        if stream not in self.tokenizers:
            raise ValueError(f"this run has the streams {', '.join(self.tokenizers)}, got {stream!r}")

    def _others(
        self, negative: Mapping[str, Any] | None, also: Sequence[tuple[Mapping[str, Any], float]]
    ) -> dict[str, Any]:
        """The fields of a request beside what is given."""
        sets = [negative or {}, *(one for one, _ in also)]
        pushed, *further = [{name: self._tokens(name, value) for name, value in one.items()} for one in sets]
        return {"negative": pushed, "further": tuple(further)}

    def _stream_of(self, media: Any) -> str:
        """The stream that holds such media."""
        kinds = {name: tokenizer.media for name, tokenizer in self.tokenizers.items() if name not in self.layout.shares}
        if isinstance(media, TokenStream):
            found = [name for name in kinds if self.layout.streams[name] == media.spec]
        else:
            found = [name for name, kind in kinds.items() if type(media) is kind]
        if len(found) != 1:
            what = type(media).__name__
            raise ValueError(f"say which stream this {what} is of with stream=..., one of {', '.join(self.tokenizers)}")
        return found[0]

    def _media(self, name: str, value: Any) -> Any:
        """Media, words or a path -> media."""
        self._check(name)
        tokenizer = self.tokenizers[name]
        kind: Any = tokenizer.media
        if isinstance(value, str) and tokenizer.spec.modality == "text":
            value = kind(value)
        elif isinstance(value, (str, Path)):
            value = kind.load(value)
        return value

    def _tokens(self, name: str, value: Any) -> TokenStream:
        """Media, words, a path or a stream -> tokens; media that were generated keep theirs."""
        if isinstance(value, TokenStream):
            self._check(name)
            return value
        media = self._media(name, value)
        return stream_of(self.tokenizers[name], media)

    def _grid(
        self,
        name: str,
        prefix: TokenStream | None,
        length: int | None,
        grid: tuple[int, ...] | None,
        duration_seconds: float | None,
    ) -> tuple[int, ...]:
        spec = self.layout.streams[name]
        if duration_seconds is not None:
            if spec.rate_hz is None:
                raise ValueError(f"{name!r} has no clock, so ask for a length and not for duration_seconds")
            length = round(duration_seconds * spec.rate_hz)
        fixed = tuple(size for size in spec.grid if size is not None)
        if grid is None and len(fixed) == len(spec.grid):
            if length is not None and length != fixed[0]:
                raise ValueError(f"{name!r} always has {' x '.join(map(str, fixed))} places, got length {length}")
            return fixed
        if grid is None:
            if length is None:
                raise ValueError(f"{name!r} has no fixed size; say how many places to fill with length=...")
            if length < 1:
                raise ValueError(f"length must be at least 1, got {length}")
            grows = growing_axis(spec)
            names = dict(prefix.labels if prefix else {}) or self.labels.get(name, {})
            sizes = [
                len(names[axis]) if axis in names else size for axis, size in zip(spec.axes, spec.grid, strict=True)
            ]
            if prefix is not None:
                sizes = list(prefix.grid)
            sizes[grows] = length + (prefix.grid[grows] if prefix else 0)
            if any(size is None for size in sizes):
                raise ValueError(f"{name!r} is free along {spec.axes}; give the whole grid=...")
            grid = tuple(size or 0 for size in sizes)
        return tuple(grid)

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
            ValueError: media of another kind, or a stream that can't be removed.
        """
        if tokenizer is None:
            self._check(name)
            return self._changed(name, None, self.layout.remove(name), {})
        if name not in self.tokenizers:
            return self._changed(name, tokenizer, self.layout.add(name, tokenizer.spec), {})
        owner = self.layout.shares.get(name, name)
        old = self.tokenizers[owner]
        if old.media is not tokenizer.media:
            raise ValueError(
                f"stream {name!r} holds {old.media.__name__}, got a tokenizer of {tokenizer.media.__name__}; "
                "add it under another name"
            )
        if media is None:
            media = [] if hasattr(tokenizer, "code_texts") else self._examples(owner, seed)
        relation = relate(old, tokenizer, media)
        return self._changed(owner, tokenizer, self.layout.replace(owner, tokenizer.spec), {owner: relation}, seed)

    def _examples(self, name: str, seed: int, most: int = 256) -> list[Any]:
        """Media of a stream, with their codes: decoded training records, or generated without a condition."""
        if self.corpora:
            streams = [record.streams[name] for record in self.records(TRAIN) if name in record.streams][:most]
            return [self.tokenizers[name].decode(stream) for stream in streams]
        spec = self.layout.streams[name]
        if None not in spec.grid:
            return self.generate(name, num_samples=32, seed=seed)
        length = self.recipe.packing.budgets.get(name, self.recipe.packing.max_positions // 2)
        names = self.labels.get(name, {})
        fixed = math.prod(len(own) for own in names.values())
        return self.generate(name, length=max(length // fixed, 1), num_samples=32, seed=seed)

    def _changed(
        self, name: str, tokenizer: Tokenizer | None, layout: Layout, relations: Mapping[str, Relation], seed: int = 0
    ) -> Run:
        """The run in another layout."""
        models = {
            key: transplant(model, layout, name, relations.get(name, ()), seed=seed)
            for key, model in self.models.items()
        }
        family = [own for own in layout.names if layout.shares.get(own, own) == name]
        kept = {own: old for own, old in self.tokenizers.items() if own in layout.streams}
        fresh = {} if tokenizer is None else dict.fromkeys(family, tokenizer)
        return replace(
            self,
            recipe=self.recipe.with_streams(layout, {own: tokenizer_name(one) for own, one in fresh.items()}),
            layout=layout,
            models=models,
            tokenizers={own: {**kept, **fresh}[own] for own in layout.names},
            corpora=(),
            labels={own: names for own, names in self.labels.items() if own in layout.streams},
        )

    def save(self, folder: str | Path, corpora: Sequence[tuple[str | Path, float]] = ()) -> Run:
        """Writes a run folder and opens it.

        Args:
            folder: new, or left over from the very same call.
            corpora: (folder, weight) of data with the codes of these tokenizers.

        Raises:
            ValueError: the folder holds another run, or a corpus holds foreign codes.
        """
        folder = Path(folder)
        for path, _ in corpora:
            Corpus(path, specs=dict(self.layout.streams))
        labels = {name: {axis: list(names) for axis, names in axes.items()} for name, axes in self.labels.items()}
        _write_folder(folder, self.recipe, self.layout, self.tokenizers, corpora, labels)
        for name, model in self.models.items():
            path = folder / "models" / f"{name}.safetensors"
            path.parent.mkdir(exist_ok=True)
            model.save(path)
        return Run.load(folder)

    # judge -------------------------------------------------------------------------------------------------------

    def records(self, split: str) -> list[Record]:
        """All records of the run's corpora in a split; refused if their tokenizers are not this run's."""
        return [record for corpus in self._corpora(split) for record in corpus]

    def held_out_scores(self, *, draws: int = 4, seed: int = 0) -> list[StreamScore]:
        """Masked cross-entropy of held-out records beside a unigram of the training codes."""
        totals: dict[str, list[Any]] = {}
        for corpus in self._corpora(TRAIN):
            for name, counts in statistics(corpus).items():
                old = totals.get(name)
                totals[name] = list(counts) if old is None else [a + b for a, b in zip(old, counts, strict=True)]
        records = self.records(HELD_OUT)
        if not records:
            raise ValueError(f"the corpora of {self.folder} hold no held-out records to score; build them with a split")
        return held_out_scores(self.models["main"], self.recipe.packing, records, totals, draws=draws, seed=seed)

    def _corpora(self, split: str) -> list[Corpus]:
        if not self.corpora:
            raise ValueError(f"{self.folder} names no corpus")
        specs = dict(self.layout.streams)
        return [Corpus(path, split=split, specs=specs) for path, _ in self.corpora]


def load(folder: str | Path | None = None) -> Run:
    """Opens a run folder, what ``tokenmask train`` or ``make demo`` left; None opens the model that ships."""
    return Run.load(SHIPPED if folder is None else folder)


def load_tokenizer(name: str, folder: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a stream of a run, or the one in a tokenizer folder.

    Args:
        name: stream name in a run; the modality if ``folder`` is a tokenizer folder.
        folder: either; None is the model that ships, whose tokenizers are named by their modality.

    Raises:
        ValueError: neither is there, or the tokenizer is of another modality.
    """
    folder = SHIPPED if folder is None else Path(folder)
    inside = folder / "tokenizers" / name
    if (folder / "run.json").is_file() and not inside.is_dir():
        streams = sorted(path.name for path in (folder / "tokenizers").iterdir())
        raise ValueError(f"the run {folder} has tokenizers for {', '.join(streams)}, got {name!r}")
    tokenizer = load_tokenizer_folder(inside if inside.is_dir() else folder)
    if not inside.is_dir() and tokenizer.spec.modality != name:
        raise ValueError(f"{folder} holds a {tokenizer.spec.modality} tokenizer, got a request for {name!r}")
    return tokenizer


def prepare(
    folder: str | Path,
    recipe: Recipe,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    *,
    start: str | Path | None = None,
) -> Trainer:
    """Lays out a run folder and makes its trainer; ``trainer.fit(folder)`` starts or resumes it.

    Args:
        folder: of the run; an existing one must hold the same recipe, tokenizers and corpora.
        recipe: what to train.
        tokenizers: for every stream of the recipe.
        corpora: (folder, weight), at least one.
        start: another run, whose weights are started from; see :func:`tokenmask.models.transfer`.

    Raises:
        ValueError: tokenizers are missing or foreign to the corpora, the folder holds another run, or the model of
            ``start`` is of another kind.
    """
    folder = Path(folder)
    tokenizers = {
        **tokenizers,
        **{
            name: tokenizers[options.shares]
            for name, options in recipe.streams.items()
            if options.shares is not None and options.shares in tokenizers
        },
    }
    missing = [name for name in recipe.streams if name not in tokenizers]
    if missing:
        raise ValueError(f"the recipe needs a tokenizer for {', '.join(missing)}; name it with --tokenizer NAME=FOLDER")
    used = {name: tokenizers[name] for name in recipe.streams}
    layout = Layout(
        streams={name: tokenizer.spec for name, tokenizer in used.items()},
        arrangements={name: options.arrangement for name, options in recipe.streams.items()},
        shares={name: options.shares for name, options in recipe.streams.items() if options.shares is not None},
    )
    if not corpora:
        raise ValueError("training needs at least one corpus; name it with --corpus FOLDER")
    opened = [(Corpus(path, split=TRAIN, specs=dict(layout.streams)), weight) for path, weight in corpora]
    for corpus, _ in opened:
        foreign = [name for name in corpus.specs if name not in layout.streams]
        if foreign:
            raise ValueError(
                f"the recipe has the streams {', '.join(layout.streams)}, but {corpus.folder} also holds "
                f"{', '.join(foreign)}; build a corpus without it or add it to the recipe"
            )
    model = MaskedModel.create(recipe.model, layout, pattern=recipe.pattern, seed=recipe.training.seed)
    if recipe.rows == "codebooks":
        books = {name: getattr(tokenizers[name], "codebooks", None) for name in layout.names if name not in layout.shares}
        start_rows(model, {name: own for name, own in books.items() if own is not None}, seed=recipe.training.seed)
    origin = {}
    if start is not None:
        transfer(Run.load(start).models["main"], model)
        weights = (Path(start) / "models" / "main.safetensors").read_bytes()
        origin = {"started_from": {"run": str(start), "sha256": _sha256(weights)}}
    processes = Processes.join()
    with processes.first_goes_first():
        if processes.first:
            _write_folder(folder, recipe, layout, used, corpora, _labels([corpus for corpus, _ in opened]), origin)
        elif not (folder / "run.json").is_file():
            raise ValueError(f"every process must see the same {folder}, but one does not; use a folder that all share")
    packing, training = recipe.packing, recipe.training
    mixture = Mixture(
        opened,
        seed=training.seed,
        batch_size=training.batch_size,
        length=lambda record: packing.positions(layout, record.streams),
    )
    return Trainer(
        model,
        mixture,
        packing=packing,
        conditioning=recipe.conditioning,
        masker=recipe.masker,
        objective=recipe.objective,
        training=training,
        processes=processes,
    )


def train(
    folder: str | Path,
    recipe: Recipe,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    *,
    start: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Trains a run, or resumes it, and opens it. Arguments are those of :func:`prepare`.

    Under torchrun every process calls it, with the same arguments, and they train together.
    """
    trainer = prepare(folder, recipe, tokenizers, corpora, start=start)
    trainer.fit(Path(folder), progress=progress)
    trainer.save_model(Path(folder) / "models" / "main.safetensors")
    return Run.load(folder)


def _write_folder(
    folder: Path,
    recipe: Recipe,
    layout: Layout,
    tokenizers: Mapping[str, Tokenizer],
    corpora: Sequence[tuple[str | Path, float]],
    labels: Mapping[str, Mapping[str, Sequence[str]]],
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Everything of a run folder but its models; what is there already must be the same."""
    texts = {"recipe.yaml": recipe_yaml(recipe), "layout.json": json.dumps(layout.to_json(), indent=2) + "\n"}
    about = {
        "format": FORMAT,
        "sha256": {name: _sha256(text.encode()) for name, text in texts.items()},
        "streams": list(tokenizers),
        "corpora": [[_stored(Path(path), folder), weight] for path, weight in corpora],
        "labels": labels,
        **(origin or {}),
    }
    for name, text in texts.items():
        _write_or_compare(folder / name, text)
    for name, tokenizer in tokenizers.items():
        if name not in layout.shares:
            tokenizer.save(folder / "tokenizers" / name)
    _write_or_compare(folder / "run.json", json.dumps(about, indent=2) + "\n")


def _stored(path: Path, folder: Path) -> str:
    """A corpus inside the run folder is named relative to it, so that the folder can be moved."""
    path, folder = path.resolve(), folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _labels(corpora: Sequence[Corpus]) -> dict[str, dict[str, list[str]]]:
    """The names along axes of fixed meaning (electrodes), as in the first record of each stream that has any."""
    labels: dict[str, dict[str, list[str]]] = {}
    for corpus in corpora:
        record = next(iter(corpus), None)
        for name, stream in (record.streams if record else {}).items():
            if stream.labels:
                labels.setdefault(name, {axis: list(names) for axis, names in stream.labels.items()})
    return labels


def _adapt(
    sampler: Sampler,
    steps: int | None,
    guidance: float | None,
    temperature: float | None,
    negative: Mapping[str, Any] | None = None,
    also: Sequence[tuple[Mapping[str, Any], float]] = (),
) -> Sampler:
    if steps is not None:
        stages = tuple(replace(stage, steps=steps) for stage in sampler.stages)
        sampler = replace(sampler, steps=steps, stages=stages)
    if guidance is not None:
        sampler = replace(sampler, guidance=ClassifierFree(guidance))
    if also:
        base = sampler.guidance if isinstance(sampler.guidance, ClassifierFree) else ClassifierFree(1.0)
        sampler = replace(sampler, guidance=replace(base, weights=tuple(weight for _, weight in also)))
    if negative and not isinstance(sampler.guidance, ClassifierFree):
        raise ValueError("a negative condition needs guidance to push away from it; pass guidance=2.0 or so")
    if temperature is not None:
        sampler = replace(sampler, pick=replace(sampler.pick, temperature=temperature, temperature_end=None))
    return sampler


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{what} holds {path.name}, but {path.parent} does not; make one with `tokenmask train`")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it or train again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged (no JSON object); restore it or train again")
    return values


def _read_layout(path: Path) -> Layout:
    try:
        return Layout.from_json(_read_json(path, "a run folder"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it or train again") from error


def _write_or_compare(path: Path, text: str) -> None:
    """Writes a file once; a later call must bring the same text."""
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{path.parent} holds another run ({path.name} differs); resume it with the same recipe, tokenizers "
                "and corpora, or choose another folder"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, text)
