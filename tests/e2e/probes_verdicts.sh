#!/bin/bash
# probes_verdicts.sh - what only probes in the kernel can tell: each expectation
# that rests on them with a program that passes and one that fails, the books,
# and runs without rights, or whose watcher dies.
. "$(dirname "$0")/lib.sh"
PY=/usr/bin/python3

run() {
	timeout -k 5 60 "$MISHAP" run --run-dir "$T/runs" --json "$T/json" "$@"
}
json() { jq -e "$1" "$T/json"; }
seen() { json "[.expectations[], .checks[]] | any(.seen | test(\"$1\"))"; }

# ---- without rights, without the program --------------------------------------
mkdir -m 777 "$T/open"
unprivileged() { # as a user who may load no probes
	if [ "$(id -u)" = 0 ]; then
		(cd "$T/open" && setpriv --reuid=65534 --regid=65534 \
			--clear-groups "$@")
	else
		"$@"
	fi
}
no_rights() {
	exits 3 unprivileged timeout -k 5 60 "$MISHAP" run --run-dir "$T/open" \
		--json "$T/open/json" --expect 'oom==none' -- true &&
		jq -e '.reasons[0] | test("unobserved: .")' "$T/open/json"
}
it "without rights what rests on probes is INCONCLUSIVE: unobserved" no_rights
verdict_stands() {
	exits 0 unprivileged timeout -k 5 60 "$MISHAP" run --run-dir "$T/open" \
		--watch full --expect 'exit==0' -- true >"$T/page" &&
		grep -q 'unobserved: ' "$T/page"
}
it "without rights the other verdicts stand, and the page says unobserved" \
	verdict_stands
it "--watch off is heeded" exits 3 run --watch off --expect 'oom==none' -- true

why=$(probes_why)
if [ -n "$why" ]; then
	skip "verdicts from probes" "$why"
	exit
fi

# ---- one pair for each expectation ----------------------------------------------
it "exits: every process ended with 0" exits 0 \
	run --expect 'exits==0' -- sh -c 'ls >/dev/null; true'
child_fails() {
	exits 1 run --expect 'exits==0' -- sh -c 'ls /nowhere; true' &&
		seen 'first ls .pid [0-9]+.: exit status 2'
}
it "exits: a child that failed unseen by its parent is told" child_fails
it "exits: of programs by name" exits 0 \
	run --expect 'exits ls == 0' -- sh -c 'ls >/dev/null; false; true'
killed_by() {
	exits 1 run --expect 'signal==none' --watch lite \
		-- sh -c 'sh -c "kill -TERM \$PPID"; sleep 5' &&
		seen 'killed by SIGTERM, sent by sh .pid [0-9]+, of the target'
}
it "a fatal signal is told with its sender" killed_by
aborts() {
	exits 1 run --expect 'crash==none' --watch lite -- "$PY" -c 'import os; os.abort()' &&
		seen 'SIGABRT.*sent by itself'
}
it "so is one that a program sends itself" aborts
faults() {
	exits 1 run --expect 'exits==0' -- "$PY" -c 'import ctypes; ctypes.string_at(0)' &&
		seen 'SIGSEGV.*by the kernel'
}
it "or that the kernel sends" faults

memory=/sys/fs/cgroup/memory/mishap-test.$$
limit=memory.limit_in_bytes
if ! mkdir "$memory" 2>/dev/null || [ ! -w "$memory/$limit" ]; then
	rmdir "$memory" 2>/dev/null
	memory=/sys/fs/cgroup/mishap-test.$$ limit=memory.max
	mkdir "$memory" 2>/dev/null
fi
oom() {
	exits 1 run --expect 'oom==none' -- sh -c \
		"echo \$\$ >$memory/cgroup.procs && exec $PY -c 'b\"x\" * 300000000'" &&
		seen 'killed 1 process for lack of memory'
}
if echo 33554432 2>/dev/null >"$memory/$limit"; then
	it "oom: the kernel's OOM killer is seen" oom
	rmdir "$memory"
