"""What tokenizers that learn share: fitting a network around a quantiser, keeping it, and reading it back.

Arrow: media --fit--> network with codebooks <--folder. Does not know: any modality, shared ids, models.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tokenmask.fitting import fit, load_optimizer_tensors, optimizer_tensors, step_generator
from tokenmask.modalities.codebook_report import code_usage
from tokenmask.nn.init import build
from tokenmask.stored_tokenizer import FolderTokenizer
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tensor_files import canonical_json, load_tensors, save_tensors
from tokenmask.threads import all_threads
from tokenmask.tokenizer import check_media, check_stream, fingerprint

WEIGHTS_FILE = "weights.safetensors"
DECODER_FILE = "decoder.safetensors"
_KMEANS_VECTORS = 8192
# Of a forward pass; with fewer, one thread is about as fast as two: 0.9 of their time at 0.5e9, 1.2 at 2e9, 1.3 at 7e9.
FEW_OPERATIONS = 4e9


Quantise = Callable[[Tensor], Tensor]
"""float32 [items, ..., width] -> the same shape, quantised; what a loss puts between encoder and decoder."""


@dataclass(frozen=True)
class FitSettings:
    """How a network is optimised: AdamW, a short linear rise and a cosine fall of the learning rate.

    Args:
        steps: optimisation steps.
        batch_size: items in a step.
        peak_lr: largest learning rate.
        seed: of the weights, the batches and all else.
        warm_up: share of the steps without quantiser; codebooks then start by k-means. 0 starts them at once.
        weight_decay: of AdamW.
    """

    steps: int = 1000
    batch_size: int = 16
    peak_lr: float = 2e-3
    seed: int = 0
    warm_up: float = 0.12
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not 0 <= self.warm_up < 1:
            raise ValueError(
                f"fitting needs a step, a batch of 1 and warm_up in 0..1 at least, got {self.steps}, "
                f"{self.batch_size} and {self.warm_up}"
            )


def check_begun(mine: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """ValueError unless a checkpoint is of a run that was made from the same."""
    for part in mine:
        if kept.get(part) != mine[part]:
            raise ValueError(
                f"a run is resumed with the {part} it began with, got {mine[part]} after {kept.get(part)}; "
                "use another folder"
            )


def load_part(module: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Loads the tensors of a checkpoint that are called ``name.``... into a module."""
    start = f"{name}."
    module.load_state_dict({key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)})


