#!/bin/bash
# notify - the notify door: static and Go programs, faulted from outside.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/lone_user.inc"

KINDS=$TARGETS/notify_kinds
if ! "$MISHAP" doctor 2>/dev/null | grep -q '^ok .*notify door'; then
	skip "the notify door" "$("$MISHAP" doctor 2>/dev/null |
		sed -n 's/^no *notify door *//p')"
	exit
fi
seq 20000 >in
chmod 644 in

# ---- nothing named is missed ----------------------------------------------
# same_counts CALLS… -- COMMAND…: what strace -f counts, to the call.
same_counts() {
	local calls=() expects=() call want got
	while [ "$1" != -- ]; do
		calls+=("$1")
		expects+=(--expect "calls $1>0")
		shift
	done
	shift
	runs --quiet --json counts.json "${expects[@]}" -- "$@" || return 1
	as strace -f -c -o strace.out "$@" || return 1
	for call in "${calls[@]}"; do
		want=$(awk -v c="$call" '$NF == c {print $4}' strace.out)
		[ "$call" = open ] && want=$(awk '$NF == "openat" {print $4}' strace.out)
		got=$(jq ".coverage.calls.$call // 0" counts.json)
		echo "$call: strace ${want:-0}, seen $got"
		[ "$got" = "${want:-0}" ] || return 1
	done
	jq -e '.coverage.doors == ["notify"]' counts.json
}
busybox=$(command -v busybox)
if [ -n "$busybox" ] && ! ldd "$busybox" >/dev/null 2>&1; then
	it "busybox sort: every named call is seen, as strace -f counts" \
		same_counts read write open close -- busybox sort -o out in
	it "busybox sh and its children: the same" same_counts read write close \
		-- busybox sh -c 'for i in 1 2 3; do busybox head -n 5 in | busybox wc -l; done'
	honest() {
		runs -f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit!=0' \
			-- busybox dd if=in of=out bs=1000 count=5 || return 1
		runs -f 'write path=**/out fail=ENOSPC nth=2' --expect 'exit==0' \
			-- busybox dd if=in of=out bs=1000 count=5
		[ $? = 1 ]
	}
	it "a full disk: PASS for who expects it, FAIL for who doesn't" honest
else
	skip "busybox" "no static busybox"
fi
it "static threads: every call is seen" same_counts write open close -- \
	"$KINDS" threads 8
it "a tree of static processes: every call is seen" same_counts write close -- \
	"$KINDS" tree 5

# ---- what each action does ------------------------------------------------
# run_gives STATUS-OF-MISHAP RULE… -- KIND…: its stdout is in ./said.
run_gives() {
	local want=$1 rules=()
	shift
	while [ "$1" != -- ]; do
		case $1 in
		*==* | *!=*) rules+=(--expect "$1") ;;
		*) rules+=(-f "$1") ;;
		esac
		shift
	done
	shift
	rm -rf runs
	runs --json r.json "${rules[@]}" -- "$@"
	local got=$?
	cat runs/*/stdout >said 2>/dev/null
	cat said
	[ "$got" = "$want" ]
}
it "fail, counted by thread" run_gives 0 \
	'write path=**/thread* fail=ENOSPC nth=50 per=thread times=1' 'exit!=0' \
	-- "$KINDS" threads 8
by_thread() { jq -e '.rules[0].fired == 8 and .rules[0].matched == 400' r.json; }
it "... fired once in each of 8 threads" by_thread
by_process() {
	run_gives 0 'write path=**/tree* fail=EIO nth=1' 'exit!=0' -- \
		"$KINDS" tree 5 && jq -e '.rules[0].fired == 10
			and .coverage.processes == 11' r.json
}
it "fail, once in each process of a tree" by_process
beside() { # 8 x 100 delays of 2 ms: 200 ms if none waits for another's
	run_gives 0 'write path=**/thread* delay=2ms' 'exit==0' -- \
		"$KINDS" threads 8 && jq -e '.rules[0].fired == 800
			and .lasted_s < 1.3' r.json
}
it "a delay holds up no other thread's call" beside
restarted() {
	run_gives 0 'read fd=3 delay=150ms' 'exit==0' -- "$KINDS" timer &&
		jq -e '.rules[0].matched == 1' r.json &&
		awk '{exit !($2 == 1 && $5 >= 150)}' said
}
it "a delayed call under a timer with SA_RESTART waits to its end, counted once" \
	restarted
