"""Front-ends, each a folder: ``text``, ``image``, ``audio``, ``motion``, ``eeg`` and ``video``.

In each, ``media`` is the medium and its files and ``tokenizer`` turns it into codes and back; where it learns,
``network``, ``fit`` and ``figures`` say with what, how and how well. Shared are ``learned`` (networks around a
quantiser), ``quantizers``, ``windows`` (bit-equal codes for any length and batch), ``seams``, ``keeping`` (given parts)
and ``codebook_report``. All know their own codes only: no shared ids, no models. Installed as ``tokenmask.modalities``.
"""

if __name__ != "tokenmask.modalities":
    raise ImportError(
        f"this package must be imported as tokenmask.modalities, got {__name__}; "
        "install tokenmask (pip install -e .) and write: from tokenmask.modalities.text import TextTokenizer"
    )

from tokenmask.modalities import _moved

_moved.install()
