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

ROOT = Path("build/mutations")
MAKEFILE = "tests/native/cuda/Makefile"
# name: (check that is to find it, file, text that stands there once, its replacement)
MUTATIONS = {
    "reduce without its first barrier": (
        "races",
        "block.cuh",
        "  __syncthreads();  // an earlier call may still be reading\n  if (threadIdx.x % 32 == 0)",
        "  if (threadIdx.x % 32 == 0)",
    ),
    "reduce without its second barrier": (
        "races",
        "block.cuh",
        "partial[threadIdx.x / 32] = value;\n  __syncthreads();\n",
        "partial[threadIdx.x / 32] = value;\n",
    ),
    "team's reduce without its first barrier": (
        "races",
        "team.cuh",
        "      sync();  // an earlier call may still be reading\n      if (lane() == 0)",
        "      if (lane() == 0)",
    ),
    "team's reduce without its second barrier": (
        "races",
        "team.cuh",
        "memory.partial[warp()] = value;\n      sync();\n",
        "memory.partial[warp()] = value;\n",
    ),
    "scan without its first barrier": (
        "races",
        "team.cuh",
        "    sync();  // an earlier call may still be reading\n    if (lane() == 31)",
        "    if (lane() == 31)",
    ),
    "scan without its second barrier": (
        "races",
        "team.cuh",
        "memory.partial[warp()] = upto;\n    sync();\n",
        "memory.partial[warp()] = upto;\n",
    ),
    "bin read before it is found": (
        "races",
        "team.cuh",
        "    }\n    sync();\n    before = memory.before;",
        "    }\n    before = memory.before;",
    ),
    "a sum without its carry": (
        "plain",
        "team.cuh",
        "if (atomicAdd(&low[bin], value) + value < value) atomicAdd(&high[bin], 1u);",
        "atomicAdd(&low[bin], value);",
    ),
    "histogram cleared while it is read": (
        "races",
        "select.cuh",
        "    team.meet();  // the pass or the call before may still be reading\n",
        "",
    ),
    "histogram summed before it is cleared": (
        "races",
        "select.cuh",
        "      memory.counts[bin] = 0;\n    }\n    team.sync();\n",
        "      memory.counts[bin] = 0;\n    }\n",
    ),
    "histogram read before it is summed": (
        "races",
        "select.cuh",
        "      atomicAdd(&memory.counts[digit], 1u);\n    }\n    team.meet();\n",
        "      atomicAdd(&memory.counts[digit], 1u);\n    }\n",
    ),
    "row read while the one before is kept": (
        "races",
        "sample_codes.cu",
        "  team.sync();  // before the next row is kept\n",
        "",
    ),
    "a pass that does not wait for the cluster": (
        "races",
        "select.cuh",
        "    team.meet();  // the pass or the call before may still be reading\n",
        "    team.sync();\n",
    ),
    "histogram read before the cluster has summed": (
        "races",
        "select.cuh",
        "      atomicAdd(&memory.counts[digit], 1u);\n    }\n    team.meet();\n",
        "      atomicAdd(&memory.counts[digit], 1u);\n    }\n    team.sync();\n",
    ),
    "a block that leaves its cluster": (
        "races",
        "sample_codes.cu",
        "  team.meet();  // others may still read what this block has\n",
        "",
    ),
    "given where it may still be read": ("races", "team.cuh", "    turn = 1 - turn;\n", ""),
    "given and not waited for": (
        "races",
        "team.cuh",
        "    if (thread == 0) memory.given[turn] = value;\n    meet();\n",
        "    if (thread == 0) memory.given[turn] = value;\n    sync();\n",
    ),
    "a draw that forgets the blocks before": ("plain", "team.cuh", "if (other < rank()) before += of_other;", ""),
    "parts that overlap": (
        "plain",
        "clusters.cuh",
        "inside((cluster_rank() + 1) * part_of(length, cluster_size()))",
        "inside((cluster_rank() + 1) * part_of(length, cluster_size()) + 1)",
    ),
    "a warp's reduce that orders nothing": (
        "races",
        "team.cuh",
        "    if constexpr (kSize == 32) {\n      sync();\n    } else {",
        "    if constexpr (kSize > 32) {",
    ),
    "piece copied over while it is read": (
        "races",
        "attend_tiles.cu",
        "        __syncthreads();  // before the piece after next is copied over this one\n",
        "",
    ),
    "piece read before it is there": (
        "races",
        "attend_tiles.cu",
        "          wait_for_groups<1>();\n",
        "          wait_for_groups<2>();\n",
    ),
    "rest scored before the level is done": (
        "races",
        "quantize_residual.cu",
        "      __syncthreads();  // before what is left is copied, and the nearest of the next level are written\n",
        "",
    ),
    "nearest read before all are found": (
        "races",
        "quantize_residual.cu",
        "      __syncthreads();\n      const auto nearest",
        "      const auto nearest",
    ),
    "stage read before it is there": (
        "races",
        "quantize_residual.cu",
        "        wait_for_groups<1>();\n",
        "        wait_for_groups<2>();\n",
    ),
    "stage copied over while it is read": (
        "races",
        "quantize_residual.cu",
        "        begin_copy(step + 2);\n",
        "        begin_copy(step + 3);\n",
    ),
    "numbers behind the last of a vector": (
        "races",
        "quantize_residual.cu",
        "const bool inside = from + i / kFours < width;",
        "const bool inside = true;",
    ),
    "nearest of the tile before": (
        "plain",
        "quantize_residual.cu",
        "(first == 0 || here < found)",
        "(here < found)",
    ),
    # Scores of tensor cores, and what is kept of them.
    "half of the bound": (
        "plain",
        "quantize_bound.cuh",
        "? 2.0f * bound :",
        "? bound :",
    ),
    "a bound without what products drop": ("plain", "quantize_bound.cuh", "2.05f * 0x1p-16f + ", ""),
    "a bound without what sums lose": ("plain", "quantize_bound.cuh", " + width * (4.5f * 0x1p-23f)", ""),
    "a bound without what is taken for zero": (
        "plain",
        "quantize_bound.cuh",
        "width * 0x1p-123f * (1.0f + x + c)",
        "0.0f",
    ),
    "a low part forgotten": ("plain", "quantize_tiles.cu", "product < 3;", "product < 2;"),
    "the numbers behind a code": (
        "asan",
        "quantize_tiles.cu",
        "d < args.width ? parts_of(code[d]) : 0",
        "parts_of(code[d])",
    ),
    "the numbers behind a row": (
        "plain",
        "quantize_tiles.cu",
        "const bool has = r < count && d < args.width;",
        "const bool has = r < count && (d < args.width || r + 1 < count);",
    ),
    "codes behind the last on tensor cores": (
        "plain",
        "quantize_tiles.cu",
        "code < codes ? biases[code] : __builtin_inff()",
        "code < codes ? biases[code] : 0.0f",
    ),
    "codes of a level copied into the one before": (
        "plain",
        "quantize_tiles.cu",
        "const bool has = first + code + i < codes;",
        "const bool has = first + code + i < codes - 1;",
    ),
    "what is kept goes where anything is nearer": (
        "plain",
        "quantize_tiles.cu",
        "before > limit)",
        "before > nearest)",
    ),
    "more near codes than are kept": ("plain", "quantize_tiles.cu", "whole = tile.count[other] > kKept;", ""),
    "near codes of a list alone": (
        "plain",
        "quantize_tiles.cu",
        "for (int other = first; other < first + kListsOfRow && !whole; ++other) {",
        "for (int other = list; other <= list && !whole; ++other) {",
    ),
    "ties of near codes to the last": (
        "plain",
        "quantize_tiles.cu",
        "| static_cast<long long>(code);",
        "| static_cast<long long>(code ^ 0xfffffff);",
    ),
    "the nearest of tensor cores taken": (
        "plain",
        "quantize_tiles.cu",
        "if (near == 1) tile",
        "if (found.score == least) tile",
    ),
    "NaN the nearest of a row scored whole": (
        "plain",
        "quantize_tiles.cu",
        "if (score[i] < __builtin_inff() && here < best[i])",
        "if (here < best[i])",
    ),
    "a row scored whole at a time": (
        "plain",
        "quantize_tiles.cu",
        "from + i < tile.wholes ? from + i : from",
        "from",
    ),
    "the largest code of the level before": (
        "plain",
        "quantize_tiles.cu",
        "args.largest[level + 1]",
        "args.largest[0]",
    ),
    "tensor cores' stage copied over while it is read": (
        "races",
        "quantize_tiles.cu",
        "          __syncthreads();  // rows and this stage are there, and the one before was read\n"
        "          next.begin_copy(tile, chunks, codes);\n",
        "          next.begin_copy(tile, chunks, codes);\n          __syncthreads();\n",
    ),
    "tensor cores' stage read before it is there": (
        "races",
        "quantize_tiles.cu",
        "          wait_for_groups<0>();\n",
        "          wait_for_groups<1>();\n",
    ),
    "the least of a list before it is read": (
        "races",
        "quantize_tiles.cu",
        "      __syncwarp();  // before the least is another\n",
        "",
    ),
    "codes kept before a list is cleared": (
        "plain",
        "quantize_tiles.cu",
        "tile.count[list(i)] = 0;\n      __syncwarp();\n",
        "tile.count[list(i)] = 0;\n",
    ),
    "lists read before they are whole": (
        "races",
        "quantize_tiles.cu",
        "      __syncthreads();\n      find_nearest",
        "      find_nearest",
    ),
    "rows scored whole before they are told": (
        "races",
        "quantize_tiles.cu",
        "      find_nearest(tile, args, level, at);\n      __syncthreads();\n",
        "      find_nearest(tile, args, level, at);\n",
    ),
    "rows ended before they are scored whole": (
        "races",
        "quantize_tiles.cu",
        "      __syncthreads();\n      if (threadIdx.x == 0) tile.wholes = 0;\n      end_rows",
        "      if (threadIdx.x == 0) tile.wholes = 0;\n      end_rows",
    ),
    "none the nearest before it is read": (
        "races",
        "quantize_tiles.cu",
        "    __syncwarp();  // before the next level's are none\n",
        "",
    ),
    "vectors turned before they are copied": (
        "races",
        "cache.cu",
        "    copy_vector(k, staged_k, size, lane);\n    __syncwarp();\n",
        "    copy_vector(k, staged_k, size, lane);\n",
    ),
    "query copied before it is turned": (
        "races",
        "cache.cu",
        "    __syncwarp();\n    copy_vector(turned, query, size, lane);\n",
        "    copy_vector(turned, query, size, lane);\n",
    ),
    "vectors copied over while they are turned": (
        "races",
        "cache.cu",
        "    __syncwarp();  // before the next vectors are copied over these\n",
        "",
    ),
    "vectors copied where they do not lie alike": (
        "asan",
        "cache.cu",
        "head == head_of(to, sizeof(T)) ? int(head) : size",
        "int(head)",
    ),
    "room for vectors that lie whole": (
        "asan",
        "cache.cu",
        "element_bytes + 30) / 16 * 16",
        "element_bytes + 15) / 16 * 16",
    ),
    "query read before it is loaded": (
        "races",
        "cache.cu",
        "    __syncthreads();\n    bool sees",
        "    bool sees",
    ),
    "one vector too many": (
        "asan",
        "vectors.cuh",
        "vectors = (size - head) / per;",
        "vectors = (size - head + per - 1) / per;",
    ),
    "a head that is not aligned": (
        "asan",
        "choose.cu",
        "    if ((reinterpret_cast<uintptr_t>(is_open) + head) % kPer != 0) head = length;\n",
        "",
    ),
    "flags of any byte as they are": (
        "plain",
        "vectors.cuh",
        "return ((((word & 0x7f7f7f7fu) + 0x7f7f7f7fu) | word) >> 7) & 0x01010101u;",
        "return word;",
    ),
    "a block of Philox for the wrong slots": (
        "plain",
        "mask_tokens.cu",
        "draw(args.seed, uint32_t(i / kPer), Purpose::mask",
        "draw(args.seed, uint32_t(i), Purpose::mask",
    ),
    "codes behind the last": (
        "plain",
        "quantize_residual.cu",
        "code < args.codes ? biases[code] : __builtin_inff()",
        "code < stride ? biases[code < args.codes ? code : 0] : __builtin_inff()",
    ),
    "barrier after a return": (
        "plain",
        "cache.cu",
        "      query[j] = widen",
        "      if (j > 40) return;\n      query[j] = widen",
    ),
    "position in 32 bits": (
        "plain",
        "sample_codes.cu",
        "  const int64_t begin = (row.row * args.size + places.begin) * kBytes;",
        "  const int64_t begin = (int32_t(row.row * args.size) + places.begin) * kBytes;",
    ),
    "grid of all rows at once": (
        "plain",
        "sample_codes.cu",
        "index < args.rows; index += seat.row_stride()) {\n    sample<type, true>",
        "index < args.rows && index < seat.row_stride(); index += seat.row_stride()) {\n    sample<type, true>",
    ),
    "ties to the higher index": ("plain", "select.cuh", "<< bits) | (size - 1 - index);", "<< bits) | index;"),
    "two blocks write one row": (
        "races",
        "embed_codes.cu",
        "store_float<type>(args.out, row * args.width + column, sum[0]);",
        "store_float<type>(args.out, row / 2 * args.width + column, sum[0]);",
    ),
    "vector load that is not aligned": (
        "asan",
        "uniform.cu",
        "    args.out[i] = uniform_at(args, i);",
        "    const bool odd = i + 3 < args.size && reinterpret_cast<const int4*>(args.counters + (i | 1))->x == 7;\n"
        "    args.out[i] = odd ? 0.5f : uniform_at(args, i);",
    ),
    "fused steps": (
        "plain",
        "quantize_residual.cu",
        "__fmaf_rn(-left[r], value[c], score[r][c])",
        "score[r][c] - left[r] * value[c]",
    ),
    "pieces summed while bins are read": (
        "races",
        "pieces.cuh",
        "  team.meet();  // the bins may still be read\n",
        "",
    ),
    "pieces summed while the cluster reads": (
        "races",
        "pieces.cuh",
        "  team.meet();  // the bins may still be read\n",
        "  team.sync();\n",
    ),
    "code read before it is found": (
        "races",
        "pieces.cuh",
        "    if (team.lane() == 0) team.memory.found = code;\n  }\n  team.sync();\n",
        "    if (team.lane() == 0) team.memory.found = code;\n  }\n",
    ),
    "one code too many": (
        "plain",
        "pieces.cuh",
        "begin + lane < end ? value_of(begin + lane) : 0",
        "begin + lane <= end ? value_of(begin + lane) : 0",
    ),
    "a piece that begins before it does": (
        "plain",
        "pieces.cuh",
        "int64_t{pieces.begin(int(code))} - pieces.shift",
        "int64_t{pieces.begin(int(code))}",
    ),
    "a sum of a warp that loses a bit": ("plain", "team.cuh", "& 0x7ffffffu", "& 0x3ffffffu"),
    "reduction in a branch": (
        "plain",
        "sample_codes.cu",
        "  const int found = team.least(first);",
        "  int found = 0;\n  if (team.thread < 20) found = team.least(first);",
    ),
    "another code that is as large": (
        "plain",
        "sample_codes.cu",
        "team.most(first == found ? second : own)",
        "team.most(first != INT32_MAX ? second : own)",
    ),
    "what fills the first vector not set": (
        "races",
        "sample_codes.cu",
        "    if (team.thread < shift) row.kept[team.thread] = -kInfinity;\n",
        "",
    ),
    "what fills the last vector not set": (
        "races",
        "sample_codes.cu",
        "    if (team.thread < behind) row.kept[size + team.thread] = -kInfinity;\n",
        "",
    ),
    "room for whole vectors alone": ("asan", "rows.cuh", "(length + 6) / 4 * 4", "(length + 3) / 4 * 4"),
    "fused where three floats tell": (
        "weights",
        "weigh.cuh",
        "add(multiply(x, 0x1.715476p+0f), magic)",
        "__fmaf_rn(x, 0x1.715476p+0f, magic)",
    ),
    # Of rows that nothing keeps: a byte of each code is, where there is room.
    "masses of marks not cleared": ("races", "sample_codes.cu", "      row.marks.bins->set(mark, 0);\n", ""),
    "counts of marks not cleared": ("plain", "sample_codes.cu", "      row.marks.bins->counts[mark] = 0;\n", ""),
    "counts of marks without atomics": (
        "races",
        "sample_codes.cu",
        "atomicAdd(&row.marks.bins->counts[mark], 1u);",
        "row.marks.bins->counts[mark] += 1;",
    ),
    "marks cleared for the first row alone": (
        "races",
        "sample_codes.cu",
        "    if (row.has_marks()) {\n      for (int mark",
        "    if (row.has_marks() && row.row < gridDim.x) {\n      for (int mark",
    ),
    "marks of another row": (
        "plain",
        "sample_codes.cu",
        "row.marks.of_codes[i] = uint8_t(mark);",
        "if (row.row == 0) row.marks.of_codes[i] = uint8_t(mark);",
    ),
    "min-p without an eighth more": (
        "plain",
        "sample_codes.cu",
        "logf(float(args.min_p)) + 1.0f",
        "logf(float(args.min_p))",
    ),
    "a second read beyond the row": (
        "plain",
        "pieces.cuh",
        "for (; at < end; at += 32)",
        "for (; at <= end; at += 32)",
    ),
    "a far code with a near mark": (
        "plain",
        "sample_codes.cu",
        "return far < float(kFar) ? int(far) : kFar;",
        "return int(far < 4e8f ? far : 4e8f) & kFar;",
    ),
    "codes behind the last mark that is kept": (
        "plain",
        "sample_codes.cu",
        "(row.mark(i) > kept.mark || row.mark(i) > kept.farthest)",
        "(row.mark(i) > kept.farthest)",
    ),
    "codes of the last mark that is kept": (
        "plain",
        "sample_codes.cu",
        "row.mark(i) > kept.mark ||",
        "row.mark(i) >= kept.mark ||",
    ),
    "far codes read again": (
        "reads",
        "sample_codes.cu",
        "(row.mark(i) > kept.mark || row.mark(i) > kept.farthest)",
        "(row.mark(i) > kept.mark)",
    ),
    "a mark that top-k cut, whole": (
        "plain",
        "sample_codes.cu",
        "at_last += kept_weight(row, places, top_k, i);",
        "at_last += row.full_weight(i);",
    ),
    "the last mark of top-k forgotten": ("plain", "sample_codes.cu", "mark == top_k.mark ? at_last : 0", "0"),
    "a mark behind top-k, whole": ("plain", "sample_codes.cu", "if (mark >= top_k.mark)", "if (mark == top_k.mark)"),
    "a mark that is searched for all": ("plain", "sample_codes.cu", "      needed -= before;\n", ""),
    "other marks searched": (
        "plain",
        "sample_codes.cu",
        "return !row.has_marks() || row.mark(i) == mark;",
        "return true;",
    ),
    "marks from the farthest on": (
        "plain",
        "sample_codes.cu",
        "team.find_bin(needed, false, at_mark, before)",
        "team.find_bin(needed, true, at_mark, before)",
    ),
    "top-p in a nearer mark than top-k": (
        "plain",
        "sample_codes.cu",
        "if (top_p.mark < top_k.mark || top_p.from > top_k.from)",
        "if (top_p.from > top_k.from)",
    ),
    "all of a mark taken for all": (
        "plain",
        "sample_codes.cu",
        "from == kEverything && mark == Marks::kFar",
        "from == kEverything",
    ),
    "the second read in 32 bits": (
        "plain",
        "sample_codes.cu",
        "const int64_t at = row * args.size + i;",
        "const int64_t at = int32_t(row * args.size) + i;",
    ),
    "the second read of the row before": (
        "plain",
        "sample_codes.cu",
        "const int64_t at = row * args.size + i;",
        "const int64_t at = (row > 1 ? row - 1 : row) * args.size + i;",
    ),
    "a second read without guidance": (
        "plain",
        "sample_codes.cu",
        "args.uncond ? load_float<type>(args.uncond, at) : 0.0f",
        "load_float<type>(args.logits, at)",
    ),
    "marks without their room": (
        "plain",
        "sample_codes.cu",
        "sizeof(TeamMemory<kThreadsOfLongest>) + args.size;",
        "sizeof(TeamMemory<kThreadsOfLongest>);",
    ),
    "marks where a byte is missing": (
        "plain",
        "sample_codes.cu",
        "with_marks <= most;",
        "with_marks <= most + 1;",
    ),
    "a maximum that passes over NaN": (
        "plain",
        "cache.cu",
        "return a > b || a != a ? a : b;",
        "return a > b || b != b ? a : b;",
    ),
}
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
                    raise SystemExit(f"{path} must hold {old!r} once, got it {text.count(old)} times; mend MUTATIONS")
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
