#!/bin/bash
# From evidence to a verdict and its reports, on real programs.
. "$(dirname "$0")/lib.sh"
runs() { timeout 60 "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"; }
report() { "$MISHAP" report --run-dir "$T/runs" "$@"; }
full=(-f 'write path=**/out fail=ENOSPC nth=2')
seq 20000 >in
chmod 644 in

# ---- what the reports say --------------------------------------------------
fail_page() {
	runs "${full[@]}" --expect 'exit==0' --json r.json --junit r.xml \
		-- sort -o out in >page
	[ $? = 1 ] || return 1
	cat page
	grep -q 'expected exit status 0' page &&
		grep -q 'seen     exit status 2' page &&
		grep -q 'fault    write ENOSPC' page &&
		grep -q '| sort: .*No space left on device' page &&
		grep -q 'replay  .*mishap replay' page &&
		[ "$(awk '{ if (length > n) n = length } END { print n }' <(
			grep -v "$T" page))" -le 80 ]
}
it "a FAIL says what was expected, what was seen, and how to see it again" \
	fail_page
it "JUnit has one failure, and can be read" bash -c \
	'xmllint --noout r.xml && grep -q "failures=\"1\" errors=\"0\"" r.xml'
documented() {
	local key
	runs "${full[@]}" --expect 'exit!=0' --events e.json --json r2.json \
		-- sort -o out in >/dev/null || return 1
	for key in $(jq -r 'del(.coverage.calls[]) |
		[.. | objects | keys[]] | unique[]' r2.json) \
		$(head -n 1 e.json | jq -r 'keys[]'); do
		grep -Eq "\`[^\`]*\<$key\>[^\`]*\`" "$ROOT/docs/JSON.md" || {
			echo "docs/JSON.md doesn't know '$key'"
			return 1
		}
	done
}
it "every key of the JSON is in docs/JSON.md" documented
on_stdout() {
	runs "${full[@]}" --expect 'exit!=0' --json - -- sort -o out in \
		2>page | jq -e '.verdict == "PASS"' && grep -q '^PASS' page
}
it "with --json - only JSON is on standard output" on_stdout

# ---- report and replay -----------------------------------------------------
again() {
	runs "${full[@]}" --expect 'silent==none' --expect 'exit==0' \
		-- sort -o out in >one
	[ $? = 1 ] || return 1
	report last >two
	[ $? = 1 ] || return 1
	diff <(grep -v '^first' one) two
}
it "report comes to the same page from the kept evidence" again
replays() {
	local id
	id=$(ls -t "$T/runs" | head -n 1)
	"$MISHAP" replay --run-dir "$T/runs" "$id" >page
	[ $? = 1 ] && cat page && grep -q '1 of 1 decisions came again' page
}
it "replay makes the same decision and comes to the same verdict" replays
moved() {
	local id
	id=$(ls -t "$T/runs" | head -n 1)
	mv "$T/runs/$id" "$T/elsewhere"
	exits 1 "$MISHAP" report "$T/elsewhere"
}
it "a run's directory can be moved" moved
it "a damaged run is refused" bash -c '
	echo "{}" >"$1/elsewhere/evidence.json"
	"$2" report "$1/elsewhere"; [ $? = 2 ]' - "$T" "$MISHAP"
it "a run that isn't there: exit 2, and where to look" says 'ls .* shows' \
	report nosuch

# ---- oracles on real programs ----------------------------------------------
C=$TARGETS/careless
it "silent success is found: a careless save under a full disk" exits 1 \
	runs -f 'write path=**/out fail=ENOSPC nth=1' --expect 'silent==none' \
	--expect 'file out exists' -- "$C" save out
it "a careful one passes it" exits 0 runs "${full[@]}" \
	--expect 'silent==none' -- sort -o out in
it "mute failure is found" exits 1 runs -f 'write path=**/out fail=ENOSPC nth=1' \
	--expect 'mute==none' -- sh -c 'sort -o out in 2>/dev/null'
it "a message unmutes it" exits 0 runs \
	-f 'write path=**/out fail=ENOSPC nth=1' --expect 'mute==none' -- \
	sort -o out in
it "a check command sees what the sandbox holds" exits 0 runs \
	-f 'read path=**/in delay=1ms nth=1' --expect 'check cmp in out' -- \
	sort -n -o out in
it "outside nothing was written" test ! -e out
it "its exit 3 is inconclusive" exits 3 runs \
	-f 'read path=**/in delay=1ms nth=1' --expect 'check sh -c "exit 3"' -- \
	sort -o out in
it "a check that can't be run is inconclusive" exits 3 runs \
	-f 'read path=**/in delay=1ms nth=1' --expect 'check no-such-checker' -- \
	sort -o out in
it "our own run directory is no leftover" exits 0 timeout 60 "$MISHAP" run \
	--run-dir "$T/runs" --sandbox -f 'read path=**/in delay=1ms nth=1' \
	--expect 'leftovers . == none' -- sort -o /dev/null in
it "leftovers are found" exits 1 runs -f 'read path=**/in delay=1ms nth=1' \
	--expect 'leftovers . *.tmp == none' -- sh -c 'sort in >a.tmp'
it "secrets are found in base64" exits 1 runs \
	-f 'read path=**/in delay=1ms nth=1' --expect 'secrets hunter22 == none' \
	-- sh -c 'sort in >/dev/null; printf "user:hunter22" | base64'
it "a lost record is found" exits 1 runs -f 'read path=**/in delay=1ms nth=1' \
	--expect 'ledger sh -c "echo present s 1; echo done" == strict' -- \
	sh -c 'sort in >/dev/null; echo ack s 1; echo ack s 2'
it "all there is all right" exits 0 runs -f 'read path=**/in delay=1ms nth=1' \
	--expect 'ledger sh -c "echo present s 1; echo done" == strict' -- \
	sh -c 'sort in >/dev/null; echo ack s 1'
cat >ledger.yaml <<'Y'
version: 1
name: a ledger by its own fd
target: {run: [sort, -o, out, in]}
workload: [{name: w, run: [sh, -c, 'echo ack s 7 >&"$MISHAP_LEDGER_FD"']}]
faults: ["read path=**/in delay=1ms nth=1"]
expect: ['ledger echo done == strict']
Y
it "a workload keeps it on MISHAP_LEDGER_FD" says '1 lost' runs ledger.yaml
it "an expectation that can't fail makes no PASS, and is named" says \
	"can't fail" runs "${full[@]}" --expect 'stderr~".*"' -- sort -o out in

# ---- the course of things --------------------------------------------------
repeated() {
	runs --repeat 3 --seed 5 "${full[@]}" --expect 'exit!=0' --json r.json \
		-- sort -o out in >page || return 1
	cat page
	grep -q '3 of 3 passed' page && jq -e '.repeat.runs == 3 and
		.repeat.passed == 3 and ([.repeat.items[].seed] == [5, 6, 7])' r.json
}
it "repeat runs with seeds that follow, and counts" repeated
it "nothing of a run that never began is left" bash -c '
	ls "$1/runs" | wc -l >n
	"$2" run --run-dir "$1/runs" -f "write fail=EIO" -- no-such-program
	[ $? = 2 ] && [ "$(ls "$1/runs" | wc -l)" = "$(cat n)" ]' - "$T" "$MISHAP"
it "scratch is gone afterwards" bash -c '
	mkdir tmp && TMPDIR=$PWD/tmp timeout 60 "$1" run --run-dir runs \
		-f "write fail=EIO nth=1" -- sh -c "echo x >\${scratch}/x" >page
	[ -z "$(ls tmp)" ]' - "$MISHAP"
it "a full standard output turns a PASS into 5" bash -c '
	timeout 60 "$1" run --run-dir runs --sandbox \
		-f "write path=**/out fail=ENOSPC nth=2" --expect "exit!=0" -- \
		sort -o out in >/dev/full; [ $? = 5 ]' - "$MISHAP"

# ---- the rest --------------------------------------------------------------
it "doctor finds this machine fit" exits 0 "$MISHAP" doctor
it "doctor speaks JSON" bash -c \
	'"$1" doctor --json - 2>/dev/null | jq -e ".ok and (.checks | length > 4)"' \
	- "$MISHAP"
others() { # every key, in its command's section of docs/JSON.md
	local args page key
	echo 'version: 1' >bad.yaml
	for args in 'check bad.yaml' 'check -f fsync:lie' 'list calls' \
		'list families' 'list faults' 'list expectations' \
		'list scenarios' halt doctor; do
		"$MISHAP" ${args/:/ } --json - 2>/dev/null >o.json
		jq -e ".version == 1 and .command == \"${args%% *}\" and .mishap" \
			o.json >/dev/null || { echo "$args: $(head -c 300 o.json)"; return 1; }
		page=$(sed -n "/^## .*mishap ${args%% *}/,/^## /p" "$ROOT/docs/JSON.md")
		for key in $(jq -r 'del(.calls[]?.also) | [.. | objects | keys[]] |
			unique[]' o.json); do
			grep -qE "\<$key\>" <<<"$page" || {
				echo "docs/JSON.md doesn't know '$key' of $args"
				return 1
			}
		done
	done
}
it "check, list, halt and doctor tell machines what docs/JSON.md says" others
for c in $("$MISHAP" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -v '^mishap$'); do
	it "$c --help works" exits 0 "$MISHAP" "$c" --help
done
with groff it "the manual page has no mistake" bash -c \
	'groff -man -ww -Tutf8 -z "$1" 2>&1 | { ! grep .; }' \
	- "$ROOT/man/mishap.1"
in_manual() { # every option of the table stands there and is completed
	local o
	for o in $("$MISHAP" run --help | grep -Eo -- '^ +(-., )?--[a-z-]+' |
		grep -Eo -- '--[a-z-]+'); do
		sed 's/\\-/-/g' "$ROOT/man/mishap.1" | grep -q -- "$o" ||
			{ echo "mishap(1) lacks $o"; return 1; }
		grep -q -- "$o" "$ROOT/completions/mishap.bash" ||
			{ echo "completion lacks $o"; return 1; }
	done
}
it "manual and completion know every option" in_manual
completes() {
	. "$ROOT/completions/mishap.bash"
	COMP_WORDS=(mishap re) COMP_CWORD=1
	_mishap
	[ "${COMPREPLY[*]}" = "replay report" ] || return 1
	COMP_WORDS=(mishap run --sa) COMP_CWORD=2
	_mishap
	[ "${COMPREPLY[*]}" = --sandbox ]
}
it "completion completes" completes
