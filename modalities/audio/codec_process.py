"""Runs a codec of a system library over one recording, in a process of its own.

``python codec_process.py LIBRARY codec2|lpcnet MODE encode|decode``: samples (16 bits, the machine's byte order) on
standard input and frames on standard output, or the reverse. Frames of codec2 are its packed bytes, those of LPCNet
one byte for each bit. ``tell_sizes`` in place of encode writes the samples and bits of a frame.

These libraries keep state between codecs (the noise of unvoiced sound, the synthesis network), so only a fresh process
gives the same codes and samples for the same recording; and a codec that crashes takes nobody along.
Does not know: tokenmask. It must start quickly, so it imports nothing but ctypes and sys.
"""

import ctypes
import sys


def main(library_path: str, codec: str, mode: int, direction: str) -> None:
    """See the module."""
    library = ctypes.CDLL(library_path)
    create = library.codec2_create if codec == "codec2" else library.lpcnet_freedv_create
    create.restype, create.argtypes = ctypes.c_void_p, [ctypes.c_int]
    prefix, size = ("codec2", "bytes") if codec == "codec2" else ("lpcnet", "bits")
    names = ("encode", "decode") if codec == "codec2" else ("enc", "dec")
    state = ctypes.c_void_p(create(mode))
    if not state:
        raise SystemExit(f"{library_path} has no mode {mode} of {codec}")
    samples = (ctypes.c_int16 * getattr(library, f"{prefix}_samples_per_frame")(state))()
    frame = (ctypes.c_uint8 * getattr(library, f"{prefix}_{size}_per_frame")(state))()
    if direction == "tell_sizes":
        bits = getattr(library, f"{prefix}_bits_per_frame")(state)
        sys.stdout.write(f"{len(samples)} {bits}")
        return
    encode, decode = (getattr(library, f"{prefix}_{name}") for name in names)
    given, made = (samples, frame) if direction == "encode" else (frame, samples)
    while part := sys.stdin.buffer.read(ctypes.sizeof(given)):
        ctypes.memmove(given, part, len(part))
        if direction == "decode":
            decode(state, *((samples, frame) if codec == "codec2" else (frame, samples)))
        else:
            encode(state, *((frame, samples) if codec == "codec2" else (samples, frame)))
        sys.stdout.buffer.write(bytes(made))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
