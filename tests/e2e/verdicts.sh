#!/bin/bash
# A verdict is never vacuous: each way of proving nothing is INCONCLUSIVE and
# says why; each way of ending has its exit code.
. "$(dirname "$0")/lib.sh"
runs() { timeout 60 "$MISHAP" run --run-dir "$T/runs" "$@"; }
seq 20000 >in
chmod 644 in

fails_at_nth() {
	runs --sandbox --json r.json -f 'write path=**/out fail=ENOSPC nth=2' \
		--expect 'exit!=0' -- sort -o out in || return 1
	cat r.json
	jq -e '.verdict == "PASS" and .exit == 0 and .rules[0].fired == 1
		and .target.exit == 2' r.json &&
		grep -rq 'No space left on device' "$T"/runs/*/stderr
}
it "sort whose second write meets a full disk: PASS, fired once, own words kept" \
	fails_at_nth
it "the wrong expectation: FAIL" exits 1 runs --sandbox \
	-f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit==0' -- sort -o out in
it "a rule that never fired: INCONCLUSIVE" exits 3 runs --sandbox \
	-f 'write path=/no/such/place fail=EIO' -- sort in
it "and it says so" says 'never (fired|matched)' runs --sandbox \
	-f 'write path=/no/such/place fail=EIO' -- sort in
it "a target that is ill without any fault: FAIL" exits 1 runs --sandbox \
	-f 'write path=/no/such/place fail=EIO' --expect 'exit==0' -- false
it "what only a fault brings about, without one: INCONCLUSIVE" exits 3 runs \
	--sandbox -f 'write path=/no/such/place fail=EIO' --expect 'exit!=0' -- \
	sort in
it "a static target is asked about by the kernel: PASS" exits 0 runs --sandbox \
	-f 'write fail=EIO' --expect 'exit!=0' -- busybox echo hello
it "and it says so" says 'door: notify' runs --sandbox \
	-f 'write fail=EIO' -- busybox echo hello
it "nothing to judge: INCONCLUSIVE" exits 3 runs --sandbox \
	-f 'fsync fail=EIO' -- true

if [ "$(id -u)" = 0 ]; then
	cp /usr/bin/sort "$T/sort-setuid"
	chown 65534 "$T/sort-setuid"
	chmod 4755 "$T/sort-setuid"
	it "a setuid target: INCONCLUSIVE, and it says so" says 'setuid' runs \
		-f 'write fail=EIO' -- "$T/sort-setuid" in
else
	skip "a setuid target" "needs root to make one"
fi

lost() {
	runs --sandbox -f 'write fail=EIO nth=1000000' -f 'close fail=EIO nth=1' -- \
		sh -c 'busybox true; true' >said 2>&1
	local rc=$?
	cat said
	[ $rc = 3 ] && grep -q busybox said
}
it "a child that leaves us (static): INCONCLUSIVE, and it is named" lost
it "a scrubbed environment doesn't lose us" exits 0 runs --sandbox \
	-f 'write path=**/out fail=ENOSPC nth=1' --expect 'exit!=0' -- \
	env -i /usr/bin/sort -o out in
it "a crash is FAIL without being asked for" exits 1 runs --sandbox \
	-f 'malloc fail=ENOMEM nth=1+' -- "$TARGETS/careless" build
it "a hang is FAIL without being asked for" exits 1 runs --sandbox \
	--timeout 2s -f 'read path=**/in hang' -- sort in
it "a time limit: ABORTED" exits 4 runs --sandbox \
	--limit time=1s -f 'read path=**/in delay=1ms' -- sleep 30

interrupted() {
	runs --sandbox -f 'read path=**/in hang' -- sort in >said 2>&1 &
	local p=$! rc
	sleep 1
	kill -INT "$(pgrep -P $p)" 2>/dev/null || kill -INT $p
	wait $p
	rc=$?
	cat said
	[ $rc = 130 ] || { echo "exit $rc"; return 1; }
}
it "Ctrl-C: 130" interrupted
