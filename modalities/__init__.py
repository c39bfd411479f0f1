"""Front-ends: one file for each kind of media, with its dataclass on top and its tokenizer below.

They know their own codes only: no shared ids, no models. Installed as ``tokenmask.modalities``.
"""

if __name__ != "tokenmask.modalities":
    raise ImportError(
        f"this package must be imported as tokenmask.modalities, got {__name__}; "
        "install tokenmask (pip install -e .) and write: from tokenmask.modalities.text import TextTokenizer"
    )
