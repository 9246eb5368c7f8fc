#!/bin/bash
# A target that does all that a target may do to lose its judge, and doesn't.
. "$(dirname "$0")/lib.sh"
RUN=$BUILD/tests/guest_run
mkdir jail
: >jail/mark
chmod 777 jail
chmod 666 jail/mark

if [ "$(id -u)" != 0 ]; then
	skip "a hostile target keeps its judge" "setuid and chroot need root"
	exit
fi
timeout 60 "$RUN" -o books -r 'write size=77 fail=EIO' -- \
	"$TARGETS/guest_hostile" "$T/jail" >said 2>&1
echo "exit $?" >>said

events() { [ "$(grep -c '^event call=write fault=fail .*error=EIO' books)" = 15 ]; }
slots() { # every event from a slot, a pid and a path of its own
	local n
	n=$(grep '^event' books | sed 's/.*pid=\([0-9]*\) process=\([0-9]*\) stream=\([0-9a-f]*\).*/\1 \2 \3/' |
		sort -u | wc -l)
	[ "$n" = 15 ]
}
while read -r step; do
	it "the judge is kept: $step" grep -qx "seen: $step" said
done <<'END'
plain
signal handler
every fd closed
setuid
chroot
thread
raw clone
daemon
exec, empty environment
exec, NULL environment
exec after setuid
exec, every fd closed
fexecve
posix_spawn
vfork and exec
END
it "each step's event is in the ring" events
it "each step had a slot and a creation path of its own" slots
it "nothing was lost or in doubt" \
	grep -qx 'books lapses=0 unresolved=0 lost=0 waited=0 vfork=0 processes_lost=0' books
it "every process had its libc patched, none was left behind by an exec" \
	says '^20$' grep -c '^process [1-9].* status=[25] .* sites=1 ' books

same_paths() {
	timeout 60 "$RUN" -o books2 -r 'write size=77 fail=EIO' -- \
		"$TARGETS/guest_hostile" "$T/jail" >said2 2>&1
	# which slot comes free first is a matter of time
	grep -o '^process .* path=[^ ]*' books | sed 's/.*path=//' | sort >one
	grep -o '^process .* path=[^ ]*' books2 | sed 's/.*path=//' | sort >two
	cmp one two
}
it "a second run gives the same creation paths" same_paths

# The oracle bites: without the library, the same steps say that they are lost.
it "without its judge the target says so" \
	says 'lost at: exec after setuid' "$TARGETS/guest_hostile" "$T/jail"
