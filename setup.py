"""Builds tokenmask._C and maps modalities/ to tokenmask.modalities; everything else stands in pyproject.toml.

Which kernels are built:

    TOKENMASK_CUDA=0          CPU only
    TOKENMASK_CUDA=1          CPU and CUDA; stops if torch has no CUDA or the toolkit (nvcc) is missing
    TOKENMASK_CUDA=auto       CUDA if torch has it and the toolkit is there; whether a GPU is there does not matter
    (the default)

TORCH_CUDA_ARCH_LIST and MAX_JOBS are respected, as torch documents them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).resolve().parent
# Where Homebrew puts the headers of LLVM's OpenMP, on Apple silicon and on Intel.
LIBOMP = tuple(Path(prefix) for prefix in ("/opt/homebrew/opt/libomp", "/usr/local/opt/libomp"))


def refuse_windows(platform: str) -> None:
    """SystemExit in one sentence on Windows, where what the package stands on is missing."""
    if platform.startswith(("win", "cygwin")):
        raise SystemExit(
            f"tokenmask runs on Linux and macOS, got {platform}: it locks files with fcntl, and its kernels "
            "need GCC or clang; install it in WSL 2"
        )


def import_torch() -> None:
    """Import torch, also inside pip's build isolation.

    The extension must be compiled against the torch that it will run with, so torch is no build requirement (pip would
    fetch another one). Isolation hides the environment's own packages; they join the end of the path here.
    """
    try:
        import torch
    except ImportError:
        sys.path += [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise SystemExit(
                f"tokenmask is compiled against the torch it will run with, and {sys.prefix} has no torch that can be "
                f"imported ({error}); run: python -m pip install 'torch>=2.11,<2.14' and then install tokenmask again"
            ) from error


refuse_windows(sys.platform)
import_torch()
import pybind11  # noqa: E402
import torch  # noqa: E402
from torch.utils.cpp_extension import CUDA_HOME, BuildExtension, CppExtension, CUDAExtension  # noqa: E402


def cuda_choice() -> tuple[bool, str]:
    """Whether to build the CUDA kernels, and the reason in words."""
    wish = os.environ.get("TOKENMASK_CUDA", "auto")
    if wish not in ("auto", "0", "1"):
        raise SystemExit(f"TOKENMASK_CUDA must be auto, 0 or 1, got {wish!r}")
    if wish == "0":
        return False, "switched off by TOKENMASK_CUDA=0"
    if torch.version.cuda is None:
        missing = f"torch {torch.__version__} has no CUDA"
    elif CUDA_HOME is None:
        missing = "no CUDA toolkit was found (CUDA_HOME is unset and nvcc is not on the path)"
    else:
        return True, f"torch has CUDA {torch.version.cuda} and the toolkit is in {CUDA_HOME}"
    if wish == "1":
        raise SystemExit(f"TOKENMASK_CUDA=1 asks for CUDA kernels, but {missing}; install it, or set TOKENMASK_CUDA=0")
    return False, missing


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


def extension() -> Extension:
    with_cuda, note = cuda_choice()
    version = re.search(r'^__version__ = "(.+)"', (ROOT / "tokenmask/__init__.py").read_text(), re.M)
    assert version, "tokenmask/__init__.py states __version__"
    macros = {
        "TOKENMASK_VERSION": version[1],
        "TOKENMASK_TORCH_VERSION": torch.__version__,
        "TOKENMASK_CUDA_NOTE": note,
    }
    # Without contraction each float step rounds on its own, which the bit-equality of CPU, CUDA and reference needs.
    # No code looks at floating-point exceptions or errno; saying so lets loops with comparisons become vector code.
    shared = openmp(sys.platform, compiler_version(), Path(torch.__file__).parent / "lib")
    cxx = ["-std=c++20", "-O3", "-g0", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno", *shared.compile]
    patterns = ["csrc/cpu/*.cpp", "csrc/torch/*.cpp"] + (["csrc/cuda/*.cu"] if with_cuda else [])
    return (CUDAExtension if with_cuda else CppExtension)(
        name="tokenmask._C",
        sources=sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)),
        depends=[str(path) for pattern in ("*.h", "*.cuh") for path in ROOT.glob(f"csrc/**/{pattern}")],
        libraries=list(shared.libraries),
        include_dirs=[str(ROOT / "csrc/include"), pybind11.get_include()],
        define_macros=[(name, f'"{text}"') for name, text in macros.items()]
        + ([("TOKENMASK_WITH_CUDA", "1")] if with_cuda else []),
        extra_compile_args={"cxx": cxx, "nvcc": ["-std=c++20", "-O3", "--fmad=false"]},
    )


if __name__ == "__main__":  # so it is when pip or setuptools runs this file; tests import it
    front_ends = ["tokenmask.modalities"] + [f"tokenmask.modalities.{name}" for name in find_packages("modalities")]
    setup(
        packages=find_packages(include=["tokenmask", "tokenmask.*"]) + front_ends,
        package_dir={"tokenmask.modalities": "modalities"},
        ext_modules=[extension()],
        cmdclass={"build_ext": BuildExtension},
    )