it "without SA_RESTART it is interrupted" run_gives 0 \
	'read fd=3 delay=3s' 'exit!=0' -- "$KINDS" alarm
interrupted() { grep -q 'read -1 EINTR' said; }
it "... with EINTR" interrupted
killed() {
	run_gives 0 'write path=**/tree0.1 kill=KILL' 'exit!=0' -- "$KINDS" tree 2 &&
		[ ! -s tree0.1 ] && [ -s tree1.1 ]
}
it "kill: before the call, and only who made it" killed
hangs() {
	run_gives 1 'read path=**/in hang nth=2' 'hang==none' -- "$@"
	grep -q 'read hang' runs/*/report.json || jq -r .reasons r.json
}
hung() {
	rm -rf runs
	runs --timeout 1s --json r.json -f 'write path=**/thread3 hang nth=7' \
		--expect 'hang==none' -- "$KINDS" threads 4
	[ $? = 1 ] && jq -e '.target.timed_out and .rules[0].fired == 1' r.json &&
		[ "$(wc -l <thread3)" = 6 ] && [ "$(wc -l <thread2)" = 100 ]
}
it "hang: that thread alone, until the run's end" hung
cut() {
	run_gives 0 'writev short=15' 'exit!=0' -- "$KINDS" vector &&
		[ "$(cat said)" = 'writev 15' ] &&
		[ "$(cat vector)" = 0123456789abcde ]
}
it "short: a vector is cut to the byte" cut
it "short: a pipe loses and doubles nothing" run_gives 0 'write short=7' \
	'read fd=3 delay=100us' 'exit==0' -- "$KINDS" pipe
it "short: nor does a connection" run_gives 0 \
	'write peer=127.0.0.1 short=7' 'exit==0' -- "$KINDS" sockets
cut_often() { jq -e '.rules[0].fired >= 140' r.json; }
it "... which was cut more than 140 times" cut_often

# ---- what it can't do is said ----------------------------------------------
cannot() { # REGEX RULE
	run_gives 3 "$2" 'exit==0' -- "$KINDS" threads 1 &&
		jq -e --arg re "$1" '.reasons | any(test($re))' r.json
}
it "corrupt: INCONCLUSIVE, and why" cannot 'acts inside of the process' \
	'write corrupt=1bit'
it "late: the same" cannot 'after the call' 'write late=EIO'
it "frame=: the same" cannot "stack, which isn't seen" 'write frame=main fail=EIO'
it "fail on close: the same" cannot "can't be released" 'close fail=EIO'
it "malloc: the same" cannot 'function of libc' 'malloc fail=ENOMEM'
foreign() {
	run_gives 3 'write path=**/none fail=EIO' -- "$KINDS" foreign &&
		jq -e '.coverage.foreign == 1
			and (.reasons | any(test("i386, x32")))' r.json
}
it "a call of another ABI is counted, and said" foreign
ring() {
	run_gives 3 'write path=**/none fail=EIO' 'exit!=0' -- "$KINDS" uring &&
		grep -q 'io_uring_setup EPERM' said &&
		jq -e '.coverage.uring_refused == 1' r.json
}
it "io_uring is refused where a rule names what it could do, and it is said" ring
no_ring() {
	"$KINDS" uring | grep -q ok || return 0
	run_gives 3 'nanosleep fail=EINTR' 'exit==0' -- "$KINDS" uring &&
		jq -e '.coverage.uring_refused == 0' r.json
}
it "... and not where none does" no_ring
ring_inside() { # the same through the library, where libc makes the call
	run_gives 3 'write path=**/none fail=EIO' -- /usr/bin/python3 -c '
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(425, 8, bytes(256)), ctypes.get_errno())' &&
		[ "$(cat said)" = '-1 1' ] &&
		jq -e '.coverage.uring_refused == 1' r.json
}
it "a dynamic program is refused one, too" ring_inside

