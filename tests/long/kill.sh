#!/bin/bash
# kill.sh - redis, sqlite3 and PostgreSQL with 8 clients, killed at 200 points
# each: nothing is lost or duplicated with safe settings, and one unsafe
# setting of each is found.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/../e2e/postgres.inc"
POINTS=${KILL_POINTS:-200}
chmod 777 "$T"
cp -r "$ROOT/tests/kill" kill && cp "$ROOT"/tests/targets/*.py . && chmod -R a+rX kill ./*.py
run() { timeout 3000 "$MISHAP" run --run-dir "$T/runs" --kill-points "$POINTS" "$@" 2>&1; }
redis() { exits "$1" run --var mishap="$MISHAP" "${@:2}" kill/redis.yaml; }
sqlite() { exits "$1" run --var targets=. --var here=kill --var journal="$2" kill/sqlite.yaml; }
with redis-server it "redis, appendfsync always" redis 0
with redis-server it "redis without a log of appends" redis 1 --var aof=no \
	-f 'send,write side=server kill=KILL'
with sqlite3 it "sqlite3, WAL" sqlite 0 WAL
with sqlite3 it "sqlite3, a rollback journal" sqlite 0 DELETE
with sqlite3 it "sqlite3 without a journal" sqlite 1 OFF
postgres() { # CODE COMMIT
	mkdir -p pg && chown "$pg_user" pg && cd pg || return 1
	exits "$1" as_pg timeout 3000 "$MISHAP" run --run-dir "$T/pg/runs" \
		--kill-points "$POINTS" --var mishap="$MISHAP" --var bin="$pg_bin" \
		--var commit="$2" "$T/kill/postgres.yaml" 2>&1
	local code=$?
	cd "$T" || return 1
	return $code
}
if [ -n "$pg_bin" ]; then
	it "PostgreSQL, synchronous_commit on" postgres 0 on
	it "PostgreSQL, synchronous_commit off" postgres 1 off
else
	skip "PostgreSQL under kill points" "postgres isn't here, or nobody may run it"
fi
