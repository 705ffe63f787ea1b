# Builds, tests and installs Artemis: `make help` lists the targets. All output goes below build/.
#
# Sources are found by wildcard: a new file needs no line here. Each layer is an archive. A test links
# only the layer that it tests and those below, so the linker enforces the layers too.

SHELL       := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS   += --no-builtin-rules

CC          ?= cc
ifeq ($(origin CC),default)
CC          := cc
endif
CXX         := $(if $(filter default,$(origin CXX)),c++,$(CXX))
PREFIX      ?= /usr/local
DESTDIR     ?=
CFLAGS      ?= -O2 -g
VARIANT     ?= release
BUILD       := build
OUT         := $(BUILD)/$(VARIANT)
VERSION     := $(shell cat VERSION)

# --- flags ------------------------------------------------------------------------------------------
WARNINGS    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
C_WARNINGS  := $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes
HARDENING   := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
HARDENING_LD := -pie -Wl,-z,relro,-z,now,-z,noexecstack

SANITIZE_asan  := -fsanitize=address -fno-omit-frame-pointer -O2 -g
SANITIZE_ubsan := -fsanitize=undefined -fno-sanitize-recover=all -O2 -g
SANITIZE_tsan  := -fsanitize=thread -O2 -g
ifneq ($(SANITIZE_$(VARIANT)),)
VARIANT_FLAGS := $(SANITIZE_$(VARIANT))
VARIANT_LD    := $(SANITIZE_$(VARIANT))
else
VARIANT_FLAGS := $(HARDENING)
VARIANT_LD    := $(HARDENING_LD)
endif

DEFINES_sim    := -DREGISTRY_SHARD_BITS=2
DEFINES_simbug := $(DEFINES_sim) -DARTEMIS_SIM_BUG

# Evaluated once, when something is compiled, because `make deps` may install the packages first.
PACKAGES     = libmicrohttpd gnutls jansson libcurl libxxhash zlib nettle sqlite3 libcares libmurmurhash
PKG_CFLAGS   = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(PKG_CFLAGS)
PKG_LIBS     = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PACKAGES)))$(PKG_LIBS)
CPPFLAGS_ALL = -I. -D_GNU_SOURCE -DARTEMIS_VERSION='"$(VERSION)"' $(DEFINES_$(VARIANT)) $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL   = $(CFLAGS) -std=c17 $(C_WARNINGS) $(VARIANT_FLAGS) -pthread -MMD -MP
CXXFLAGS_ALL = $(CFLAGS) -std=c++17 -Wall -Wextra -Werror $(VARIANT_FLAGS) -MMD -MP
LDFLAGS_ALL  = $(VARIANT_LD) $(LDFLAGS) -pthread
LIBS_ALL     = $(PKG_LIBS) -lwslay -lresolv -lstdc++
# libstdc++ serves the TOML parser alone. Loading it would take a tenth of the time to start.
BINARY_LIBS  = $(if $(SANITIZE_$(VARIANT)),$(LIBS_ALL),$(PKG_LIBS) -lwslay -lresolv -static-libgcc -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic)
CLIENT_LIBS  = $(eval CLIENT_LIBS := $$(shell pkg-config --libs jansson libcurl nettle libmurmurhash) -lwslay)$(CLIENT_LIBS)

# --- files ------------------------------------------------------------------------------------------
sources      = $(sort $(shell find $(1) -name '*.c' -o -name '*.cpp'))
objects      = $(patsubst %,$(OUT)/%.o,$(basename $(1)))
LAYERS      := artemis-core artemis-server artemis-web libartemis artemis
MAIN        := artemis/main.c
CORE_SRC    := $(call sources,artemis-core)
SERVER_SRC  := $(call sources,artemis-server)
WEB_SRC     := $(call sources,artemis-web)
CLIENT_SRC  := $(call sources,libartemis)
APP_SRC     := $(filter-out $(MAIN),$(call sources,artemis))
LIB_core    := $(OUT)/libartemis-core.a
LIB_server  := $(OUT)/libartemis-server.a
LIB_web     := $(OUT)/libartemis-web.a
LIB_app     := $(OUT)/libartemis-app.a
# Installed files.
PRODUCTS    := $(if $(filter release,$(VARIANT)),$(BUILD),$(OUT)/bin)
BINARY      := $(PRODUCTS)/artemis

