#!/bin/bash
# The same seed gives the same decisions, and replay agrees with them.
. "$(dirname "$0")/lib.sh"
runs() { timeout 100 "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"; }
seq 30000 >in
chmod 644 in
decisions() { # RUN-DIR: what was decided, without times and pids
	"$MISHAP" report "$1" --events - |
		jq -c '[.rule, .stream, .index, .call, .error, .value]'
}
once() { # SEED -> newest run directory
	runs -q --seed "$1" -f 'read path=**/in short=1000 p=30%' \
		-f 'write path=**/out delay=1ms+-1ms p=20%' -- \
		sort -o out in >/dev/null 2>&1
	ls -td "$T"/runs/*/ | head -n 1
}
same() {
	local a b
	a=$(once 7)
	sleep 1.1
	b=$(once 7)
	[ "$a" != "$b" ] || return 1
	decisions "$a" >da
	decisions "$b" >db
	wc -l da db
	[ -s da ] && cmp da db
}
it "two runs with one seed decide alike, call for call" same
differs() {
	decisions "$(once 8)" >dc
	[ -s dc ] && ! cmp -s da dc
}
it "another seed decides otherwise" differs
replayed() {
	local id
	id=$(basename "$(once 7)")
	"$MISHAP" replay --run-dir "$T/runs" "$id" >said 2>&1
	cat said
	local n
	n=$(grep -Eo '[0-9]+ of [0-9]+ decisions' said | head -n 1)
	[ -n "$n" ] && [ "${n%% *}" = "$(echo "$n" | awk '{print $3}')" ] &&
		[ "${n%% *}" -gt 0 ]
}
it "replay forces them: n of n" replayed
threaded() {
	runs -q --seed 3 -f 'write path=**/*.z delay=1ms p=50%' -- \
		xz -T2 --block-size=20000 -k -c in >/dev/null 2>&1
	runs -q --seed 3 -f 'read,write delay=1ms p=20%' -- \
		xz -T2 --block-size=20000 -k in >/dev/null 2>&1
	local id
	id=$(ls -t "$T/runs" | head -n 1)
	"$MISHAP" replay --run-dir "$T/runs" "$id" >said 2>&1
	cat said
	grep -Eq '[0-9]+ of [0-9]+ decisions' said
}
it "with threads, k of n is printed" threaded