class CodecFitting:
    """One training run, in the shape :func:`tokenmask.fitting.fit` drives.

    Args:
        make_network: builds the network, see :func:`tokenmask.nn.init.build`.
        draw_batch: a batch of training items, augmented, from a generator that depends on the step only.
        loss: (network, batch, quantise) -> (what is minimised, less the quantiser's share; metrics by name). It calls
            ``quantise`` once, with latents float32 [items, ..., width].
        settings: of the optimisation.
        about: JSON values that say what the run is made from; a resumed run must have the same.
    """

    def __init__(
        self,
        make_network: Callable[[], nn.Module],
        draw_batch: Callable[[torch.Generator], Any],
        loss: Callable[[Any, Any, Quantise], tuple[Tensor, dict[str, float]]],
        settings: FitSettings,
        about: Mapping[str, Any],
    ) -> None:
        self.network: Any = build(make_network, settings.seed)
        self.draw_batch, self.loss, self.settings = draw_batch, loss, settings
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.peak_lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay
        )
        plain = {**about, "settings": asdict(settings)}
        self.about = json.loads(canonical_json(plain))  # as a checkpoint gives it back: tuples become lists

    def step(self, index: int) -> dict[str, float]:
        settings, quantizer = self.settings, self.network.quantizer
        warm = math.ceil(settings.warm_up * settings.steps)
        draw = step_generator(settings.seed, index)
        if index == warm and warm:
            self._start_codebooks(index)
        batch = self.draw_batch(draw)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.peak_lr * share_of_peak(index, settings.steps)
        seen: list[tuple[Tensor, Tensor, Tensor]] = []

        def quantise(latents: Tensor) -> Tensor:
            if index < warm:
                return latents
            flat = latents.reshape(-1, latents.shape[-1])
            quantised, codes, commitment = quantizer(flat, items=len(latents), draw=draw)
            seen.append((flat, codes, commitment))
            return quantised.view(latents.shape)  # type: ignore[no-any-return]

        error, metrics = self.loss(self.network, batch, quantise)
        total = error + sum(commitment for _, _, commitment in seen)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        figures = {"loss": total.item(), **metrics}
        for flat, codes, _ in seen:
            quantizer.update(flat, codes, draw)
            share, perplexity = code_usage(codes[:, 0], quantizer.codebook_sizes[0])
            figures |= {"codes_used_share": share, "perplexity": perplexity}
        return figures

    def run(self, label: str, *, folder: str | Path | None, checkpoint_every: int, progress: bool) -> dict[str, Tensor]:
        """Does all steps, see :func:`tokenmask.fitting.fit`, and returns what is kept of the network.

        Sums of gradients depend on the number of threads, so that follows from the sizes of network and batch alone,
        not from what else the machine does.
        """
        steps = self.settings.steps
        with all_threads() if self.operations() > FEW_OPERATIONS else nullcontext():
            fit(self, steps=steps, folder=folder, checkpoint_every=checkpoint_every, label=label, progress=progress)
        return stored(self.network)

    @torch.no_grad()
    def operations(self) -> int:
        """Floating-point operations of convolutions and products, forward, in the first step."""
        batch = self.draw_batch(step_generator(self.settings.seed, 0))
        with FlopCounterMode(display=False) as counter:
            self.loss(self.network, batch, lambda latents: latents)
        total: int = counter.get_total_flops()
        return total

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        network = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        return network | optimizer_tensors(self.optimizer), self.about

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        check_begun(self.about, about)
        load_part(self.network, "network", tensors)
        load_optimizer_tensors(self.optimizer, tensors)

    @torch.no_grad()
    def _start_codebooks(self, index: int) -> None:
        """k-means on the latents of a few batches; all is drawn anew, so a resumed step does the same."""
        latents: list[Tensor] = []
        draw = step_generator(self.settings.seed, index, "codebooks")

        def keep(part: Tensor) -> Tensor:
            latents.append(part.reshape(-1, part.shape[-1]))
            return part

        while sum(map(len, latents)) < _KMEANS_VECTORS:
            self.loss(self.network, self.draw_batch(draw), keep)
        self.network.quantizer.start_from(torch.cat(latents), per_step=len(latents[0]), generator=draw)


def share_of_peak(index: int, steps: int) -> float:
    """Learning rate over its peak: 3 % linear rise, then a cosine down to 2 %."""
    rise = max(1, round(0.03 * steps))
    if index < rise:
        return (index + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (index - rise) / max(1, steps - rise)))


def stored(network: nn.Module) -> dict[str, Tensor]:
    """What is kept of a network: float16, without moving averages and what is known of unused codes, for fitting."""
    fitting = (".ema_count", ".ema_sum", ".lived", ".waited")
    kept = {name: value for name, value in network.state_dict().items() if not name.endswith(fitting)}
    return {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}


def doubled(batch: Tensor) -> Tensor:
    """A lone item twice: oneDNN sums convolutions of one item in another order than those of several."""
    return torch.cat([batch, batch]) if len(batch) == 1 else batch


