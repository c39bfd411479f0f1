"""Arguments of scores and of what is built of them: the same functions as of :mod:`tokenmask.arguments`."""

from tokenmask.arguments import MOST, is_a, number, one_of, whole

__all__ = ["MOST", "is_a", "number", "one_of", "whole"]