# The client library contains the parts of the core that it uses, and exports only artemis_*.
SONAME      := libartemis.so.0
LIB_parts   := $(OUT)/libartemis-parts.a
LIB_pic     := $(OUT)/pic/libartemis-core.a
LIB_STATIC  := $(PRODUCTS)/libartemis.a
LIB_SHARED  := $(PRODUCTS)/libartemis.so.$(VERSION)
LIBRARY     := $(LIB_STATIC) $(LIB_SHARED)
EXAMPLE_BIN := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard examples/*.c)))

TEST_LIB_SRC := $(call sources,tests/support)
UNIT_SRC     := $(sort $(shell find tests/unit -name 'test_*.c'))
E2E_SRC      := $(sort $(shell find tests/e2e -name 'test_*.c'))
# They take longest, so they start first.
E2E_SCRIPTS  := $(sort $(shell find tests/e2e -name 'test_*.sh'))
UNIT_BIN     := $(patsubst %.c,$(OUT)/%,$(UNIT_SRC))
E2E_BIN      := $(patsubst %.c,$(OUT)/%,$(E2E_SRC))
# Each fuzz target with its stored inputs, as a unit test.
REPLAY_BIN   := $(patsubst tests/fuzz/fuzz_%.c,$(OUT)/tests/fuzz/replay_%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH_BIN    := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard bench/*.c bench/core/*.c)))
SIM_SRC      := $(sort $(wildcard tests/sim/*.c))
SIM_VARIANT  := $(if $(filter release,$(VARIANT)),sim,$(VARIANT))
SIM_BIN      := $(BUILD)/$(SIM_VARIANT)/tests/sim/sim
DEMO_BIN     := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard tests/demo/*.c)))
WIRE_BIN     := $(OUT)/tests/chaos/wire
HEADER_CHECKS := $(patsubst %,$(OUT)/headers/%.ok,$(sort $(shell find $(LAYERS) tests bench -name '*.h')))
# The libraries of a unit test: the layer that it tests and those below.
LIBS_FOR_artemis-core   := $(LIB_core)
LIBS_FOR_artemis-server := $(LIB_server) $(LIB_core)
LIBS_FOR_artemis-web    := $(LIB_web) $(LIB_server) $(LIB_core)
LIBS_FOR_libartemis     := $(LIB_parts) $(LIB_core)
LIBS_FOR_artemis        := $(LIB_app) $(LIB_web) $(LIB_server) $(LIB_STATIC) $(LIB_core)
LIBS_FOR_fuzz_client    := $(LIBS_FOR_libartemis)

# Durations of the tests: those that took longest start first the next time, whatever the variant.
TEST_TIMES   := $(BUILD)/test_times

# Programs of end-to-end tests at the same time. ThreadSanitizer needs ten times the processor time.
E2E_PER_CORE := $(if $(filter tsan,$(VARIANT)),1,2)

# Those of the tests $(1) whose path contains ONLY.
chosen       = $(if $(ONLY),$(foreach test,$(1),$(if $(findstring $(ONLY),$(test)),$(test))),$(1))

# --- targets ----------------------------------------------------------------------------------------
.PHONY: all examples deps run test unit e2e lint format asan tsan ubsan fuzz sim sim-costs sim-bug chaos demo bench instructions docs install uninstall clean help

all: $(BINARY) $(LIBRARY) examples ## build the server, build/artemis, and the client library

examples: $(EXAMPLE_BIN) ## build the examples of the client library, below build/release/examples

deps: ## install the Debian packages that are missing (with sudo if not root)
	@./tests/tools/deps.sh

run: $(BINARY) ## build the server and run it on 127.0.0.1:8080 (RUN_ARGS="--addr ...")
	@$(BINARY) server $(RUN_ARGS)

test: unit e2e ## build and run every test

unit: $(UNIT_BIN) $(REPLAY_BIN) ## run the unit tests (ONLY=shard for those with shard in their path)
	@TIMES=$(TEST_TIMES) tests/tools/run_tests.sh $(call chosen,$(UNIT_BIN) $(REPLAY_BIN))

e2e: $(BINARY) $(LIBRARY) examples $(E2E_BIN) $(DEMO_BIN) ## run the end-to-end tests (ONLY=bad_input for those with bad_input in their path)
	@TIMES=$(TEST_TIMES) JOBS=$$(($$(nproc) * $(E2E_PER_CORE))) ARTEMIS_BINARY=$(BINARY) EXAMPLES_DIR=$(OUT)/examples DEMO_DIR=$(OUT)/tests/demo tests/tools/run_tests.sh $(call chosen,$(E2E_SCRIPTS) $(E2E_BIN))

lint: $(BINARY) $(HEADER_CHECKS) ## check the project rules: layers, cycles, sizes, headers, generated documents
	@ARTEMIS_BINARY=$(BINARY) tests/tools/lint.sh

format: ## format all sources with clang-format
	@git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' | xargs clang-format -i

asan tsan ubsan: ## run all tests under a sanitizer (addresses, threads, undefined behaviour)
	@$(MAKE) --no-print-directory VARIANT=$@ test

fuzz: ## fuzz the parsers of untrusted input (FUZZ_SECS=60 each, ONLY=websocket for one; needs clang)
	@tests/fuzz/support/run.sh $(or $(FUZZ_SECS),60) $(ONLY)

sim: ## simulate SEEDS=1000 clusters, or print the events of one (SEED=x); WORLDS=late,chain
	@$(MAKE) --no-print-directory VARIANT=$(SIM_VARIANT) $(SIM_BIN)
	@$(SIM_BIN) $(if $(WORLDS),--worlds $(WORLDS)) \
	  $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1))

sim-costs: ## print what nodes send each other while nothing changes, with 4, 16 and 64 nodes
	@$(MAKE) --no-print-directory VARIANT=$(SIM_VARIANT) $(SIM_BIN)
	@$(SIM_BIN) --costs

sim-bug: ## check that the simulator finds a deliberate bug for each invariant and mechanism
	@$(MAKE) --no-print-directory VARIANT=simbug $(BUILD)/simbug/tests/sim/sim
	@for bug in 1 3 4 5 6 7 8; do \
	  $(BUILD)/simbug/tests/sim/sim --bug $$bug --seeds 100 >$(BUILD)/simbug/report.$$bug 2>&1; \
	  grep -m 1 "^invariant $$bug:" $(BUILD)/simbug/report.$$bug || \
	    { echo "the simulator did not find bug $$bug"; exit 1; }; \
	done
	@for row in 2:plain:2 9:revision:7 10:ahead:7 11:stored:7 12:stored:7 13:stored-late:3 14:stored-third:2 15:stored-disks:7 16:regions:4 17:members:4 18:members:3 19:plain:9 20:plain:2 21:plain:9; do \
	  bug=$${row%%:*}; world=$${row#*:}; world=$${world%:*}; \
	  $(BUILD)/simbug/tests/sim/sim --bug $$bug --worlds $$world --seeds 100 >$(BUILD)/simbug/report.$$bug 2>&1; \
	  grep -m 1 "^invariant $${row##*:}:" $(BUILD)/simbug/report.$$bug || \
	    { echo "the simulator did not find bug $$bug"; exit 1; }; \
	done

chaos: $(BINARY) $(WIRE_BIN) ## inject faults into five nodes in network namespaces; as root (SCENARIO=isolated for one, TOKENS=yes)
	@ARTEMIS_BINARY=$(BINARY) WIRE=$(WIRE_BIN) SCENARIO='$(SCENARIO)' TOKENS='$(TOKENS)' tests/chaos/chaos.sh

demo: $(BINARY) $(DEMO_BIN) ## two nodes find each other by a membership provider: join, leave, recover (PROVIDER=etcd)
	@ARTEMIS_BINARY=$(BINARY) DEMO_DIR=$(OUT)/tests/demo tests/demo/demo.sh $(or $(PROVIDER),static)

bench: $(BINARY) $(BENCH_BIN) ## run the benchmarks and print a table of the results
	@ARTEMIS_BINARY=$(BINARY) BENCH_DIR=$(OUT)/bench bench/bench.sh

instructions: $(BINARY) $(BENCH_BIN) ## fail if a request needs 3 % more instructions than recorded (needs valgrind)
	@ARTEMIS_BINARY=$(BINARY) BENCH_DIR=$(OUT)/bench bench/instructions.sh --check

docs: $(BINARY) ## generate the tables of README and docs from the code
	@ARTEMIS_BINARY=$(BINARY) tests/tools/generated_docs.sh --write

# Quoted, because both may contain blanks. README links to docs/ and LICENSE by relative paths.
BIN_DIR      = $(DESTDIR)$(PREFIX)/bin
LIB_DIR      = $(DESTDIR)$(PREFIX)/lib
INCLUDE_DIR  = $(DESTDIR)$(PREFIX)/include
SHARE_DIR    = $(DESTDIR)$(PREFIX)/share/artemis
DOC_DIR      = $(DESTDIR)$(PREFIX)/share/doc/artemis
DOC_FILES   := README.md LICENSE CHANGELOG.md CONTRIBUTING.md $(sort $(wildcard docs/*.md docs/decisions/*.md))
EXAMPLE_FILES := $(sort $(wildcard examples/*.c))
CONFIG_FILES := $(patsubst configs/%,%,$(sort $(wildcard configs/*.toml configs/secure/*.toml)))

install: all ## install the binary, client library, examples and documents below $(DESTDIR)$(PREFIX)
	install -Dm755 $(BINARY) "$(BIN_DIR)/artemis"
	install -Dm644 libartemis/artemis.h "$(INCLUDE_DIR)/artemis.h"
	install -Dm644 $(LIB_STATIC) "$(LIB_DIR)/libartemis.a"
	install -Dm644 $(LIB_SHARED) "$(LIB_DIR)/$(notdir $(LIB_SHARED))"
	ln -sf $(notdir $(LIB_SHARED)) "$(LIB_DIR)/$(SONAME)"
	ln -sf $(SONAME) "$(LIB_DIR)/libartemis.so"
	install -d "$(LIB_DIR)/pkgconfig"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' libartemis/artemis.pc.in >"$(LIB_DIR)/pkgconfig/artemis.pc"
	for file in $(notdir $(EXAMPLE_FILES)); do install -Dm644 "examples/$$file" "$(DOC_DIR)/examples/$$file" || exit; done
	for file in $(CONFIG_FILES); do install -Dm644 "configs/$$file" "$(SHARE_DIR)/$$file" || exit; done
	install -Dm755 configs/secure/certificates.sh "$(SHARE_DIR)/secure/certificates.sh"
	for file in $(DOC_FILES); do install -Dm644 "$$file" "$(DOC_DIR)/$$file" || exit; done

uninstall: ## remove the installed files, and folders that are then empty
	rm -f "$(BIN_DIR)/artemis" "$(INCLUDE_DIR)/artemis.h" "$(LIB_DIR)/pkgconfig/artemis.pc"
	for file in libartemis.a libartemis.so $(SONAME) $(notdir $(LIB_SHARED)); do rm -f "$(LIB_DIR)/$$file"; done
	for file in $(notdir $(EXAMPLE_FILES)); do rm -f "$(DOC_DIR)/examples/$$file"; done
	for file in $(CONFIG_FILES) secure/certificates.sh; do rm -f "$(SHARE_DIR)/$$file"; done
	for file in $(DOC_FILES); do rm -f "$(DOC_DIR)/$$file"; done
	for folder in "$(DOC_DIR)/examples" "$(DOC_DIR)/docs/decisions" "$(DOC_DIR)/docs" "$(DOC_DIR)" "$(SHARE_DIR)/secure" "$(SHARE_DIR)"; do \
	  if [ -d "$$folder" ]; then rmdir --ignore-fail-on-non-empty "$$folder"; fi; done

clean: ## remove build/
	rm -rf $(BUILD)

help: ## print this list
	@grep -hE '^[a-z][a-z0-9 -]*:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9 -]+):.*## */\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

