"""setup.py on platforms that are not here: which flags it chooses, and what it refuses in one sentence."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPLE = "Apple clang version 17.0.0 (clang-1700.0.13.3)\nTarget: arm64-apple-darwin24.4.0\n"
LLVM = "Homebrew clang version 20.1.3\nTarget: arm64-apple-darwin24.4.0\n"
GCC = "g++ (Debian 12.2.0-14) 12.2.0\n"


@pytest.fixture(scope="module")
def setup():
    place = importlib.util.spec_from_file_location("setup_of_tokenmask", ROOT / "setup.py")
    made = importlib.util.module_from_spec(place)
    place.loader.exec_module(made)
    return made


@pytest.fixture
def mac(tmp_path):
    """Folders as on a Mac: torch's libraries, and where Homebrew puts libomp."""
    lib, libomp = tmp_path / "torch/lib", tmp_path / "opt/homebrew/opt/libomp"
    for path in (lib / "libomp.dylib", libomp / "include/omp.h"):
        path.parent.mkdir(parents=True)
        path.write_text("")
    return lib, libomp


@pytest.mark.parametrize("compiler", [GCC, LLVM, ""])
def test_linux_has_openmp_and_links_nothing(setup, compiler, tmp_path):
    assert setup.openmp("linux", compiler, tmp_path) == (("-fopenmp",), ())


def test_a_mac_without_libomp_is_built_for_one_thread(setup, mac, tmp_path):
    lib, libomp = mac
    assert setup.openmp("darwin", APPLE, lib, [tmp_path / "none"]) == ((), ())
    assert setup.openmp("darwin", APPLE, tmp_path, [libomp]) == ((), ())  # a torch without its own
    assert setup.openmp("darwin", LLVM, lib, [tmp_path / "none"]) == ((), ())


def test_a_mac_with_libomp_links_the_one_that_torch_brings(setup, mac, tmp_path):
    lib, libomp = mac
    include = f"-I{libomp / 'include'}"
    apple = setup.openmp("darwin", APPLE, lib, [tmp_path / "none", libomp])
    assert apple == (("-Xpreprocessor", "-fopenmp", include), ("omp",))
    assert setup.openmp("darwin", LLVM, lib, [libomp]) == (("-fopenmp", include), ("omp",))


@pytest.mark.parametrize("platform", ["win32", "cygwin"])
def test_windows_is_refused_in_one_sentence(setup, platform):
    with pytest.raises(SystemExit, match=rf"^tokenmask runs on Linux and macOS, got {platform}: .*WSL 2$") as refused:
        setup.refuse_windows(platform)
    assert "\n" not in str(refused.value)
    assert setup.refuse_windows("linux") is None and setup.refuse_windows("darwin") is None


def test_the_extension_of_this_machine_has_the_flags(setup, monkeypatch):
    monkeypatch.setenv("TOKENMASK_CUDA", "0")
    assert "-fopenmp" in setup.extension().extra_compile_args["cxx"] and setup.compiler_version()
    monkeypatch.setattr(setup, "openmp", lambda *_: setup.OpenMP(("-Xpreprocessor", "-fopenmp"), ("omp",)))
    made = setup.extension()
    assert made.extra_compile_args["cxx"][-2:] == ["-Xpreprocessor", "-fopenmp"] and "omp" in made.libraries
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert setup.compiler_version() == ""
