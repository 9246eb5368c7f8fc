#!/bin/bash
# mix.sh - threads, fork, vfork, spawn, exec, dlopen, signals and cancellation
# at once, each checking what it gets (tests/targets/stress_mix.c): bare, under
# rules, built with ASan, on two other allocators, under gdb and valgrind.
# STRESS_SECONDS: for each (default 300).
. "$(dirname "$0")/../e2e/lib.sh"
seconds=${STRESS_SECONDS:-300}
plugins=("$BUILD/stack/plugin_a.so" "$BUILD/stack/plugin_b.so")
lib=/usr/lib/$(cc -print-multiarch)
mkdir -m 777 place
: >place/good
: >place/bad
chmod 666 place/*
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}
chmod 777 .
faults=(-f "write path=$T/place/bad fail=EIO")
slow=(-f 'read,recv,poll,nanosleep delay=100us p=20%'
	-f "open path=$T/place/* delay=50us p=10%"
	-f 'write frame=handler delay=20us p=5%'
	-f 'wait4 delay=1ms p=10% per=thread')
never=(-f 'file path=/never/** delay=1s'
	-f 'net peer=192.0.2.1:1 delay=1s'
	-f 'alloc nth=4000000000 delay=1s'
	-f 'time,proc nth=4000000000 delay=1s'
	-f 'read,recv,poll,write late=EIO nth=4000000000')
mix=("$TARGETS/stress_mix")

# told EXIT JQ - the last run's books; EXIT of the target's.
told() {
	cat runs/*/stdout runs/*/stderr | tail -n 5
	jq -c '[.verdict, .reasons, .books, .target]' runs/*/report.json
	jq -e '.target.exit == 0 and .books.unresolved == 0 and
		.books.lapses == 0 and .books.processes_lost == 0 and
		.books.events_lost == 0 and '"$1" runs/*/report.json >/dev/null
}
run() { # COMMAND… under rules
	rm -rf runs
	as_nobody timeout $((seconds * 2 + 300)) "$MISHAP" run -q --run-dir "$T/runs" \
		--timeout $((seconds * 2 + 240))s "${rules[@]}" \
		--expect exit==0 --expect signal==none -- "$@"
}
storm() { # JQ ENV… - under rules, with what stands before the command
	local jq=$1
	shift
	run env "$@" "${mix[@]}" "$T/place" "$seconds" "${plugins[@]}"
	told "$jq"
}

it "bare, the mix finds nothing wrong" \
	as_nobody "${mix[@]}" "$T/place" $((seconds / 10 + 1)) "${plugins[@]}"
bites() { ! STRESS_FAULTS=1 "${mix[@]}" "$T/place" 1; }
it "it bites: a fault that doesn't come is seen" bites
rules=("${faults[@]}" "${slow[@]}")
it "faults and delays: each comes just where it shall" \
	storm '.books.fired > 100' STRESS_FAULTS=1
rules=("${never[@]}")
it "armed for every call, never matching" \
	storm '.books.fired == 0' STRESS_THREADS=2
rules=("${faults[@]}")
both=$lib/libjemalloc.so.2:$(ls "$lib"/libmimalloc.so.2* 2>/dev/null | head -n 1)
if [ -e "$lib/libjemalloc.so.2" ] && [ "${both##*:}" ]; then
	it "jemalloc and mimalloc preloaded together, ours behind them" \
		storm '.books.fired > 100' STRESS_FAULTS=1 LD_PRELOAD="$both"
	rules+=(-f 'malloc,calloc,realloc delay=20us p=0.1%')
	it "... and ours before them, rules on malloc" \
		storm '.books.fired > 100' STRESS_FAULTS=1 \
		LD_PRELOAD="$BUILD/libmishap.so:$both"
else
	skip "jemalloc and mimalloc together" "they aren't both installed"
fi

rules=("${faults[@]}" "${slow[@]}")
if cc -O1 -g -fsanitize=address -D_GNU_SOURCE -pthread -o mix_asan \
	"$ROOT/tests/targets/stress_mix.c" -ldl 2>asan.err; then
	mix=("$T/mix_asan")
	it "built with AddressSanitizer" storm '.books.fired > 100' \
		STRESS_FAULTS=1 ASAN_OPTIONS=detect_leaks=0:exitcode=23 \
		LD_PRELOAD="$(cc -print-file-name=libasan.so)"
	mix=("$TARGETS/stress_mix")
else
	skip "built with AddressSanitizer" "it can't be built here"
fi

# gdb comes, looks at every thread's stack, and goes again.
debugged() {
	local job pid looks=0 frames
	rm -f pid
	run env STRESS_FAULTS=1 sh -c 'echo $$ >pid.new && mv pid.new pid &&
		exec "$@"' sh "${mix[@]}" "$T/place" "$seconds" "${plugins[@]}" \
		>ran 2>&1 &
	job=$!
	until_true 20 test -s pid || return 1
	pid=$(cat pid)
	sleep 2
	while kill -0 "$pid" 2>/dev/null; do
		timeout 60 gdb -nx -batch -p "$pid" \
			-ex 'thread apply all bt 40' >bt 2>bt.err
		frames=$(grep -cE ' (work|block|main) \(' bt)
		[ "$frames" -ge 8 ] && looks=$((looks + 1))
		sleep 0.5
	done
	wait "$job"
	cat ran
	echo "$looks looks"
	[ "$looks" -ge 1 ] && told '.books.fired > 100'
}
attaches() {
	as_nobody sleep 30 &
	local pid=$!
	pids+=("$pid")
	sleep 0.2
	gdb -nx -batch -p "$pid" -ex bt >bt 2>&1 && grep -q '^#0' bt
}
if command -v gdb >/dev/null && attaches; then
	it "gdb attaches again and again, and sees every stack" debugged
else
	skip "gdb attaches again and again" "gdb can't attach here"
fi

# A program after another; valgrind itself is static, which is said.  (It comes
# to a stop in the mix, with us or without.)
grinds() {
	cp "$ROOT/tools/valgrind.supp" supp && chmod a+r supp || return
	local n=0 end=$((SECONDS + seconds))
	rules=(-f "fdatasync,fsync path=$T/place/* fail=EIO nth=3"
		-f 'malloc delay=1us p=1%')
	while [ "$SECONDS" -lt "$end" ]; do
		rm -f place/db*
		rm -rf runs
		as_nobody timeout -k 5 120 "$MISHAP" run -q --run-dir "$T/runs" \
			--timeout 100s "${rules[@]}" --expect 'exit!=0' -- \
			valgrind -q --smc-check=all --error-exitcode=9 \
			--suppressions="$T/supp" sqlite3 \
			-bail "$T/place/db" 'create table t(a);
			insert into t values(1); insert into t values(2);' \
			>ran 2>&1
		n=$((n + 1))
		cat ran runs/*/stderr
		jq -e '.target.exit > 0 and .target.exit != 9 and .books.unresolved == 0 and
			.rules[0].fired == 1' runs/*/report.json || return 1
	done
	echo "$n runs"
	grep -q 'disk I/O error' runs/*/stderr && ! grep -q '^==' runs/*/stderr
}
with valgrind it "under valgrind: no error, and the faults come" grinds
