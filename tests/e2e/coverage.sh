#!/bin/bash
# coverage.sh - how many of a program's system calls come by our doors, by an
# independent count; and that the count bites.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/postgres.inc"
J=$T/json/report # where any user can put it
mkdir -m 777 "$T/json"

it "a command is wanted" exits 2 "$MISHAP" doctor --coverage
it "an unknown option is a usage error" \
	exits 2 "$MISHAP" doctor --coverage --fast -- true
it "a program that isn't there is a usage error" \
	exits 2 "$MISHAP" doctor --coverage -- "$T/nothing"
it "--count-by knows two counters" \
	says 'wants strace or seccomp; got "guess"' \
	exits 2 "$MISHAP" doctor --coverage --count-by guess -- true
it "--timeout wants a duration" \
	exits 2 "$MISHAP" doctor --coverage --timeout 5 -- true
it "--ready without a load is a usage error" \
	exits 2 "$MISHAP" doctor --coverage --ready file:x -- true

mkdir "$T/tmp"
export TMPDIR=$T/tmp
# One of the two must do here; strace where it can, as the command chooses.
for counter in strace seccomp none; do
	"$MISHAP" doctor --coverage --count-by $counter -- true >/dev/null 2>&1 &&
		break
done
if [ "$counter" = none ]; then
	skip "shares of real programs" "neither strace nor seccomp counts here"
	exit 0
fi

# covers PERCENT COMMAND… - the share of its calls that come by our doors.
by= load=() user=()
covers() {
	local percent=$1
	shift
	"${user[@]}" "$MISHAP" doctor --coverage ${by:+--count-by $by} \
		--timeout 100s "${load[@]}" --json "$J" -- "$@" \
		>"$T/page" 2>&1 </dev/null
	local rc=$?
	cat "$T/page"
	[ "$rc" = 0 ] && jq -e --argjson p "$percent" --arg by "$by" \
		'.ok and ($by == "" or .counter == $by) and .made > 0 and .ratio * 100 >= $p and
		([.calls[] | .seen > .made] | any | not) and
		([.calls[].made] | add) == .made' "$J" >/dev/null
}
share() { # PERCENT NAME COMMAND…
	local percent=$1 name=$2
	shift 2
	if [ -z "$1" ] || ! command -v "$1" >/dev/null; then
		skip "at least $percent % of $name" "it isn't installed"
		return
	fi
	rm -f "$J"
	it "at least $percent % of $name's calls can be faulted" \
		covers "$percent" "$@"
	echo "#   $name: $(jq -r '"\(.seen) of \(.made)"' "$J")"
}
mkdir "$T/tree" && cp -r "$ROOT/core" "$ROOT/docs" "$T/tree"
seq 1 200000 | sort -R --random-source=/dev/zero >"$T/numbers"
export HOME=$T GIT_CONFIG_NOSYSTEM=1
(cd "$T/tree" && git init -q && git add . &&
	git -c user.name=a -c user.email=b commit -qm x)
port=$(free_port)
/usr/bin/python3 -m http.server --bind 127.0.0.1 -d "$T/tree" "$port" \
	>/dev/null 2>&1 &
pids+=($!)
until_true 5 curl -s "http://127.0.0.1:$port/"

share 99 sort sort -S 1M -T "$T" -o "$T/sorted" "$T/numbers"
share 99 "cp -r" cp -r "$T/tree" "$T/copy"
share 99 gzip gzip -k "$T/numbers"
share 99 tar tar -cf "$T/tree.tar" "$T/tree"
share 99 "git commit" git -C "$T/tree" -c user.name=a -c user.email=b commit \
	-q --allow-empty -m y
share 99 "git clone" git clone -q --no-hardlinks "$T/tree" "$T/clone"
share 99 sqlite3 sqlite3 "$T/db" \
	'create table t(x); insert into t values(1); select * from t'
share 99 curl curl -sS -o "$T/page.html" "http://127.0.0.1:$port/core/"
share 96 perl perl -e \
	'open F, "<", "/etc/passwd"; print while <F>; system("true")'
share 96 python3 /usr/bin/python3 -c 'import json, subprocess, threading
t = threading.Thread(target=print); t.start(); t.join()
subprocess.run(["true"])'
share 96 bash bash -c 'for i in 1 2 3; do echo $i | tr 1-3 a-c; done
cat <<<"$(seq 1 1000 | wc -l)"'
share 96 node node -e 'require("fs").readdirSync("/")
setTimeout(() => 0, 50)'
share 96 java java -XshowSettings:system -version
share 99 own_calls "$TARGETS/own_calls" 50

