#!/bin/bash
# Other allocators, early allocations, many forks, many threads.
. "$(dirname "$0")/lib.sh"
RUN=$BUILD/tests/guest_run
LIB=$BUILD/libmishap.so
armed() {
	timeout 120 "$RUN" -o "$T/books" -r 'malloc,calloc,realloc nth=4000000000 fail=ENOMEM' \
		-r 'write,read path=/never fail=EIO' "$@"
}
program='import json, threading
d = {str(i): list(range(i % 50)) for i in range(20000)}
ts = [threading.Thread(target=json.dumps, args=(d,)) for _ in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]; print(len(json.dumps(d)))'
want=$(/usr/bin/python3 -c "$program")
right() { # PRELOAD: what python prints under it
	local got
	got=$(LD_PRELOAD=$1 armed -- /usr/bin/python3 -c "$program")
	[ "$got" = "$want" ] || {
		echo "got $got"
		return 1
	}
}
sees_malloc() { grep -q '^rule 0 matched=[1-9]' books; }
for name in jemalloc.so.2 mimalloc.so.2.0 mimalloc.so.2; do
	other=$(ls /usr/lib/x86_64-linux-gnu/lib$name 2>/dev/null | head -n 1)
	[ -n "$other" ] || continue
	it "python3 on $name, ours behind it" right "$other"
	it "python3 on $name, ours before it" right "$LIB:$other"
	it "... where we see its allocations" sees_malloc
done
fails_there() {
	LD_PRELOAD=$LIB:/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 timeout 60 \
		"$RUN" -o books -r 'malloc size=7777 fail=ENOMEM' -- \
		"$TARGETS/guest_pairs" malloc 3 && grep -q '^rule 0' books
}
[ -e /usr/lib/x86_64-linux-gnu/libjemalloc.so.2 ] &&
	it "a program on jemalloc starts and ends" fails_there

redis() { # linked with jemalloc itself
	local port pid
	port=$(free_port)
	armed -- redis-server --port "$port" --save '' --daemonize no \
		--dir "$T" >redis.log 2>&1 &
	pid=$!
	pids+=("$pid")
	until_true 10 redis-cli -p "$port" ping || return 1
	redis-benchmark -p "$port" -n 5000 -c 10 -q -t set,get >/dev/null || return 1
	redis-cli -p "$port" bgsave >/dev/null
	sleep 0.3
	redis-cli -p "$port" shutdown nosave
	wait "$pid"
	[ "$(grep -c '^process' books)" -ge 2 ] && sees_malloc
}
if command -v redis-server >/dev/null; then
	it "redis-server on jemalloc serves, forks and ends" redis
fi

forks() {
	armed -- bash -c 'n=0; for i in $(seq 300); do x=$(echo $i | cat);
		n=$((n + x)); done; echo $n' >said || return 1
	grep -qx 45150 said && [ "$(grep -c '^process' books)" -ge 600 ] &&
		grep -q 'processes_lost=0' books
}
it "900 forks and execs come and go" forks

cat >threads.py <<'END'
import threading
n = 0
lock = threading.Lock()
def work():
    global n
    x = [bytes(i) for i in range(200)]
    with lock:
        n += len(x)
for _ in range(20):
    ts = [threading.Thread(target=work) for _ in range(50)]
    [t.start() for t in ts]
    [t.join() for t in ts]
print(n)
END
threads() { [ "$(armed -- /usr/bin/python3 threads.py)" = 200000 ]; }
it "1000 threads come and go" threads

ends_somehow() { # every early allocation failed in turn: an end, not a hang
	local n rc
	for n in $(seq 1 40); do
		timeout 20 "$RUN" -o books -r "malloc,calloc,realloc fail=ENOMEM nth=$n" \
			-- setpriv --reuid=65534 --regid=65534 --clear-groups \
			/usr/bin/python3 -c 'print(1)' >/dev/null 2>&1
		rc=$?
		[ "$rc" != 124 ] && [ "$rc" != 137 ] || return 1
		grep -q '^rule 0 matched=[0-9]* fired=[1-9]' books || return 1
	done
}
[ "$(id -u)" = 0 ] && it "each of the first allocations may fail" ends_somehow
