"""Front-ends: ``text``, ``image``, ``audio``, ``motion``, ``eeg`` and ``video`` hold a tokenizer each.

What is large has files of its own beside it: the media (``audio_clip``, ``skeleton``, ``recording``), the network
(``*_network``), how it learns (``*_fit``), its figures. Shared are ``learned`` (networks around a quantiser),
``quantizers``, ``windows`` (bit-equal codes for any length and batch), ``keeping`` (given parts) and
``codebook_report``. ``system_codecs`` are codecs of the system. All know their own codes only: no shared ids, no
models. Installed as ``tokenmask.modalities``.
"""

if __name__ != "tokenmask.modalities":
    raise ImportError(
        f"this package must be imported as tokenmask.modalities, got {__name__}; "
        "install tokenmask (pip install -e .) and write: from tokenmask.modalities.text import TextTokenizer"
    )
