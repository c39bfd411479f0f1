"""Quantisers: written once, used by every front-end that learns a codebook."""
