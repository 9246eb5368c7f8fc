#!/bin/bash
# INVALID > FAIL > ABORTED > INCONCLUSIVE > PASS, each pair through the command
# line, and the exit status that belongs to it.
. "$(dirname "$0")/lib.sh"
runs() { timeout 60 "$MISHAP" run --run-dir "$T/runs" --sandbox --json r.json "$@"; }
seq 20000 >in
chmod 644 in
hit=(-f 'read path=**/in delay=1ms nth=1')
miss=(-f 'write path=/no/such fail=EIO')
verdict() { # VERDICT EXIT OPTION…
	local verdict=$1 code=$2
	shift 2
	exits "$code" runs "$@" && jq -e --arg v "$verdict" --argjson c "$code" \
		'.verdict == $v and .exit == $c' r.json
}
it "PASS: 0" verdict PASS 0 "${hit[@]}" -e exit==0 -- sort -o out in
it "PASS and INCONCLUSIVE: 3" verdict INCONCLUSIVE 3 "${hit[@]}" "${miss[@]}" \
	-e exit==0 -- sort -o out in
it "ABORTED and INCONCLUSIVE: 4" verdict ABORTED 4 "${hit[@]}" "${miss[@]}" \
	--limit time=500ms -- sh -c 'cat in; sleep 9'
it "ABORTED by the number of faults" verdict ABORTED 4 --limit faults=2 \
	-f 'write delay=1us' -- sh -c 'for i in 1 2 3 4 5 6; do echo x; done; sleep 9'
it "FAIL and INCONCLUSIVE: 1" verdict FAIL 1 "${hit[@]}" "${miss[@]}" \
	-e exit!=0 -e exit==9 -- sort -o out in
it "FAIL and ABORTED, when it was said before: 1" verdict FAIL 1 "${hit[@]}" \
	--limit time=500ms -e 'stdout!~secret' -- sh -c 'cat in; echo secret; sleep 9'
it "what may yet be said is no FAIL of a run that was cut short: 4" verdict \
	ABORTED 4 "${hit[@]}" --limit time=500ms -e 'stdout~later' -- \
	sh -c 'cat in; sleep 9'
it "the exit of a target that was stopped then: 4" verdict ABORTED 4 \
	"${hit[@]}" --limit time=500ms -e exit==0 -- \
	sh -c 'trap "exit 3" TERM; cat in; sleep 9 & wait'
it "a load that had failed before: 1" verdict FAIL 1 "${hit[@]}" \
	--limit time=700ms --load false --load 'sleep 9' -e 'workload load1==0' \
	-- sh -c 'cat in; sleep 9'
cooked() { # a book that says more than its events: INVALID before FAIL
	runs "${hit[@]}" -e exit!=0 -- sort -o out in
	local dir
	dir=$(jq -r .run_dir r.json)
	jq '.books.fired[0].n += 1' "$dir/evidence.json" >e.json || return 1
	cp e.json "$dir/evidence.json"
	exits 5 "$MISHAP" report "$dir" --json again.json &&
		jq -e '.verdict == "INVALID"' again.json
}
it "INVALID before FAIL, when the books don't balance: 5" cooked
it "a PASS without its report: 5" exits 5 runs "${hit[@]}" -e exit==0 \
	--junit /no/such/place/x.xml -- sort -o out in
it "a FAIL without its report: 1" exits 1 runs "${hit[@]}" -e exit!=0 \
	--junit /no/such/place/x.xml -- sort -o out in
it "what a rule of ours killed shows nothing about signals: 3" verdict \
	INCONCLUSIVE 3 -f 'write path=**/out kill=KILL nth=1' -e signal==KILL \
	-- sort -o out in
signalled() { # NAME - 128+n, and nothing goes on
	env --default-signal=INT,QUIT "$MISHAP" run --run-dir "$T/runs" \
		--sandbox "${miss[@]}" -- sleep "3151.$$" \
		>/dev/null 2>&1 &
	local runner=$! code
	until_true 10 pgrep -f "^sleep 3151.$$" || return 1
	kill -s "$1" $runner
	wait $runner
	code=$?
	pgrep -f "^sleep 3151.$$" && return 1
	[ "$code" = $((128 + $(kill -l "$1"))) ] || { echo "exit $code"; return 1; }
}
for s in INT TERM HUP QUIT; do
	it "SIG$s: 128+n, and the target is gone" signalled $s
done

# ---- run directories that aren't whole -------------------------------------
runs "${hit[@]}" -e exit!=0 -- sort -o out in >/dev/null 2>&1
whole=$(jq -r .run_dir r.json)
damaged() { # FILE COMMAND… - spoil one file of a copy; refused, not believed
	local file=$1
	shift
	rm -rf copy
	cp -r "$whole" copy
	(cd copy && "$@")
	says "copy can't be read back" exits 2 "$MISHAP" report ./copy
}
it "evidence that ends in the middle is refused" damaged evidence.json \
	truncate -s 100 evidence.json
it "so is evidence that isn't JSON" damaged evidence.json cp /bin/true evidence.json
it "so are events that end in the middle" damaged events.bin truncate -s -7 events.bin
it "so is a command that is missing" damaged command.json rm command.json
it "so is a scenario that says something else" damaged command.json \
	sh -c 'jq ".faults = []" command.json >c && mv c command.json'
older() { # fields that later versions brought
	rm -rf copy
	cp -r "$whole" copy
	jq 'del(.service_gone, .ready_why)' copy/evidence.json >e.json &&
		cp e.json copy/evidence.json
	jq 'del(.ready, .loads, .steadies)' copy/command.json >c.json &&
		cp c.json copy/command.json
	exits 1 "$MISHAP" report ./copy
}
it "an older one, that knew less, is read" older

# ---- an end before the end -------------------------------------------------
early() { # SECONDS FILE - interrupted while something of it waits; quickly
	local runner code begun=$SECONDS before after
	before=$(ls runs tmp | wc -l)
	TMPDIR=$T/tmp env --default-signal=INT "$MISHAP" run --sandbox \
		--run-dir "$T/runs" "$2" >said 2>&1 &
	runner=$!
	sleep "$1"
	kill -INT $runner
	wait $runner
	code=$?
	cat said
	after=$(ls runs tmp | wc -l)
	[ "$code" = 130 ] && [ $((SECONDS - begun)) -lt 6 ] &&
		[ $((after - before)) = "${3:-0}" ] || {
		echo "exit $code after $((SECONDS - begun))s, $before -> $after"
		return 1
	}
}
mkdir -p tmp
common='version: 1
name: early
faults: ["write fail=EIO"]'
echo "$common
target: {run: [true], prepare: [[sleep, '30']]}" >prepare.yaml
it "interrupted in prepare: nothing is left" early 0.7 prepare.yaml
echo "$common
target: {run: [echo, x]}
expect: [check sleep 30]" >checks.yaml
it "interrupted in a check: at once, and it is kept" early 0.7 checks.yaml 1
