#!/bin/bash
# python_sites.sh - the call sites of CPython 3.11 are its functions and lines;
# those of other interpreters are said to be one.  Run as nobody, who may be
# harmed.
. "$(dirname "$0")/lib.sh"
chmod 777 .
cp "$ROOT/tests/targets/python_sites.py" .
PYTHON=/usr/bin/python3
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME="$T" "$@"
	else
		env HOME="$T" "$@"
	fi
}
run() {
	rm -rf "$T/runs"
	as_nobody "$MISHAP" run --run-dir "$T/runs" "$@"
}

# held - what was expected held; whether all was in reach is another matter.
held() {
	jq -e '[.expectations[].verdict] | all(. == "PASS")' \
		"$T"/runs/*/report.json >/dev/null || { cat .said; return 1; }
}

# told - the Python frames of each stack, as the target's tracebacks have them.
told() {
	jq -r '.frames as $f | .stacks[] | [.frames[] | $f[.] |
		select(.language == "python") | .functions[0] |
		"\(.file | sub(".*/"; "")):\(.line) in \(.function)"] |
		join(" < ")' runs/*/stacks.json
}

twenty() {
	run -f 'send fail=ECONNRESET' --expect 'exit==0' -- \
		$PYTHON python_sites.py twenty >.said
	held || return 1
	told | grep -E '^handlers.py:[0-9]+ in handler_[0-9]+ < ' >told
	wc -l <told
	[ "$(jq '.stacks | length' runs/*/stacks.json)" = 20 ] &&
		[ "$(sort -u told | wc -l)" = 20 ]
}

hashes() { jq -r '.stacks[].hash' runs/*/stacks.json | sort; }
stable() {
	twenty && hashes >first
	# Other addresses, another directory, other surroundings.
	mkdir -p elsewhere && cp python_sites.py elsewhere
	X=$(printf '%5000s' x) PYTHONHASHSEED=1 run -f 'send fail=ECONNRESET' \
		--expect 'exit==0' -- env -C elsewhere \
		$PYTHON ./python_sites.py twenty
	hashes | diff first -
}

# as_traceback - each place that the target told of begins a stack that was
# recorded: functions, lines and order.
all_recorded() {
	while IFS= read -r place; do
		awk -v p="$place" 'index($0, p) == 1 { ok = 1 }
			END { exit !ok }' told && continue
		echo "not recorded: $place"
		return 1
	done < <(sed 's/ < python_sites.py:[0-9]* in say$//;
		s/ < base_events.*//' runs/*/stdout) # a task's goes another way
}
as_traceback() {
	run -f 'send fail=ECONNRESET' --expect 'exit==0' -- \
		$PYTHON -X utf8 python_sites.py kinds >.said
	held || return 1
	told >told
	[ "$(wc -l <runs/*/stdout)" = 12 ] && all_recorded
}
as_traceback_bites() {
	told | sed '1s/:/:9/' >told
	! all_recorded
}

fired() { # GLOB TIMES
	run -f "send frame=$1 fail=ECONNRESET" --expect 'exit>=0' -- \
		$PYTHON python_sites.py twenty
	[ "$(jq '.rules[0].fired' runs/*/report.json)" = "$2" ]
}

storm() {
	run -f 'send p=30% fail=ECONNRESET' -f 'send frame=nobody fail=EPIPE' \
		-f 'write also p=20% delay=1us' --timeout 60s \
		--expect 'crash==none' --expect 'exit==0' --expect 'hang==none' \
		-- $PYTHON python_sites.py storm "${PYTHON_SECONDS:-3}" >.said
	held && grep -q through runs/*/stdout
}

collapsed() { # LANGUAGE COMMAND...
	local language=$1
	shift
	run -f 'write path=**/out fail=EIO' --expect 'exit>=0' -- "$@" >.said
	grep -q "  sites   $language: sites collapsed" .said &&
		jq -e ".call_sites == {distinct: null, interpreters: [\"$language\"]}" \
			runs/*/report.json
}
counted() {
	run -f 'write path=**/out fail=EIO' --expect 'exit>=0' -- \
		"$TARGETS/stack_writer" out >.said
	jq -e '.call_sites == {distinct: 1, interpreters: []}' \
		runs/*/report.json && ! grep -q collapsed .said
}
with perl it "perl is named, and its call sites aren't counted" collapsed perl \
	perl -e 'open(F, ">out"); print F "x"; close F'
with node it "node is named, and its call sites aren't counted" collapsed node \
	node -e 'require("fs").writeFileSync("out", "x")'
it "in a program of C they are counted" counted

if [ "$($PYTHON -c 'import sys; print(sys.version_info[:2])')" = '(3, 11)' ]; then
	it "twenty Python functions that send are twenty call sites" twenty
	it "they have the same ids in other address spaces and directories" \
		stable
	it "the site is told as a traceback would: file, line, function" \
		says 'send ECONNRESET at handlers.py:[0-9]+ in handler_19 <' \
		run -f 'send fail=ECONNRESET' --expect 'exit==9' -- \
		$PYTHON python_sites.py twenty
	it "functions, lines and order are the tracebacks', in all kinds of code" \
		as_traceback
	it "that check bites: another function is seen" as_traceback_bites
	it "frame= selects a Python function" fired handler_7 1
	it "frame= selects by a glob" fired 'handler_1?' 10
	it "frame= selects a Python file" fired handlers.py 20
	it "frame= of a function that doesn't send never fires" fired kinds 0
	it "threads, collections, signals and the interpreter's end do no harm" \
		storm
else
	skip "Python's call sites are its functions" "no CPython 3.11 is here"
fi
