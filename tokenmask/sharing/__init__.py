"""Sharing: a run with a card that says what it is, to and from a hub.

Arrow: Run --**Card**--> README.md --**push**--> hub --**pull**--> run folder. Does not know: how anything is computed.
Nothing is sent or fetched but by a call of :func:`push` or :func:`pull`.
"""

from tokenmask.run.card import Card
from tokenmask.sharing.card import CARD_FILE, card_text, write_card
from tokenmask.sharing.hub import pull, push
from tokenmask.sharing.staging import files_of, stage

__all__ = ["CARD_FILE", "Card", "card_text", "files_of", "pull", "push", "stage", "write_card"]
