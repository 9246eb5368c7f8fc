#!/bin/bash
# From the first instruction to the last descendant: what the engine starts,
# sees, stops and leaves behind.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/lone_user.inc"
WORD=engine-$$
never='write path=/no/such/place fail=EIO'

# ---- what is seen ---------------------------------------------------------
yaml flood.yaml 'target:' '  run: [sh, -c, "head -c 30000000 /dev/zero; exit 3"]' \
	'limits: {output: 1MiB}' 'expect: [exit==3]'
flood() {
	runs --json r.json -f "$never" flood.yaml
	[ "$(stat -c %s runs/*/stdout)" = 1048576 ] || {
		ls -l runs/*
		return 1
	}
	jq -e '.target.exit == 3' r.json
}
it "a flood of output neither stops the target nor fills the disk" flood

crash() {
	runs --json c.json -f "$never" --expect crash==none -- \
		sh -c 'sh -c "sleep 0.1; kill -SEGV \$\$"; exit 0'
	jq -e '.expectations[0].verdict == "FAIL" and .target.exit == 0' c.json
}
it "a child's SIGSEGV that its own parent reaps is a crash all the same" crash
it "a child that its parent stops isn't" exits 0 runs --expect crash==none \
	-f 'open path=**/none-such fail=EIO' -- \
	sh -c 'timeout -s TERM 0.1 sleep 5; cat none-such; exit 0'
it "nor is a death by kill= of a rule" exits 0 runs --expect crash==none \
	-f 'write kill=SEGV nth=1' -- echo hello
it "without the rule, the same death is" exits 1 runs --expect crash==none \
	-f 'open path=**/none-such fail=EIO' -- \
	sh -c 'sleep 0.05; cat none-such; kill -SEGV $$'

stdin_through() {
	echo from-stdin | runs -f 'write delay=1ms' --expect 'stdout~"^from-stdin"' \
		-- cat
}
it "standard input is the target's" exits 0 stdin_through
cat >around.sh <<'X'
echo "$ENGINE_WORD" $(echo "$LD_PRELOAD" | grep -c '^libc.so.6') \
	$(ls /proc/self/fd | wc -l) "$PWD" $(umask)
X
environment() {
	local want
	want=$(as sh around.sh)
	runs -f 'write delay=1ms' --expect "stdout~\"^$want\$\"" -- \
		sh around.sh || {
		echo "$want"
		cat runs/*/stdout
		return 1
	}
}
export ENGINE_WORD=$WORD LD_PRELOAD=libc.so.6
it "so are environment, own preloads, and no descriptor of ours" environment
unset LD_PRELOAD

# ---- what is stopped ------------------------------------------------------
yaml hang.yaml 'target:' "  run: [sh, -c, 'sleep 3131.$$ & sleep 3131.$$']" \
	'  timeout: 500ms' 'expect: [hang==none]'
it "a target that doesn't end in time is stopped: hang==none FAILs" \
	exits 1 runs -f "$never" hang.yaml
it "with all its children" gone "sleep 3131.$$"
daemon() {
	runs -f 'write delay=1ms' --expect exit==0 -- sh -c \
		"setsid sh -c 'trap \"\" TERM; while :; do sleep 3132.$$; done' >/dev/null 2>&1 & echo on"
}
it "a daemon that ignores SIGTERM doesn't hold us up" exits 0 daemon
it "and is gone" gone "3132.$$"

interrupted() { # SIGNAL STATUS
	as_bg "$MISHAP" run --run-dir "$T/w/runs" -f "$never" -- sleep 3133.$$
	local pid=$! got
	until_true 5 pgrep -f "^sleep 3133.$$" || return 1
	kill -"$1" "$pid"
	wait "$pid"
	got=$?
	[ "$got" = "$2" ] || {
		echo "ended with $got"
		return 1
	}
	gone "3133.$$"
}
it "SIGTERM: 143, nothing left, neither process nor file" interrupted TERM 143
it "SIGHUP: 129, the same" interrupted HUP 129
slow_end() {
	as_bg "$MISHAP" run --run-dir "$T/w/runs" -f "$never" -- \
		sh -c "trap '' TERM; sleep 3134.$$; sleep 3134.$$"
	local pid=$! start
	until_true 5 pgrep -f "^sleep 3134.$$" || return 1
	start=$(date +%s%N)
	kill -TERM "$pid"
	sleep 0.3
	kill -TERM "$pid"
	wait "$pid"
	echo "took $((($(date +%s%N) - start) / 1000000)) ms"
	[ $((($(date +%s%N) - start) / 1000000)) -lt 2500 ] && gone "3134.$$"
}
it "a second one doesn't wait for a target that won't stop" slow_end

# ---- before and around ----------------------------------------------------
yaml unready.yaml 'target:' '  run: [sleep, "20"]' \
	'  ready: {file: /no/such/file, within: 300ms}' 'expect: [exit==0]'
unready() {
	runs --json u.json -f 'write fail=EIO' unready.yaml
	[ $? = 1 ] && jq -e '.rules[0].fired == 0' u.json
}
it "never ready: FAIL, and no fault was made" unready
yaml prepare.yaml 'target:' '  prepare: [[sh, -c, "echo no luck >&2; exit 7"]]' \
	'  run: ["true"]'
it "prepare that fails: exit 2" exits 2 runs -f "$never" prepare.yaml
it "its status and last words are told" says 'prepare failed: sh: exit 7: no luck' \
	runs -f "$never" prepare.yaml
yaml service.yaml 'services:' '  bad: {run: [sh, -c, "exit 5"], ready: {tcp: "127.0.0.1:1", within: 5s}}' \
	'target: {run: ["true"]}'
it "a service that ends before it is ready: told at once" \
	says "service bad isn't ready: .*exit 5" runs -f "$never" service.yaml
yaml limit.yaml 'target: {run: [sleep, "20"]}' 'limits: {time: 300ms}'
it "the time limit: ABORTED, exit 4" exits 4 runs -f "$never" limit.yaml
yaml faults.yaml 'target:' \
	'  run: [sh, -c, "while :; do echo x; done 2>/dev/null"]' \
	'limits: {faults: 50}'
it "more faults than allowed: ABORTED, exit 4" exits 4 runs \
	-f 'write fail=EIO' faults.yaml

# ---- servers --------------------------------------------------------------
if command -v redis-server >/dev/null; then
	yaml restart.yaml 'target:' '  cwd: ${scratch}' \
		'  run: [redis-server, --port, "${port}", --save, ""]' \
		'  ready: {tcp: "127.0.0.1:${port}", within: 10s}' \
		'  restart: on-crash' \
		'steady:' \
		'  - {name: ping, command: [redis-cli, -p, "${port}", ping], every: 50ms}' \
		'phases:' \
		'  - {name: hit, for: 1s, faults: ["accept kill=KILL times=1"]}' \
		'  - {name: heal, within: 5s}' \
		'expect: [restarts<=30, crash==none, "recovery ping<4s"]'
	restart() {
		runs --json s.json restart.yaml || {
			cat s.json
			return 1
		}
		jq -e '.phases | length == 2' s.json &&
			jq -e '.target.signal == null and .rules[0].fired >= 1' s.json
	}
	it "a killed server is started again and recovers" restart
	it "nothing of it is left" gone 'redis-server.*:[0-9]*-never'

	yaml daemon.yaml 'target:' '  cwd: ${scratch}' \
		'  run: [redis-server, --port, "${port}", --daemonize, "yes", --save, ""]' \
		'  ready: {tcp: "127.0.0.1:${port}", within: 10s}' \
		'workload:' \
		'  - {name: ping, run: [redis-cli, -p, "${port}", -r, "3", ping], timeout: 10s}' \
		'faults: ["accept fail=EMFILE times=2"]' \
		'expect: [crash==none, workload==0]'
	it "a server that daemonises is reached, judged and stopped" \
		exits 0 runs daemon.yaml
else
	skip "a killed server is started again" "no redis-server"
fi

yaml load.yaml 'target:' '  run: [sleep, "20"]' \
	'workload:' '  - {name: ok, run: [sh, -c, "echo done; exit 4"], clients: 3}' \
	'  - {name: slow, run: [sleep, "30"], timeout: 300ms}' \
	'expect: [workload ok==4]'
loads() {
	rm -rf runs
	runs -f "$never" --json l.json load.yaml
	jq -e '.expectations[0].verdict == "PASS"' l.json &&
		[ "$(cat runs/*/workload-1.out | wc -l)" = 3 ]
}
it "clients run side by side; a workload past its timeout is stopped" loads

# ---- halt -----------------------------------------------------------------
if [ "$LONE" != 0 ]; then
	it "halt without a run: says so, exit 0" says '^no live run' as "$MISHAP" halt
	halted() {
		as_bg "$MISHAP" run --run-dir "$T/w/runs" -f 'write delay=1ms' -- \
			sh -c 'while :; do echo x; sleep 0.05; done'
		local pid=$! got
		until_true 5 sh -c "find /dev/shm -name 'mishap-*' -user $LONE | grep -q ." ||
			return 1
		sleep 0.5
		as "$MISHAP" halt --json h.json || return 1
		wait "$pid"
		got=$?
		cat h.json
		[ "$got" = 4 ] && jq -e '.halted == 1' h.json
	}
	it "halt ends a live run: ABORTED, exit 4" halted
else
	skip "halt" "as an ordinary user it would halt your other runs"
fi
