# The front door. Every target does all its own set-up, and little of it the second time.
ENV := scripts/env
PREFIX ?= /usr/local

.PHONY: help build demo test asan bench format lint install clean

help:
	@echo "make demo      set up, build, and write and measure a mixed model from models/demo.gguf"
	@echo "make test      set up, build, and run every test"
	@echo "make build     set up and build ./apreqel"
	@echo "make bench     run the benchmarks (bench/README.md)"
	@echo "make asan      run the tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make format    format the sources;  make lint  check format and clang-tidy"
	@echo "make install   install to PREFIX ($(PREFIX))"

build/release/build.ninja: CMakeLists.txt CMakePresets.json tests/CMakeLists.txt
	$(ENV) cmake --preset release

build: build/release/build.ninja
	$(ENV) cmake --build --preset release

demo: build
	./apreqel run models/demo.gguf --weights balanced -o demo-mixed.gguf --force

test: build
	$(ENV) ctest --preset release

asan:
	$(ENV) cmake --preset asan
	$(ENV) cmake --build --preset asan
	$(ENV) ctest --preset asan

bench:
	$(ENV) cmake --preset bench
	$(ENV) cmake --build --preset bench
	$(ENV) bench/run

sources = $(shell git ls-files --cached --others --exclude-standard '*.cpp' '*.h')

format:
	$(ENV) clang-format -i $(sources)

lint: build
	$(ENV) clang-format --dry-run --Werror $(sources)
	$(ENV) run-clang-tidy -quiet -p build/release '/src/'

install: build
	$(ENV) cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build demo-mixed.gguf models/demo.gguf.apreqel
