"""Serving: a run behind HTTP on this machine, for programs.

Arrow: JSON --**serve**--> media files. Does not know: how anything is computed.
"""

from tokenmask.serving.limits import Limits, Refused
from tokenmask.serving.server import Served, serve

__all__ = ["Limits", "Refused", "Served", "serve"]
