#!/bin/bash
# cancel.sh - a thread that blocks in a call is cancelled as if nobody had
# stepped in between: the matrix of docs/ARCHITECTURE.md.
#
# Three calls, each bare, with the hook before the call, with the hook making
# the call, and with a hook that dawdles while the cancellation comes; on this
# machine's libc, and on another one (glibc >= 2.41) if MISHAP_OTHER_LIBC names
# the directory of its libc.so.6 and ld-linux-x86-64.so.2.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/sites/lib.sh"

it "the door builds with another hook" sites_build
"$T/prepare" "$PLANS" target "$TARGETS/cancel_call" >/dev/null

# under LIBC_DIR MODE COMMAND… - LIBC_DIR "": this machine's.
under() {
	local dir=$1 mode=$2 hook loader=()
	shift 2
	[ -n "$dir" ] && loader=("$dir/ld-linux-x86-64.so.2" --library-path
		"$dir:$T/support")
	case $mode in
	bare) hook=(env) ;;
	before) hook_with all pass "" ;;
	*) hook_with all "$mode" "" ;;
	esac
	if [ -z "$dir" ]; then
		[ "$mode" = bare ] || hook+=(LD_PRELOAD="$T/libhook.so")
	elif [ "$mode" != bare ]; then
		loader+=(--preload "$T/libhook.so")
	fi
	"${hook[@]}" "${loader[@]}" "$@"
}

matrix() { # LIBC_DIR NAME
	local call mode
	for call in read accept epoll_wait; do
		for mode in bare before around delay; do
			it "$2, $mode: a blocking $call is cancelled, its frames unwound" \
				under "$1" "$mode" "$TARGETS/cancel_call" "$call"
		done
	done
	for mode in bare before around; do
		it "$2, $mode: whenever it comes, a cancellation hangs nobody" \
			under "$1" "$mode" "$TARGETS/cancel_call" read 150
	done
	for mode in bare before around; do
		it "$2, $mode: libgcc unwinds at each instruction of a read" \
			says '^read 1, [0-9]{2,} steps, 0 lost' \
			under "$1" "$mode" "$TARGETS/unwind_steps"
	done
	for mode in before around; do
		it "$2, $mode: children, threads and handlers behave as bare" \
			alike "$1" "$mode"
	done
}
# The library as it is shipped: a delay or a hang doesn't keep a thread either,
# and a call that is made and then fails can be cancelled while it blocks; it
# never came to that, so that is all that such a run shows: exit 3.
shipped() { # TARGET NAME
	local call fault want
	for call in read accept epoll_wait; do
		for fault in delay=20s hang late=EINTR; do
			[ "$call $fault" = "accept late=EINTR" ] &&
				continue # no fault: the descriptor would leak
			want=0
			[ "$fault" = late=EINTR ] && want=3
			# nobody calls, so there is nothing to be late
			[ "$call $fault" = "accept delay=20s" ] && want=3
			it "$2, $call $fault: a thread that blocks is cancelled" \
				ends_well $want "$call $fault" "$1" "$call"
		done
	done
}
ends_well() { # EXIT RULE COMMAND…
	exits "$1" "$MISHAP" run --run-dir "$T/runs" -f "$2" \
		--expect exit=0 -- "${@:3}" >"$T/ends" && cat "$T/ends" &&
		grep -q '^ok .*exit==0' "$T/ends"
}
alike() {
	under "$1" bare "$TARGETS/sites_kinds" >"$T/bare"
	under "$1" "$2" "$TARGETS/sites_kinds" >"$T/with"
	cmp "$T/bare" "$T/with" && [ "$(counted patched)" -gt 300 ] &&
		[ "$(counted calls)" -gt 1000 ]
}

matrix "" "glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"

shipped "$TARGETS/cancel_call" "this libc"

other=${MISHAP_OTHER_LIBC:-}
if [ -z "$other" ]; then
	skip "the same on glibc >= 2.41" \
		"MISHAP_OTHER_LIBC names no directory with another libc.so.6"
elif [ ! -r "$other/libc.so.6" ] || [ ! -x "$other/ld-linux-x86-64.so.2" ]; then
	skip "the same on glibc >= 2.41" \
		"no libc.so.6 and ld-linux-x86-64.so.2 in $other"
else
	# libgcc_s, which unwinds, is no part of libc
	mkdir "$T/support"
	cp "$(cc -print-file-name=libgcc_s.so.1)" "$T/support"
	for f in libc.so.6 ld-linux-x86-64.so.2; do
		it "the other libc's $f is planned" \
			"$T/prepare" "$PLANS" library "$other/$f"
	done
	name="glibc $(strings -n 20 "$other/libc.so.6" |
		sed -n 's/.*stable release version \([0-9.]*[0-9]\).*/\1/p')"
	it "$name: all of its system calls are accounted for" \
		env MISHAP_OTHER_LIBC="$other" "$ROOT/build/tests/test_sites_plan"
	matrix "$other" "$name"
	cc -O1 -fexceptions -D_GNU_SOURCE -pthread -o "$T/other_call" \
		-Wl,--dynamic-linker="$other/ld-linux-x86-64.so.2" \
		-Wl,-rpath,"$other:$T/support" "$ROOT/tests/targets/cancel_call.c"
	shipped "$T/other_call" "$name"
	hangs() {
		says '^hung' under "$other" naive "$TARGETS/cancel_call" "$1"
	}
	# epoll_wait is never restarted, so even a naive hook gets EINTR.
	for call in read accept; do
		it "$name, control: a hook's own \`syscall\` hangs in $call" \
			hangs "$call"
	done
fi
