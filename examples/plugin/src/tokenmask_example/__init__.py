"""A package of its own that brings parts to tokenmask; each is found by an entry point in its pyproject.toml."""
