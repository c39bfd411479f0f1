"""Which flags setup.py compiles with on which platform, and where it does not begin.

Arrow: platform, compiler --**openmp**--> flags. Does not know: torch, setuptools, what is compiled.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Where Homebrew puts the headers of LLVM's OpenMP, on Apple silicon and on Intel.
LIBOMP = tuple(Path(prefix) for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"))


def refuse_windows(platform: str) -> None:
    """SystemExit in one sentence on Windows, where what the package stands on is missing."""
    if platform.startswith(("win", "cygwin")):
        raise SystemExit(
            f"tokenmask runs on Linux and macOS, got {platform}: it locks files with fcntl, and its kernels "
            "need GCC or clang; install it in WSL 2"
        )


class OpenMP(NamedTuple):
    """How torch's headers are compiled so that loops are shared among torch's threads; empty: each op has one."""

    compile: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def openmp(platform: str, compiler: str, torch_lib: Path, prefixes: Sequence[Path] = LIBOMP) -> OpenMP:
    """The flags of OpenMP for a platform and a compiler.

    With GCC, and with clang on Linux, libgomp is not linked: importing torch makes the one that it uses known to all,
    and a second one would have threads of its own. Apple's clang has OpenMP in its front end only and lacks the
    header; with that of Homebrew's libomp, torch's own libomp is linked. Without either there is one thread an op.

    Args:
        platform: as ``sys.platform`` says it.
        compiler: what ``c++ --version`` prints.
        torch_lib: the folder of torch's libraries.
        prefixes: where libomp may be.
    """
    if platform != "darwin":
        return OpenMP(("-fopenmp",))
    headers = next((prefix / "include" for prefix in prefixes if (prefix / "include/omp.h").is_file()), None)
    if headers is None or not (torch_lib / "libomp.dylib").is_file():
        return OpenMP()
    front_end = ("-Xpreprocessor", "-fopenmp") if "Apple" in compiler else ("-fopenmp",)
    return OpenMP((*front_end, f"-I{headers}"), ("omp",))


def compiler_version() -> str:
    """What the compiler that builds the extension says of itself; "" if it cannot be asked."""
    command = os.environ.get("CXX", "c++").split()
    try:
        return subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
