#!/bin/bash
# coverage.sh - how many of a program's system calls come by our doors, by an
# independent count; and that the count bites.
. "$(dirname "$0")/lib.sh"

it "a command is wanted" exits 2 "$MISHAP" doctor --coverage
it "an unknown option is a usage error" \
	exits 2 "$MISHAP" doctor --coverage --fast -- true
it "a program that isn't there is a usage error" \
	exits 2 "$MISHAP" doctor --coverage -- "$T/nothing"
no_strace() {
	mkdir -p "$T/bin"
	ln -sf /bin/true "$T/bin/true"
	(PATH=$T/bin exits 3 "$MISHAP" doctor --coverage -- true) 2>&1 |
		tee "$T/why"
	[ "${PIPESTATUS[0]}" = 0 ] &&
		grep -q "skipped: strace isn't installed" "$T/why"
}
it "without strace it says so and is inconclusive" no_strace

if ! strace -n -qq -o /dev/null true 2>/dev/null; then
	skip "shares of real programs" "strace can't trace here"
	exit 0
fi

mkdir "$T/tmp"
export TMPDIR=$T/tmp
# covers PERCENT COMMAND… - the share of its calls that come by our doors.
covers() {
	local percent=$1
	shift
	"$MISHAP" doctor --coverage --json "$T/json" -- "$@" \
		>"$T/page" 2>"$T/page.err" </dev/null
	local rc=$?
	cat "$T/page" "$T/page.err"
	[ "$rc" = 0 ] && jq -e --argjson p "$percent" \
		'.ok and .made > 0 and .ratio * 100 >= $p and
		([.calls[] | .seen > .made] | any | not) and
		([.calls[].made] | add) == .made' "$T/json" >/dev/null
}
share() { # PERCENT NAME COMMAND…
	local percent=$1 name=$2
	shift 2
	if ! command -v "${1}" >/dev/null; then
		skip "at least $percent % of $name" "no $1 here"
		return
	fi
	rm -f "$T/json"
	it "at least $percent % of $name's calls can be faulted" \
		covers "$percent" "$@"
	echo "#   $name: $(jq -r '"\(.seen) of \(.made)"' "$T/json")"
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
share 99 own_calls "$TARGETS/own_calls" 50

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

# ---- it bites --------------------------------------------------------------
seq 1 100 >"$T/lines"
# misses STATUS NAME N COMMAND… - just that call is missed, N times.
misses() {
	local status=$1 name=$2 n=$3
	shift 3
	exits "$status" "$MISHAP" doctor --coverage --json "$T/json" -- "$@" \
		>"$T/page" || { cat "$T/page"; return 1; }
	cat "$T/page"
	grep -q "^missed: $name $n\$" "$T/page" &&
		jq -e --arg name "$name" --argjson n "$n" \
			'[.calls[] | select(.seen < .made)] | length == 1 and
			.[0].call == $name and .[0].made - .[0].seen == $n' \
			"$T/json" >/dev/null
}
it "calls from code that a program writes are missed, named and counted" \
	misses 0 getppid 1 sh -c "while read -r line; do :; done <'$T/lines'
	exec '$TARGETS/unseen_calls' 1"
it "with many of them it is inconclusive" \
	misses 3 getppid 500 "$TARGETS/unseen_calls" 500
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
	it "a static command is refused" says 'statically linked' \
		exits 3 "$MISHAP" doctor --coverage -- busybox true
fi