# --- rules ------------------------------------------------------------------------------------------
# With `make -j deps run`, nothing is compiled before the packages are installed. Without `deps`, the
# first compilation checks that they are.
AFTER_DEPS  := $(OUT)/packages
WITH_TESTS  := $(if $(filter test unit e2e asan tsan ubsan lint,$(MAKECMDGOALS)),--tests)
$(OUT)/packages: | $(filter deps,$(MAKECMDGOALS))
	@mkdir -p $(@D)
	@CC='$(CC)' CXX='$(CXX)' tests/tools/deps.sh --check $(WITH_TESTS)
	@touch $@

# Each header compiles by itself.
$(OUT)/headers/%.ok: % Makefile | $(AFTER_DEPS)
	@mkdir -p $(@D)
	@echo '#include "$<"' | $(CC) $(CPPFLAGS_ALL) -std=c17 -Wall -Wextra -MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -xc -
	@touch $@

# Objects depend on the flags: this file changes when they do.
FLAGS_STAMP := $(OUT)/flags
FLAGS_NOW   := $(CC) $(CXX) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(VARIANT_FLAGS)
$(shell mkdir -p $(OUT); echo '$(subst ','"'"',$(FLAGS_NOW))' | cmp -s - $(FLAGS_STAMP) || echo '$(subst ','"'"',$(FLAGS_NOW))' > $(FLAGS_STAMP))

