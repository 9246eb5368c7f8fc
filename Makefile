# mishap - make help lists what can be asked for.

CC       ?= cc
AR       ?= ar
PREFIX   ?= /usr/local
VERSION  := 0.1.0
BUILD    := build
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

CPPFLAGS += -I. -I$(BUILD) -D_GNU_SOURCE -DMISHAP_VERSION='"$(VERSION)"'
WARN     := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla
CFLAGS   ?= -O2 -g
CFLAGS   += -std=gnu17 $(WARN)

# The guest may run at any instruction of the target: no vector registers,
# no PLT, nothing exported but what is marked, unwind tables for every PC.
GUEST    := -fPIC -fvisibility=hidden -mgeneral-regs-only -ftls-model=initial-exec \
            -fno-plt -fno-builtin -fno-stack-protector \
            -fasynchronous-unwind-tables -fno-exceptions
GUEST_amd64   := -fcf-protection=none
GUEST_aarch64 := -mno-outline-atomics
LIBS     := -lyaml -ljansson -lcurl -ldw -lelf -lcapstone -lpthread -lm

core_src      := $(wildcard core/*.c)
faults_src    := $(wildcard faults/*.c)
# The machine that $(CC) builds for, and the other port's files; stacks are
# walked on x86-64 only.
MACHINE       := $(shell $(CC) -dumpmachine | sed 's/-.*//; s/x86_64/amd64/')
other_amd64   := $(wildcard preload/*_aarch64.[cS])
other_aarch64 := $(wildcard preload/*_amd64.[cS] preload/stack*.c)
GUEST         += $(GUEST_$(MACHINE))
preload_src   := $(filter-out $(other_$(MACHINE)),$(wildcard preload/*.c preload/*.S))
scenarios_src := $(wildcard scenarios/*.c)
runner_src    := $(filter-out runner/main.c,$(wildcard runner/*.c runner/report/*.c runner/oracles/*.c runner/powercut/*.c runner/ledger/*.c runner/load/*.c runner/sweep/*.c))
unit_src      := $(wildcard tests/unit/*.c)
target_src    := $(wildcard tests/targets/*.c)

obj   = $(patsubst %,$(BUILD)/obj/%.o,$(1))
pic   = $(patsubst %,$(BUILD)/pic/%.o,$(1))
units := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(unit_src))
targets := $(patsubst tests/targets/%.c,$(BUILD)/targets/%,$(target_src))

# The probes are built where what they need is there (make deps); mishap works
# without them, and says so.
CLANG      ?= $(firstword $(shell command -v clang clang-19 clang-16 clang-14) clang)
BPFTOOL    ?= $(firstword $(shell command -v bpftool /usr/sbin/bpftool) \
              $(wildcard /usr/lib/linux-tools/*/bpftool) bpftool)
