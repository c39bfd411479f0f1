"""Tokenizers: an object is one if it passes :func:`check_tokenizer`.

Does not know: any modality. In pytest, one test for each check::

    @pytest.mark.parametrize("check", tokenizer_checks(tokenizer, items), ids=lambda check: check.name)
    def test_contract(check):
        check()
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.files import write_text_atomic
from tokenmask.streams import TokenStream
from tokenmask.testing.contract import Check, Contract, refusal, require, run_all
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.tokenizer import DESCRIPTION_FILE, Continues, Tokenizer, describe, read_description, stream_of


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Args:
        tokenizer: any; nothing in it may be changed by the checks.
        items: three or more different media of its kind, the shortest that it takes among them.
        refused: media of its kind that it must refuse with a ValueError (an empty text, a wrong sample rate).
        suffix: of files that lose nothing, such as ".png"; "" leaves the check of files out.
    """

    tokenizer: Tokenizer
    items: Sequence[Any]
    refused: Sequence[Any] = ()
    suffix: str = ""

    def __post_init__(self) -> None:
        if len(self.items) < 3:
            raise ValueError(f"tokenizer checks need 3 items at least, got {len(self.items)}; pass more media")


def tokenizer_checks(
    tokenizer: Tokenizer, items: Sequence[Any], *, refused: Sequence[Any] = (), suffix: str = ""
) -> Iterator[Check]:
    """Yields every check of a tokenizer, ready to be called; see :class:`Subject` for the arguments."""
    yield from TOKENIZERS.named_checks(tokenizer, type(tokenizer).__name__, items=items, refused=refused, suffix=suffix)


def check_tokenizer(
    tokenizer: Tokenizer, items: Sequence[Any], *, refused: Sequence[Any] = (), suffix: str = ""
) -> list[str]:
    """Runs every check of a tokenizer.

    Returns:
        The names of the checks, all passed.

    Raises:
        AssertionError: names each check that failed, and why.
    """
    checks = tokenizer_checks(tokenizer, items, refused=refused, suffix=suffix)
    return run_all(checks, type(tokenizer).__name__, "tokenizers")


def _one_by_one(subject: Subject) -> list[TokenStream]:
    return [subject.tokenizer.encode(item) for item in subject.items]


def _any_codes(stream: TokenStream, seed: int) -> TokenStream:
    draw = torch.Generator().manual_seed(seed)
    sizes = stream.spec.codebook_sizes
    levels = [torch.randint(size, stream.grid, generator=draw, dtype=torch.int32) for size in sizes]
    return replace(stream, codes=torch.stack(levels, -1))


