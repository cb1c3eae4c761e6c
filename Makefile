# llama2swift: `make demo` shows it, `make test` proves it, `make help` lists the rest.
PREFIX ?= /usr/local
CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llama2swift
PYTHON := .build/venv/bin/python
LIB    := .build/release/libllama2swift.so
CC     ?= cc
export PYTHONPATH := $(CURDIR)/Bindings/Python
export LLAMA2SWIFT_LIBRARY := $(CURDIR)/$(LIB)
export LLAMA2SWIFT_CACHE := $(CACHE)

.PHONY: help demo test trust-faults lib chat bench compare compare-setup install examples runtimes clean
help:
	@sed -n 's/^## //p' Makefile

## make demo                    set up, fetch a small model, ask it questions, show the speed
demo: $(PYTHON) lib examples
	@$(PYTHON) Bindings/Python/demo.py .build/examples

## make test                    every test: Swift, C, Python; ends with "N passed, M failed"
test: $(PYTHON)
	@bash Tests/run

## make lib                     .build/release/libllama2swift.so
lib:
	@bash Tests/setup swift cc
	@swift build -c release --product llama2swift
	@ln -sf libllama2swift.so .build/release/libllama2swift.so.0

## make examples                the C examples, in .build/examples
examples: lib
	@mkdir -p .build/examples
	@for name in minimal chat; do \
	  $(CC) -std=c99 -O2 -Wall -Wextra -pedantic -IInclude Bindings/C/$$name.c -o .build/examples/$$name \
	    -L.build/release -lllama2swift -Wl,-rpath,'$$ORIGIN/../release' || exit 1; done

## make chat MODEL=file.gguf    talk to a model
chat: $(PYTHON) lib
	@test -n "$(MODEL)" || { echo 'which model? make chat MODEL=file.gguf'; exit 1; }
	@$(PYTHON) -m llama2swift chat "$(MODEL)"

## make bench [ARGS=...]        speed, beside llama.cpp where it is installed (make compare-setup)
bench: $(PYTHON) lib
	@$(PYTHON) Bindings/Python/benchmarks/bench.py $(ARGS)

## make compare                 our answers beside those of gguf, sentencepiece, tokenizers and llama.cpp
compare: lib compare-setup
	@$(PYTHON) -m pytest -q Tests/compare

## make compare-setup           installs those (builds llama.cpp: some minutes)
compare-setup: $(PYTHON)
	@bash Tests/setup swift cc cmake
	@$(PYTHON) -c 'import llama_cpp, gguf, sentencepiece, tokenizers' 2>/dev/null || \
	  CMAKE_ARGS=-DGGML_NATIVE=ON $(PYTHON) -m pip install -q llama-cpp-python==0.3.36 gguf sentencepiece tokenizers

## make runtimes                stories from C++, Go, Rust, Node, LuaJIT and Java (installs Debian's compilers)
runtimes: lib
	@bash Tests/setup python3
	@python3 Bindings/C/runtimes/run.py all

## make trust-faults            every allocation and system call of every call fails once: the exhaustive walk
trust-faults: $(PYTHON) lib
	@$(PYTHON) Tests/trust/faults.py

## make install [PREFIX=...]    library, header and pkg-config file
install: lib
	@bash Bindings/C/install.sh "$(PREFIX)" "$(DESTDIR)"

## make clean                   removes what was built; the fetched model stays
clean:
	@rm -rf .build

$(PYTHON): Tests/requirements.txt
	@bash Tests/setup python3
	@python3 -m venv .build/venv
	@$(PYTHON) -m pip install -q -r Tests/requirements.txt || { rm -rf .build/venv; \
	  echo 'numpy and pytest could not be installed; with a network: pip install -r Tests/requirements.txt'; exit 1; }
	@touch $(PYTHON)
