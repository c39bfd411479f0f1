"""Procedures: what a training step computes around the objective."""

from tokenmask.procedures.plain import Plain
from tokenmask.procedures.procedure import Procedure

__all__ = ["Plain", "Procedure"]
