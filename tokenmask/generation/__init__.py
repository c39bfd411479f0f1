"""Generation: what is asked becomes requests, requests are filled; regions of media become holes in their codes."""

from tokenmask.generation.completing import Prompt, pieces_of, prompt_of, spelled
from tokenmask.generation.evolution import FragmentRemask, Fragments, RemaskEvolution
from tokenmask.generation.expected import ExpectedLengths
from tokenmask.generation.fill import INVARIANT_MULTIPLE, fill
from tokenmask.generation.inputs import Inputs
from tokenmask.generation.lengths import drawn_lengths, length_range, length_scores
from tokenmask.generation.long import Fill, Placed, Window, fill_any, fill_in_turn, sees
from tokenmask.generation.options import DrawOptions, check_options, constrained, drawn_with
from tokenmask.generation.recording import Recording
from tokenmask.generation.regions import (
    Region,
    depths_of,
    finer,
    hole,
    put_in,
    read_region,
    resized,
    thinned,
    touched,
    window,
)
from tokenmask.generation.request import OfRequest, Request, growing_axis, grows
from tokenmask.generation.watching import Filling
from tokenmask.generation.words import enclosed, left_beside

__all__ = [
    "INVARIANT_MULTIPLE",
    "DrawOptions",
    "ExpectedLengths",
    "Fill",
    "Filling",
    "FragmentRemask",
    "Fragments",
    "Inputs",
    "OfRequest",
    "Placed",
    "Prompt",
    "Recording",
    "Region",
    "RemaskEvolution",
    "Request",
    "Window",
    "check_options",
    "constrained",
    "depths_of",
    "drawn_lengths",
    "drawn_with",
    "enclosed",
    "fill",
    "fill_any",
    "fill_in_turn",
    "finer",
    "growing_axis",
    "grows",
    "hole",
    "left_beside",
    "length_range",
    "length_scores",
    "pieces_of",
    "prompt_of",
    "put_in",
    "read_region",
    "resized",
    "sees",
    "spelled",
    "thinned",
    "touched",
    "window",
]
