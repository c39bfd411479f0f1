"""What is told, once a file, of media that are changed on their way to a tokenizer.

Does not know: media, tokenizers, codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenmask import telling


def tell(source: str, changes: Sequence[str], whose: str) -> None:
    """Warns of changes of what was read from a file.

    Args:
        source: the file; of what was not read from one ("") nothing is told, for whoever made it knows it.
        changes: what happens to it, each as "is ..."; [] is told by nothing.
        whose: what wants it so, as "this ImageTokenizer".
    """
    if source and changes:
        telling.tell(f"{source} {' and '.join(changes)} for {whose}")


def stretched(size: Sequence[int], wanted: int) -> list[str]:
    """In words, whether pictures of (height, width) change their shape in squares of ``wanted`` pixels by a pixel."""
    height, width = size
    if abs(height - width) * wanted <= max(height, width):
        return []
    return [f"is stretched from {width} x {height} to {wanted} x {wanted} pixels"]
