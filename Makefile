# The front door. Every target does all its own set-up, and little of it the second time.
ENV := scripts/env
PRESET ?= release
PREFIX ?= $(HOME)/.local
# How long `make fuzz` takes for each target.
SECONDS ?= 120

.PHONY: help build demo study test asan vulkan fuzz bench format lint install bundle deb check-bundle clean

help:
	@echo "make demo      set up, build, and write and measure a mixed model from models/demo.gguf"
	@echo "make study     set up, build, and repeat the paper's evaluation on models/demo.gguf"
	@echo "make test      set up, build, and run every test (PRESET=dev: warnings are errors, asserts are on)"
	@echo "make build     set up and build ./apreqel"
	@echo "make bench     run the benchmarks (bench/README.md)"
	@echo "make asan      run the tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make vulkan    run the tests of accelerators on a Vulkan device; where there is no toolchain, on Mesa's software driver"
	@echo "make fuzz      fuzz everything that reads, each reader for SECONDS=$(SECONDS)"
	@echo "make format    format the sources;  make lint  check format and clang-tidy"
	@echo "make install   install to PREFIX ($(PREFIX))"
	@echo "make bundle    build/bundle/apreqel-*.tar.gz: the program with all it needs, for any Linux of this architecture"
	@echo "make deb       build/bundle/apreqel_*.deb, for Debian testing;  make check-bundle  try both in bare roots"

build/%/build.ninja: CMakeLists.txt CMakePresets.json tests/CMakeLists.txt tests/fuzz/CMakeLists.txt
	$(ENV) cmake --preset $*

build: build/$(PRESET)/build.ninja
	$(ENV) cmake --build --preset $(PRESET)

demo: build
	./apreqel run models/demo.gguf --method paper --weights balanced -o demo-mixed.gguf --force

study: build
	./apreqel study models/demo.gguf --imatrix auto --palette q2_K,iq3_s,q4_0,q4_1,iq4_nl,iq4_xs,q5_0,q5_1,mxfp4 \
		--thorough --prompt-tokens 0 --repetitions 20 --markdown demo-study.md --csv demo-study.csv --force
	./apreqel report models/demo.gguf -o demo-report.html --force

test: build
	$(ENV) ctest --preset $(PRESET) --parallel $(shell nproc)

asan:
	$(MAKE) --no-print-directory test PRESET=asan

# What the tests do not need is not there: a driver makes every start of a program slower. llama.cpp takes a processor for a Vulkan device only
# if it is named.
vulkan: build
	GGML_VK_VISIBLE_DEVICES=0 APREQEL_PACKAGES=scripts/packages.vulkan $(ENV) build/$(PRESET)/tests/apreqel_tests "[vulkan]"

fuzz: build/asan/build.ninja
	$(ENV) cmake --build --preset asan --target apreqel_fuzz
	$(ENV) tests/fuzz/run $(SECONDS)

bench: build/bench/build.ninja
	$(ENV) cmake --build --preset bench
	$(ENV) bench/run

sources = $(shell git ls-files --cached --others --exclude-standard '*.cpp' '*.h')

format:
	$(ENV) clang-format -i $(sources)

# Where several sources are compiled as one, what includes them is checked: clang's analyzer must be told to look into them, and
# how long, as it takes four fifths of the time. GCC's own warnings are none to clang.
analyzer = -analyzer-opt-analyze-headers -analyzer-config max-nodes=30000
tidy = -extra-arg=-Wno-unknown-warning-option $(foreach word,$(analyzer),-extra-arg=-Xclang -extra-arg=$(word))

lint: build
	$(ENV) clang-format --dry-run --Werror $(sources)
	$(ENV) run-clang-tidy -quiet -p build/$(PRESET) $(tidy) '/src/|build/$(PRESET)/CMakeFiles/'

install: build
	$(ENV) cmake --install build/$(PRESET) --prefix $(PREFIX)
	@$(PREFIX)/bin/apreqel --version >/dev/null 2>&1 || \
		echo "This machine has no libllama: run the program as $(CURDIR)/$(ENV) $(PREFIX)/bin/apreqel"

bundle: build
	$(ENV) scripts/bundle build/$(PRESET) build/bundle

deb: build
	rm -f build/bundle/apreqel_*.deb
	$(ENV) cpack --config build/$(PRESET)/CPackConfig.cmake -B build/bundle

check-bundle: bundle deb
	scripts/check-bundle build/bundle/apreqel-*.tar.gz build/bundle/apreqel_*.deb models/demo.gguf

clean:
	rm -rf build demo-mixed.gguf models/demo.gguf.apreqel
