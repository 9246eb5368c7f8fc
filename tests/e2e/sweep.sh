#!/bin/bash
# sweep.sh - careful programs pass, careless ones are found by their class, and
# what real programs are known for is found with nothing but defaults.
. "$(dirname "$0")/lib.sh"

# sweep DIR EXIT OPTION… -- COMMAND…: in a fresh DIR with a file `in`.
sweep() {
	local dir=$1 want=$2
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	(cd "$dir" && seq 5000 >in && eval "${prepare:-}" &&
		exits "$want" timeout 200 "$MISHAP" sweep --json ../$dir.json "$@")
}

# finds FILE CLASS CALL [PATTERN]: a bug of that class, by that call.
finds() {
	python3 - "$@" <<-'PY'
	import json, sys
	report = json.load(open(sys.argv[1]))
	for bug in report["bugs"]:
	    if (bug["class"] == sys.argv[2] and bug["call"] in sys.argv[3].split(",")
	            and (len(sys.argv) < 5 or sys.argv[4] in bug["says"])):
	        sys.exit(0)
	print("bugs:", [(b["class"], b["call"], b["fault"], b["says"])
	                for b in report["bugs"]])
	sys.exit(1)
	PY
}

kinds() { # MODE EXIT [CLASS CALL [PATTERN]]
	local mode=$1 want=$2
	shift 2
	sweep "kinds-$mode" "$want" -- "$TARGETS/sweep_kinds" "$mode" in out &&
		{ [ $# = 0 ] || finds "kinds-$mode.json" "$@"; }
}
it "a careful copy passes" kinds careful 0
it "a careful move passes" kinds move 0
it "who ignores a full disk is silent" kinds silent 1 silent write "out has"
it "who ends without a word is mute" kinds mute 1 mute write
it "who doesn't look at malloc's result crashes" kinds crash 1 crashed malloc SIGSEGV
it "who tries for ever hangs" kinds hang 1 hung write
it "who ignores fsync is silent" kinds unsynced 1 silent fsync
it "who removes its input too early destroys it" \
	kinds destroy 1 corrupted write,read "in"

stacks() { # a crash comes with where it died, the program's own frame first
	python3 - <<-'PY'
	import json
	bug = [b for b in json.load(open("kinds-crash.json"))["bugs"]
	       if b["class"] == "crashed"][0]
	frames = bug["deaths"][0]["threads"][0]["frames"]
	assert any(f["function"] == "main" and f["line"] for f in frames), frames
	assert bug["source"].split(":")[0].endswith("sweep_kinds.c"), bug["source"]
	PY
}
it "a crash is shown with its stack and its source line" stacks

bug_of() {
	python3 -c 'import json, sys
r = json.load(open(sys.argv[1])); print(r["bugs"][0]["replay"].split()[-1])' "$1"
}
again() {
	cd kinds-silent && exits 1 "$MISHAP" replay "$(bug_of ../kinds-silent.json)" >page &&
		cat page && grep -q "came again" page
}
it "its replay line shows the bug again" eval '(again)'
unknown() { (cd kinds-silent && exits 2 "$MISHAP" replay last:silent-000000); }
it "a bug that isn't there is a usage error" unknown
debugger() {
	cd kinds-silent && echo bt | timeout 60 "$MISHAP" replay --gdb \
		"$(bug_of ../kinds-silent.json)" >page 2>&1
	cat page
	grep -q "sweep_fault_here" page && grep -q "write_all" page
}
with gdb it "--gdb stops at the fault" eval '(debugger)'

untouched() {
	(cd kinds-destroy && [ "$(seq 5000 | cksum)" = "$(cksum <in)" ] &&
		[ ! -e out ]) && [ -c /dev/null ]
}
it "the directory and /dev are as they were" untouched

listed() {
	(cd kinds-careful && "$MISHAP" sweep --list -- "$TARGETS/sweep_kinds" careful in out >a &&
		A=1 LONG=$(seq 500 | tr -d '\n') "$MISHAP" sweep --list -- \
			"$TARGETS/sweep_kinds" careful in out >b && cut -c1-16 a | sort >a.ids &&
		cut -c1-16 b | sort >b.ids && [ -s a.ids ] && diff a.ids b.ids)
}
it "sites have the same names in another environment" listed

sharded() {
	(cd kinds-careful && for k in 1 2; do
		"$MISHAP" sweep -q --shard $k/2 --json ../shard$k.json -- \
			"$TARGETS/sweep_kinds" careful in out || exit 1
	done) && python3 - <<-'PY'
	import json
	def cells(name):
	    return sorted((c["id"], c["fault"], c["occurrence"], c["span"])
	                  for c in json.load(open(name))["cells"])
	assert sorted(cells("shard1.json") + cells("shard2.json")) == \
	    cells("kinds-careful.json")
	assert cells("shard1.json") and cells("shard2.json")
	PY
}
it "shards are all of it, and nothing twice" sharded

interrupted() {
	rm -rf int && mkdir int && cd int && seq 5000 >in
	"$MISHAP" sweep --json ../int.json -- \
		sh -c "sleep 0.3; sort -o out in" &
	for _ in $(seq 300); do # in the midst of the cells
		sleep 0.1
		ls .mishap/runs/*/stacks.json >/dev/null 2>&1 && break
	done
	sleep 1
	kill -TERM $! # an asynchronous command ignores SIGINT, sh(1)
	wait $!
	[ $? = 143 ] && grep -q '"verdict": *"ABORTED"' ../int.json
}
it "an interrupt leaves a report of what was tried" eval '(interrupted)'
it "a budget does, too" sweep short 3 --budget 1s -- sh -c "sleep 0.2; sort -o out in"

checked() {
	sweep checked 1 --check "test -s out" -- "$TARGETS/sweep_kinds" careful in out &&
		finds checked.json corrupted open,write,read,malloc
}
it "--check judges what is left" checked

# Real programs that take care: no bug is told of them.
it "cp passes" sweep cp 0 -- cp in out
it "gzip passes" sweep gzip 0 -- gzip -k in
it "tar passes" sweep tar 0 --calls file -- tar cf out.tar in
it "sort to a pipe passes" sweep sort 0 --calls file -- sh -c "sort in | cat"
with sqlite3 it "sqlite3 passes, with its rollback journal" sweep sqlite 0 --calls file -- \
	sqlite3 t.db "create table if not exists t(a); insert into t values(1)"

# And what others are known for.
known() { # DIR CLASS CALL PATTERN -- COMMAND…
	local dir=$1 class=$2 call=$3 pattern=$4
	shift 4
	sweep "$dir" 1 "$@" && finds "$dir.json" "$class" "$call" "$pattern"
}
with lz4 it "lz4 --rm removes its input after a failed write" \
	known lz4 silent write "in is removed" -- lz4 --rm in in.lz4
with sqlite3 it "sqlite3's .output ignores a full disk" known output silent write out.txt \
	--calls file -- sqlite3 t.db ".output out.txt" \
	"with recursive c(x) as (select 1 union all select x+1 from c where x<3000) select x from c"
with curl it "curl cuts file:// where it can't be read" known curl silent read "out has" \
	--calls file -- sh -c 'curl -sS -o out file://$PWD/in'
with openssl it "openssl genpkey leaves an empty key" known key silent write key.pem \
	--calls file -- openssl genpkey -algorithm ED25519 -out key.pem
with mawk it "mawk crashes when its output can't be written" known mawk crashed write,close "" \
	--calls file -- mawk '{print > "out"} END {print 1}' in
with pigz it "pigz hangs when a thread can't be made" known pigz hung pthread_create "" \
	--calls proc -- pigz -k in

it "no command: usage" exits 2 "$MISHAP" sweep
it "no such program: usage" exits 2 "$MISHAP" sweep -- ./nothing
it "a family that isn't there: usage" exits 2 "$MISHAP" sweep --calls disk -- true
outside() { (cd / && exits 2 "$MISHAP" sweep -- true); }
it "the whole system is no place to sweep in" outside
static() { (cd kinds-careful && exits 3 "$MISHAP" sweep -- busybox true); }
with busybox it "a static program: inconclusive, with the reason" static