def _check_follows_the_protocol(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    require(isinstance(tokenizer, Tokenizer), "an attribute or method of tokenmask.tokenizer.Tokenizer is missing")
    media = tokenizer.media
    require(dataclasses.is_dataclass(media), f"{media.__name__} must be a dataclass")
    for method in ("load", "save"):
        require(callable(getattr(media, method, None)), f"{media.__name__} needs a method {method}(path)")
    require(len(tokenizer.spec.fingerprint) == 64, "spec.fingerprint must be 64 hex digits, see tokenizer.fingerprint")
    context = tokenizer.context_seconds
    require(context is None or context >= 0, f"context_seconds must be None or not negative, got {context}")


def _check_codes_are_of_the_spec(subject: Subject) -> None:
    spec = subject.tokenizer.spec
    for stream in _one_by_one(subject):
        require(stream.spec == spec, "a stream must carry the tokenizer's spec")
        require(stream.codes.device.type == "cpu", f"codes must be on the CPU, got {stream.codes.device}")
        require(stream.codes.numel() > 0, "a stream must hold at least one code")
        require(not stream.codes.is_inference(), "codes must be ordinary tensors, not of inference mode")
        if spec.end_code is not None:
            require(spec.end_code not in stream.codes[..., 0].flatten().tolist(), "encode must not emit the end code")


def _check_codes_repeat(subject: Subject) -> None:
    require(_one_by_one(subject) == _one_by_one(subject), "the same media must give the same codes")


def _check_many_equal_one_by_one(subject: Subject) -> None:
    encode_many, items = subject.tokenizer.encode_many, list(subject.items)
    alone = _one_by_one(subject)
    require(encode_many(items) == alone, "encode_many must give the codes of encode")
    require(encode_many(items[::-1]) == alone[::-1], "the order of a batch must not change codes")
    require(encode_many(items[:2]) == alone[:2], "the size of a batch must not change codes")
    require(encode_many([]) == [], "encode_many of nothing must be an empty list")


def _check_threads_change_nothing(subject: Subject) -> None:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            streams = subject.tokenizer.encode_many(subject.items)
            results.append((streams, _one_by_one(subject), [subject.tokenizer.decode(stream) for stream in streams]))
    finally:
        torch.set_num_threads(before)
    require(results[0] == results[1], "codes and decoded media must not depend on the number of threads")


def _check_decodes_to_its_media(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    for stream in _one_by_one(subject):
        media = tokenizer.decode(stream)
        require(isinstance(media, tokenizer.media), f"decode must return {tokenizer.media.__name__}, got {type(media)}")
        require(media == tokenizer.decode(stream), "the same codes must give the same media")
        require(getattr(media, "stream", None) == stream, "decoded media must keep their stream")
        require(stream_of(tokenizer, media) == stream, "the codes of decoded media must be those they came from")
        again = tokenizer.encode(media)
        require(again.grid == stream.grid or None in tokenizer.spec.grid, "decoded media must be encodable again")


def _check_decodes_any_codes(subject: Subject) -> None:
    for seed, stream in enumerate(_one_by_one(subject)):
        media = subject.tokenizer.decode(_any_codes(stream, seed))
        require(isinstance(media, subject.tokenizer.media), "any codes of the codebook must decode")


def _check_kept_media_pass_through(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    if not isinstance(tokenizer, Continues):
        return
    for item, stream in zip(subject.items, _one_by_one(subject), strict=True):
        same = tokenizer.decode(stream, given=item, keep=torch.ones(stream.grid, dtype=torch.bool))
        require(same == item, "a tokenizer that continues must give back media of which all is kept")
        require(stream_of(tokenizer, same) == stream, "media of which all is kept must keep the stream")


def _check_files_come_back(subject: Subject) -> None:
    if not subject.suffix:
        return
    media = subject.tokenizer.media
    with tempfile.TemporaryDirectory() as folder:
        for item in [*subject.items, subject.tokenizer.decode(subject.tokenizer.encode(subject.items[0]))]:
            path = Path(folder) / f"item{subject.suffix}"
            item.save(path)
            require(media.load(path) == item, f"{media.__name__}.load must give back what save wrote")  # type: ignore[attr-defined]
        refusal(ValueError, lambda: media.load(Path(folder) / "absent"), "a missing file")  # type: ignore[attr-defined]


def _check_saved_it_comes_back(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "new" / "folder"
        tokenizer.save(folder)
        tokenizer.save(folder)
        loaded = type(tokenizer).load(folder)
        require(loaded.spec == tokenizer.spec, "a loaded tokenizer must have the same spec and fingerprint")
        require(
            loaded.encode_many(subject.items) == _one_by_one(subject), "a loaded tokenizer must give the same codes"
        )
        stream = tokenizer.encode(subject.items[0])
        require(loaded.decode(stream) == tokenizer.decode(stream), "a loaded tokenizer must decode alike")
        held = read_description(folder)["tokenizer"]
        write_text_atomic(folder / DESCRIPTION_FILE, describe(held, {}, "0" * 64))
        refusal(ValueError, lambda: tokenizer.save(folder), "a folder that holds another tokenizer")


def _check_damage_is_noticed(subject: Subject) -> None:
    kind = type(subject.tokenizer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        refusal(ValueError, lambda: kind.load(folder), "an empty folder")
        subject.tokenizer.save(folder)
        for path in sorted(folder.iterdir()):
            whole = path.read_bytes()
            for damaged in (
                whole[: len(whole) // 2],
                _flipped(whole, len(whole) // 2),
                _flipped(whole, len(whole) - 3),
            ):
                path.write_bytes(damaged)
                refusal(ValueError, lambda: kind.load(folder), f"a damaged {path.name}")
            path.unlink()
            refusal(ValueError, lambda: kind.load(folder), f"a folder without {path.name}")
            path.write_bytes(whole)
        kind.load(folder)


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _check_foreign_streams_are_refused(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    stream = tokenizer.encode(subject.items[0])
    foreign = replace(stream, spec=replace(stream.spec, fingerprint="f" * 64))
    message = refusal(ValueError, lambda: tokenizer.decode(foreign), "a stream of another tokenizer")
    for name in (tokenizer.spec.fingerprint[:12], "f" * 12):
        require(name in message, f"the refusal of a foreign stream must name both fingerprints, got {message!r}")
    refusal(TypeError, lambda: tokenizer.decode(stream.codes), "codes without their spec")  # type: ignore[arg-type]


def _check_other_media_are_refused(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    for wrong in (None, 3, "text", torch.zeros(3)):
        message = refusal(TypeError, partial(tokenizer.encode, wrong), f"{type(wrong).__name__} as media")
        require(
            tokenizer.media.__name__ in message, f"the refusal must name {tokenizer.media.__name__}, got {message!r}"
        )
        batch = [subject.items[0], wrong]
        refusal(TypeError, partial(tokenizer.encode_many, batch), "a batch with one wrong item")
    for refused in subject.refused:
        refusal(ValueError, partial(tokenizer.encode, refused), f"the media {refused!r}")


def _check_media_are_left_alone(subject: Subject) -> None:
    def values(item: Any) -> list[Any]:
        fields = [getattr(item, field.name) for field in dataclasses.fields(item)]
        return [value.clone().tolist() if isinstance(value, Tensor) else value for value in fields]

    before = [values(item) for item in subject.items]
    stream = _one_by_one(subject)[0]
    codes = stream.codes.clone()
    subject.tokenizer.encode_many(subject.items)
    subject.tokenizer.decode(stream)
    require([values(item) for item in subject.items] == before, "encode must not change its media")
    require(torch.equal(stream.codes, codes), "decode must not change its codes")


def _check_global_random_state_is_untouched(subject: Subject) -> None:
    tokenizer = subject.tokenizer
    with global_random_state_untouched(), tempfile.TemporaryDirectory() as folder:
        streams = tokenizer.encode_many(subject.items)
        tokenizer.decode(streams[0])
        tokenizer.evaluate(subject.items)
        tokenizer.save(Path(folder) / "tokenizer")
        type(tokenizer).load(Path(folder) / "tokenizer")


def _check_figures_are_numbers(subject: Subject) -> None:
    figures = subject.tokenizer.evaluate(subject.items)
    require(bool(figures), "evaluate must return figures by name")
    for name, value in figures.items():
        require(isinstance(value, float), f"evaluate must return floats, but {name} is {value!r}")


TOKENIZERS = Contract(
    "tokenizer",
    Tokenizer,
    (
        _check_follows_the_protocol,
        _check_codes_are_of_the_spec,
        _check_codes_repeat,
        _check_many_equal_one_by_one,
        _check_threads_change_nothing,
        _check_decodes_to_its_media,
        _check_decodes_any_codes,
        _check_kept_media_pass_through,
        _check_files_come_back,
        _check_saved_it_comes_back,
        _check_damage_is_noticed,
        _check_foreign_streams_are_refused,
        _check_other_media_are_refused,
        _check_media_are_left_alone,
        _check_global_random_state_is_untouched,
        _check_figures_are_numbers,
    ),
    Subject,
)
