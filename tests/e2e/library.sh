#!/bin/bash
# Every shipped scenario, run against a real program: the careful one PASSes,
# the careless one FAILs.
. "$(dirname "$0")/lib.sh"
L=$ROOT/scenarios/library
PY=/usr/bin/python3
seen=" "

run() {
	timeout -k 5 60 "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"
}

# pair SCENARIO "careless by" [OPTION… --] COMMAND… - the scenario's own
# target is the careful one.
pair() {
	local name=$1 why=$2
	shift 2
	seen="$seen$name "
	it "$name: $(sed -n 's/^  *run: \[\([a-z0-9-]*\).*/\1/p' "$L/$name.yaml" |
		tail -n 1) the careful PASSes" exits 0 run "$L/$name.yaml"
	it "$name: $why FAILs" exits 1 run "$L/$name.yaml" "$@"
}

C=$TARGETS/careless
pair disk-full-during-save "who ignores write" -- "$C" save out
pair fsync-fails "who ignores fsync" -- "$C" commit out
pair read-error-midway "who takes an error for the end" -- "$C" copy in out
pair out-of-memory "who trusts malloc" -- "$C" build
pair short-reads-and-writes "who takes a short write for a whole one" -- \
	"$C" copy in out
pair interrupted-calls "who gives up at EINTR" -- "$C" interrupted in out
pair rename-fails "who ignores rename" -- "$C" replace doc
pair killed-during-save "who rewrites in place" -- "$C" rewrite doc
pair killed-during-commit "a database without a journal" --var journal=off
pair close-fails "who ignores close" -- "$C" save out
pair bit-rot "who copies without a checksum" -- "$C" copy in.gz out
pair dns-flaky "wget without --retry-on-host-error" -- \
	wget -nv -O got 'http://localhost:${port}/'
pair dns-hangs "wget without --dns-timeout" -- \
	wget -nv --tries=1 'http://localhost:${port}/'
pair connection-reset "curl without --retry" -- \
	curl -sS 'http://127.0.0.1:${port}/'
pair transfer-cut-short "who ignores Content-Length" -- \
	$PY "$ROOT/tests/targets/careless_fetch.py" 127.0.0.1 '${port}' /big got
pair accept-fails "a server that dies of it" -- \
	$PY "$ROOT/tests/targets/careless_server.py" '${port}'
pair short-sends "who takes a short send for a whole one" -- \
	$PY "$ROOT/tests/targets/careless_sender.py" '${port}'
pair slow-disk "redis with appendfsync always" --var appendfsync=always
why=$(probes_why)
if [ -n "$why" ]; then
	skip "answers-before-sync: redis with appendfsync everysec FAILs" "$why"
	seen="$seen answers-before-sync "
else
	pair answers-before-sync "redis with appendfsync everysec" \
		--var appendfsync=everysec
fi
pair threads-fail "who waits for a thread that never was" -- "$C" threads
pair fork-fails "who forks blindly" -- \
	perl -e 'my $p = fork; waitpid $p, 0; exit 0'

all_shipped() {
	for f in "$L"/*.yaml; do
		f=$(basename "$f" .yaml)
		case $seen in *" $f "*) ;; *) echo "not run: $f" && return 1 ;; esac
		head -n 1 "$L/$f.yaml" | grep -q '^# Proves:' || return 1
	done
}
it "no shipped scenario was left out, and each says what it proves" all_shipped
