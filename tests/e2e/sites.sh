#!/bin/bash
# sites.sh - the site door under real programs, with a hook that only counts.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/sites/lib.sh"
KINDS=$TARGETS/sites_kinds

it "the door builds with another hook" sites_build
[ -x "$T/libhook.so" ] && [ -x "$T/prepare" ] || exit 1
it "plans are made for what sort loads" \
	says 'libc.so.6: .* 0 left' "$T/prepare" "$PLANS" target sort
for p in curl sqlite3 git perl node /usr/bin/python3; do
	"$T/prepare" "$PLANS" target "$p" >"$T/.plans" 2>&1
	sed 's/^/# /' "$T/.plans" | sort -u | head -n 4
done | sort -u

# ---- it is really there ----------------------------------------------------
# has FIELD OPERATOR N - a figure of the last hooked run.
has() {
	local n
	n=$(counted "$1")
	echo "$1 is $n"
	[ "$n" "$2" "$3" ]
}
refuses_writes() {
	hooked all fail sh -c 'echo hello' >"$T/said" 2>/dev/null
	local rc=$?
	[ ! -s "$T/said" ] && [ "$rc" != 0 ]
}
it "a hook that refuses every write is obeyed: echo fails" refuses_writes
it "most sites of libc and ld.so are patched, none is left" eval \
	'hooked none pass true && has patched -gt 400 && has left -eq 0 &&
	has calls -eq 0'

# ---- nothing changes -------------------------------------------------------
mkdir "$T/tree" && cp -r "$ROOT/core" "$ROOT/docs" "$T/tree" 2>/dev/null
seq 1 200000 | sort -R --random-source=/dev/zero >"$T/numbers"
# same COMMAND… - stdout, stderr and status are the same bare, disarmed, with
# the hook letting all pass, and with the hook making every call itself.
same() {
	local how
	"$@" >"$T/bare.out" 2>"$T/bare.err"
	echo $? >>"$T/bare.err"
	for how in 'none pass' 'all pass' 'all around'; do
		hooked $how "$@" >"$T/hook.out" 2>"$T/hook.err"
		echo $? >>"$T/hook.err"
		cmp "$T/bare.out" "$T/hook.out" &&
			cmp "$T/bare.err" "$T/hook.err" || {
			echo "under: $how"
			diff "$T/bare.err" "$T/hook.err" | head -n 20
			return 1
		}
		has mismatches -eq 0 && has others -eq 0 || return
		[ "$how" = 'none pass' ] || has calls -gt 5 || return
	done
}
it "sort sorts the same" same sort -S 1M -T "$T" "$T/numbers"
it "cp copies the same" same sh -c \
	"rm -rf '$T/copy' && cp -r '$T/tree' '$T/copy' && ls -R '$T/copy'"
it "tar and gzip pack the same" same sh -c \
	"cd '$T/tree' && tar --sort=name --mtime=@0 -cf - . | gzip -n | sha256sum"
it "sqlite3 answers the same" same sh -c \
	"rm -f '$T/db'; seq 1 500 | sed 's/.*/insert into t values(&);/' |
	(echo 'create table t(x); begin;'; cat; echo 'commit; select sum(x) from t;') |
	sqlite3 '$T/db'; sqlite3 '$T/db' 'select count(*) from t'"
it "perl reads and writes the same" same perl -e \
	'open F, "<", $ARGV[0]; while (<F>) { $s += $_ } print "$s\n"; exec "echo", "done"' \
	"$T/numbers"
