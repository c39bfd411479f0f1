"""Runs: a folder, the object that a person uses, how it is trained and how it changes."""

<<<<<<< HEAD
from tokenmask.run.completing import complete
=======
from tokenmask.run.converting import convert
>>>>>>> 975c40195d29c6d34b14789e870012546976f663
from tokenmask.run.folder import SHIPPED, load_tokenizer
from tokenmask.run.run import Run, load
from tokenmask.run.training import prepare, train
from tokenmask.run.wrapping import wrap

<<<<<<< HEAD
__all__ = ["SHIPPED", "Run", "complete", "load", "load_tokenizer", "prepare", "train", "wrap"]
=======
__all__ = ["SHIPPED", "Run", "convert", "load", "load_tokenizer", "prepare", "train", "wrap"]
>>>>>>> 975c40195d29c6d34b14789e870012546976f663
