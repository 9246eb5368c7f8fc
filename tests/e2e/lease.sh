#!/bin/bash
# Faults hold only while the runner lives and moves.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/lone_user.inc"

# Says "good" or "bad" with the time, for each write of its own.
cat >writer.py <<'X'
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
log = open(sys.argv[2], "w", buffering=1)
end = time.monotonic() + 30
while time.monotonic() < end and not os.path.exists("enough"):
    try:
        os.write(fd, b"x")
        log.write("good %d\n" % (time.monotonic() * 1000))
    except OSError:
        log.write("bad %d\n" % (time.monotonic() * 1000))
    time.sleep(0.002)
X
now_ms() { /usr/bin/python3 -c 'import time; print(int(time.monotonic() * 1000))'; }
find_pid() { pgrep -n -u "${LONE/#0/$(id -u)}" -f "$1"; }

start() { # LOG RULE
	as_bg "$MISHAP" run --run-dir "$T/w/runs" -f "$2" -- /usr/bin/python3 \
		"$T/w/writer.py" "$T/w/victim" "$T/w/$1"
	runner=$!
	until_true 10 test -s "$1"
}
survivor_end() {
	local pid
	pid=$(find_pid "^/usr/bin/python3 $T/w/writer.py") && kill -9 "$pid"
}

killed() {
	start killed.log 'write path=**/victim fail=EIO' || return 1
	until_true 5 grep -q bad killed.log || return 1
	local at good
	at=$(now_ms)
	kill -9 "$runner"
	wait "$runner"
	until_true 5 grep -q good killed.log || return 1
	good=$(awk '/good/ { print $2; exit }' killed.log)
	survivor_end
	echo "given back after $((good - at)) ms"
	[ $((good - at)) -lt 500 ]
}
it "kill -9 of the runner gives the target back within half a second" killed

hung() {
	rm -f victim
	start hung.log 'write path=**/victim hang nth=20' || return 1
	until_true 5 sh -c '[ $(wc -l <hung.log) -ge 19 ]' || return 1
	sleep 0.3
	[ "$(wc -l <hung.log)" = 19 ] || {
		echo "it didn't hang: $(wc -l <hung.log)"
		survivor_end
		return 1
	}
	kill -9 "$runner"
	wait "$runner"
	until_true 4 sh -c '[ $(wc -l <hung.log) -ge 30 ]'
	local got=$?
	survivor_end
	return $got
}
it "a call that hangs by a rule goes on when the runner is dead" hung

swept() {
	find /dev/shm -maxdepth 1 -name 'mishap-*' -user "${LONE/#0/$(id -u)}" |
		grep . || {
		echo "the killed runs left nothing to sweep"
		return 1
	}
	runs -f 'write delay=1ms' --expect exit==0 -- echo x || return 1
	gone "$T/w/writer.py"
}
it "what killed runners left is swept by the next run" swept

stopped() {
	rm -f victim
	start stopped.log 'write path=**/victim fail=EIO' || return 1
	until_true 5 grep -q bad stopped.log || return 1
	local got
	kill -STOP "$runner"
	sleep 3
	tail -n 1 stopped.log | grep -q good
	got=$?
	kill -CONT "$runner"
	touch enough
	wait "$runner"
	local status=$?
	rm enough
	echo "good after 3 s: $got; exit $status"
	[ "$got" = 0 ] && [ "$status" = 3 ]
}
it "a runner that stands still loses its lease, and the run is INCONCLUSIVE" stopped
