"""Where a command computes: what --device says, or a GPU that this build can use; told in a line unless it is the CPU.

Does not know: what is computed.
"""

from __future__ import annotations

import argparse
import sys

import torch

from tokenmask.devices import device_named, said_of
from tokenmask.tokenizer import Moves, Tokenizer

CPU = torch.device("cpu")


def computing(arguments: argparse.Namespace) -> torch.device:
    """The device of a command, told on stderr: what a command prints may be read by another.

    Raises:
        ValueError: a device that is not there, or that this build has no kernels for.
    """
    device = device_named(arguments.device)
    if device.type != "cpu":
        sys.stderr.write(said_of(device) + "\n")
        sys.stderr.flush()
    return device


def encoding(arguments: argparse.Namespace) -> tuple[torch.device, int | None]:
    """The device on which a command encodes, and how many processes do: with ``--workers`` alone, those of the CPU.

    Raises:
        ValueError: several workers and another device than the CPU; a device as of :func:`computing`.
    """
    if arguments.device is None and arguments.workers is not None:
        return CPU, arguments.workers
    device, workers = computing(arguments), arguments.workers
    if device.type == "cpu":
        return device, workers
    if workers not in (None, 1):
        raise ValueError(
            f"--workers are processes of the CPU, got {workers} with --device {device}; leave one of them out"
        )
    return device, 1


def on(tokenizer: Tokenizer, device: torch.device) -> Tokenizer:
    """A tokenizer of this command's own, moved if it has a network."""
    if device.type != "cpu" and isinstance(tokenizer, Moves):
        tokenizer.to(device)
    return tokenizer
