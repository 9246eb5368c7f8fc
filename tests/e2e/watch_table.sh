#!/bin/bash
# watch_table.sh - `mishap watch` on a terminal: a table at its foot, the command's
# own output above it, and the terminal as it was when it ends.
. "$(dirname "$0")/lib.sh"
TERMINAL="/usr/bin/python3 $ROOT/tests/e2e/terminal.py"

why=$(probes_why)
if [ -n "$why" ]; then
	skip "the table of mishap watch" "$why"
	exit
fi

cat >"$T/busy.sh" <<'END'
trap 'exit 5' INT
for i in 1 2 3 4 5 6 7 8 9 10; do echo "the command's line $i"; done
while :; do head -c 10 /dev/zero | cat >/dev/null; sh -c 'exit 3'; done
END
part() { # NAME: of what terminal.py printed; `left`: all that is there at the end
	awk -v part="--- $1" '/^---/ { on = $0 == part || (part == "--- left" &&
		$0 ~ /^--- (scrolled by|end)$/); next } on' "$T/said"
}
has() { # PART REGEX
	part "$1" | grep -Eq -- "$2" || {
		echo "no /$2/ in $1:"
		cat "$T/said"
		return 1
	}
}
table() {
	$TERMINAL 24 80 2.5 "$MISHAP" watch --interval 300ms -- sh "$T/busy.sh" \
		>"$T/said" 2>&1
	has screen '^mishap watch  sh  +[0-9]+ process' &&
		has screen '^call +calls/s +total +failed +p50 +p99 +max$' &&
		has screen '^(read|write) +[1-9][0-9]* +[0-9]+ ' &&
		has screen '^event  [0-9]+ sh exit status 3$' &&
		has screen "^the command's line 8$" &&
		[ "$(part screen | grep -c "command's line")" -ge 6 ]
}
it "a table of rates, errors, latency and events, below what the command says" \
	table
after() {
	has left '^call +total +failed' && ! part left | grep -q 'calls/s' &&
		[ "$(part left | grep -c '^call ')" = 1 ] &&
		grep -q '^--- status 5$' "$T/said" &&
		grep -q '^--- all scrolls True$' "$T/said"
}
it "Ctrl-C: the whole of it once, the command's status, the terminal as it was" \
	after
it "no colour, and nothing that a plain terminal doesn't know" \
	grep -q '^--- unknown \[\]$' "$T/said"
it "nothing is left behind" sh -c "
	! find /sys/fs/cgroup -maxdepth 4 -name 'mishap-watch-*' 2>/dev/null | grep -q ."

small() { # too small to hold a table, or a terminal that can't
	local term
	for term in xterm:10 dumb:24; do
		WANT_TERM=${term%:*} $TERMINAL "${term#*:}" 80 1.2 "$MISHAP" watch \
			--interval 300ms -- sh "$T/busy.sh" >"$T/said" 2>&1
		part screen | grep -q '^call ' && return 1
		has left '^call +total' || return 1
	done
}
it "where there is no room for it, it comes at the end" small

goes_on() {
	local pid
	sleep 60 &
	pid=$!
	pids+=($pid)
	$TERMINAL 24 80 1.2 "$MISHAP" watch --interval 300ms --pid $pid \
		>"$T/said" 2>&1
	has screen "^mishap watch  pid $pid  1 process," &&
		grep -q '^--- status 0$' "$T/said" && kill -0 $pid
}
it "with --pid Ctrl-C ends the watching alone" goes_on
nobody() {
	exits 2 "$MISHAP" watch --pid 4194304 2>"$T/said"
	grep -q "4194304 can't be watched: No such process" "$T/said"
}
it "a process that isn't there is refused, with the reason" nobody
