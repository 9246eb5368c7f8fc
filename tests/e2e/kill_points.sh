#!/bin/bash
# kill_points.sh - killed at one call after the other; and loads that ask again.
. "$(dirname "$0")/lib.sh"
chmod 777 "$T"
HERE=$ROOT/tests/kill
cp -r "$HERE" kill && cp "$ROOT"/tests/targets/*.py . && chmod -R a+rX kill ./*.py
run() { timeout 100 "$MISHAP" run --run-dir "$T/runs" "$@"; }
cat >reader <<'END'
#!/bin/sh
sed 's/^/present log /' log
echo done
END
chmod 755 reader
points() { # CODE HOW N [RULE-END]
	rm -f log
	exits "$1" run --kill-points "$3" -f "write,fsync path=**/log kill=KILL$4" \
		--expect 'ledger ./reader == exactly_once' -- sh -c \
		"rm -f log; exec $TARGETS/acks $2 . 6" >page 2>&1
	local code=$?
	cat page
	return $code
}
it "a careful store holds at every write and sync" points 0 careful 20 ''
it "each was tried" grep -q '^1[0-2] kill points of 12 calls held' page
it "so it does after each of them" points 0 careful 20 ' at=after'
it "a careless store is found" points 1 careless 2 ''
it "and narrowed down to the smallest point" \
	grep -q '^smallest failing kill point: 1 of 12' page
it "without a rule that kills: exit 2, and what to do" exits 2 run \
	--kill-points 3 -f 'write fail=EIO' -- true

# ---- loads -----------------------------------------------------------------
it "files: what is there is what was acknowledged" bash -c '
	"$1" load files d --clients 2 --count 5 >acks &&
	diff <(sed -n "s/^ack/present/p" acks | sort) \
		<("$1" load files d --read | grep present | sort) &&
	"$1" load files d --read | tail -n 1 | grep -qx done' - "$MISHAP"
it "a kind that there isn't: exit 2" exits 2 "$MISHAP" load gopher x
it "an op that there isn't: exit 2" exits 2 "$MISHAP" load files d --op eat

charge() { # CODE HOW SEEN ARGUMENT...
	local code=$1 how=$2 seen=$3
	shift 3
	rm -f charges
	exits "$code" run -q --ready 'tcp:127.0.0.1:${port}' \
		--load "$MISHAP load http http://127.0.0.1:\${port}/charge --stream charge --clients 4 --count 10 $*" \
		--expect "ledger $MISHAP load http http://127.0.0.1:\${port}/charges --stream charge --read == exactly_once" \
		--json r.json -- /usr/bin/python3 charge_server.py "$how" '${port}' charges &&
		jq -er '.expectations[0].seen' r.json | grep -E -- "$seen"
}
it "replies are lost: the careful server charges once" charge 0 careful \
	'all 40 acknowledged' --lose-reply 20%
it "the careless one charges twice" charge 1 careless ' 0 lost.* [1-9][0-9]* duplicated' \
	--lose-reply 20%
it "requests are delivered twice: the careful server charges once" charge 0 careful \
	'all 40 acknowledged' --twice 20%
it "the careless one charges twice, again" charge 1 careless \
	' [1-9][0-9]* duplicated' --twice 20%

# ---- databases, a few points each (200 of each: tests/long/kill.sh) ------------
redis() { # CODE ARGUMENT...
	local code=$1
	shift
	exits "$code" run --var mishap="$MISHAP" --kill-points 3 "$@" kill/redis.yaml
}
with redis-server it "redis, appendfsync always: 0 lost, 0 duplicated" redis 0
with redis-server it "redis without a log of appends: lost" redis 1 --var aof=no \
	-f 'send,write side=server kill=KILL'
sqlite() { # CODE JOURNAL POINTS
	exits "$1" run --var targets=. --var here=kill --var journal="$2" \
		--kill-points "$3" kill/sqlite.yaml
}
with sqlite3 it "sqlite3, WAL: 0 lost, 0 duplicated" sqlite 0 WAL 3
with sqlite3 it "sqlite3, a rollback journal: 0 lost, 0 duplicated" sqlite 0 DELETE 3
with sqlite3 it "sqlite3 without a journal: torn" sqlite 1 OFF 9
