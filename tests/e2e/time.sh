#!/bin/bash
# Clocks that are wrong, jump, drift and stand still: what programs read, and
# when the waits end that follow from it.
. "$(dirname "$0")/lib.sh"
P=$TARGETS/clocks
DAY=86400

# run RULE COMMAND… - one run; what the target said is in $T/said.
run() {
	local rule=$1
	shift
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" -f "$rule" --expect 'crash==none' -- \
		"$@" >"$T/run.out" 2>&1
	RC=$?
	cat "$T"/runs/*/stdout >"$T/said"
}
# field NAME - its number in the first line that was said.
field() { grep -oE "(^| )$1:-?[0-9]+" "$T/said" | head -1 | cut -d: -f2; }
near() { # NUMBER WANTED SLACK
	[ "$1" -ge $(($2 - $3)) ] && [ "$1" -le $(($2 + $3)) ] ||
		{ echo "got $1, wanted $2 +- $3"; cat "$T/said" "$T/run.out"; return 1; }
}

everything() { # all ways to ask for the time of day agree; monotonic is left
	local name now
	run "time skew=$1" "$P" read 2
	[ "$RC" = 0 ] || { cat "$T/run.out"; return 1; }
	now=$(date +%s)
	for name in realtime coarse day time get; do
		near "$(field $name)" $((now + $2)) 5 || return
	done
	[ "$(field out)" = 1 ] || return
	near "$(field monotonic)" "$(cut -d. -f1 /proc/uptime)" 5
}
it "skew: every way to ask for the time of day is off, monotonic isn't" \
	everything +1d $DAY
it "skew: and behind" everything -30d $((-30 * DAY))

raw() {
	run 'time skew=+1d' "$P" raw
	near "$(field realtime)" $(($(date +%s) + DAY)) 5 &&
		near "$(field day)" $(($(date +%s) + DAY)) 5
}
it "skew: system calls that the program makes itself tell the same" raw

said() { # RULE WANTED COMMAND…
	local rule=$1 wanted=$2
	shift 2
	run "$rule" "$@"
	grep -qxE "$wanted" "$T/said" && [ "$RC" = 0 ] ||
		{ cat "$T/said" "$T/run.out"; return 1; }
}
it "skew from the 50th reading on: the clock jumps forward, once" \
	said 'time skew=+1h nth=50' 'up:3600 down:0' "$P" steps 100
it "skew below zero: it jumps back" \
	said 'time skew=-1h nth=50' 'up:0 down:3600' "$P" steps 100
it "freeze: it stands" said 'time freeze' 'up:0 down:0' "$P" steps 50

for wait in cond sem mutex rwlock sleep timerfd; do
	it "$wait until a time of a skewed clock waits as long as it would" \
		said 'time skew=+1d' '0[.][56]' "$P" "$wait" 0.5
	it "$wait until a time of a fast clock ends early" \
		said 'time drift=+100%' '0[.][56]' "$P" "$wait" 1
done
untouched() { # no reading was bent, so the rule never fired
	run 'time skew=+1d' "$P" monotonic 0.5
	[ "$RC" = 3 ] && grep -qxE '0[.][56]' "$T/said"
}
it "a wait on the monotonic clock isn't touched" untouched
it "clock=monotonic: asked for, that is bent, too" \
	said 'time clock=monotonic drift=+100%' '1[.][0-2]' "$P" monotonic 1
never() {
	run 'time freeze' "$P" sem 0.2
	[ "$RC" = 1 ] && grep -q SIGALRM "$T/run.out"
}
it "freeze: a wait until a later time never ends" never

refused() { ! "$MISHAP" check -f "$1" 2>"$T/said" && grep -q "$2" "$T/said"; }
it "monotonic doesn't go back, unless adversarial" \
	refused 'time skew=-1s clock=monotonic' 'never goes back'
it "calls that tell no time are refused" refused 'write skew=+1s' 'tells no time'

# Real programs, each with its own way to the clock.
program() { # COMMAND that prints seconds since the epoch
	run 'time skew=+1d' "$@"
	near "$(cut -d. -f1 "$T/said")" $(($(date +%s) + DAY)) 5 && [ "$RC" = 0 ]
}
it "date" program date +%s
it "bash" program bash -c 'echo $EPOCHSECONDS'
it "perl" program perl -e 'print time, "\n"'
it "python3" program /usr/bin/python3 -c 'import time; print(time.time())'
it "sqlite3" program sqlite3 :memory: "select strftime('%s', 'now')"
children() { # one clock for all processes: it began in the first of them
	run 'time skew=+1d nth=2' sh -c 'date +%s; date +%s; date +%s'
	near "$(sed -n 1p "$T/said")" "$(date +%s)" 5 || return
	run 'time skew=+1d' sh -c 'date +%s; date +%s'
	near "$(sed -n 2p "$T/said")" $(($(date +%s) + DAY)) 5
}
it "nth counts by process; what it began holds for all" children

phased() { # the clock is set back when the rule's phase is over
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" --expect 'crash==none' \
		--phase 'wrong 1s: time skew=+1d' --phase 'right 2s:' -- \
		"$P" steps 1500 >"$T/run.out" 2>&1
	cat "$T"/runs/*/stdout >"$T/said"
	near "$(field down)" $DAY 5
}
it "when the phase is over the clock is right again" phased
