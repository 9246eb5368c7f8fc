#!/bin/bash
# watch - the probes alone: every call of a target and of all its descendants is
# counted once, by number, site and way; nobody else's is.  The library's own
# count is beside it (guest_run -w), and both agree to the call.
. "$(dirname "$0")/lib.sh"
PROBES=$ROOT/build/mishap-watch
GUEST=$BUILD/tests/guest_run
COMPARE=$ROOT/tests/e2e/watch_books.py
here=$ROOT/build

skip_all() { # what every test below would rest on
	skip "the probes' count of calls" "$1"
	exit
}
[ -x "$PROBES" ] || skip_all "mishap-watch isn't built: clang, llvm, bpftool or libbpf-dev is missing"
MISHAP=$here/mishap # which the probes stand beside
"$MISHAP" watch --json /dev/null -- true 2>"$T/why" ||
	skip_all "no probes: $(sed 's/.*unobserved: //' "$T/why" | head -n 1)"

# books WANT... -- COMMAND...: run it under the library and the probes.
books() {
	local want=()
	while [ "$1" != -- ]; do
		want+=("$1")
		shift
	done
	shift
	rm -rf "$T/sites" && mkdir "$T/sites"
	"$MISHAP" watch --json "$T/watch" --groups life,sys --sites "$T/sites" \
		-- "$GUEST" -w "$T/sites" -o "$T/books" -- "$@" >/dev/null ||
		{ [ $? = 77 ] && return 77; return 1; }
	/usr/bin/python3 "$COMPARE" "$T/watch" "$T/books" "${want[@]}"
}
E=$TARGETS/escapes

it "1403 writes by libc: all came by the door" \
	books marked:write=1403 -- "$E" libc 1403
it "300 lines by stdio" books marked:write=300 -- "$E" stdio 300
it "200 calls by syscall(3)" books marked:getppid=200 -- "$E" raw 200
it "50 calls by an instruction of the program's own" \
	books marked:getppid=50 -- "$E" asm 50
it "500 calls from code that was written at run time: all escaped" \
	books escaped:getppid=500 -- "$E" code 500
it "the site of an escape is told" sh -c "grep -c '\"file\":\"\[anonymous\]\"' '$T/watch'"
it "a handler that writes while a read is restarted: one read, 20 writes" \
	books marked:write=21 marked:read=1 -- "$E" handler 20
it "20 reads that a handler ends with EINTR are 20, and the one after" \
	books marked:write=21 marked:read=21 -- "$E" eintr 20
it "8 threads at one site" books marked:write=4000 -- "$E" threads 500
it "children of vfork are told apart" \
	books vfork:write=10 -- "$E" vfork 10
it "children of posix_spawn, before their exec and after" \
	books marked:write=5 -- "$E" spawn 5
it "a real program that starts others" \
	books -- sh -c 'ls -l /usr/bin | sort | tail -n 3; cat /proc/self/maps'

if "$E" uring 1; then
	it "30 operations of io_uring" books uring:nop=30 -- "$E" uring 30
else
	skip "operations of io_uring" "there is no io_uring here"
fi
if (ulimit -c 0; "$E" old 1) 2>/dev/null; then
	it "77 calls by int 0x80, which have other numbers" \
		books escaped:i386:64=77 -- "$E" old 77
else
	skip "calls by int 0x80" "this kernel knows none (CONFIG_IA32_EMULATION)"
fi

gcc -O1 -static -D_GNU_SOURCE -pthread "$ROOT/tests/targets/escapes.c" \
	-o "$T/still" 2>/dev/null
it "a static child: its 500 writes are all counted, as never reached" \
	books exe:still/write=500 -- sh -c "'$T/still' libc 500; true"
cat >"$T/go.go" <<'END'
package main

import "syscall"

func main() {
	fd, _ := syscall.Open("/dev/null", syscall.O_WRONLY, 0)
	for i := 0; i < 500; i++ {
		syscall.Write(fd, []byte("x"))
	}
}
END
if command -v go >/dev/null && GOCACHE=$T/cache GOFLAGS=-mod=mod \
	CGO_ENABLED=0 go build -o "$T/gone" "$T/go.go" 2>/dev/null; then
	it "a Go child: its 500 writes" \
		books exe:gone/write=500 -- sh -c "'$T/gone'; true"
	chmod -R u+w "$T/cache" 2>/dev/null
else
	skip "a Go child" "go isn't installed"
fi

it "the comparison bites: one call more in the books is seen" sh -c "
	awk '/^seen/ && !n++ { \$3++ } { print }' '$T/books' >'$T/spoiled'
	! /usr/bin/python3 '$COMPARE' '$T/watch' '$T/spoiled'"

