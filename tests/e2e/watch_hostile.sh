#!/bin/bash
# watch_hostile.sh - the probes where things go wrong: a watcher that falls behind,
# targets that are gone at once or leave their cgroup, two runs side by side, no
# rights, no mishap-watch; and what else a run may rest on them for.
. "$(dirname "$0")/lib.sh"
PY=/usr/bin/python3

# ---- without it --------------------------------------------------------------------
one_line() { # what can't be built is said once, and the rest is
	env -u MAKEFLAGS -u MAKELEVEL make -C "$ROOT" -n -W bpf/say.h CLANG=/nonexistent BUILD="$T/none" all \
		>"$T/made" 2>&1 || return 1
	[ "$(grep -c SKIP "$T/made")" = 1 ] &&
		grep -q 'SKIP    mishap-watch, the probes: missing clang' "$T/made" &&
		grep -q "$T/none/mishap" "$T/made" &&
		! grep -q 'none/mishap-watch' "$T/made"
}
it "without clang the build says one SKIP line, and goes on" one_line

mkdir "$T/bare" "$T/open"
chmod 777 "$T/open"
cp "$BUILD/mishap" "$BUILD/libmishap.so" "$T/bare"
not_built() {
	(cd "$T/bare" && exits 3 "$T/bare/mishap" run --expect 'oom==none' -- true \
		>"$T/page" 2>&1) &&
		grep -q "unobserved: mishap-watch isn't there" "$T/page" &&
		(cd "$T/bare" && exits 0 "$T/bare/mishap" run --expect 'exit==0' \
			--watch full -- true >"$T/page" 2>&1) &&
		grep -q 'unobserved: ' "$T/page" &&
		exits 3 "$T/bare/mishap" watch -- true 2>"$T/page" &&
		grep -q "unobserved: mishap-watch isn't there" "$T/page"
}
it "without mishap-watch what rests on it is unobserved, all else stands" not_built

nobody() {
	if [ "$(id -u)" = 0 ]; then
		(cd "$T/open" && setpriv --reuid=65534 --regid=65534 --clear-groups \
			--inh-caps=-all --bounding-set=-all "$@")
	else
		(cd "$T/open" && "$@")
	fi
}
mkdir -p "$T/plain"
cp "$BUILD/mishap" "$BUILD/libmishap.so" "$T/plain"
[ ! -x "$BUILD/mishap-watch" ] || cp "$BUILD/mishap-watch" "$T/plain"
demo() { # the line of the demo that only probes can judge
	exits 3 nobody timeout -k 5 60 "$T/plain/mishap" run --sandbox \
		"$ROOT/scenarios/library/answers-before-sync.yaml" \
		--var appendfsync=everysec >"$T/page" 2>&1 ||
		{ cat "$T/page" && return 1; }
	tr -s ' \n' ' ' <"$T/page" >"$T/text"
	grep -q 'unobserved: it takes root, or: sudo setcap' "$T/text"
}
if [ ! -x "$BUILD/mishap-watch" ]; then
	skip "the demo's verdict without rights" "mishap-watch isn't built"
elif ! nobody test -r "$ROOT/scenarios/library/answers-before-sync.yaml"; then
	cp -r "$ROOT/scenarios" "$T/plain"
	ROOT=$T/plain
	with redis-server it "the demo's verdict without rights: unobserved, and how to get it" demo
else
	with redis-server it "the demo's verdict without rights: unobserved, and how to get it" demo
fi

# ---- growth, which needs no rights ---------------------------------------------------
cat >"$T/grow.py" <<'END_PY'
import sys, threading, time
what, n = sys.argv[1], int(sys.argv[2])
open(sys.argv[3], "w").close()
kept = []
time.sleep(0.5) # it is ready, and looked at
for i in range(n):
    if what == "fds": kept.append(open("/dev/null"))
    elif what == "rss": kept.append(bytearray(1 << 20))
    else: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