LLVM_STRIP ?= $(firstword $(shell command -v llvm-strip llvm-strip-19 llvm-strip-16 llvm-strip-14) llvm-strip)
bpf_missing := $(shell tools/bpf-missing "$(CC)" $(CLANG) $(BPFTOOL) $(LLVM_STRIP))
bpf_groups  := $(patsubst bpf/%.bpf.c,%,$(wildcard bpf/*.bpf.c))
bpf_src     := $(filter-out %.bpf.c,$(wildcard bpf/*.c))
watch       := $(if $(bpf_missing),skip-watch,$(BUILD)/mishap-watch)

all: $(BUILD)/mishap $(BUILD)/libmishap.so $(watch) ## build what runs, without install

$(BUILD)/faults.def: $(faults_src) Makefile
	@mkdir -p $(@D)
	@printf 'FAULT(%s)\n' $(sort $(basename $(notdir $(faults_src)))) > $@

# strace's names of system calls, as the kernel's header has them.
$(BUILD)/syscall_names.def: Makefile
	@mkdir -p $(@D)
	@printf '#include <asm/unistd.h>\n' | $(CC) -E -dM - | sed -n \
		's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$$/SYSCALL_NAME(\1, \2)/p' | sort > $@

# A row of calls.def whose number this machine's kernel doesn't have is void.
$(BUILD)/kernel.h: core/calls.def Makefile
	@mkdir -p $(@D)
	@sed -nE 's/^KERNEL(_IF)?\([a-z0-9_]+, ([a-z0-9_]+).*/\2/p' $< | sort -u | awk '{ \
		print "#ifdef SYS_" $$1 "\n#define NR_" $$1 " SYS_" $$1 \
		"\n#else\n#define NR_" $$1 " CALL_NR_MAX\n#endif" }' > $@

$(BUILD)/obj/%.c.o: %.c Makefile | $(BUILD)/faults.def $(BUILD)/kernel.h $(BUILD)/syscall_names.def
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/pic/%.c.o: %.c Makefile | $(BUILD)/faults.def $(BUILD)/kernel.h
	@mkdir -p $(@D)
	$(call say,GUEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(GUEST) -MMD -MP -c $< -o $@

$(BUILD)/pic/%.S.o: %.S Makefile
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(CPPFLAGS) $(GUEST) -MMD -MP -c $< -o $@

$(BUILD)/libhouse.a: $(call obj,$(core_src) $(faults_src) $(scenarios_src) $(runner_src))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/mishap: $(call obj,runner/main.c) $(BUILD)/libhouse.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/libmishap.so: $(call pic,$(core_src) $(faults_src) $(preload_src)) preload/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-z,now,-z,defs,-z,nodelete \
		-Wl,--version-script=preload/exports.map -Wl,-Bsymbolic \
		$(filter %.o,$^) -o $@ -lc

# A group of probes is an object of its own.  libbpf's linker drops what only
# the compiler wanted; the skeleton is the object as C.
BPF_FLAGS := -g -O2 -Wall -Wextra -Wno-unused-parameter -target bpf -mcpu=v3 \
             -D__TARGET_ARCH_x86 -I. -idirafter /usr/include/$(shell $(CC) -print-multiarch)

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -MF $(BUILD)/bpf/$*.d -MT $@ -c $< -o $(BUILD)/bpf/$*.o
	$(Q)$(LLVM_STRIP) -g $(BUILD)/bpf/$*.o
	$(Q)$(BPFTOOL) gen object $@ $(BUILD)/bpf/$*.o 2>/dev/null

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@ 2>/dev/null

skeletons := $(patsubst %,$(BUILD)/bpf/%.skel.h,$(bpf_groups))

$(call obj,$(bpf_src)): $(BUILD)/obj/%.o: % Makefile $(skeletons)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -I$(BUILD)/bpf $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/mishap-watch: $(call obj,$(bpf_src)) $(call obj,$(core_src) $(faults_src))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -lbpf -o $@

skip-watch:
	@echo "  SKIP    mishap-watch, the probes: missing $(bpf_missing) (make deps)"

# One cmocka program per unit; it links the house, never the exported wrappers.
$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libhouse.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $< $(BUILD)/libhouse.a -lcmocka $(LIBS) -o $@

# The hook is tested as it is built for the guest, but for its own start.
guest_src := $(filter-out preload/boot.c preload/symbols% preload/twin%,$(preload_src))
$(BUILD)/tests/test_guest_%: tests/unit/test_guest_%.c $(call pic,$(guest_src)) $(BUILD)/libhouse.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $< $(filter %.o,$^) \
		$(BUILD)/libhouse.a -lcmocka $(LIBS) -o $@

# The stack walker is tested as it is built for the guest.
stack_pic = $(call pic,$(wildcard preload/stack*.c) core/match.c core/python.c)

$(BUILD)/tests/test_stack_%: tests/unit/test_stack_%.c $(stack_pic) $(BUILD)/libhouse.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $< $(filter %.o,$^) \
		$(BUILD)/libhouse.a -lcmocka $(LIBS) -o $@

# What walks in other programs, or beside libunwind.
$(BUILD)/stack/%.so: tests/stack/%.c $(stack_pic)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -shared -MMD -MP -MF $@.d \
		$(filter %.c %.o,$^) -o $@

$(BUILD)/stack/plugin_a.so: FRAME := 1000
$(BUILD)/stack/plugin_b.so: FRAME := 3000
$(BUILD)/stack/plugin_%.so: tests/stack/plugin.c
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) -O1 -fPIC -shared -DFRAME_BYTES=$(FRAME) $< -o $@

$(BUILD)/stack/%: tests/stack/%.c $(stack_pic)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -pthread -MMD -MP -MF $@.d \
		$(filter %.c %.o,$^) -o $@

$(BUILD)/bench/stack: bench/stack.c $(stack_pic)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(filter %.c %.o,$^) -o $@

$(BUILD)/targets/notify_%: LINK := -static
# The site door with a hook that counts, and plans made by hand.
hook_pic = $(call pic,preload/site_$(MACHINE).c preload/site_$(MACHINE).S \
           $(patsubst %,preload/%.c,sites around late mark clock mem) \
           $(core_src) $(faults_src))

$(BUILD)/sites/libhook.so: tests/e2e/sites/hook.c $(hook_pic)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(GUEST) -shared -Wl,-z,now,-z,nodelete,-Bsymbolic \
		$(filter %.c %.o,$^) -o $@

$(BUILD)/sites/prepare: tests/e2e/sites/prepare.c $(BUILD)/libhouse.a
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.a,$^) -lcapstone -o $@

# A runner's part without a runner, for machines that there is none for yet.
$(BUILD)/sites/guest_run: tests/unit/guest_run.c tests/e2e/sites/no_planner.c $(call pic,$(core_src) $(faults_src))
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -pthread $(filter %.c %.o,$^) -o $@

$(BUILD)/targets/%: tests/targets/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -O1 -g -fexceptions -I. -D_GNU_SOURCE -pthread $(LINK) $< -o $@ -ldl

units: $(units)
targets: $(targets) $(addprefix $(BUILD)/stack/,compare.so storm plugin_a.so plugin_b.so)

# ---- what a newcomer types --------------------------------------------------
deps: ## install what is missing (Debian; sudo if needed), start nothing
	$(Q)tools/deps $(filter-out deps,$(MAKECMDGOALS))

demo: all targets ## take six real programs through real faults, read verdicts
	$(Q)tools/demo

CROSS ?= aarch64-linux-gnu-
cross-aarch64: ## libmishap.so for 64-bit ARM, in build/aarch64, and its tests
	$(Q)command -v $(CROSS)gcc >/dev/null || { \
		echo "cross-aarch64: $(CROSS)gcc is missing; on Debian: apt-get install gcc-aarch64-linux-gnu"; exit 1; }
	$(Q)$(MAKE) --no-print-directory BUILD=build/aarch64 \
		CC="$(filter ccache,$(CC)) $(CROSS)gcc" guest

guest_targets := sites_kinds cancel_call full_disk
guest: $(BUILD)/libmishap.so $(BUILD)/sites/libhook.so $(BUILD)/sites/guest_run \
	$(addprefix $(BUILD)/targets/,$(guest_targets))

# ---- proof ------------------------------------------------------------------
check: all units targets ## all tests that belong to every change
	$(Q)tests/run check

check-long: all units targets ## check, then stress: an hour (STRESS_SECONDS shortens each)
	$(Q)tests/run long

CONFORM_COUNT ?= 100
CONFORM_SEED  ?= 1
.PHONY: conformance
conformance: $(BUILD)/conform ## models of file systems beside the kernel (root)
	$(Q)tests/conform/run $(CONFORM_COUNT) $(CONFORM_SEED)

$(BUILD)/conform: tests/conform/conform.c $(BUILD)/libhouse.a
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $< $(BUILD)/libhouse.a $(LIBS) -o $@

bench: all targets $(addprefix $(BUILD)/bench/,calls stack startup ring) ## ratios against bare, in one run
	$(Q)bench/run

$(BUILD)/bench/ring: bench/ring.c core/ring.c core/shared.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(filter %.c,$^) -lpthread -o $@

$(BUILD)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -D_GNU_SOURCE -pthread -I. -I$(BUILD) $< -o $@ -ldl

FUZZ_SECONDS ?= 600
fuzz_src     := $(wildcard tests/fuzz/fuzz_*.c)
fuzz: $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_src)) ## libFuzzer with ASan, FUZZ_SECONDS each
	$(Q)tests/fuzz/run $(FUZZ_SECONDS) $^

