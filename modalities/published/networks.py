"""Networks of transformers and diffusers from configurations and tensors: in float32, ready to use, nothing drawn.

Arrow: (values of ``config.json``, tensors) --> network. Does not know: folders, what a network is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tokenmask.modalities.published.files import CONFIG_FILE


def pretrained(kind: Any, values: dict[str, Any], tensors: dict[str, Tensor], who: str) -> Any:
    """A model of transformers from the values of its ``config.json`` and tensors by the names of the file.

    Names of older versions are understood as ``from_pretrained`` understands them.
    """
    from transformers.utils import logging

    shown, loudness = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with torch.random.fork_rng(devices=[]):
            config = kind.config_class.from_dict(values)
            network, told = kind.from_pretrained(
                None, config=config, state_dict=dict(tensors), dtype=torch.float32, output_loading_info=True
            )
    except (ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{who} must fit its {CONFIG_FILE} and weights, but does not ({reason}); use both of one"
        ) from error
    finally:
        logging.set_verbosity(loudness)
        if shown:
            logging.enable_progress_bar()
    lost = sorted({*told["missing_keys"], *(str(name) for name in told["mismatched_keys"])})
    if lost:
        raise ValueError(
            f"{who} must find all its weights, but {len(lost)} are missing or of another shape ({lost[0]}); use the "
            f"{CONFIG_FILE} and the weights of one model"
        )
    return network.eval().requires_grad_(False)


def built(make: Callable[[], Any], tensors: dict[str, Tensor], who: str, advice: str) -> Any:
    """A network that ``make`` gives, with tensors by the names of the file; global draws stay as they were.

    Args:
        make: the network, with any weights.
        tensors: its weights, as float32.
        who: for the sentence about what does not fit.
        advice: what to do then.

    Raises:
        ValueError: a configuration or tensors that it does not take.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            network = make()
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{who} must fit its {CONFIG_FILE} and weights, but does not ({reason}); {advice}") from error
    return network.eval().requires_grad_(False)


def tried(run: Callable[[], Any], kind: type) -> None:
    """Runs a network of ours once on next to nothing; ValueError where tensors do not fit each other."""
    try:
        run()
    except (RuntimeError, IndexError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{kind.__name__} must have tensors that fit each other, but do not ({reason}); take all weights of one"
        ) from error


def diffused(kind: Any, values: dict[str, Any], tensors: dict[str, Tensor], who: str) -> Any:
    """A model of diffusers from the values of its ``config.json`` and tensors by the names of the file."""
    saved = f"{kind.__name__}.from_pretrained(FOLDER).save_pretrained(ANOTHER)"
    return built(
        lambda: kind.from_config(dict(values)), tensors, who, f"use both of one model, saved by its library: {saved}"
    )
