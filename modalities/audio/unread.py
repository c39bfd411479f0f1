"""The sentence on a sound file that cannot be read: in which coding its samples are, where that is the reason.

Arrow: path, error --**no_sound**--> a sentence. Does not know: how sound is read.

Source: Microsoft, mmreg.h, and RFC 2361 (WAV); Sun's audio.h (AU); RFC 5334 (Ogg); Apple, Core Audio Format.
"""

from __future__ import annotations

import mmap
import shlex
from pathlib import Path

from tokenmask.modalities.audio.padded import chunks
from tokenmask.modalities.riddles import in_our_words

_WAV = {
    **{0x0014: "G.723 ADPCM", 0x0028: "LRC", 0x0041: "G.728", 0x0042: "G.723.1", 0x0045: "G.726 ADPCM"},
    **{0x0050: "MPEG layer 2", 0x0061: "Duck ADPCM", 0x0064: "G.726 ADPCM", 0x0065: "G.722 ADPCM", 0x0083: "G.729"},
    **{0x0092: "AC-3", 0x00FF: "AAC", 0x0111: "G.723.1", 0x0123: "G.723.1", 0x0140: "G.726 ADPCM", 0x0160: "WMA"},
    **{0x0161: "WMA", 0x0162: "WMA Pro", 0x0163: "WMA Lossless", 0x0200: "Creative ADPCM", 0x0270: "ATRAC3"},
    **{0x028F: "G.722 ADPCM", 0x1600: "AAC", 0x1610: "AAC", 0x2000: "AC-3", 0x2001: "DTS", 0x674F: "Vorbis"},
    **{0x6750: "Vorbis", 0x6751: "Vorbis", 0x7A21: "AMR", 0xA109: "Speex", 0xF1AC: "FLAC"},
}
_WAV_READ = (0x0000, 0x0001, 0x0002, 0x0003, 0x0006, 0x0007, 0x0011, 0x0031, 0x0038, 0x0040, 0x0055, 0xFFFE)
_FLOATS, _FLOAT_BITS = 0x0003, (32, 64)
_AU = {24: "G.722 ADPCM", 10: "fixed-point DSP data", 8: "a program for a DSP"}
_AU_READ = (0, 1, 2, 3, 4, 5, 6, 7, 23, 25, 26, 27)
_OGG = {b"Speex   ": "Speex", b"\x80theora": "a film (Theora)", b"CELT    ": "CELT"}
_OGG |= {b"PCM     ": "OggPCM", b"BBCD\x00": "a film (Dirac)", b"\x80kate\x00\x00": "words (Kate)"}
_AIFC_READ = (
    *(b"NONE", b"sowt", b"twos", b"in24", b"in32", b"ni24", b"42ni", b"23ni", b"fl32", b"FL32", b"fl64", b"FL64"),
    *(b"ulaw", b"ULAW", b"alaw", b"ALAW", b"ima4", b"GSM ", b"DWVW", b"raw "),
)
_LIBSNDFILE = (  # what it says, and what it means
    ("Format not recognised", "it does not begin as a sound does that is known here, or its header is damaged"),
    ("No 'data' chunk", "its samples are missing, or cannot be found behind a damaged header"),
    ("flac decoder", "its FLAC frames are damaged, or cut short"),
    ("samplerate must be specified", "it holds bare samples, which do not say their rate: save them as WAV"),
    ("Channel count is zero", "its header names no channels"),
    ("channel", "its header names more channels than can be"),
    ("unimplemented", "its header names a coding that is not known here, or is damaged"),
    ("unsupported", "its header names a coding that is not known here, or is damaged"),
)
_OTHERWISE = "its header or its samples are damaged, cut short, or of a kind that is not known here"
_CAF_READ = (b"lpcm", b"ulaw", b"alaw", b"alac")


def no_sound(path: str | Path, error: Exception) -> str:
    """What is wrong with a file that cannot be read, and what to do."""
    coding = coding_of(Path(path))
    if coding:
        old, new = shlex.quote(Path(path).name), shlex.quote(f"{Path(path).stem}.flac")
        return f"{path} must be sound that libsndfile reads, but holds {coding}; convert it, with ffmpeg -i {old} {new}"
    if not Path(path).stat().st_size:
        reason = "it is empty"
    else:
        reason = _wrong_in_wav(Path(path)) or in_our_words(error, _LIBSNDFILE, _OTHERWISE)
    return f"{path} must be a whole audio file, but cannot be read ({reason}); export it again"


def coding_of(path: Path) -> str:
    """The coding of a file's samples where it is one that is not read here; "" for any other file."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except OSError:
        return ""
    if head[:4] == b"OggS" and len(head) > 27:
        packet = head[27 + head[26] :]
        return next((name for mark, name in _OGG.items() if packet.startswith(mark)), "")
    if head[:4] == b".snd":
        number = int.from_bytes(head[12:16], "big")
        return "" if number in _AU_READ or len(head) < 24 else _AU.get(number, f"coding {number} of AU")
    little = head[:4] in (b"RIFF", b"RF64")
    if (little or head[:4] == b"RIFX") and head[8:12] == b"WAVE":
        place = head.find(b"fmt ", 12)
        tag = int.from_bytes(head[place + 8 : place + 10], "little" if little else "big") if place > 0 else 1
        return "" if tag in _WAV_READ else _WAV.get(tag, f"coding 0x{tag:04x} of WAV")
    if head[:4] == b"FORM" and head[8:12] == b"AIFC":
        place = head.find(b"COMM", 12)
        kind = head[place + 26 : place + 30] if place > 0 else b"NONE"
        return "" if kind in _AIFC_READ or len(kind) < 4 else f"coding {kind.decode('latin-1')!r} of AIFF-C"
    if head[:4] == b"caff" and head[8:12] == b"desc":
        kind = head[28:32]
        return "" if kind in _CAF_READ or len(kind) < 4 else f"coding {kind.decode('latin-1').strip()!r} of CAF"
    return ""


def _wrong_in_wav(path: Path) -> str:
    """What libsndfile does not say of a WAV file that it refuses, "" where it is nothing of these."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
                return ""
            found = list(chunks(data, 0, len(data)))
            form = next((data[begin:end] for name, begin, end in found if name == b"fmt "), b"")
    except OSError:
        return ""
    if (count := sum(name == b"data" for name, _, _ in found)) > 1:
        return f"it has {count} chunks of samples, and one is allowed"
    tag, rate, bits = (int.from_bytes(form[at:stop], "little") for at, stop in ((0, 2), (4, 8), (14, 16)))
    if len(form) >= 16 and not rate:
        return "its header names a rate of 0 Hz"
    if tag == _FLOATS and bits not in _FLOAT_BITS:
        return f"its samples are floats of {bits} bits, which have 32 or 64 where it can be read: save it so"
    return ""
