#!/bin/bash
# stall.sh - a target none of whose threads runs, though there is work for it.
. "$(dirname "$0")/lib.sh"

stall() { # MODE LIMIT OPTION…
	local mode=$1 limit=$2
	shift 2
	"$MISHAP" run --run-dir "$T/runs" --timeout 3s --expect "stall<$limit" \
		--json "$T/json" "$@" -- "$TARGETS/stalls" "$mode"
}

it "a program that goes on doesn't stall" exits 0 stall works 2s
deadlocked() {
	exits 1 stall deadlock 1s && # of either thread: who holds, who waits
		jq -e '.expectations[0].seen
			| test("[0-9] in futex: .*pthread_mutex_lock < post_entry \\(stalls.c:[0-9]+\\) < main")' \
			"$T/json" &&
		jq -e '.expectations[0].seen | test("; stalls [0-9]+ in futex")' "$T/json"
}
it "a deadlock is one, and is shown with the stacks of both threads" deadlocked
it "time that is slept away counts" exits 1 stall sleeps 1s
it "and to look at it changes nothing of it" \
	jq -e '.target.exit == 0 and .lasted_s > 1.9' "$T/json"
it "a thread that a fault holds doesn't run, though it looks after its lease" \
	exits 1 stall works 1s -f 'write hang'

idle() { # nobody asks anything of it
	exits 3 "$MISHAP" run --run-dir "$T/runs" --ready "file:$T/up" \
		--phase 'calm 300ms' --expect 'stall<1s' \
		-- sh -c "touch '$T/up'; exec sleep 20"
}
it "a service that nobody asks anything can't be judged" idle