else
	rmdir "$memory" 2>/dev/null
	skip "oom: the kernel's OOM killer is seen" "no memory cgroup can be made"
fi
it "oom: a program that keeps within its memory" exits 0 \
	run --expect 'oom==none' -- "$PY" -c 'b"x" * 1000000'

cat >"$T/connects.py" <<'END'
import socket, sys, time
port, pause, until = int(sys.argv[1]), float(sys.argv[2]), time.time() + 1.5
while time.time() < until:
    s = socket.socket()
    try: s.connect(("127.0.0.1", port))
    except OSError: pass
    s.close()
    time.sleep(pause)
    pause *= 1.5
END
port=$(free_port)
it "retry_rate: a client that backs off" exits 0 \
	run --expect 'retry_rate<=20/s' -- $PY "$T/connects.py" "$port" 0.1
storm() {
	sed -i '$d' "$T/connects.py" # without its back-off
	exits 1 run --expect 'retry_rate<=20/s' -- $PY "$T/connects.py" "$port" 0.01 &&
		seen '[0-9]+ in the worst second, [0-9]+ in all'
}
it "retry_rate: one that hammers a dead peer" storm

cat >"$T/queue.py" <<'END'
import socket, sys, time
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(0)
clients = []
for i in range(int(sys.argv[1])): # nobody accepts: the queue holds one or two
    c = socket.socket(); c.setblocking(False)
    try: c.connect(server.getsockname())
    except BlockingIOError: pass
    clients.append(c)
time.sleep(2.2)
END
it "retransmits: a queue with room" exits 0 \
	run --expect 'retransmits==0' -- $PY "$T/queue.py" 1
it "retransmits: SYNs that nobody takes are sent again" exits 1 \
	run --expect 'retransmits==0' -- $PY "$T/queue.py" 6

redis() { # APPENDFSYNC: 300 writes
	run --ready 'tcp:127.0.0.1:${port}' \
		--load 'redis-benchmark -p ${port} -c 1 -n 300 -t set -q' \
		--expect 'ack_before_sync ${scratch} == 0' --expect 'workload==0' \
		-- redis-server --port '${port}' --dir '${scratch}' --save '' \
		--appendonly yes --appendfsync "$1"
}
with redis-server it "ack_before_sync: redis that syncs always" exits 0 redis always
unsynced() {
	exits 1 redis everysec &&
		seen '(29[0-9]|300) of 30[0-9] answers left .* for up to [0-9.]+ ms'
}
with redis-server it "ack_before_sync: redis that syncs every second" unsynced

# ---- the books -------------------------------------------------------------------
balanced() { # what passed us is what came to the kernel, call by call
	json '.verdict != "INVALID" and ([.watch.calls | to_entries[]
		| select(.key | test(":(59|322)$") | not)
		| select(.value.passed != .value.marked)] == [])'
}
many() {
	exits 0 run --watch full --expect 'exits==0' -- bash -c \
		'for i in 1 2 3 4 5; do echo $i | cat | cat >/dev/null; done; true' &&
		balanced && json '.watch.calls["write:1"].marked >= 10'
}
it "every call that passed us came to the kernel, and no other" many
kept() { # an injected call never comes there
	seq 20000 >in
	exits 0 run --watch full -f 'write path=**/out fail=ENOSPC nth=2' \
		--expect 'exit!=0' -- sort -o out in &&
		balanced && json '[.watch.errors[] | select(.error == "ENOSPC")] == []'
}
it "a call that is made to fail doesn't come there" kept
killed() {
	exits 0 run --watch full -f 'write path=**/out kill=KILL nth=2' \
		--expect 'leftovers . core* == none' -- sort -o out in && balanced
}
it "nor does one before which the process is killed" killed
threads() {
	run --watch full -f 'read delay=1ms p=5%' -- $PY -c 'import threading
def work():
    for i in range(200): open("/dev/null").read()
all = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in all]; [t.join() for t in all]'
	balanced && json '.watch.calls["read:0"].marked >= 1600'
}
it "threads don't upset them" threads
escape() { # 40 of 100 writes come from code that nobody patched
	exits 3 run --watch full -f 'write fail=EIO nth=60' --expect 'exit==1' \
		-- "$TARGETS/jit_writes" out 59 40 &&
		json '[.watch.escapes[] | select(.call == "write")]
			| length == 1 and .[0].count == 40 and .[0].way == "raw"' &&
		balanced
}
it "calls past us are counted by call and place; above min_coverage INCONCLUSIVE" \
	escape
