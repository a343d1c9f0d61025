# Thin: the commands that people type. Each starts from a fresh clone.
#
#   make demo    build, train a small model, serve it in FP32 and INT8, show both
#   make serve   the same server, left running
#   make test    build and run every check; what CI runs
#   make bench   build and run the benchmarks of the engines
#   make bench-serving   the same of the service, beside its ceilings
#   make format  clang-format everything
#   make dashboard-preview   draw docs/images/dashboard.png from a live server
#   make image       build the container image (docker, podman or buildah)
#   make test-image  build it without a registry, run it, stop it
#   make compose     the demo, Prometheus and Grafana in containers

BUILD := build/release
BIN := $(BUILD)/bin
JOBS := $(shell nproc)
PROGRAMS := quantserve_server quantctl quantize_model evaluate_model make_demo_model
# Asked when a recipe runs: the target `deps` may just have installed it, and
# another answer at the next call would build everything again.
LAUNCHER = $(shell command -v ccache)
CMAKE_FLAGS = $(if $(LAUNCHER),-DCMAKE_CXX_COMPILER_LAUNCHER=$(LAUNCHER))

.PHONY: demo serve test bench bench-serving build configure deps format dashboard-preview \
        image test-image compose clean help

help:
	@sed -n 's/^#   //p' Makefile

deps:
	@scripts/install_deps.sh

configure: deps
	@cmake --preset release $(CMAKE_FLAGS) > /dev/null

build: configure
	@cmake --build --preset release -j $(JOBS) --target $(PROGRAMS)

demo: build
	@scripts/run_demo.sh $(BIN)

serve: build
	@scripts/run_demo.sh $(BIN) --serve

test: deps
	@scripts/run_tests.sh

bench: configure
	@cmake --build --preset release -j $(JOBS) --target engine_bench
	@scripts/run_bench.sh $(BIN)

dashboard-preview: build
	@$(BIN)/make_demo_model --output_dir build/demo
	@mkdir -p docs/images
	@/usr/bin/python3 -B tests/deploy/draw_dashboard.py . $(BUILD) build/demo \
	  docs/images/dashboard.png

bench-serving: configure
	@cmake --build --preset release -j $(JOBS) --target serving_bench
	@$(BIN)/serving_bench --out=$(BUILD)/serving_bench.json

format:
	@scripts/format.sh

TARGET := runtime
IMAGE := quantserve:latest
image:
	@scripts/build_image.sh --target=$(TARGET) --tag=$(IMAGE)

# Skipped, with a line that says so, where it can't run.
test-image:
	@tests/docker/image_test.sh || [ $$? -eq 77 ]

compose: image
	@scripts/run_compose.sh

clean:
	rm -rf build