$(OUT)/%.o: %.c Makefile VERSION $(FLAGS_STAMP) | $(AFTER_DEPS)
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<

$(OUT)/%.o: %.cpp Makefile VERSION $(FLAGS_STAMP) | $(AFTER_DEPS)
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -c -o $@ $<

# The client library is shared, and exports only what is marked.
PIC := -fPIC -fvisibility=hidden
$(call objects,$(CLIENT_SRC)): CFLAGS_ALL += $(PIC)
$(OUT)/pic/%.o: %.c Makefile VERSION $(FLAGS_STAMP) | $(AFTER_DEPS)
	@mkdir -p $(@D)
	@echo "  CC   $< (for the library)"
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(PIC) -c -o $@ $<

$(LIB_parts): $(call objects,$(CLIENT_SRC))
$(LIB_pic): $(patsubst %.c,$(OUT)/pic/%.o,$(filter %.c,$(CORE_SRC)))
$(LIB_core): $(call objects,$(CORE_SRC))
$(LIB_server): $(call objects,$(SERVER_SRC))
$(LIB_web): $(call objects,$(WEB_SRC))
$(LIB_app): $(call objects,$(APP_SRC))
$(OUT)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

# One object: its internal names cannot collide with those of a program.
$(OUT)/libartemis.o: $(LIB_parts) $(LIB_pic)
	@echo "  LD   $@"
	@$(LD) -r -o $@ --whole-archive $(LIB_parts) --no-whole-archive $(LIB_pic)
	@objcopy --localize-hidden $@

