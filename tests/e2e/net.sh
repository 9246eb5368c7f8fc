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

# ---- a slow network ---------------------------------------------------------
# 20 clients of one thread: if the thread slept 20 ms for each answer it would
# come to 50 a second, however many there are.  tests/long/net.sh is stricter.
cat >"$T/loop.py" <<'EOF'
import asyncio, sys, time
port, clients, secs = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
ask, answer = sys.argv[4].encode().decode("unicode_escape").encode(), sys.argv[5]
took, bad = [], 0
async def one():
    global bad
    r, w = await asyncio.open_connection("127.0.0.1", port)
    end = time.monotonic() + secs
    while time.monotonic() < end:
        t = time.monotonic()
        w.write(ask)
        line = (await r.readline()).decode().strip()
        if line.startswith("HTTP"):
            while (h := await r.readline()) != b"\r\n":
                if h.lower().startswith(b"content-length:"):
                    n = int(h.split(b":")[1])
            await r.readexactly(n)
        bad += line != answer
        took.append(time.monotonic() - t)
async def main():
    t = time.monotonic()
    await asyncio.gather(*[one() for _ in range(clients)])
    t = time.monotonic() - t
    took.sort()
    print(int(len(took) / t), int(took[0] * 1e6), int(took[len(took) // 2] * 1e6), bad)
asyncio.run(main())
EOF
cat >"$T/loop.js" <<'EOF'
const net = require('net'), [port, n, secs] = process.argv.slice(2).map(Number)
let took = [], bad = 0, open = n
const t0 = Date.now(), now = () => Number(process.hrtime.bigint() / 1000n)
for (let i = 0; i < n; i++) {
	let t, s = net.connect(port, '127.0.0.1', ask)
	function ask() { t = now(); s.write('PING\r\n') }
	s.on('data', d => {
		bad += d.toString() != '+PONG\r\n'
		took.push(now() - t)
		if (Date.now() - t0 < secs * 1000)
			return ask()
		s.end()
		if (--open)
			return
		took.sort((a, b) => a - b)
		console.log(took.length / ((Date.now() - t0) / 1000) | 0, took[0],
			took[took.length >> 1], bad)
	})
}
EOF
# fast FILE: "RATE LEAST MEDIAN BAD" of 20 clients that each wait 20 ms or more,
# all at the same time, and for the right answer.
fast() {
	awk '{ print } !($1 > 150 && $2 >= 20000 && $4 == 0) { bad = 1 }
		END { exit NR != 1 || bad }' "$1"
}
slow_client() { # COMMAND…: of the redis at $PORT
	run "recv,read peer=127.0.0.1:$PORT delay=20ms" "$@"
	[ "$RC" = 0 ] && fast "$D/stdout"
}
asyncio_loops() {
	serve && slow_client "$PY" "$T/loop.py" "$PORT" 20 1 'PING\r\n' +PONG
}
node_loops() {
	serve && slow_client node "$T/loop.js" "$PORT" 20 1
}
slow_server() { # ASK ANSWER COMMAND…: a server, with 20 clients of its own
	local ask=$1 answer=$2
	shift 2
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" --ready "tcp:127.0.0.1:$PORT" --load \
		"sh -c '$PY $T/loop.py $PORT 20 1 \"$ask\" \"$answer\" >$T/load.out'" \
		-f 'recv,read side=server delay=20ms' --expect 'crash==none' \
		-- "$@" >"$T/run.out" 2>&1 || {
		tail -n 30 "$T/run.out"
		return 1
	}
	fast "$T/load.out"
}
redis_loops() {
	PORT=$(free_port)
	slow_server 'PING\r\n' +PONG redis-server --port "$PORT" --bind \
		127.0.0.1 --save '' --dir "$T"
}
nginx_loops() {
	PORT=$(free_port)
	mkdir -p ngx
	cat >"$T/nginx.conf" <<-END
		worker_processes 1; daemon off; pid $T/ngx/pid; error_log $T/ngx/err;
		events { worker_connections 256; use epoll; }
		http { access_log off; keepalive_requests 100000;
		client_body_temp_path $T/ngx/a; proxy_temp_path $T/ngx/b;
		fastcgi_temp_path $T/ngx/c; uwsgi_temp_path $T/ngx/d;
		scgi_temp_path $T/ngx/e;
		server { listen 127.0.0.1:$PORT; location / { return 200 hello; } } }
	END
	slow_server 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' 'HTTP/1.1 200 OK' \
		nginx -e "$T/ngx/err" -c "$T/nginx.conf"
}
with redis-server it "slow: asyncio goes on with the others" asyncio_loops
with redis-server with node it "slow: node goes on with the others" node_loops
with redis-server it "slow: redis goes on with the others" redis_loops
PATH=$PATH:/usr/sbin with nginx it \
	"slow: nginx, edge-triggered, goes on with the others" nginx_loops
slow_curl() { # poll, and a body of many pieces
	PORT=$(free_port)
	mkdir -p www && head -c 3000000 /dev/urandom >www/big
	"$PY" -m http.server "$PORT" --bind 127.0.0.1 --directory www \
		>"$T/http.log" 2>&1 &
	pids+=($!)
	until_true 10 curl -sf "http://127.0.0.1:$PORT/" || return
	run "recv,read peer=127.0.0.1:$PORT delay=20ms+-10ms" curl -sS -m 60 \
		"http://127.0.0.1:$PORT/big"
	[ "$RC" = 0 ] && cmp "$D/stdout" www/big
}
with curl it "slow: 3 million bytes by curl are those that were sent" slow_curl
