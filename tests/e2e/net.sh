#!/bin/bash
# net - faults of the network, on real programs: what both sides see.
. "$(dirname "$0")/lib.sh"
PY=/usr/bin/python3

serve() { # a redis of our own: its port is $PORT
	PORT=$(free_port)
	redis-server --port "$PORT" --bind 127.0.0.1 --save '' --dir "$T" \
		--daemonize no >"$T/redis.log" 2>&1 &
	pids+=($!)
	until_true 10 redis-cli -p "$PORT" ping
}
# run RULE COMMAND…: mishap's output in $T/run.out, the target's in $D/stdout.
run() {
	local rule=$1
	shift
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" --seed 7 -f "$rule" \
		--expect 'crash==none' -- "$@" >"$T/run.out" 2>&1
	RC=$?
	D=$(echo "$T"/runs/*)
	[ "$RC" = 0 ] || tail -n 30 "$T/run.out"
}
# said RULE TEXT COMMAND…: PASS, and that is the target's output.
said() {
	local rule=$1 want=$2
	shift 2
	run "$rule" "$@"
	[ "$RC" = 0 ] && [ "$(cat "$D/stdout")" = "$want" ] || {
		echo "wanted: $want"
		cat "$D/stdout" "$D/stderr"
		return 1
	}
}

# ---- reset ------------------------------------------------------------------
cat >"$T/client.py" <<'EOF'
import errno, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def call(f, *a):
    try:
        return f(*a)
    except OSError as e:
        return errno.errorcode[e.errno]
out = []
for _ in range(3):
    out.append(call(s.send, b"PING\r\n"))
    out.append(call(s.recv, 100))
print(*out)
EOF
reset_is_sticky() {
	serve || return
	said "recv peer=127.0.0.1:$PORT reset nth=2" \
		"6 b'+PONG\\r\\n' 6 ECONNRESET EPIPE b''" \
		"$PY" "$T/client.py" "$PORT" || return
	redis-cli -p "$PORT" client list | grep -c addr= | grep -qx 1
}
with redis-server it "reset: ECONNRESET, then the end and EPIPE; the peer let go" \
	reset_is_sticky

reset_by_server() { # the client of a faulted redis is told by a real RST
	PORT=$(free_port)
	rm -rf "$T/runs"
	cat >"$T/load" <<-EOF
		#!/bin/sh
		$PY - $PORT <<-'END' >$T/seen
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		s.settimeout(5)
		try:
		    for _ in range(9):
		        s.send(b"PING\\r\\n")
		        s.recv(100)
		except OSError as e:
		    print(type(e).__name__)
		END
	EOF
	chmod 755 "$T/load"
	"$MISHAP" run --run-dir "$T/runs" --ready "tcp:127.0.0.1:$PORT" \
		--load "$T/load" -f "read side=server reset nth=3" \
		--expect 'crash==none' -- redis-server --port "$PORT" --bind \
		127.0.0.1 --save '' --dir "$T" >"$T/run.out" 2>&1 || {
		tail -n 30 "$T/run.out"
		return 1
	}
	grep -qx ConnectionResetError "$T/seen" || {
		cat "$T/seen"
		return 1
	}
}
with redis-server it "reset: a client of redis gets a real RST" reset_by_server

# ---- refused ----------------------------------------------------------------
with curl it "refused: curl hears of it as in life" \
	says "Connection refused|Couldn't connect|Failed to connect" \
	"$MISHAP" run --expect 'stderr~"Failed to connect|Couldn.t connect"' \
	-f 'connect peer=:9 fail=ECONNREFUSED' -- curl -sS -m 5 http://127.0.0.1:9/
asyncio_refused() {
	said 'connect peer=:9 fail=ECONNREFUSED' ConnectionRefusedError \
		"$PY" -c 'import asyncio
async def main():
    try:
        await asyncio.open_connection("127.0.0.1", 9)
    except OSError as e:
        print(type(e).__name__)
asyncio.run(main())'
}
it "refused: a non-blocking connect learns of it by its socket" asyncio_refused