it "python3 with threads and children says the same" same /usr/bin/python3 -c '
import subprocess, threading, socket, asyncio
a, b = socket.socketpair()
t = threading.Thread(target=lambda: b.sendall(b"x" * 100000)); t.start()
n = 0
while n < 100000: n += len(a.recv(4096))
t.join(); print(n, subprocess.run(["sh", "-c", "echo in; exit 3"]).returncode, flush=True)
async def f(): await asyncio.sleep(0.01); return 5
print(asyncio.run(f()))'
with node it "node says the same" same node -e '
const fs = require("fs");
fs.promises.readFile(process.argv[1]).then(d => {
	console.log(d.length);
	require("child_process").exec("echo child", (e, o) => console.log(o));
})' "$T/numbers"
it "git commits the same" same sh -c \
	"rm -rf '$T/repo' && cp -r '$T/tree' '$T/repo' && cd '$T/repo' &&
	export HOME='$T' GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' &&
	git init -q && git add . && git -c user.name=a -c user.email=b commit -qm x &&
	git log --format=%H && git clone -q . ../repo2 && rm -rf ../repo2"
it "bash with pipes and a heredoc says the same" same bash -c \
	'for i in 1 2 3; do echo $i | tr 1-3 a-c; done; cat <<<"$(seq 1 1000 | wc -l)"'
port=$(free_port)
/usr/bin/python3 -m http.server --bind 127.0.0.1 -d "$T/tree" "$port" \
	>/dev/null 2>&1 &
pids+=($!)
until_true 5 curl -s "http://127.0.0.1:$port/"
it "curl fetches the same" same curl -sS "http://127.0.0.1:$port/core/"
it "children, threads, handlers and jumps out of them behave the same" \
	same "$KINDS"

# ---- how much is seen ------------------------------------------------------
# sees PERCENT COMMAND… - of what strace sees.
sees() {
	local percent=$1 hook
	shift
	hook_with all pass "" # -E: strace itself isn't hooked
	"${hook[@]}" strace -f -qq -E LD_PRELOAD="$T/libhook.so" \
		-o "$T/strace" "$@" >/dev/null 2>&1
	/usr/bin/python3 "$SITES/missed.py" "$T/strace" "$COUNTS" "$percent" |
		tee "$T/share"
	[ "${PIPESTATUS[0]}" = 0 ]
}
share() { # PERCENT NAME COMMAND…
	local percent=$1 name=$2
	shift 2
	: >"$T/share"
	it "the hook sees at least $percent % of $name's system calls" \
		sees "$percent" "$@"
	echo "#   $name: $(head -n 1 "$T/share")"
}
if strace -qq -o /dev/null true 2>/dev/null; then
	share 99 sort sort -S 1M -T "$T" "$T/numbers"
	share 99 cp cp -r "$T/tree" "$T/copy2"
	share 99 sqlite3 sqlite3 "$T/db" 'select sum(x) from t'
	share 99 curl curl -sS "http://127.0.0.1:$port/core/"
	share 99 kinds "$KINDS"
	share 96 python3 /usr/bin/python3 -c 'import json, subprocess
subprocess.run(["true"])'
	share 96 perl perl -e 'open F, "<", "/etc/passwd"; print while <F>'
	share 96 git git -C "$T/repo" log --stat
	command -v node >/dev/null &&
		share 96 node node -e 'require("fs").readdirSync("/")'
else
	skip "the hook's count against strace's" "strace can't trace here"
fi

# ---- what must be refused, what may be in the way --------------------------
mkdir "$T/spoilt"
libc=$(ldd /bin/true | sed -n 's/.*=> \(.*libc.so.6\) .*/\1/p')
"$T/prepare" "$T/spoilt" spoil "$libc"
mismatch() {
	[ "$(SITES_DIR=$T/spoilt hooked all fail echo whole)" = whole ] &&
		has mismatches -eq 1 && has patched -eq 0 && has calls -eq 0
}
it "a plan whose bytes don't match touches nothing" mismatch
no_plan() {
	mkdir -p "$T/empty"
	[ "$(SITES_DIR=$T/empty hooked all fail echo whole)" = whole ] &&
		has others -eq 1 && has patched -eq 0
}
it "without a plan nothing is touched" no_plan
torn() {
	mkdir -p "$T/torn"
	for f in "$PLANS"/*.sites; do
		head -c 20000 "$f" >"$T/torn/${f##*/}"
	done
	[ "$(SITES_DIR=$T/torn hooked all fail echo whole)" = whole ] &&
		has patched -eq 0
}
it "a torn plan touches nothing" torn
mdwe='import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0): sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])'
if /usr/bin/python3 -c "$mdwe" true; then
	it "memory that may not become executable (PR_SET_MDWE) is no obstacle" eval \
		'[ "$(hooked all pass /usr/bin/python3 -c "$mdwe" ls "$T/tree")" = \
		"$(ls "$T/tree")" ] && has others -eq 0 && has calls -gt 5'
