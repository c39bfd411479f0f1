"""Runs: a folder, the object that a person uses, how it is trained and how it changes."""

from tokenmask.run.completing import complete
from tokenmask.run.converting import convert
from tokenmask.run.folder import SHIPPED, load_tokenizer
from tokenmask.run.run import Run, load
from tokenmask.run.training import prepare, train
from tokenmask.run.wrapping import wrap

__all__ = ["SHIPPED", "Run", "complete", "convert", "load", "load_tokenizer", "prepare", "train", "wrap"]
