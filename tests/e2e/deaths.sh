#!/bin/bash
# deaths.sh - a target that dies or hangs of a fault is shown with its stacks;
# until its first fault nothing is attached to it.
. "$(dirname "$0")/lib.sh"
chmod 777 .
echo x >data
chmod 666 data
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME="$T" "$@"
	else
		env HOME="$T" "$@"
	fi
}
run() {
	rm -rf runs
	as_nobody "$MISHAP" run --run-dir "$T/runs" --timeout 2s \
		--junit "$T/runs.xml" -f 'read path=**/data fail=EIO' "$@" \
		>page 2>&1
}
dies() { run --expect 'crash==none' --expect 'hang==none' "${@:2}" -- \
	"$TARGETS/dies" "$1" data; }

# shown REGEX - on the page.
shown() { grep -Eq -- "$1" page || { cat page; return 1; }; }
# frames N - functions of the N-th thread of the first death, innermost first.
frames() { jq -r ".deaths[0].threads[$1].frames[].function" \
	runs/*/report.json | tr '\n' ' '; }
narrow() {
	! awk 'length($0) > 80 && !/replay|kept/' page | grep .
}

null() {
	dies null
	shown '> writes_to_null \(dies.c:[0-9]+\)' && shown 'fails \(dies.c:' &&
		shown 'died by SIGSEGV:' && narrow &&
		[[ $(frames 0) == "writes_to_null fails main "* ]] &&
		[[ $(frames 1) == *"sleeps start_thread "* ]] &&
		grep -q '&gt; writes_to_null (dies.c:' runs.xml
}
again() {
	as_nobody "$MISHAP" report "$T"/runs/* >page2 2>&1
	grep -q '> writes_to_null' page2
}
aborts() { dies abort; [[ $(frames 0) == *"abort fails main "* ]]; }
thread() { dies thread; [[ $(frames 0) == "writes_to_null dies_there "* ]] &&
	[[ $(frames 1) == *" fails main "* ]]; }
child() {
	run --expect 'crash==none' -f 'read path=/dev/zero fail=EIO' -- \
		"$TARGETS/dies" child data
	[[ $(frames 0) == "writes_to_null dies_in_child fails main "* ]]
}
raised() { dies raised; [[ $(frames 0) == "writes_to_null fails main "* ]]; }
survives() { # HOW STATUS
	run --expect "exit==$2" -- "$TARGETS/dies" "$1" data || {
		cat page; return 1; }
	[ "$(jq '.deaths | length' runs/*/report.json)" = 0 ]
}
hang() {
	dies hang
	shown 'still ran after its time:' && shown '> takes_second \(dies.c:' &&
		shown '> hangs \(dies.c:' && narrow &&
		[ "$(jq '.deaths[0].threads | length' runs/*/report.json)" = 3 ]
}
python() {
	cat >hangs.py <<'P'
import threading
def waits():
    threading.Event().wait()
def main():
    try:
        open("data").read()
    except OSError:
        waits()
main()
P
	run -- /usr/bin/python3 hangs.py
	shown '> hangs.py:3 in waits' && shown ' hangs.py:8 in main'
}
python_dies() {
	cat >dies.py <<'P'
import ctypes
def jumps():
    ctypes.string_at(0)
try:
    open("data").read()
except OSError:
    jumps()
P
	run -- /usr/bin/python3 dies.py
	shown '> dies.py:3 in jumps' && shown 'died by SIGSEGV'
}
sandboxed() {
	mkdir -p box && cp data "$TARGETS/dies" box && chmod -R a+rwX box
	cd box && dies_in=$PWD
	rm -rf "$T/runs"
	as_nobody "$MISHAP" run --sandbox --run-dir "$T/runs" --expect \
		'crash==none' -f 'read path=**/data fail=EIO' -- ./dies null data \
		>"$T/page" 2>&1
	cd ..
	shown '> writes_to_null \(dies.c:[0-9]+\)'
}

# Nobody traces it until a fault of ours came to pass.
tracer='for (;;) { open(F, "<", "/proc/self/status"); print grep /TracerPid/, <F>;
	close F; last if $n++; open(D, "<", "data"); <D>; close D; }'
untraced_before() {
	run --expect 'exit==0' -- perl -e "\$| = 1; $tracer" || return 1
	[ "$(sed -n '1s/.*\t//p' runs/*/stdout)" = 0 ] &&
		[ "$(sed -n '2s/.*\t//p' runs/*/stdout)" != 0 ]
}
# Another debugger has it: then that is said.
under_strace() {
	run -- strace -f -o /dev/null "$TARGETS/dies" hang data
	[ "$(jq -r '.deaths[] | select(.program == "dies") | .missing' \
		runs/*/report.json)" != null ] && shown 'process [0-9]+ traces it'
}
builds_sanitized() {
	echo 'int main(int c, char **v) { char b[1];
		return read(open(v[1], 0), b, 1) < 0 ? 7 : 0; }' |
		gcc -w -include fcntl.h -include unistd.h -fsanitize=address \
			-x c - -o asan 2>/dev/null
}
sanitized() {
	run --expect 'exit==7' -- env \
		LD_PRELOAD="$(gcc -print-file-name=libasan.so)" ./asan data ||
		{ cat page; return 1; }
}

it "a write to NULL: the thread that died, its line, the program's own frame" \
	null
it "the stacks are in a report made again" again
it "abort(3) has its caller" aborts
it "of threads the one that died comes first" thread
it "a child that dies of a fault of its own has its stack" child
it "a handler that gives the signal back doesn't hide the place" raised
it "a handler that ends the program sees to that itself" survives handled 3
it "two thousand signals go on to a program that was attached to" \
	survives signals 4
it "a deadlock: every thread, and what each waits in" hang
it "Python that hangs: its functions and lines" python
it "Python that dies: its functions and lines" python_dies
it "inside a sandbox" sandboxed
with perl it "nothing is attached to before the first fault" untraced_before
with strace it "where another traces the target that is said" under_strace
if builds_sanitized; then
	it "a program with AddressSanitizer may seek its leaks itself" sanitized
else
	skip "a program with AddressSanitizer may seek its leaks itself" \
		"gcc can't build one here"
fi