$(LIB_STATIC): $(OUT)/libartemis.o
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

$(LIB_SHARED): $(OUT)/libartemis.o
	@echo "  LD   $@"
	@mkdir -p $(@D)
	@$(CC) -shared -Wl,-soname,$(SONAME) $(filter-out -pie,$(LDFLAGS_ALL)) -o $@ $^ $(CLIENT_LIBS)
	@ln -sf $(notdir $@) $(@D)/$(SONAME)
	@ln -sf $(SONAME) $(@D)/libartemis.so

# Built as users build them: with the header and the library alone.
$(EXAMPLE_BIN): $(OUT)/examples/%: examples/%.c libartemis/artemis.h $(LIB_STATIC)
	@echo "  LD   $@"
	@mkdir -p $(@D)
	@$(CC) -Ilibartemis $(CFLAGS) -std=c17 $(C_WARNINGS) $(VARIANT_FLAGS) $(LDFLAGS_ALL) -o $@ $< $(LIB_STATIC) $(CLIENT_LIBS)

$(BINARY): $(call objects,$(MAIN)) $(LIBS_FOR_artemis)
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(BINARY_LIBS)

TEST_LIB_OBJ := $(call objects,$(TEST_LIB_SRC))
# Unit tests can make any allocation of the program fail: tests/support/failing_malloc.h.
comma        := ,
WRAP_MALLOC  := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc strdup strndup free)
.SECONDEXPANSION:
$(UNIT_BIN): $(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(TEST_LIB_OBJ) $$(LIBS_FOR_$$(firstword $$(subst /, ,$$*)))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $(WRAP_MALLOC) -o $@ $^ $(LIBS_ALL) -lcmocka

$(REPLAY_BIN): $(OUT)/tests/fuzz/replay_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/support/replay.o $$(or $$(LIBS_FOR_fuzz_$$*),$$(LIBS_FOR_artemis))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

$(E2E_BIN) $(DEMO_BIN): %: %.o $(TEST_LIB_OBJ) $(LIB_STATIC) $(LIB_core)
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL) -lcmocka

$(OUT)/tests/sim/sim: $(call objects,$(SIM_SRC)) $(LIB_server) $(LIB_core)
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

$(WIRE_BIN): $(OUT)/tests/chaos/wire.o
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^

# Without the archive of artemis-web: the baseline calls libmicrohttpd itself.
$(BENCH_BIN): $(OUT)/bench/%: $(OUT)/bench/%.o $(LIB_core)
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_ALL)

.PRECIOUS: $(OUT)/%.o
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
