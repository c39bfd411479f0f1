"""What can be known of the CUDA kernels without a GPU, as tables: python benchmarks/gpu/predict.py > FILE

Needs nvcc, cuobjdump and nvdisasm on the path, and `make cuda-emulated`, whose `reads` counts what kernels read.
Registers and spills are ptxas's; instructions are counted in the machine code of sm_90, as they stand there, not as
often as they run. The floor is the time in which an H200 moves the bytes (4.3 TB/s, as copies reach) or multiplies
(790 TFLOP/s in half precision on tensor cores, 67 in float32) that the kernel cannot do without. Beside it, for
sample_codes, stands the time in which 132 processors would issue its instructions (128 a clock each, at 1.75 GHz). That
is rough: without filters 49 a code were counted in float32 at temperature 1 in rows of 8192 codes, 2.8 in the loop that
reads, 29.8 in that which weighs and sums, 1.9 for each piece of a row, and 14.5 for what a row takes once: 9.4 by all
of its warps and 5.1 by one, which looks for the largest two and for the code that is drawn. Of long rows, which take
that once too, 35 are left. 120 with top-k and 190 with top-p are estimates. If they hold, filters miss their targets by
two to three times, and fewer instructions, not fewer bytes, come next. All of it is predicted: nothing here was run on
a GPU.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

BUILD = Path("build/gpu")
READS = Path("build/cuda-emulated/races-run-reads")
COPY, HALF, SINGLE = 4.3e12, 790e12, 67e12
ISSUED = 132 * 128 * 1.75e9
# Of each code of sample_codes, by the last word of the row of `reads`: estimates, see above.
INSTRUCTIONS = {"plain": 49, "50": 120, "0.9": 190}
COLUMNS = {
    "loads of 16 bytes": r"LDG\.E\.(?:\w+\.)*128",
    "copies of 16 bytes": r"LDGSTS\.E\.(?:\w+\.)*128",
    "other loads": r"LDG\.E(?!\.(?:\w+\.)*128)",
    "FMA": r"FFMA",
    "MMA": r"[HI]MMA|HGMMA",
    "shared atomics": r"ATOMS\.(?!CAST)",
    "swap loops": r"ATOMS?\.CAST",
}
# case: (row of `reads` or None, bytes that must be read, bytes written, operations, their rate, target of the design)
CASES = {
    "sample_codes f32 [4096, 8192] plain": ("sample_codes, float32 8192, plain", 4 * 2**25, 0, 0, 1, "40 us"),
    "sample_codes f32 [4096, 8192] top-p 0.9": ("sample_codes, float32 8192, top-p 0.9", 4 * 2**25, 0, 0, 1, "62 us"),
    "sample_codes f32 [4096, 8192] top-k 50": ("sample_codes, float32 8192, top-k 50", 4 * 2**25, 0, 0, 1, "62 us"),
    "sample_codes bf16 [512, 50000] top-p 0.9": (
        "sample_codes, bfloat16 50000, top-p 0.9",
        2 * 512 * 50000,
        0,
        0,
        1,
        "60 % of copy",
    ),
    "sample_codes bf16 [512, 126464] top-p 0.9, a cluster a row": (
        "sample_codes, bfloat16 126464, top-p 0.9",
        2 * 512 * 126464,
        0,
        0,
        1,
        "60 % of copy",
    ),
    "the same without clusters": (
        "sample_codes, bfloat16 126464 alone, top-p 0.9",
        2 * 512 * 126464,
        0,
        0,
        1,
        "60 % of copy",
    ),
    "choose [8192, 4096]": ("choose, a quarter of 8192 (score and flag)", 5 * 2**25, 2**25, 0, 1, "78 us"),
    "commit [8192, 4096]": (
        "commit, a quarter of 8192 (two ids, score, flag)",
        13 * 2**25,
        5 * 2**25,
        0,
        1,
        "60 % of copy",
    ),
    "mask_tokens [1024, 4096]": (
        "mask_tokens, a quarter of 8192 (id, flag twice)",
        6 * 2**22,
        7 * 2**22,
        0,
        1,
        "40 us",
    ),
    "embed_codes bf16 [64, 1500, 4] x 512": (None, 16 * 96000, 2 * 96000 * 512, 0, 1, "80 % of copy"),
    "quantize_residual [131072, 16] 8 x 1024, in float32": (
        None,
        0,
        0,
        2 * 131072 * 16 * 8192,
        SINGLE,
        "70 % of float32",
    ),
    "quantize_residual [131072, 128] 8 x 1024, on tensor cores": (
        None,
        0,
        0,
        3 * 2 * 131072 * 128 * 8192,
        HALF,
        "2300 us",
    ),
    "attend_cached bf16 [64 x 64, 16, 128] T 2048": (None, 0, 0, 4 * 4096 * 16 * 128 * 2048, HALF, "0.8 of SDPA"),
    "attend_cached bf16 [64 x 1, 16, 128] T 4096": (None, 4 * 64 * 16 * 128 * 4096, 0, 0, 1, "80 % of copy"),
}


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} must run, got:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def readable(mangled: str) -> str:
    name = output_of("c++filt", mangled).strip()
    name = re.sub(r"tokenmask::|\(anonymous namespace\)::|^void |\(tokenmask::FloatType\)", "", name)
    return name[: name.rindex("(")].replace("(FloatType)", "type ")


def kernels(source: Path) -> list[list[str]]:
    """A row a kernel: registers, spills, shared memory, instructions."""
    made = BUILD / f"{source.stem}.o"
    flags = ["-arch=sm_90", "-std=c++20", "-O3", "--fmad=false", "-Xptxas", "-v", "-Icsrc/include"]
    said = output_of("nvcc", "-c", *flags, str(source), "-o", str(made))
    facts = {}
    for mangled, rest in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", said, re.S):
        registers = re.search(r"Used (\d+) registers", rest)
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", rest)))
        frame = re.search(r"(\d+) bytes stack frame", rest)
        assert registers and frame, rest
        facts[mangled] = [registers[1], str(spilled), frame[1]]
    code = output_of("cuobjdump", "-sass", str(made))
    rows = []
    for mangled, body in re.findall(r"Function : (\w+)(.*?)(?=Function : |\Z)", code, re.S):
        counts = Counter({name: len(re.findall(rf"\b(?:{pattern})", body)) for name, pattern in COLUMNS.items()})
        rows.append([f"{source.stem}: {readable(mangled)}", *facts[mangled], *(str(counts[name]) for name in COLUMNS)])
    return sorted(rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def floors() -> list[list[str]]:
    counted = dict(re.findall(r"^\| (\S.*?) +\| +([\d.]+) \|", output_of(str(READS)), re.M)) if READS.exists() else {}
    rows = []
    for name, (row, read, written, operations, rate, target) in CASES.items():
        reads = float(counted[row]) if row in counted else 1.0
        moved = (read * reads + written) / COPY * 1e6
        floor = max(moved, operations / rate * 1e6)
        issued = "not counted"
        if row and row.startswith("sample_codes"):
            codes = read / (4 if "float32" in row else 2)
            issued = f"{codes * INSTRUCTIONS[row.split()[-1]] / ISSUED * 1e6:.0f} us"
        rows.append([name, f"{reads:.2f}" if row in counted else "not counted", f"{floor:.1f} us", issued, target])
    return rows


def main() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    print("# The CUDA kernels, predicted\n")
    print(" ".join((__doc__ or "").split("\n\n")[1].split()).replace("Needs nvcc", "Made with nvcc").join(("", "\n")))
    print("## Floors of what the kernels read, beside what the design asks for\n")
    print(
        table(["case", "reads of each element", "floor, predicted", "instructions, predicted", "target"], floors())
        + "\n"
    )
    print("## Machine code for sm_90\n")
    rows = [row for source in sorted(Path("csrc/cuda").glob("*.cu")) for row in kernels(source)]
    print(table(["kernel", "registers", "spilled bytes", "stack bytes", *COLUMNS], rows))


if __name__ == "__main__":
    main()
