"""How each kind of media is shown: one file each, with a :class:`View`.

Arrow: media --**View**--> HTML. Does not know: runs, codes, models.
"""

from tokenmask.report.views.view import MIDDLE, Region, Span, View, view_of

__all__ = ["MIDDLE", "Region", "Span", "View", "view_of"]