class LearnedTokenizer(FolderTokenizer):
    """Base of the tokenizers that are a network with a quantiser; see :class:`tokenmask.tokenizer.Tokenizer`.

    Weights are rounded to float16 once, when a tokenizer is made, so that one that was fitted and one that was loaded
    are the same; arithmetic is float32.

    A decoder may be fitted later, to codes that stay as they are: then the tokenizer keeps its fingerprint, whatever
    decodes it, and models and corpora of its codes stay valid. The first decoder is kept beside it.

    A tokenizer adds ``media``, ``context_seconds``, ``encode_many``, ``decode``, ``evaluate`` and ``fit``; one that can
    have a later decoder ``decoder_class`` and ``make_decoder``.
    """

    remedy: ClassVar[str] = "fit it again"
    decoder_class: ClassVar[type | None] = None
    """The configuration of a later decoder, a frozen dataclass; None where there can be none."""

    _network: Any
    _decoder: Any = None

    def __init__(
        self, config: Any, weights: Mapping[str, Tensor], decoder: tuple[Any, Mapping[str, Tensor]] | None = None
    ) -> None:
        """Args:
        config: of the network.
        weights: its tensors by name, as :meth:`save` stores them; ``fit`` makes them.
        decoder: configuration and tensors of a later decoder, if there is one.
        """
        self.config = config
        self._network = filled(lambda: self.make_network(config), weights)
        identity = fingerprint({"tokenizer": self.name, **_known(config)}, stored(self._network))
        self._spec = self.make_spec(config, self._network, identity)
        if decoder is not None:
            self.decoder_config, tensors = decoder
            self._decoder = filled(lambda: self.make_decoder(config, self.decoder_config), tensors)

    @staticmethod
    @abstractmethod
    def make_network(config: Any) -> nn.Module:
        """The network, on whatever device is the default; it has a ``quantizer``."""

    @staticmethod
    def make_decoder(config: Any, own: Any) -> nn.Module:
        """A later decoder for the codes of a network of ``config``; ``own`` is of ``decoder_class``."""
        raise NotImplementedError("only tokenizers with a decoder_class have a later decoder")

    def with_decoder(self, own: Any, tensors: Mapping[str, Tensor]) -> Self:
        """This tokenizer with a later decoder: the same codes, the same fingerprint.

        Args:
            own: configuration of the decoder, of ``decoder_class``.
            tensors: its weights by name.
        """
        return type(self)(self.config, stored(self._network), (own, tensors))

    def with_first_decoder(self) -> Self:
        """This tokenizer without its later decoder: the same codes, the same fingerprint."""
        return type(self)(self.config, stored(self._network))

    @property
    def later_decoder(self) -> tuple[Any, dict[str, Tensor]] | None:
        """Configuration and tensors of the later decoder, as :meth:`with_decoder` takes them; None without one."""
        return None if self._decoder is None else (self.decoder_config, stored(self._decoder))

    @staticmethod
    @abstractmethod
    def make_spec(config: Any, network: Any, identity: str) -> StreamSpec:
        """What the codes mean."""

    @abstractmethod
    def encode_many(self, items: Sequence[Any]) -> list[TokenStream]:
        """The codes of many items."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = next(self._network.buffers()).device
        return device

    def to(self, device: torch.device | str) -> Self:
        """Moves the network, to encode much at once on an accelerator; codes come back to the CPU all the same."""
        self._network.to(device)
        if self._decoder is not None:
            self._decoder.to(device)
        return self

    @classmethod
    def chosen_config(cls, items: Sequence[Any]) -> Any:
        """The configuration that ``fit`` takes for items if none is given."""
        return cls.config_class()

    @classmethod
    def check_item(cls, item: Any, config: Any) -> None:
        """ValueError for an item that ``fit`` cannot learn from with a configuration; most take all of their media."""
        check_media(cls, item)

    @classmethod
    def unusable(cls, items: Sequence[Any], config: Any = None) -> dict[int, str]:
        """Numbers of the items that ``fit`` cannot take, and why: one of them must not end the work on all others.

        Args:
            items: media of the tokenizer; read one by one, and not at all where every item can be taken.
            config: of ``fit``; None is the one that it chooses.

        Raises:
            ValueError: no configuration fits any of the items.
        """
        if cls.check_item.__func__ is LearnedTokenizer.check_item.__func__ or not items:  # type: ignore[attr-defined]
            return {}
        chosen = cls.chosen_config(items) if config is None else config
        found: dict[int, str] = {}
        for number, item in enumerate(items):
            try:
                cls.check_item(item, chosen)
            except ValueError as error:
                found[number] = str(error)
        return found

    @property
    def decoder_fingerprint(self) -> str | None:
        """Of the later decoder's configuration and weights; None without one."""
        if self._decoder is None:
            return None
        return fingerprint({"codes": self.spec.fingerprint, **asdict(self.decoder_config)}, stored(self._decoder))

    def encode(self, media: Any) -> TokenStream:
        """The codes of one item; see ``encode_many``."""
        return self.encode_many([media])[0]

    @property
    def codebooks(self) -> tuple[Tensor | None, ...]:
        """For each level of the spec the vectors of its codes, float32 [codes, d]; None where there are none."""
        return tuple(book.cpu() for book in self._network.quantizer.codebooks)

    @torch.no_grad()
    def vectors(self, stream: TokenStream) -> Tensor:
        """What the codebooks hold for codes: float32 [*grid, numbers of a vector]; sums over the levels of a group."""
        check_stream(self, stream)
        vectors: Tensor = self._network.quantizer.lookup(stream.codes.to(self.device)).cpu()
        return vectors

    def write_files(self, folder: Path) -> None:
        """Writes the weights (safetensors), and those of the later decoder; without one, none stays there."""
        save_tensors(folder / WEIGHTS_FILE, stored(self._network), {"tokenizer": self.name})
        if self._decoder is None:
            (folder / DECODER_FILE).unlink(missing_ok=True)
            return
        about = {"tokenizer": self.name, "codes": self.spec.fingerprint, "config": asdict(self.decoder_config)}
        save_tensors(folder / DECODER_FILE, stored(self._decoder), about)

    @classmethod
    def read_files(cls, config: Any, folder: Path, identity: str, **others: Any) -> Self:
        """With the weights that are there, and the later decoder if there is one."""
        weights = load_tensors(folder / WEIGHTS_FILE)[0]
        _check_plausible(config, weights)
        path = folder / DECODER_FILE
        if not path.exists():
            return cls(config, weights)
        tensors, about = load_tensors(path)
        values = about.get("config")
        if cls.decoder_class is None or about.get("codes") != identity or not isinstance(values, dict):
            raise ValueError(
                f"{path} must be a decoder for the codes of tokenizer {identity[:16]}, got one for "
                f"{str(about.get('codes'))[:16]}; copy the folder again, or, to have the first decoder, remove this "
                "file and the entry 'decoder' of tokenizer.json"
            )
        own = cls._configuration(values, cls.decoder_class)
        _check_plausible(own, tensors)
        return cls(config, weights, (own, tensors))