else
	skip "memory that may not become executable" "no PR_SET_MDWE here"
fi
text_is_clean() {
	hooked all pass /usr/bin/python3 -c 'import re
for line in open("/proc/self/maps"):
    if re.search(r"^\S+ .w.?x", line): print(line)' >"$T/wx"
	cat "$T/wx"
	[ ! -s "$T/wx" ]
}
it "no memory is writable and executable" text_is_clean

# ---- who looks at it from outside ------------------------------------------
# A program that blocks in read; its stack, seen by gdb, must lead to main.
cat >"$T/blocks.c" <<'END'
#include <unistd.h>
static int inner(int fd) { char c; return (int)read(fd, &c, 1) + 1; }
int main(int argc, char **argv)
{
	int p[2];
	(void)argv;
	if (pipe(p) || (argc < 2 && write(p[1], "x", 1) != 1)) return 1;
	return inner(p[0]) + 2;
}
END
cc -g -O0 -o "$T/blocks" "$T/blocks.c"
stack() {
	local hook pid
	hook_with all "$1"
	"${hook[@]}" "$T/blocks" really &
	pid=$!
	pids+=("$pid")
	until_true 5 grep -q '^0 .*' "/proc/$pid/syscall"
	until_true 5 grep -q blocks "/proc/$pid/comm"
	sleep 0.2
	gdb -q -batch -nx -p "$pid" -ex bt >"$T/bt" 2>&1
	kill "$pid"
	wait "$pid" 2>/dev/null
	cat "$T/bt"
	grep -q ' inner ' "$T/bt" && grep -q ' main ' "$T/bt"
}
# ... and at every single instruction on the way through stub and hook.
stepped() {
	local hook
	hook_with all "$1"
	"${hook[@]:0:5}" gdb -q -batch -nx \
		-ex "set exec-wrapper env LD_PRELOAD=$T/libhook.so" \
		-x "$SITES/steps.py" "$T/blocks" >"$T/steps" 2>&1
	tail -n 3 "$T/steps"
	grep -Eq '^[0-9]{3,} steps, 0 of them lost' "$T/steps" &&
		grep -q "^through: .*$2" "$T/steps"
}
if command -v gdb >/dev/null; then
	it "gdb unwinds from a call that runs in place" stack pass
	it "gdb unwinds through the hook to main" stack around
	it "it unwinds at each instruction, when the call is let pass" \
		stepped pass site_slow
	it "it unwinds at each instruction of the quick pass" \
		stepped quick site_slow
	it "it unwinds at each instruction, when the hook makes the call" \
		stepped around around_call
else
	skip "stacks seen by gdb" "no gdb"
fi

# ---- what it costs ---------------------------------------------------------
start_up() { # a cached plan: runner's half, then the target's half
	local n=0 us=999999 t ns
	for _ in 1 2 3 4 5; do
		t=$("$T/prepare" "$PLANS" time sort)
		[ "$t" -lt "$us" ] && us=$t
	done
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		hooked none pass true
		t=$(counted patch_ns)
		[ "$n" = 0 ] || [ "$t" -lt "$ns" ] && ns=$t
		n=1
	done
	echo "$us $ns" >"$T/cost"
	[ "$us" -lt 200000 ] && [ "$ns" -lt 5000000 ]
}
it "a cached plan costs little at start" start_up
read -r us ns <"$T/cost"
echo "#   runner: $us us for all libraries, each process: $((ns / 1000)) us"