few() {
	exits 0 run --watch full -f 'write fail=EIO nth=60' --expect 'exit==1' \
		-- "$TARGETS/jit_writes" out 99 1
}
it "a few below it aren't in the way" few
by_symbols() { # 100 writes by libc's symbol; what stdio writes goes by none
	MISHAP_DOORS=symbols run --watch full -f 'write fail=EIO nth=5000' \
		-- "$TARGETS/escapes" libc 100
	balanced && json '.watch.calls["write:1"].marked == 100' &&
		MISHAP_DOORS=symbols run --watch full -f 'write fail=EIO nth=5000' \
			-- "$TARGETS/escapes" stdio 30
	balanced && json '[.watch.escapes[] | select(.call == "write")]
		| length == 1 and .[0].count == 30 and .[0].way == "not by symbol"'
}
it "where symbols are the door the books hold, and stdio's writes passed by" \
	by_symbols
notified() { # what the guardian fails isn't the kernel's error
	exits 0 run --watch full -f 'write fail=ENOSPC nth=1' --expect 'exit!=0' \
		-- busybox echo hello &&
		json '.watch.escapes == [] and .watch.calls["write:1"].asked == 2 and
			([.watch.errors[] | select(.call == "write")] == [])'
}
with busybox it "nothing escapes the notify door, and its faults are ours" notified
alone() { # a static child: the library can't live there
	run --watch full -f 'write fail=EIO nth=5000' -- sh -c 'busybox ls / >/dev/null'
	json '.watch.escapes | any(.way == "not loaded" and .program == "busybox")'
}
with busybox it "a program that the library isn't in is one" alone

full() { # a disk of 64 KiB
	exits 3 run --watch full --expect 'exit==0' \
		-- sh -c "head -c 200000 /dev/zero >$T/small/big" &&
		seen 'ENOSPC, and not by a fault of ours' &&
		json '.verdict == "INCONCLUSIVE"'
}
full_notified() { # through the notify door: ours and the kernel's own
	exits 3 run --watch full -f 'write fail=ENOSPC nth=1' --expect 'exit==0' \
		-- busybox sh -c "echo a; busybox dd if=/dev/zero of=$T/small/b" &&
		json '.watch.errors | any(.error == "ENOSPC" and .count == 1)'
}
if mkdir "$T/small" && mount -t tmpfs -o size=64k tmpfs "$T/small" 2>/dev/null; then
	it "a disk that is really full makes a run INCONCLUSIVE, not FAIL" full
	with busybox it "and so through the notify door" full_notified
	umount "$T/small"
else
	skip "a disk that is really full makes a run INCONCLUSIVE, not FAIL" \
		"nothing can be mounted here"
	skip "and so through the notify door" "nothing can be mounted here"
fi

# ---- a watcher that dies ------------------------------------------------------------
dies() {
	timeout -k 5 60 "$MISHAP" run --run-dir "$T/runs" --json "$T/json" \
		--expect 'oom==none' -- sleep 2 &
	local run=$! got
	until_true 10 pgrep -P "$(pgrep -P $run -x mishap)" -x sleep &&
		kill -9 "$(pgrep -P "$(pgrep -P $run -x mishap)" -x mishap-watch)"
	wait $run
	got=$?
	[ "$got" = 3 ] && seen 'mishap-watch died'
}
it "a watcher that dies leaves the run INCONCLUSIVE" dies
