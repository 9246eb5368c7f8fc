#!/bin/bash
# What libmishap.so shows to the world and asks of it, and what it costs.
. "$(dirname "$0")/lib.sh"
LIB=$BUILD/libmishap.so

# Just the symbols of calls.def and of twins.def, the two that must know our own
# memory, and those that make children inside libc.
{
	printf '#define %s(...)\n' CALL KERNEL KERNEL_IF ALIAS
	echo '#define SYMBOL(name, ret, symbol, ...) EXPORTS symbol'
	echo '#include "core/calls.def"'
	echo '#define TWIN(c, n, f, p, m, type, symbol, ...) EXPORTS symbol'
	printf '#define TWIN_%s TWIN\n' CHK OLD BODY
	echo '#include "core/twins.def"'
} >table.c
{
	cc -E -I "$ROOT" table.c | grep -oE 'EXPORTS [a-z0-9_]+' | cut -d' ' -f2
	echo free
	echo malloc_usable_size
	printf '%s\n' popen system vfork
	echo timespec_get
	grep -oE 'TIMED\([a-z_]+,' "$ROOT/preload/timed.c" | tr -d "(," | sed s/TIMED// | grep -vx symbol
} | sort -u >wanted
[ "$(wc -l <wanted)" -gt 200 ] || exit 1
exports() { nm -D --defined-only "$1" | awk '{print $3}' | sort -u; }
only_wanted() { exports "$1" | diff wanted -; }
it "exports are the symbols of the table, and no others" only_wanted "$LIB"

# Nothing that allocates or prints; dl_iterate_phdr only before main().
cat >allowed <<'END'
_ITM_deregisterTMCloneTable
_ITM_registerTMCloneTable
__cxa_finalize
__environ
__errno_location
__gmon_start__
__libc_single_threaded
__register_atfork
_dl_find_object
dl_iterate_phdr
_r_debug
dlsym
environ
getauxval
gnu_get_libc_version
pthread_getspecific
pthread_self
END
only_allowed() {
	nm -D -u "$1" | awk '{print $2}' | sed 's/@.*//' | sort -u |
		comm -23 - <(sort allowed) | { ! grep .; }
}
it "imports are on the list of what is harmless" only_allowed "$LIB"
cat >other.c <<'END'
#include <stdio.h>
int helper(void) { return puts("x"); }
END
cc -shared -fPIC -o other.so other.c
# musl's ld.so binds all at once: what only glibc has must be weak.
only_weak() {
	nm -D -u "$1" | awk '$1 == "U" {print $2}' | sed 's/@.*//' |
		grep -xE '__libc_single_threaded|__register_atfork|_dl_find_object|_r_debug|gnu_get_libc_version' |
		{ ! grep .; }
}
it "what only glibc has is a weak import" only_weak "$LIB"
bites() { ! only_wanted other.so && ! only_allowed other.so; }
it "both checks bite: another library has neither" bites

tls() {
	local bytes
	bytes=$(($(readelf -lW "$LIB" | awk '$1 == "TLS" {print $6}')))
	echo "$bytes bytes"
	[ "$bytes" -gt 0 ] && [ "$bytes" -le 512 ]
}
it "thread-local storage is at most 512 bytes" tls
it "it is initial-exec: no call to __tls_get_addr" \
	exits 1 sh -c "nm -D $LIB | grep -q tls_get_addr"
it "no executable stack, nothing bound late, no text relocations" \
	sh -c "readelf -lW $LIB | grep -q 'GNU_STACK.* RW ' &&
	readelf -dW $LIB | grep -q 'FLAGS.*NOW' &&
	! readelf -dW $LIB | grep -q TEXTREL"
vectors() { # in what may run at a site; stack_module saves what it borrows
	objdump -d --no-show-raw-insn "$LIB" | grep -E '%[xyz]mm' |
		grep -vE 'mov[a-z]* +(%xmm[0-9]+,|[0-9a-fx-]*\(%r[a-z0-9]+\),%xmm)' |
		{ ! grep .; }
}
it "no vector register is computed with" vectors

ir() { # PRELOAD COUNT [WHAT] -> instructions
	LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$TARGETS/guest_pairs" "${3:-malloc}" "$2" 2>&1 |
		sed -n 's/.*Collected : //p'
}
twelve() {
	local more
	more=$((($(ir "$LIB" 100000) - $(ir "$LIB" 0)) - \
		($(ir "" 100000) - $(ir "" 0))))
	echo "$more instructions more in 100000 pairs"
	[ "$more" -gt 0 ] && [ "$more" -le 1200000 ]
}
write_twelve() {
	local more
	more=$((($(ir "$LIB" 100000 write) - $(ir "$LIB" 0 write)) - \
		($(ir "" 100000 write) - $(ir "" 0 write))))
	echo "$more instructions more in 100000 writes"
	[ "$more" -gt 0 ] && [ "$more" -le 1200000 ]
}
if command -v valgrind >/dev/null; then
	it "a write whose symbol only passes costs at most 12 more" write_twelve
	it "malloc and free, disarmed, cost at most 12 instructions more" twelve
else
	skip "a write whose symbol only passes costs at most 12 more" \
		"no valgrind"
	skip "malloc and free, disarmed, cost at most 12 instructions more" \
		"no valgrind"
fi

# Inert: no runner, or a file that isn't ours.
inert() {
	env "$TARGETS/guest_self" >self 2>&1
	mv self bare
	env "$@" "$TARGETS/guest_self" >self 2>&1
	diff bare self
}
it "without a runner it is inert" inert LD_PRELOAD="$LIB"
head -c 100000 /dev/urandom >junk
it "with a file that isn't there it is inert" \
	inert LD_PRELOAD="$LIB" MISHAP_SHARED=/nowhere/shared
it "with a file of junk it is inert" inert LD_PRELOAD="$LIB" MISHAP_SHARED="$T/junk"
: >empty
it "with an empty file it is inert" inert LD_PRELOAD="$LIB" MISHAP_SHARED="$T/empty"
mkfifo fifo
it "with a pipe it is inert" inert LD_PRELOAD="$LIB" MISHAP_SHARED="$T/fifo"
