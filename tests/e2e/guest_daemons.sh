#!/bin/bash
# Servers that daemonise, change their user and fork workers stay in sight:
# decisions are seen in the processes that serve, not only in the first one.
. "$(dirname "$0")/lib.sh"
RUN=$BUILD/tests/guest_run
if [ "$(id -u)" != 0 ]; then
	skip "daemons stay in sight" "they change their user, which needs root"
	exit
fi
port=$(free_port)

# served_by UID - events came from a process that ran as this user.
first_pid() { sed -n 's/^process 0 pid=\([0-9]*\).*/\1/p' books; }
events_elsewhere() {
	local n
	n=$(grep '^event' books | grep -vc "pid=$(first_pid) ")
	echo "$n events of other processes than the first"
	[ "$n" -gt 0 ] && grep -q 'unresolved=0 .* processes_lost=0' books
}

redis() {
	timeout 60 "$RUN" -o books -r 'write peer=127.0.0.1 side=server delay=1000000' \
		-- redis-server --daemonize yes --port "$port" --save '' \
		--dir "$T" --logfile redis.log --pidfile "$T/redis.pid" &
	local run=$!
	pids+=("$run")
	until_true 10 redis-cli -p "$port" ping || return 1
	[ "$(redis-cli -p "$port" set a b)" = OK ] || return 1
	[ "$(redis-cli -p "$port" get a)" = b ] || return 1
	redis-cli -p "$port" shutdown nosave
	wait "$run"
	events_elsewhere
}
if command -v redis-server >/dev/null; then
	it "redis-server, daemonised" redis
else
	skip "redis-server, daemonised" "it isn't installed"
fi

web() {
	local run
	mkdir -p www tmp
	echo hello >www/index.html
	chmod 755 www
	cat >nginx.conf <<END
user nobody nogroup;
worker_processes 2;
pid $T/nginx.pid;
error_log $T/nginx.log;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path $T/tmp/a; proxy_temp_path $T/tmp/b;
	fastcgi_temp_path $T/tmp/c; uwsgi_temp_path $T/tmp/d;
	scgi_temp_path $T/tmp/e;
	server { listen 127.0.0.1:$port; root $T/www; }
}
END
	timeout 60 "$RUN" -o books -r 'sendfile,writev peer=127.0.0.1 short=100' \
		-r 'accept delay=1000000' -- nginx -c "$T/nginx.conf" 2>/dev/null &
	run=$!
	pids+=("$run")
	for _ in 1 2 3 4 5; do
		until_true 10 curl -fsS -o got "http://127.0.0.1:$port/" || return 1
	done
	cmp got www/index.html || return 1
	kill "$(cat nginx.pid)"
	wait "$run"
	events_elsewhere && grep -q '^event call=writev fault=short' books
}
if command -v nginx >/dev/null; then
	it "nginx, daemonised, its workers as nobody" web
else
	skip "nginx, daemonised, its workers as nobody" "it isn't installed"
fi

database() {
	local bin=$1 run as='setpriv --reuid=postgres --regid=postgres --clear-groups'
	mkdir data && chown postgres data && chmod 711 "$T"
	mkdir run && chown postgres run
	$as "$bin/initdb" -D "$T/data" -A trust --no-sync >initdb.log || return 1
	: >pg.log && chown postgres pg.log
	timeout 120 "$RUN" -o books -r 'fdatasync,fsync delay=1000000' \
		-r 'send side=server short=50' -- \
		$as "$bin/pg_ctl" -D "$T/data" -l "$T/pg.log" -w \
		-o "-p $port -k $T/run -h ''" start >/dev/null &
	run=$!
	pids+=("$run")
	query() { psql -h "$T/run" -p "$port" -U postgres -Atc "$1" postgres; }
	until_true 20 query 'select 1' || {
		cat pg.log
		return 1
	}
	query 'create table t(a int); insert into t select generate_series(1, 1000)' || return 1
	[ "$(query 'select sum(a) from t')" = 500500 ] || return 1
	$as "$bin/pg_ctl" -D "$T/data" -w stop >/dev/null
	wait "$run"
	events_elsewhere &&
		grep -q '^event call=fdatasync fault=delay' books &&
		grep -q '^event call=send fault=short' books
}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ -n "$bin" ] && id postgres >/dev/null 2>&1; then
	it "postgres, daemonised, not as root, a process per client" database "$bin"
else
	skip "postgres, daemonised" "it isn't installed"
fi