# A family of 187 processes and the decoy beside it, both at once.
family() {
	local decoy rc
	"$TARGETS/tree" 2 1000 &
	decoy=$!
	"$MISHAP" watch --json "$T/tree" --groups life,sys -- "$TARGETS/tree" 3 10
	rc=$?
	kill -0 $decoy || echo "the decoy ended before"
	wait $decoy
	[ $rc = 0 ] || return 1
	tail -n 1 "$T/tree" >"$T/end"
	cat "$T/end" | cut -c 1-300
	[ "$(jq '[.calls[] | select(.call == "sched_get_priority_max").total] | add' "$T/end")" = 4680 ] &&
		[ "$(jq .processes.forks "$T/end")" = 186 ] &&
		[ "$(jq .processes.exits "$T/end")" -ge 186 ] &&
		[ "$(jq '.lost | length' "$T/end")" = 0 ]
}
it "a family of 187 processes beside a decoy: 4680 of 4680 calls, none else" family

killed() {
	"$MISHAP" watch --json "$T/killed" --groups life -- \
		sh -c 'sh -c "kill -SEGV \$\$"; exit 3'
	[ $? = 3 ] && jq -s -e '
		any(.event == "exit" and .signal == 11) and
		any(.event == "signal" and .signal == 11 and .sender_name == "sh") and
		any(.event == "exit" and .status == 3)' "$T/killed"
}
it "exits are told with status and signal, signals with their sender" killed

connects() {
	local port
	port=$(free_port)
	"$MISHAP" watch --json "$T/net" --groups life,net -- /usr/bin/python3 -c "
import socket
for i in range(7):
    s = socket.socket()
    try: s.connect(('127.0.0.1', $port))
    except ConnectionRefusedError: pass
    s.close()
l = socket.socket(); l.bind(('127.0.0.1', $port)); l.listen()
for i in range(5):
    c = socket.create_connection(('127.0.0.1', $port)); a, _ = l.accept()
    a.close(); c.close()"
	tail -n 1 "$T/net" >"$T/end"
	[ -s "$T/end" ] || return 1
	jq -c .peers "$T/end"
	jq -e ".peers[] | select(.incoming | not) | select(.port == $port)
		| .attempts == 12 and .failed == 7 and .established == 5" "$T/end" &&
		jq -e ".peers[] | select(.incoming) | .port == $port and .attempts == 5" "$T/end"
}
it "connections by peer: 7 refused, 5 taken, and 5 that came in" connects

running() {
	local pid
	timeout 60 sh -c 'yes >/dev/null; true' & # and its descendants
	pid=$!
	pids+=($pid)
	"$MISHAP" watch --json "$T/pid" --interval 200ms --groups life,sys --pid $pid &
	local watcher=$!
	until_true 20 grep -q '"call":"write"' "$T/pid"
	kill -TERM $watcher # a background job's SIGINT is ignored
	wait $watcher || return 1
	kill -0 $pid || return 1 # it goes on
	kill $pid
	tail -n 1 "$T/pid" | jq -e '.type == "end" and (.calls[] | select(.call == "write").total > 100)'
}
it "a process that runs is watched with --pid, and goes on afterwards" running

it "nobody else's process is followed by a watcher with capabilities" \
	sh -c "cp '$PROBES' '$T/capable' && chmod 755 '$T/capable' &&
	{ setcap cap_bpf,cap_perfmon,cap_net_admin+ep '$T/capable' 2>/dev/null || exit 0; } &&
	{ printf '1 adopt 1\n2 stop\n'; sleep 1; } |
	setpriv --reuid=65534 --clear-groups '$T/capable' --no-cgroup | od -An -tx1 | tr -d ' \n' |
	grep -q ffffffff"
it "without rights it says so, and what would help; status 3" \
	sh -c "[ \$(id -u) != 0 ] || {
	setpriv --reuid=65534 --clear-groups '$MISHAP' watch -- true 2>'$T/said'
	[ \$? = 3 ] && grep -q 'unobserved: .*setcap cap_bpf' '$T/said'; }"
it "a group's skeleton has less than 100 KB" sh -c "
	ls '$ROOT'/build/bpf/*.skel.h | grep -q sys &&
	! find '$ROOT/build/bpf' -name '*.skel.h' -size +99999c | grep ."
it "nothing is left behind: no cgroup, no probe" sh -c "
	! find /sys/fs/cgroup -maxdepth 4 -name 'mishap-watch-*' 2>/dev/null | grep -q ."