# ---- both doors -------------------------------------------------------------
library() { # a static parent, a dynamic child: the library's alone
	run_gives 0 'write path=**/dd.out fail=ENOSPC nth=2 times=1' 'exit!=0' -- \
		busybox sh -c '/usr/bin/dd if=in of=dd.out bs=1000 count=5 || exit 1' &&
		jq -e '.rules[0].fired == 1 and .rules[0].matched == 2
			and .coverage.doors == ["sites", "notify"]' r.json
}
alone() { # without an environment no library: the kernel asks us
	run_gives 0 'write path=**/dd.out fail=ENOSPC nth=2' 'exit!=0' -- "$KINDS" \
		exec /usr/bin/dd if=in of=dd.out bs=1000 count=5 &&
		jq -e '.rules[0].fired == 1 and .rules[0].matched == 2
			and .coverage.doors == ["notify"]' r.json
}
if [ -n "$busybox" ]; then
	below() { # a dynamic target, a static child
		runs --notify --json r.json -f 'write path=**/dd.out fail=ENOSPC nth=2' \
			--expect 'exit!=0' -- sh -c \
			'busybox dd if=in of=dd.out bs=1000 count=5 || exit 1' ||
			return 1
		jq -e '.rules[0].fired == 1 and .rules[0].matched == 2
			and .coverage.doors == ["sites", "notify"]' r.json
	}
	it "--notify: a static child of a dynamic target is entered" below
	it "... and a dynamic target is the library's as ever" run_gives 0 \
		'write path=**/dd.out fail=ENOSPC nth=2' 'exit!=0' -- \
		/usr/bin/dd if=in of=dd.out bs=1000 count=5
	without() {
		run_gives 3 'write path=**/dd.out fail=ENOSPC nth=2' -- sh -c \
			'busybox dd if=in of=dd.out bs=1000 count=5; exit 0' &&
			jq -e '.reasons | any(test("--notify enters static"))' r.json
	}
	it "without it the child is named, and --notify with it" without
	it "a dynamic child of a static program is counted once, by the library" \
		library
fi
it "one with an empty environment is asked about" alone

# ---- the lease ----------------------------------------------------------------
orphan='for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
do echo $i; done >kept; sleep 1; echo end >>kept'
survives() { # SIGNAL: of the runner, amid slow and failing writes
	rm -f kept
	as_bg "$MISHAP" run --run-dir "$T/w/killed" \
		-f 'write path=**/kept delay=100ms' \
		-f 'write path=**/kept fail=ENOSPC nth=15+' -- busybox sh -c "$orphan" \
		>/dev/null 2>&1
	local runner=$!
	until_true 10 test -s kept || return 1
	kill "-$1" "$runner"
	until_true 5 grep -q end kept
	local ended=$?
	[ "$1" = STOP ] && kill -KILL "$runner"
	wait "$runner"
	cat kept
	[ "$ended" = 0 ] && [ "$(wc -l <kept)" = 21 ] &&
		until_true 5 guardian_gone
}
guardian_gone() { ! pgrep -u "${LONE/#0/$(id -u)}" -x mishap-guardian; }
halted() {
	as_bg timeout 20 "$MISHAP" run --run-dir "$T/w/halted" \
		-f 'write path=**/kept hang' -- busybox sh -c 'echo x >kept' \
		>/dev/null 2>&1
	local runner=$!
	sleep 1
	as "$MISHAP" halt
	wait "$runner"
	[ $? = 4 ] && until_true 5 guardian_gone
}
if [ -n "$busybox" ]; then
	it "kill -9 of the runner: the target goes on unharmed, the guardian ends" \
		survives KILL
	it "a runner that is stopped lapses; nothing is harmed" survives STOP
	it "halt ends a run whose call hangs, and the guardian" halted