# ---- servers: a load beside them, whose end is theirs ------------------------
served=$(free_port)
cat >"$T/nginx.conf" <<X
pid $T/nginx.pid; daemon off; worker_processes 2; error_log $T/nginx.log;
events { worker_connections 64; }
http {
	access_log $T/access.log; sendfile on;
	client_body_temp_path $T/b; proxy_temp_path $T/p;
	fastcgi_temp_path $T/f; uwsgi_temp_path $T/u; scgi_temp_path $T/s;
	server { listen 127.0.0.1:$served; root $T/tree; }
}
X
chmod -R a+rX "$T/tree"
PATH=$PATH:/usr/sbin
load=(--ready "tcp:127.0.0.1:$served" --load "for i in 1 2 3 4; do
	curl -sS -o /dev/null http://127.0.0.1:$served/docs/JSON.md; done")
share 99 nginx nginx -e "$T/nginx.log" -c "$T/nginx.conf"
served=$(free_port)
load=(--ready "redis-cli -p $served ping" --load
	"redis-benchmark -p $served -q -n 500 -c 5 -t set,lpush >/dev/null
	redis-cli -p $served bgsave >/dev/null; sleep 0.2")
share 99 redis-server redis-server --port "$served" --appendonly yes \
	--dir "$T" --logfile "$T/redis.log"
share 99 "redis-server, daemonised," redis-server --port "$served" \
	--daemonize yes --dir "$T" --logfile "$T/redis.log"
load_was_made() { jq -e '.load.exit == 0 and .exit == 0' "$J"; }
with redis-server it "the load was made, and ended it" load_was_made
served=$(free_port)
if [ -n "$pg_bin" ] && pg_make >"$T/initdb" 2>&1; then
	sql="$pg_bin/psql -q -h 127.0.0.1 -p $served -U postgres postgres"
	# shellcheck disable=SC2046
	set -- $(pg_options "$served")
	load=(--ready "$sql -c 'select 1'" --load "$sql -c 'create table t as
		select generate_series(1, 1000) x; checkpoint'")
	user=(as_pg)
	chmod 1777 "$TMPDIR"
	share 99 postgres "$pg_bin/postgres" "$@"
	as_pg "$pg_bin/postgres" "$@" >"$T/pg.log" 2>&1 &
	pids+=($!)
	user=() load=()
	until_true 20 $sql -c 'select 1'
	share 99 psql $sql -Atc 'select sum(x) from t'
else
	skip "at least 99 % of postgres, of psql" "postgres isn't installed"
fi
user=() load=()

# ---- where strace is absent, a tracer of ours counts the same ----------------
no_strace() { # of itself, and as large a count
	local made
	covers 99 sort -o "$T/sorted" "$T/lines" || return
	made=$(jq .made "$J")
	mkdir -p "$T/bin"
	ln -sf "$(command -v sort)" "$T/bin/sort"
	(PATH=$T/bin "$MISHAP" doctor --coverage --json "$J" -- \
		sort -o "$T/sorted" "$T/lines") || return
	jq -e --argjson made "$made" \
		'.counter == "seccomp" and .made == $made' "$J"
}
seq 1 100 >"$T/lines"
if [ "$counter" = strace ]; then
	it "without strace it counts by seccomp, and to the same figure" no_strace
else
	skip "strace and seccomp count the same" "strace can't trace here"
fi
by=seccomp
if "$MISHAP" doctor --coverage --count-by seccomp -- true >/dev/null 2>&1; then
	share 99 "sort (by seccomp)" sort -S 1M -T "$T" -o "$T/sorted" "$T/numbers"
	share 96 "perl with 100 alarms (by seccomp)" perl -MTime::HiRes=ualarm -e \
		'$SIG{ALRM} = sub { $n++ }; ualarm 2000, 2000;
		while ($n < 100) { select undef, undef, undef, 0.05; wait }
		ualarm 0'
	share 96 "bash (by seccomp)" bash -c 'for i in 1 2 3; do
		echo $i | tr 1-3 a-c; done; (kill -STOP $BASHPID) & p=$!
		sleep 0.1; kill -CONT $p; wait $p'
	share 96 "node (by seccomp)" node -e 'require("fs").readdirSync("/")'
else
	skip "shares, counted by seccomp" "a process may not be traced here"
fi
by=

narrow() { # the page reads well at 80 columns
	"$MISHAP" doctor --coverage -- cp -r "$T/tree" "$T/copy2" >"$T/page"
	awk 'length > 80 { print; bad = 1 } END { exit bad }' "$T/page"
}
it "the page fits 80 columns" narrow
nothing_left() {
	ls -A "$TMPDIR"
	[ -z "$(ls -A "$TMPDIR")" ]
}
it "nothing is left behind" nothing_left

timeout_ends() {
	local t0=$SECONDS
	exits 0 "$MISHAP" doctor --coverage --timeout 300ms -- sleep 60 &&
		[ $((SECONDS - t0)) -lt 20 ]
}
it "--timeout ends a command" says 'the command: killed by SIGTERM' \
	timeout_ends
load_fails() {
	exits 0 "$MISHAP" doctor --coverage --load 'exit 7' -- sleep 60
}
it "how the load ended is said" says 'the load: exit status 7' load_fails

# ---- it bites --------------------------------------------------------------
# misses STATUS NAME N COMMAND… - just that call is missed, N times.
misses() {
	local status=$1 name=$2 n=$3
	shift 3
	exits "$status" "$MISHAP" doctor --coverage ${by:+--count-by $by} \
		--json "$J" -- "$@" >"$T/page" || { cat "$T/page"; return 1; }
	cat "$T/page"
	grep -q "^missed: $name $n\$" "$T/page" &&
		jq -e --arg name "$name" --argjson n "$n" \
			'[.calls[] | select(.seen < .made)] | length == 1 and
			.[0].call == $name and .[0].made - .[0].seen == $n' \
			"$J" >/dev/null
}
one_of() { misses 0 getppid 1 sh -c "while read -r line; do :; done <'$T/lines'
	exec '$TARGETS/unseen_calls' 1"; }
it "calls from code that a program writes are missed, named and counted" one_of
it "with many of them it is inconclusive" \
	misses 3 getppid 500 "$TARGETS/unseen_calls" 500
by=seccomp
it "... and so they are when seccomp counts" \
	misses 3 getppid 500 "$TARGETS/unseen_calls" 500
by=
if command -v busybox >/dev/null &&
	! ldd "$(command -v busybox)" >/dev/null 2>&1; then
	static_child() {
		exits 3 "$MISHAP" doctor --coverage -- sh -c 'busybox ls /; :' \
			>"$T/page" || return
		cat "$T/page"
		grep -q '^never got into: .*busybox' "$T/page"
	}
	it "a child that we can't get into counts whole, and is named" \
		static_child
	all_notified() { # COMMAND… - each named call, and nothing but those
		exits 0 "$MISHAP" doctor --coverage ${by:+--count-by $by} \
			--json "$J" -- "$@" >"$T/page" || return
		cat "$T/page"
		jq -e '.made > 20 and .made == .seen and
			([.calls[] | .door == "notify" and .nameable] | all) and
			.never_got_into == [] and (.notified | length > 0) and
			(.unnamed.exit_group // 0) > 0' "$J"
	}
	# A signal that comes before the guardian has the call begins it anew:
	# the kernel asked once, and the count says two.  Seldom three times.
	in_three_tries() {
		"$@" || "$@" || "$@"
	}
	for by in strace seccomp; do
		"$MISHAP" doctor --coverage --count-by $by -- true \
			>/dev/null 2>&1 || continue
		it "the kernel asks about each named call of busybox (by $by)" \
			all_notified busybox ls -l /
		it "... and of its children" in_three_tries all_notified busybox sh -c \
			'for i in 1 2 3; do busybox seq $i | busybox wc -l; done'
	done
	by=
	static_too() {
		exits 0 "$MISHAP" doctor --coverage --notify --json "$J" -- \
			sh -c 'busybox ls / >/dev/null; ls / >/dev/null; :' &&
			jq -e '.ratio > 0.96 and .never_got_into == [] and
				([.calls[].door] | unique) ==
				["notify", "site", "symbol"] and
				([.calls[] | select(.door == "notify") |
					.seen == .made] | all)' "$J"
	}
	it "--notify has a static child asked about, once each" static_too
fi
