# Thin: the commands that people type. Each starts from a fresh clone.
#
#   make demo    build, train a small model, serve it in FP32 and INT8, show both
#   make serve   the same server, left running
#   make test    build and run every check; what CI runs
#   make bench   build and run the benchmarks
#   make format  clang-format everything

BUILD := build/release
BIN := $(BUILD)/bin
JOBS := $(shell nproc)
LAUNCHER := $(shell command -v ccache)
CMAKE_FLAGS := $(if $(LAUNCHER),-DCMAKE_CXX_COMPILER_LAUNCHER=$(LAUNCHER))

.PHONY: demo serve test bench build deps format clean help

help:
	@sed -n 's/^#   //p' Makefile

deps:
	@scripts/install_deps.sh

build: deps
	@cmake --preset release $(CMAKE_FLAGS) > /dev/null
	@cmake --build --preset release -j $(JOBS)

demo: build
	@scripts/run_demo.sh $(BIN)

serve: build
	@scripts/run_demo.sh $(BIN) --serve

test: deps
	@scripts/run_tests.sh

bench: build
	@scripts/run_bench.sh $(BIN)

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

clean:
	rm -rf build
