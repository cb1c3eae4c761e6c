# llama2swift: `make demo` shows it, `make test` proves it, `make help` lists the rest.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/llama2swift
VENV   := .build/venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/ready
LIB    := .build/release/libllama2swift.so
CC     ?= cc
PYTHON3 ?= python3
export PYTHONPATH := $(CURDIR)/Bindings/Python
export LLAMA2SWIFT_LIBRARY := $(CURDIR)/$(LIB)
export LLAMA2SWIFT_CACHE := $(CACHE)

.PHONY: help demo test trust soak lib chat bench compare compare-setup fuzz unguided sanitize install uninstall wheel dist examples runtimes clean
help:
	@sed -n 's/^## //p' Makefile

## make demo                    set up, fetch a small model, ask it questions, show the speed
demo: lib examples
	@if $(MAKE) --no-print-directory $(READY); then $(PYTHON) Bindings/Python/demo.py .build/examples; \
	  else sh Bindings/C/demo.sh .build/examples; fi

## make test                    every test: Swift, C, Python; ends with "N passed, M failed"
test: $(READY)
	@bash Tests/run

## make soak [SOAK_SECONDS=600] eight threads do everything at random under a memory limit
soak: $(READY) lib
	@bash Tests/trust/soak.sh

## make trust [TRUST="walk soak"] the long proofs (an hour); their figures go into RELIABILITY.md
trust: $(READY) lib
	@PATH="$(CURDIR)/.build/venv/bin:$$PATH" $(PYTHON) Tests/trust/run $(TRUST)

## make lib                     .build/release/libllama2swift.so
lib:
	@bash Tests/setup swift cc
	@mkdir -p .build && touch .build/began
	@swift build -c release --product llama2swift
	@mv .build/began .build/built
	@ln -sf libllama2swift.so .build/release/libllama2swift.so.0

## make examples                the C examples, in .build/examples
examples: lib
	@mkdir -p .build/examples
	@for name in minimal chat json; do \
	  $(CC) -std=c99 -O2 -Wall -Wextra -pedantic -IInclude Bindings/C/$$name.c -o .build/examples/$$name \
	    -L.build/release -lllama2swift -Wl,-rpath,'$$ORIGIN/../release' || exit 1; done

## make chat MODEL=file.gguf    talk to a model
chat: $(READY) lib
	@test -n "$(MODEL)" || { echo 'which model? make chat MODEL=file.gguf'; exit 1; }
	@$(PYTHON) -m llama2swift chat "$(MODEL)"

## make bench [ARGS=...]        speed, beside llama.cpp where it is installed (make compare-setup)
bench: $(READY) lib
	@$(PYTHON) Bindings/Python/benchmarks/bench.py $(ARGS)

## make compare                 our answers beside those of gguf, sentencepiece, tokenizers and llama.cpp
compare: lib compare-setup
	@$(PYTHON) -m pytest -q Tests/compare

## make compare-setup           installs those (builds llama.cpp: some minutes)
compare-setup: $(READY)
	@bash Tests/setup swift cc cmake
	@$(PYTHON) -c 'import llama_cpp, gguf, sentencepiece, tokenizers' 2>/dev/null || \
	  CMAKE_ARGS=-DGGML_NATIVE=ON $(PYTHON) -m pip install -q llama-cpp-python==0.3.36 gguf sentencepiece tokenizers

## make runtimes                stories from C++, Go, Rust, Node, LuaJIT and Java (installs Debian's compilers)
runtimes: lib
	@bash Tests/setup python3
	@python3 Bindings/C/runtimes/run.py all

## make fuzz [TARGET=] [SECONDS=40]   one fuzz target, or each in turn (Tests/fuzz/targets.c has their names)
fuzz: $(READY) lib
	@bash Tests/fuzz/build.sh fuzz
	@bash Tests/fuzz/run.sh "$(TARGET)" "$(or $(SECONDS),40)"

## make unguided [SECONDS=40]   the same inputs changed blindly, through the ordinary library: no build of its own
unguided: $(READY) lib
	@bash Tests/fuzz/unguided.sh "$(or $(SECONDS),40)" $(TARGET)

## make sanitize                C hosts under the thread, address, leak and undefined behaviour sanitizers, and valgrind
sanitize:
	@bash Tests/setup swift cc nm
	@bash Tests/trust/sanitize.sh

## make install [PREFIX=...]    library, header, manual, pkg-config and CMake files; also LIBDIR=, DESTDIR=
install:
	@sh Bindings/C/built.sh
	@sh Bindings/C/install.sh "$(PREFIX)" "$(DESTDIR)" "$(LIBDIR)"

## make uninstall [PREFIX=...]  takes those files away again
uninstall:
	@sh Bindings/C/uninstall.sh "$(PREFIX)" "$(DESTDIR)" "$(LIBDIR)"

## make wheel                   dist/llama2swift-*.whl with the library inside, and the sdist
wheel: lib
	@bash Bindings/Python/make_wheel.sh "$(PYTHON3)"

## make dist                    dist/llama2swift-*.tar.gz: what `make install` installs, to be unpacked anywhere
dist: lib
	@bash Bindings/C/make_dist.sh

## make clean                   removes what was built; the fetched model stays
clean:
	@rm -rf .build

# The stamp is a file of its own: the venv's python is a link to the system's, whose time is not ours to change.
$(READY): Tests/requirements.txt
	@bash Tests/setup python3
	@"$(PYTHON3)" -m venv $(VENV)
	@$(PYTHON) -m pip install -q -r Tests/requirements.txt || { rm -rf $(VENV); \
	  echo 'numpy and pytest could not be installed; with a network: pip install -r Tests/requirements.txt'; exit 1; }
	@touch $(READY)