$(BUILD)/fuzz/%: tests/fuzz/%.c $(core_src) $(faults_src) $(scenarios_src) $(BUILD)/faults.def $(BUILD)/kernel.h
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)clang $(CPPFLAGS) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$< $(core_src) $(faults_src) $(scenarios_src) -lyaml -ljansson -o $@

asan: ## the unit tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) BUILD=build/asan CFLAGS="-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer" \
		LDFLAGS="-fsanitize=address,undefined" units
	$(Q)tests/run units build/asan

tsan: ## the unit tests under ThreadSanitizer
	$(Q)$(MAKE) BUILD=build/tsan CFLAGS="-O1 -g -fsanitize=thread" \
		LDFLAGS="-fsanitize=thread" units
	$(Q)tests/run units build/tsan

format: ## clang-format decides
	$(Q)clang-format -i $(shell git ls-files '*.c' '*.h')

tidy: ## clang-tidy, and our own rules of the house
	$(Q)tests/check-house
	$(Q)clang-tidy --quiet $(core_src) $(faults_src) $(scenarios_src) $(runner_src) \
		-- $(CPPFLAGS) -std=gnu17

docs: all ## write anew what is generated from the tables
	$(Q)tools/docs

# ---- install ----------------------------------------------------------------
install: all ## into $(DESTDIR)$(PREFIX)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/mishap" \
		"$(DESTDIR)$(PREFIX)/share/man/man1" \
		"$(DESTDIR)$(PREFIX)/share/mishap/scenarios" \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions"
	install -m 755 $(BUILD)/mishap "$(DESTDIR)$(PREFIX)/bin/"
	install -m 755 $(BUILD)/libmishap.so "$(DESTDIR)$(PREFIX)/lib/mishap/"
	$(if $(bpf_missing),,install -m 755 $(BUILD)/mishap-watch "$(DESTDIR)$(PREFIX)/bin/")
	install -m 644 man/*.1 "$(DESTDIR)$(PREFIX)/share/man/man1/"
	install -m 644 scenarios/library/*.yaml "$(DESTDIR)$(PREFIX)/share/mishap/scenarios/"
	install -d "$(DESTDIR)$(PREFIX)/include"
	install -m 644 include/mishap.h "$(DESTDIR)$(PREFIX)/include/"
	install -m 644 tools/valgrind.supp "$(DESTDIR)$(PREFIX)/share/mishap/"
	install -m 644 completions/mishap.bash \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mishap"

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:[^#]*## */ /' | \
		while read -r goal does; do printf '  make %-14s %s\n' "$$goal" "$$does"; done

clean: ## remove build/
	$(Q)rm -rf $(BUILD)

.PHONY: all skip-watch guest cross-aarch64 units targets deps demo check check-long bench fuzz asan tsan \
	format tidy docs install help clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
