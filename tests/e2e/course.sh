#!/bin/bash
# The course of a run that doesn't go as planned: helpers that fail, services
# that die, targets that crash for ever; what is left behind; what is said.
. "$(dirname "$0")/lib.sh"
runs() { timeout 60 "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"; }
never=(-f 'write path=/no/such/place fail=EIO')
yaml() { # NAME LINE… - a scenario file
	local name=$1
	shift
	printf '%s\n' 'version: 1' "name: ${name%.yaml}" "$@" >"$name"
}

# ---- programs that aren't there --------------------------------------------
it "a load that can't be executed: nothing ran, and it is named" says \
	'load1: no-such-load: no such program' exits 2 runs "${never[@]}" \
	--load no-such-load -- sleep 9
it "so is a probe's command" says 'up: ./no-such-probe: no such' exits 2 runs \
	"${never[@]}" --steady 'up ./no-such-probe' -- sleep 9

# ---- restarts --------------------------------------------------------------
yaml late.yaml 'target:' '  run: [sh, -c, "test -e $0/x && touch $0/up && exec sleep 9; touch $0/x; exit 1", "${scratch}"]' \
	'  restart: on-crash' '  ready: {file: "${scratch}/up", within: 8s}' \
	'phases: [{name: a, for: 200ms}]' 'expect: [restarts==1]'
it "a target may become ready at its second start" exits 0 runs late.yaml
yaml loop.yaml 'target:' '  run: [sh, -c, "kill -SEGV $$"]' \
	'  restart: on-crash' '  ready: {file: "${scratch}/up", within: 700ms}' \
	'expect: [restarts<=1]'
loop() {
	says 'started again [0-9]+ times' exits 1 runs --json r.json loop.yaml &&
		jq -e '.target.restarts > 1 and .target.restarts < 10' r.json
}
it "one that crashes at each start is FAIL after its time, not for ever" loop

# ---- services --------------------------------------------------------------
yaml dies.yaml 'services: {db: {run: [sh, -c, "sleep 0.2; exit 7"]}}' \
	'target: {run: [sleep, "0.6"]}' \
	'faults: ["clock_nanosleep,nanosleep delay=1ms"]' 'expect: [exit==0]'
it "a service that dies in mid-run makes no PASS, and is named" says \
	'service db ended .* into the run: exit status 7' exits 3 runs dies.yaml
yaml daemon.yaml 'services: {db: {run: [sh, -c, "sleep 30 & exit 0"], ready: {command: [sleep, "0.2"]}}}' \
	'target: {run: [sleep, "0.2"]}' \
	'faults: ["clock_nanosleep,nanosleep delay=1ms"]' 'expect: [exit==0]'
it "one that goes into the background is still there" exits 0 runs daemon.yaml

# ---- what every FAIL says --------------------------------------------------
says_all() {
	runs "$@" --json r.json >page
	cat page
	jq -e '[.expectations[], .checks[] | select(.verdict == "FAIL")] |
		length > 0 and all(.expected and .seen and .since and
		(.file | length > 0))' r.json
}
yaml unready.yaml 'target:' '  run: [sleep, "9"]' \
	'  ready: {file: "${scratch}/up", within: 100ms}' 'expect: [exit==0]'
it "one that was never ready: expected, seen, since, where" says_all unready.yaml
it "one without a fault too" says_all --load false -e 'workload==0' -- sleep 9
it "one with a fault too" says_all -f 'write fail=EIO' -e 'exit==0' -- \
	sh -c 'echo x'

# ---- the replay line -------------------------------------------------------
pasted() { # COMMAND… - run it; its replay line, in a shell, ends the same
	local want got line
	"$@" --json r.json >/dev/null
	want=$?
	line=$(jq -r .replay r.json)
	[ -n "$changed" ] && rm -f "$changed"
	sh -c "$line" >page 2>&1
	got=$?
	cat page
	[ "$want" = "$got" ] && [ "$want" = 1 ] && grep -q 'came again' page
}
changed=
failing=(-f 'write path=**/${what} fail=ENOSPC' --var what=out -e 'exit==0')
it "its replay line, pasted into a shell, comes to the same verdict" pasted \
	timeout 60 "$MISHAP" run --sandbox --var what=out \
	-f 'write path=**/${what} fail=ENOSPC' -e 'exit==0' -- sh -c 'echo x >out'
it "with a run directory whose name has spaces" pasted timeout 60 "$MISHAP" \
	run --run-dir 'a b/runs' --sandbox "${failing[@]}" -- sh -c 'echo x >out'
it "of the worst of several runs" pasted timeout 60 "$MISHAP" run --sandbox \
	--repeat 2 "${failing[@]}" -- sh -c 'echo x >out'
yaml gone.yaml 'target: {run: [false]}' \
	'faults: ["write path=**/out fail=ENOSPC"]' 'expect: [exit==0]'
changed=gone.yaml
it "when the file is gone since, and COMMAND took its target's place" pasted \
	timeout 60 "$MISHAP" run --sandbox gone.yaml -- sh -c 'echo x >out'

# ---- what a killed runner leaves behind ------------------------------------
mkdir tmp
export TMPDIR=$T/tmp
yaml outlives.yaml 'target: {run: [sleep, "3141"], cwd: "${scratch}", ready: {file: /etc/passwd}}' \
	'phases: [{name: a, for: 30s}]' 'faults: ["write path=/no/such fail=EIO"]'
next_run() { # another run, which sweeps
	"$MISHAP" run --run-dir "$T/runs" -q "${never[@]}" -- true >/dev/null 2>&1
}
sweeps() {
	"$MISHAP" run --run-dir "$T/runs" outlives.yaml >/dev/null 2>&1 &
	local runner=$! target scratch
	until_true 10 pgrep -P $runner -x sleep || return 1
	target=$(pgrep -P $runner -x sleep)
	pids+=("$target")
	scratch=$(readlink "/proc/$target/cwd")
	kill -9 $runner
	wait $runner 2>/dev/null
	next_run
	[ -d "$scratch" ] && kill -0 "$target" || {
		echo "the target lost its directory"
		return 1
	}
	kill "$target"
	until_true 5 test ! -e "/proc/$target" || return 1
	next_run
	ls tmp
	[ ! -e "$scratch" ]
}
it "scratch of a killed runner goes with its target, not before" sweeps
kept() {
	"$MISHAP" run --run-dir "$T/runs" -q --keep-scratch "${never[@]}" -- true
	next_run
	[ "$(ls -d tmp/mishap-* | wc -l)" = 1 ]
}
it "what --keep-scratch keeps is never swept" kept