time.sleep(60)
END_PY
grows() { # WHAT N LIMIT: expected exit
	rm -f "$T/up"
	timeout -k 5 60 "$MISHAP" run --run-dir "$T/runs" --ready "file:$T/up" \
		--phase 'work 2s' --expect "$1<=$3" -- $PY "$T/grow.py" "$1" "$2" "$T/up"
}
for pair in fds:20:5 threads:6:2 rss:48:16MiB; do
	IFS=: read -r what n limit <<<"$pair"
	it "$what: a service that keeps what it has" exits 0 grows "$what" 1 "$limit"
	it "$what: one that grows" exits 1 grows "$what" "$n" "$limit"
done

why=$(probes_why)
if [ -n "$why" ]; then
	skip "probes where things go wrong" "$why"
	exit
fi
run() {
	timeout -k 5 60 "$MISHAP" run --run-dir "$T/runs" --json "$T/json" "$@"
}
json() { jq -e "$1" "$T/json"; }
seen() { json "[.expectations[], .checks[]] | any(.seen | test(\"$1\"))"; }

# ---- a watcher that falls behind -------------------------------------------------------
cat >"$T/flood.py" <<'END_PY'
import os, signal, sys
def children(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        yield from open(f"/proc/{pid}/task/{task}/children").read().split()
def name(pid):
    return open(f"/proc/{pid}/comm").read().strip()
runner = os.getppid()
while name(runner) != "mishap":
    runner = int(open(f"/proc/{runner}/stat").read().rsplit(")")[1].split()[1])
watcher = [int(c) for c in children(runner) if name(c) == "mishap-watch"][0]
signal.signal(signal.SIGUSR1, lambda *_: None)
os.kill(watcher, signal.SIGSTOP)
for i in range(int(sys.argv[1])): os.kill(os.getpid(), signal.SIGUSR1)
os.kill(watcher, signal.SIGCONT)
END_PY
it "a watcher that is stopped for a moment loses nothing" exits 0 \
	run --expect 'exits==0' -- $PY "$T/flood.py" 50
overflow() {
	exits 3 run --expect 'exits==0' -- $PY "$T/flood.py" 60000 &&
		seen "([0-9]+ records of the probes 'life' were lost|mishap-watch stalled)"
}
it "a ring that runs over is counted, and INCONCLUSIVE" overflow

# ---- targets -----------------------------------------------------------------------------
gone() {
	for i in 1 2 3; do
		exits 0 run --watch full --expect 'exits==0' -- true || return 1
		json '.watch.exits | length == 1' || return 1
	done
	exits 1 run --expect 'exits==0' -- false
}
it "a target that ends at once is seen" gone
beside() { # each sees its own alone
	local n
	for n in 300 500; do
		"$MISHAP" watch --json "$T/beside.$n" --groups life,sys -- \
			"$TARGETS/escapes" raw $n &
		pids+=($!)
	done
	wait "${pids[@]: -2}"
	for n in 300 500; do
		[ -s "$T/beside.$n" ] || return 1
		tail -n 1 "$T/beside.$n" | jq -e "[.calls[] | select(.call == \"getppid\").total]
			== [$n] and .processes.exits == 1" || return 1
	done
}
it "two at the same time: each sees its own, and nothing else" beside

cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/mishap-test.$$
leaves() {
	"$MISHAP" watch --json "$T/left" --groups life,sys -- sh -c \
		"echo \$\$ >$cgroup/cgroup.procs; '$TARGETS/escapes' raw 70; true"
	# 70, and the shell's own
	jq -s -e 'any(.event == "left_cgroup")' "$T/left" &&
		tail -n 1 "$T/left" | jq -e '[.calls[] | select(.call == "getppid").total] == [71]'
}
if mkdir "$cgroup" 2>/dev/null && (echo $BASHPID >"$cgroup/cgroup.procs") 2>/dev/null; then
	it "who leaves its cgroup is told, and is followed there" leaves
	until_true 5 rmdir "$cgroup"
else
	rmdir "$cgroup" 2>/dev/null
	skip "who leaves its cgroup is told, and is followed there" \
		"no cgroup can be made here"
fi

# ---- capabilities on the file ----------------------------------------------------------------
capable() { # no root, and no cgroup to write
	exits 0 nobody_capable timeout 60 "$T/capable/mishap" run --watch full \
		--json "$T/open/json" --expect 'exits==0' --expect 'oom==none' \
		-- sh -c 'ls / | sort | cat >/dev/null; true' &&
		jq -e '.watch.unobserved == null and .watch.calls["write:1"].marked >= 1
			and .watch.groups.sys.on' "$T/open/json"
}
nobody_capable() { # the bounding set stays: the file's capabilities come from it
	(cd "$T/open" && setpriv --reuid=65534 --regid=65534 --clear-groups "$@")
}
mkdir "$T/capable"
cp "$BUILD/mishap" "$BUILD/libmishap.so" "$BUILD/mishap-watch" "$T/capable"
if [ "$(id -u)" = 0 ] && setcap cap_bpf,cap_perfmon,cap_net_admin+ep \
	"$T/capable/mishap-watch" 2>/dev/null; then
	it "with capabilities on mishap-watch an ordinary user has all of it" capable
else
	skip "with capabilities on mishap-watch an ordinary user has all of it" \
		"needs root to set capabilities"
fi

# ---- retransmits, in a network of its own ------------------------------------------------------
cat >"$T/connect.py" <<'END_PY'
import socket, sys
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
s = socket.socket(); s.settimeout(2.5)
try: s.connect((sys.argv[1], 80) if len(sys.argv) > 1 else l.getsockname())
except OSError: pass
END_PY
apart() { # EXIT ADDRESS: 10.8.0.5 is reachable, and never answers
	local want=$1
	shift
	unshare -n sh -c 'ip link set lo up && ip route add 10.8.0.0/16 dev lo &&
		exec "$@"' sh timeout 60 "$MISHAP" run --run-dir "$T/runs" \
		--json "$T/json" --expect 'retransmits==0' -- $PY "$T/connect.py" "$@"
	[ $? = "$want" ]
}
if ! command -v ip >/dev/null; then
	skip "retransmits: a peer that never answers" "ip isn't installed"
elif ! unshare -n true 2>/dev/null; then
	skip "retransmits: a peer that never answers" "unshare -n is forbidden here"
else
	it "retransmits: a peer that answers" apart 0
	it "retransmits: one that never does" apart 1 10.8.0.5
fi

# ---- snap: every thread, now ---------------------------------------------------------------------
cat >"$T/threads.py" <<'END_PY'
import struct, subprocess, sys, time
watch, target = sys.argv[1], sys.argv[2:]
stuck = subprocess.Popen(target, stdout=subprocess.DEVNULL)
time.sleep(1)
w = subprocess.Popen([watch, "--groups=life,snap", "--no-cgroup"],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
w.stdin.write(f"1 adopt {stuck.pid}\n2 threads\n3 stop\n".encode()); w.stdin.flush()
said = w.stdout.read(); w.wait(); stuck.kill(); stuck.wait()
at, threads, processes = 0, [], []
while at < len(said):
    _, size, kind, _, tgid, tid, seq = struct.unpack_from("<QIHHIIQ", said, at)
    body = said[at + 32:at + size]
    if kind == 96:
        state, nr = struct.unpack_from("<c3xi", body)
        name = body[48:64].split(b"\0")[0].decode()
        threads.append((tid, state, nr, name, body[64:].split(b"\0")[0].decode()))
    if kind == 97: processes.append(struct.unpack_from("<6I", body))
    at += size
print(threads, processes)
assert len(threads) == 2 and processes[0][1] == 2, "two threads"
assert all(t[1] == b"S" and t[2] == 202 for t in threads), "asleep in futex"
assert all("futex" in t[4] for t in threads), "with their kernel stacks"
assert processes[0][2] >= 3, "its descriptors are counted"
END_PY
it "snap: two threads in a deadlock, their call and their kernel stacks" \
	$PY "$T/threads.py" "$BUILD/mishap-watch" "$TARGETS/stalls" deadlock
