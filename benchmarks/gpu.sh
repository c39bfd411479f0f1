#!/usr/bin/env bash
# Builds, checks and times the CUDA kernels on one H200, from a checkout, where torch with CUDA, nvcc and g++ are:
#
#     bash benchmarks/gpu.sh
#
# It ends by itself within LIMIT seconds (520) and writes as it goes, so that what was done survives a stop. Results:
# $OUT/gpu.json (numbers), $OUT/{build,resources,tests,fuzz,sanitizer,bench}.log; a table is printed last. STEPS chooses among
# build, tests, fuzz, sanitizer and bench. Not yet run on a GPU; its benchmark was, on the CPU, by
# QUICK=1 STEPS=bench DEVICE=cpu, on tiny sizes, which only shows that the script works.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
EMULATION=tests/native/cuda
OUT=${OUT:-build/gpu-results}
STEPS=${STEPS:-build tests fuzz sanitizer bench}
LIMIT=${LIMIT:-520}
START=$(date +%s)
mkdir -p "$OUT"
export OUT PYTHONUNBUFFERED=1 PYTHONPATH=$PWD OMP_WAIT_POLICY=PASSIVE
PYTHON=${PYTHON:-python3}

left() { echo $((LIMIT - $(date +%s) + START)); }
has() { [[ " $STEPS " == *" $1 "* ]]; }
# note NAME VALUE: one more line of facts for the JSON
note() { printf '%s\t%s\n' "$1" "$2" | tee -a "$OUT/facts.tsv"; }
: >"$OUT/facts.tsv"
note commit "$(git rev-parse HEAD 2>/dev/null)"
note gpu "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem --format=csv,noheader 2>&1 | head -1)"
note nvcc "$(nvcc --version 2>/dev/null | tail -1)"
note torch "$($PYTHON -c 'import torch; print(torch.__version__, torch.version.cuda)' 2>&1 | tail -1)"

# --- build: the extension, and beside it the fuzz of tests/native/cuda, without torch ------------------------------
NATIVE=build/gpu
build_native() {
  mkdir -p $NATIVE
  local flags="-std=c++20 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -Icsrc/include -Icsrc -I$EMULATION"
  local cuda; cuda=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  {
    for f in csrc/cuda/*.cu; do
      echo "nvcc -c -lineinfo -gencode=arch=compute_90,code=sm_90 -std=c++20 -O3 --fmad=false -Xptxas -v -DTM_MANY_ROWS=100 -DTM_LEAST_OF_SPREAD=48 -Icsrc/include $f -o $NATIVE/$(basename "$f").o"
    done
    for f in csrc/cpu/*.cpp "$EMULATION"/fuzz/*.cpp; do echo "g++ $flags -c $f -o $NATIVE/$(basename "$f").o"; done
    echo "g++ $flags -isystem $cuda/include -isystem /usr/local/cuda/include -c $EMULATION/as_cpu_kernels.cpp -o $NATIVE/as_cpu_kernels.cpp.o"
  } | xargs -P 16 -I{} bash -c '{} || echo "FAILED: {}"' && nvcc -arch=sm_90 $NATIVE/*.o -o $NATIVE/fuzz
}
if has build; then
  begin=$(date +%s)
  (build_native >"$OUT/native.log" 2>&1) &
  native=$!
  TOKENMASK_CUDA=1 TORCH_CUDA_ARCH_LIST=9.0 MAX_JOBS=12 timeout 240 $PYTHON setup.py build_ext --inplace >"$OUT/build.log" 2>&1
  note build_extension "exit $?"
  wait $native
  note build_native "exit $?"
  grep -hE "error|FAILED" "$OUT/native.log" "$OUT/build.log" | head -5
  note build_seconds $(($(date +%s) - begin))
  grep -E "Compiling entry|Used [0-9]+ registers|stack frame" "$OUT/native.log" >"$OUT/resources.log"
fi

# --- checks: nothing here is timed, so all of it runs at once ---------------------------------------------------------
# The fuzz of the emulation on the GPU (the same cases, the CPU kernels as the measure); compute-sanitizer's four tools on
# few of them, with rows of at most 70 codes, where every kernel is launched; the project's own tests.
jobs=()
if has fuzz && [ -x $NATIVE/fuzz ]; then
  (timeout 90 $NATIVE/fuzz 1 150 >"$OUT/fuzz.log" 2>&1; note fuzz "exit $? $(tail -1 "$OUT/fuzz.log")") &
  jobs+=($!)
fi
if has sanitizer && [ -x $NATIVE/fuzz ] && command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    (
      timeout 110 compute-sanitizer --tool $tool --error-exitcode 9 --print-limit 20 $NATIVE/fuzz 5 2 70 >"$OUT/$tool.txt" 2>&1
      note "sanitizer_$tool" "exit $? $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$OUT/$tool.txt" | tail -1)"
    ) &
    jobs+=($!)
  done
fi
if has tests; then
  (
    timeout 110 $PYTHON -m pytest -q --maxfail=20 -m needs_cuda tests/ops tests/sampling/test_graphs.py -p no:cacheprovider >"$OUT/tests.log" 2>&1
    note tests "exit $? $(tail -1 "$OUT/tests.log")"
  ) &
  jobs+=($!)
fi
[ ${#jobs[@]} -gt 0 ] && wait "${jobs[@]}"
cat "$OUT"/*check.txt >"$OUT/sanitizer.log" 2>/dev/null
rm -f "$OUT"/*check.txt
[ -f "$OUT/tests.log" ] && grep -E "^(FAILED|ERROR)" "$OUT/tests.log" | head -10

# --- benchmarks ----------------------------------------------------------------------------------------------------------
if has bench; then
  LEFT=$(left) timeout $(($(left) > 20 ? $(left) : 20)) $PYTHON benchmarks/gpu/run.py 2>&1 | tee "$OUT/bench.log" | tail -80
  note bench "exit ${PIPESTATUS[0]}"
fi
note seconds $(($(date +%s) - START))
$PYTHON - <<'PY'
import json, os, pathlib
out = pathlib.Path(os.environ["OUT"])
path = out / "gpu.json"
content = json.loads(path.read_text()) if path.exists() else {}
content["facts"] = dict(line.split("\t", 1) for line in (out / "facts.tsv").read_text().splitlines() if "\t" in line)
path.write_text(json.dumps(content, indent=1) + "\n")
PY
rm -f "$OUT/native.log"
