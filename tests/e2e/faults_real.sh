#!/bin/bash
# Is what a report calls fired what came to pass?  Each line: a rule, what a
# program sees of it, and how often the rule must have fired.
. "$(dirname "$0")/lib.sh"
P=$TARGETS/faults_real
mkdir work && chmod 777 work && cd work || exit 1

# run RULE COMMAND… - one run; its directory is $D, its report $D/report.json.
run() {
	local rule=$1
	shift
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" --seed 7 -f "$rule" --expect 'crash==none' -- \
		"$@" >"$T/run.out" 2>&1
	RC=$?
	D=$(echo "$T"/runs/*)
}
# truth RULE FIRED SAID COMMAND… - the target's own words, and the count.
truth() {
	local rule=$1 fired=$2 said=$3 got
	shift 3
	run "$rule" "$@"
	got=$(sed 's/ *$//' "$D/stdout")
	[ "$got" = "$said" ] || {
		echo "wanted: $said"
		echo "   got: $got"
		cat "$T/run.out"
		return 1
	}
	got=$(jq '[.rules[].fired] | add' "$D/report.json")
	[ "$got" = "$fired" ] || {
		echo "fired $got times, wanted $fired"
		cat "$T/run.out"
		return 1
	}
	[ "$RC" = "$([ "$fired" = 0 ] && echo 3 || echo 0)" ] || {
		echo "exit $RC"
		cat "$T/run.out"
		return 1
	}
}

while IFS='|' read -r says rule fired args said; do
	[ -n "$says" ] || continue
	it "$says" truth "$rule" "$fired" "$said" "$P" $args
done <<'END'
a failed close has closed|close path=**/file fail=EIO|1|close|close:EIO gone:EBADF close:EBADF
a close that fails by itself wasn't failed by us|close fd=777 fail=EIO|0|close|close:0 gone:EBADF close:EBADF
late: only a success is reported as an error|read fd=3 late=EIO|1|late|read:EAGAIN write:3 read:EIO read:EAGAIN
late: and the bytes were moved|write path=**/file late=EIO|1|all|write:EIO fsync:0 close:0 size:5
lie: success without a byte|write path=**/file lie|1|all|write:5 fsync:0 close:0 size:0
fail: nothing is moved|write path=**/file fail=ENOSPC|1|all|write:ENOSPC fsync:0 close:0 size:0
short: byte-exact over vectors and messages, datagrams whole|writev,preadv,sendmsg short=13|3|vectors|writev:13 size:13 preadv:13 stream:13 recv:13 datagram:30 empty:0
short: at a vector's border|writev,preadv,sendmsg short=10|3|vectors|writev:10 size:10 preadv:10 stream:10 recv:10 datagram:30 empty:0
fstat by an empty path is fstat|fstat path=**/file fail=EIO|1|stat|fstat:EIO stat:0
fstat is known by its fd|fstat fd=3 fail=EIO|1|stat|fstat:EIO stat:0
stat is not fstat|stat path=**/file fail=EIO|1|stat|fstat:0 stat:EIO
corrupt: as many bits as it says, in two bytes|write path=**/file corrupt=9bits|1|bits 2|write:2 pread:2 own:0 bits:9
corrupt: all bits where there are fewer|write path=**/file corrupt=9bits|1|bits 1|write:1 pread:1 own:0 bits:8
corrupt: as many, coming in|pread path=**/file corrupt=64bits|1|bits 16|write:16 pread:16 own:0 bits:64
corrupt: in bytes that weren't taken it didn't happen|write fd=3 corrupt=1bit times=1|0|untaken|part:1 bits:0
rename: an fd's path is its file's name|write path=**/new fail=EIO|1|rename|write:1 rename:0 write:EIO
rename: and not what it was|write path=**/old fail=EIO nth=2|0|rename|write:1 rename:0 write:1
after=bytes counts what was moved|read fd=3 after=300B fail=EIO|2|moved|read:100 read:100 read:100 read:EIO read:EIO
after=bytes counts by fd, too|read fd=3 after=300B per=fd fail=EIO|2|moved|read:100 read:100 read:100 read:EIO read:EIO
paths follow dup2 and numbers used again|write path=**/low fail=EIO|1|fds|high:EIO moved:1 again:1 high:1
paths follow dup2 and numbers used again, the other file|write path=**/other fail=EIO|2|fds|high:1 moved:EIO again:1 high:EIO
an interrupted sleep tells what is left|nanosleep fail=EINTR|1|sleep|nanosleep:EINTR left:0.050000000
EAGAIN only where it can be|read fd=3 fail=EAGAIN|1|blocking|blocking:1 nonblocking:EAGAIN
per=fd counts each life of a number|write path=**/? fail=EIO nth=2 per=fd|3|per-fd|a:1 b:1 a:EIO b:EIO a:1 b:1 a:1 a:EIO
fork at=after: the caller goes, not its child|fork kill=KILL at=after|1|fork|child lives
END

# The least of seven, three times over: other load makes them longer, only a
# fault of ours makes them shorter.
delayed() { # DELAY AT_LEAST_MS AT_MOST_MS
	local ms
	for _ in 1 2 3; do
		run "write path=/dev/null delay=$1" "$P" delay
		ms=$(cat "$D/stdout")
		echo "$1 took $ms ms"
		awk -v ms="$ms" -v a="$2" 'BEGIN { exit !(ms >= a) }' || return
		awk -v ms="$ms" -v b="$3" 'BEGIN { exit !(ms < b) }' && return
	done
	return 1
}
it "delay: 50us are that" delayed 50us 0.05 0.25
it "delay: 1ms is that" delayed 1ms 1 1.5
it "delay: 10ms are that" delayed 10ms 10 11
it "delay: 100ms are that" delayed 100ms 100 103

ticking() { # a timer of 30ms, a delay of 200ms: it ends, and is as long
	run 'write fd=4 delay=200ms' "$P" ticks
	cat "$D/stdout"
	grep -q 'again:1 in-time:1' "$D/stdout" && [ "$RC" = 0 ]
}
it "delay: a call that is interrupted and made again waits for the rest" ticking

cancelled() { # each failed read is in the books, whenever the thread ended
	run 'read fd=3 fail=EIO' "$P" cancel 2000
	grep -q 'cancelled:2000' "$D/stdout" && [ "$RC" = 0 ] || {
		cat "$T/run.out"
		return 1
	}
}
it "threads cancelled in mid-decision leave no hole in the books" cancelled

# ---- who is meant, and who is counted --------------------------------------
named() { # exe= is the program's name, in whatever directory
	run "write exe=$1 fail=EIO" sh -c '/bin/echo said; /bin/printf said'
	[ "$(cat "$D/stdout")" = said ] && [ "$RC" = 0 ]
}
it "exe= knows a program by its name" named echo
it "exe= knows a program by a glob" named 'e?h*'
counted() { # a thousand and a half of children, one fault in each
	run 'write exe=echo nth=1 fail=EIO' "$@" -c \
		'for i in $(seq 1500); do (/bin/echo x) 2>&-; done; exit 0'
	[ "$(jq '.rules[0].fired' "$D/report.json")" = 1500 ] && [ "$RC" = 0 ] ||
		{ tail -n 20 "$T/run.out"; return 1; }
}
it "1500 short-lived children all have their place in the books" counted bash
shot() { # children that are killed from outside, at any moment
	rm -rf "$T/runs"
	exits 0 "$MISHAP" run --run-dir "$T/runs" --expect exit==0 \
		-f 'write fd=1 delay=1us' -- bash -c 'for i in $(seq 25); do
		while :; do echo x; done >/dev/null &
		sleep .02; kill -9 $!; done; wait' || return
	D=$(echo "$T"/runs/*)
	[ "$(jq '.rules[0].fired' "$D/report.json")" -gt 1000 ]
}
it "children killed at any moment leave the books in balance" shot
vforked() { # what a vfork child does isn't faulted, and that is said
	run 'execve path=**/true fail=EACCES' dash -c '/bin/true; true'
	[ "$RC" = 3 ] && grep -q 'vfork children' "$T/run.out"
}
it "a rule that only vfork children could fire says so" vforked
