#!/bin/bash
# Bad input gets a clear message, exit 2, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
runs() { "$MISHAP" run --run-dir "$T/runs" "$@"; }

# refused "what" REGEX COMMAND… - exit 2, the message matches, no run was made.
refused() {
	local what=$1 re=$2
	shift 2
	both() {
		rm -rf "$T/runs"
		exits 2 "$@" >"$T/said2" 2>&1 || { cat "$T/said2"; return 1; }
		grep -Eq -- "$re" "$T/said2" || {
			echo "nothing matches /$re/ in:"
			cat "$T/said2"
			return 1
		}
		[ -z "$(ls -A "$T/runs" 2>/dev/null)" ] || {
			echo "left behind: $(find "$T/runs")"
			return 1
		}
	}
	it "$what" both "$@"
}

yaml() { # NAME LINE…: a scenario file
	local name=$1
	shift
	printf '%s\n' "$@" >"$T/$name.yaml"
}

yaml key 'version: 1' 'name: x' 'target:' '  run: [true]' 'fautls:' \
	'  - write fail=EIO'
refused "an unknown key, with its place and a suggestion" \
	"key.yaml:5:1: error: .*fautls" runs key.yaml
it "the caret stands under it" says '\^~~~~~ did you mean .faults' \
	"$MISHAP" check key.yaml
yaml unit 'version: 1' 'name: x' 'target:' '  run: [true]' \
	'  timeout: 200 milliseconds'
refused "a bad unit" 'unit.yaml:5:12: error: .*200 milliseconds' runs unit.yaml
yaml errno 'version: 1' 'name: x' 'target:' '  run: [true]' 'faults:' \
	'  - fsync fail=ECONNREFUSED'
refused "an errno that the call can't give" \
	'errno.yaml:6:[0-9]+: error: .*ECONNREFUSED' runs errno.yaml
refused "the same on the command line" '^-f:1:[0-9]+: error: .*ECONNREFUSED' \
	runs -f 'fsync fail=ECONNREFUSED' -- true
yaml twice 'version: 1' 'name: x' 'name: y' 'target:' '  run: [true]'
refused "a duplicate key" 'twice.yaml:3:1: error: .*first given on line 2' \
	runs twice.yaml
refused "a file that isn't there" 'nowhere.yaml.*[Nn]o such file' \
	runs nowhere.yaml
refused "a directory for a file" '[Ii]s a directory' runs "$T"
head -c 4096 /dev/urandom >garbage.yaml
refused "binary garbage" 'garbage.yaml:.*error' runs garbage.yaml
head -c 104857600 /dev/zero >huge.yaml
refused "a file of 100 MB" 'huge.yaml.*(too large|larger|limit)' runs huge.yaml
rm -f huge.yaml
: >empty.yaml
refused "an empty file" 'empty.yaml.*(empty|missing)' runs empty.yaml
refused "a target that doesn't exist" 'no-such-program' \
	runs -f 'write fail=EIO' -- ./no-such-program
echo 'not a program' >plain
refused "a target that can't be executed" \
	'plain.*([Pp]ermission|not executable)' \
	runs -f 'write fail=EIO' -- ./plain
refused "no target at all" 'a scenario file' runs -f 'write fail=EIO'
refused "an unknown option" 'frobnicate' runs --frobnicate -- true
refused "a rule that isn't one" '^-f:1:' runs -f 'wriet fail=EIO' -- true
it "a misspelt call is answered with the right one" \
	says "did you mean 'write'" runs -f 'wriet fail=EIO' -- true
refused "an expectation that isn't one" '^--expect:1:' \
	runs --expect 'exti!=0' -- true
refused "a regular expression that doesn't compile" '^--expect:1:' \
	runs --expect 'stderr~"("' -- true
refused "an unknown variable" 'nosuchvar' \
	runs -f 'write path=${nosuchvar}/x fail=EIO' -- true
it "an unknown command" exits 2 "$MISHAP" rnu
it "an unknown command is answered with the right one" \
	says "did you mean .run" "$MISHAP" rnu

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
if [ "$(id -u)" = 0 ]; then
	mkdir -m 555 "$T/ro"
	readonly_dir() (
		cd "$T/ro" || return 1
		exits 2 as_nobody "$MISHAP" run -f 'write fail=EIO' \
			--expect 'exit!=0' -- sort /dev/null >"$T/.ro" 2>&1
		local rc=$?
		cat "$T/.ro"
		grep -q -- '--run-dir' "$T/.ro" && [ $rc = 0 ]
	)
	it "a read-only working directory: exit 2, and --run-dir is offered" \
		readonly_dir
	mkdir -m 700 "$T/closed"
	it "a run directory that is closed to us: exit 2" exits 2 as_nobody \
		"$MISHAP" run --run-dir "$T/closed/runs" -f 'write fail=EIO' -- true
	mkdir "$T/in" && chmod 755 "$T/in" && echo secret >"$T/in/unreadable"
	chmod 600 "$T/in/unreadable"
	chown 65534 "$T/in"
	unreadable() (
		cd "$T/in" || return 1
		says 'unreadable' runs --sandbox -f 'read fail=EIO' -- \
			cat unreadable &&
			exits 2 runs --sandbox -f 'read fail=EIO' -- cat unreadable
	)
	it "an input that the sandbox's user can't read: exit 2, named" unreadable
else
	for what in "a read-only working directory" "a closed run directory" \
		"an unreadable input"; do
		skip "$what" "needs root to become somebody else"
	done
fi

# The report: a PASS without it is 5, another verdict keeps its code.
seq 1000 >in.txt
full_disk=(--sandbox -f 'write path=**/out fail=ENOSPC nth=1')
it "a PASS whose report can't be written is 5" exits 5 runs "${full_disk[@]}" \
	--json /proc/nowhere/report.json --expect 'exit!=0' -- \
	sort -o out in.txt
it "a FAIL whose report can't be written stays 1" exits 1 runs \
	"${full_disk[@]}" --json /proc/nowhere/report.json --expect 'exit==0' -- \
	sort -o out in.txt
full() {
	runs "${full_disk[@]}" --json /dev/full --expect 'exit!=0' -- \
		sort -o out in.txt >"$T/.full" 2>&1
	local rc=$?
	cat "$T/.full"
	[ $rc = 5 ] && grep -q 'No space left' "$T/.full"
}
it "a disk that is full when the report is written: said, and 5" full

# A port in use: the target never becomes ready, that is a FAIL.
port=$(free_port)
/usr/bin/python3 -m http.server "$port" --bind 127.0.0.1 >/dev/null 2>&1 &
pids+=($!)
until_true 10 curl -s "http://127.0.0.1:$port/" || echo "# server is late"
yaml taken 'version: 1' 'name: port in use' 'target:' '  cwd: ${scratch}' \
	"  run: [redis-server, --port, \"$port\", --save, \"\"]" \
	"  ready: {command: [redis-cli, -p, \"$port\", ping], within: 2s}" \
	'faults:' '  - accept fail=EMFILE times=1'
it "a port in use: never ready is FAIL" exits 1 runs --sandbox taken.yaml
