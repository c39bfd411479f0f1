"""Plants mistakes in copies of the CUDA kernels and says which check finds each; fails if one is found by none.

    python tests/native/cuda/mutations.py [name ...]

"plain" is the fuzz against the CPU kernels, "asan" the same under AddressSanitizer and UndefinedBehaviorSanitizer,
"races" the same with the race check, "reads" the count of what is read, "weights" what every float weighs. The check
that should find a mistake runs first, and the others only if it does not. A line whose removal nothing finds is dead,
and goes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import planted_quantize
import planted_rest
import planted_sample

ROOT = Path("build/mutations")
MAKEFILE = "tests/native/cuda/Makefile"
MUTATIONS = {**planted_quantize.MUTATIONS, **planted_sample.MUTATIONS, **planted_rest.MUTATIONS}
CHECKS = {"plain": "5 40", "asan": "5 12", "races": "5 6 300", "reads": "", "weights": ""}
BINARIES = {"reads": "races-run-reads", "weights": "plain-run-weights"}
SIGNS = ("emulated CUDA", "differs", "a huge case", "ERROR", "runtime error", "than its budget")


def plant(file: str, old: str, new: str) -> None:
    """A copy of the sources with one mistake. Files that stay as they were keep their times, and make its objects."""
    for path in [*Path("csrc").rglob("*.*"), *Path("tests/native").rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            if path == Path("csrc/cuda") / file:
                text = content.decode()
                if text.count(old) != 1:
                    raise SystemExit(f"{path} must hold {old!r} once, got it {text.count(old)} times; mend that one")
                content = text.replace(old, new).encode()
            copy = ROOT / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or copy.read_bytes() != content:
                copy.write_bytes(content)


def begin() -> None:
    """The sources as they are, and what was made of them, which is not made again."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for folder in ("csrc", "tests/native", "build/cuda-emulated"):
        if Path(folder).exists():
            away = shutil.ignore_patterns("checkout", "*-run-*")
            shutil.copytree(folder, ROOT / folder, copy_function=shutil.copy2, ignore=away)


def outcome(check: str, words: str) -> str:
    """What the check says of the planted mistake; empty if it finds nothing."""
    binary = f"build/cuda-emulated/{BINARIES.get(check, f'{check}-run-fuzz')}"
    make = ["make", "-s", "-j2", "-f", MAKEFILE, f"PYTHON={sys.executable}", binary]
    made = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"a planted mistake must compile, got:\n{made.stderr[-2000:]}")
    try:
        command = [f"./{binary}", *words.split()]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        return "hangs"
    if ran.returncode == 0:
        return ""
    lines = [line for line in (ran.stdout + ran.stderr).splitlines() if any(sign in line for sign in SIGNS)]
    return lines[0][:120] if lines else f"died with {ran.returncode}"


def main() -> None:
    missed = []
    begin()
    os.environ.setdefault("CXX", "g++")
    # By check and file, so that little is compiled again between two of them.
    for name in sorted(sys.argv[1:] or MUTATIONS, key=lambda name: MUTATIONS[name][:2]):
        first, *planted = MUTATIONS[name]
        plant(*planted)
        for check in [first, *(other for other in CHECKS if other != first)]:
            if said := outcome(check, CHECKS[check]):
                break
        print(f"| {name} | {f'{check}: {said}' if said else 'nothing'} |", flush=True)
        if not said:
            missed.append(name)
    if missed:
        raise SystemExit(f"{len(missed)} planted mistakes were not found: {', '.join(missed)}")


if __name__ == "__main__":
    main()