def filled(make: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> Any:
    """A network with weights rounded to float16, for use.

    Raises:
        ValueError: weights that do not fit it in names or shapes.
    """
    with torch.device("meta"):  # before any memory is taken: the configuration may come from a file that lies
        wanted = {name: value.shape for name, value in stored(make()).items()}
    if wanted != {name: value.shape for name, value in weights.items()}:
        raise ValueError("the weights must fit the configuration in names and shapes, but do not; fit it again")
    network = build(make, 0).eval().requires_grad_(False)
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    network.load_state_dict(halved, strict=False)
    return network


def _known(config: Any) -> dict[str, Any]:
    """What a fingerprint is of: fields that came after some tokenizers were fitted count where they are said alone."""
    later = [one for one in fields(config) if one.metadata.get("later")]
    silent = {one.name for one in later if getattr(config, one.name) == one.default}
    return {name: value for name, value in asdict(config).items() if name not in silent}


def _check_plausible(config: Any, weights: Mapping[str, Tensor]) -> None:
    """TypeError for sizes that no network with these weights can have, which would take for ever to build."""
    most = max(sum(value.numel() for value in weights.values()), 1 << 20)
    for name, value in asdict(config).items():
        if isinstance(value, int) and value > (len(weights) if name.endswith(("blocks", "levels")) else most):
            raise TypeError(f"its weights are too few for {name} {value}")