fi

# ---- Go -----------------------------------------------------------------------
go_build() {
	mkdir -p "$T/go" && cp "$ROOT/tests/targets/notify_go.go" "$T/go/main.go" &&
		(cd "$T/go" && HOME=$T/go GOCACHE=$T/go/cache GO111MODULE=off \
			CGO_ENABLED=0 go build -o notify_go main.go)
}
if command -v go >/dev/null; then
	it "a Go program is built" go_build
	GO=$T/go/notify_go
	it "Go: every named call is seen" same_counts write open fsync -- "$GO"
	go_covered() { # COUNTER - no call that a rule can name passes by
		exits 0 "$MISHAP" doctor --coverage --count-by "$1" \
			--json c.json -- "$GO" || return
		jq -e '.made > 500 and .made == .seen and
			([.calls[].door] | unique) == ["notify"]' c.json
	}
	for counter in strace seccomp; do
		if "$MISHAP" doctor --coverage --count-by $counter -- true \
			>/dev/null 2>&1; then
			it "Go: all named calls are covered (by $counter)" \
				go_covered $counter
		else
			skip "Go: all named calls are covered (by $counter)" \
				"a process may not be traced here"
		fi
	done
	go_fails() { # STATUS RULE
		run_gives 0 "$2" "exit==$1" -- "$GO" &&
			jq -e '.rules[0].fired == 1 and .coverage.doors == ["notify"]' r.json
	}
	it "Go: the 500th write fails" go_fails 12 \
		'write path=**/go.out fail=ENOSPC nth=500'
	it "Go: fsync fails" go_fails 13 'fsync fail=EIO'
	it "Go: connect is refused" go_fails 15 'connect fail=ECONNREFUSED'
	it "Go: sends are cut, nothing is lost" run_gives 0 \
		'write peer=127.0.0.1 short=2 p=30%' 'exit==0' -- "$GO"
	again() {
		as "$MISHAP" replay --run-dir "$T/w/runs" >again.out 2>&1
		cat again.out
		awk '/decisions came again/ {n++; if ($2 != $4 || $2 < 5) exit 1}
			END {exit !n}' again.out
	}
	it "Go: ... and a replay does the same" again
	cgo_build() {
		mkdir -p "$T/cgo" && cat >"$T/cgo/main.go" <<'X' &&
package main

// #include <unistd.h>
// int from_c(void) { return write(1, "from C\n", 7); }
import "C"
import "fmt"

func main() {
	fmt.Println("from Go", C.from_c())
	fmt.Println("done")
}
X
			(cd "$T/cgo" && HOME=$T/go GOCACHE=$T/go/cache \
				GO111MODULE=off go build -o cgo main.go)
	}
	it "a dynamic Go program is built" cgo_build
	it "cgo: C's calls and Go's are each counted once" same_counts write -- \
		"$T/cgo/cgo"
else
	skip "a Go program" "go isn't installed"
fi

# ---- spoiled evidence ------------------------------------------------------------
run_gives 0 'write path=**/thread0 fail=ENOSPC nth=3 times=1' 'exit!=0' -- \
	"$KINDS" threads 2 >/dev/null 2>&1
run=$(echo runs/*)
as cp "$run/evidence.json" kept.json
spoiled() { # STATUS JQ-EDIT
	as jq "$2" kept.json >spoiled.json && as cp spoiled.json "$run/evidence.json" &&
		exits "$1" as "$MISHAP" report --run-dir "$T/w/runs"
}
it "as it was: PASS" spoiled 0 .
it "a guardian that was lost: INVALID" spoiled 5 '.books.notify_lost = 1'
it "a matching call that couldn't be acted on: INCONCLUSIVE" spoiled 3 \
	'.books.undone[0].n = 1'
it "a call of another ABI: INCONCLUSIVE" spoiled 3 '.books.foreign = 1'
it "a firing that no event tells of: INVALID" spoiled 5 '.books.fired[0].n = 2'

it "nothing of ours is left" gone "$T/bin/mishap"
