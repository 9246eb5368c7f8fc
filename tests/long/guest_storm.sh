#!/bin/bash
# Threads, signal handlers and children use the same few fd numbers for files
# that a rule wants and files that it doesn't: not one decision may go astray.
. "$(dirname "$0")/../e2e/lib.sh"
RUN=$BUILD/tests/guest_run
seconds=${STRESS_SECONDS:-120} # for each of the two storms
: >good
: >bad
chmod 666 good bad
storm() {
	: >good
	timeout $((seconds + 100)) "$RUN" -o books -r 'write path=**/bad fail=EIO' "$@" -- \
		"$TARGETS/guest_storm" "$T" "$seconds"
	local rc=$?
	grep '^books' books
	[ "$rc" = 0 ] && grep -q 'lapses=0 unresolved=0 lost=0 .* processes_lost=0' books &&
		[ "$(grep -c '^event' books)" -gt 1000 ]
}
it "half a million writes, each judged by what its fd is just then" storm
it "the same while malloc is watched as well" \
	storm -r 'malloc,calloc,realloc nth=4000000000 fail=ENOMEM'
bites() { ! "$TARGETS/guest_storm" "$T" 1; }
it "the storm sees it when nothing is failed" bites
