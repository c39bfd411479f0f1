"""Play: a page on this machine to draw, open and edit media of every stream of a run, and to see its tokens.

Arrow: Run --**serve**--> a page on 127.0.0.1. Does not know: how anything is computed, which is :class:`Run`'s.
"""
