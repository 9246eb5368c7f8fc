#!/bin/bash
# stack.sh - the stack walker in real programs, beside libunwind; and at every
# bad moment at once.  STACK_SECONDS: how long the storm lasts (10).
. "$(dirname "$0")/lib.sh"
SECONDS_OF_STORM=${STACK_SECONDS:-10}
COMPARE=$BUILD/stack/compare.so
ORDERS="create table t(a, b);
	with recursive c(i) as (select 1 union all select i + 1 from c
		where i < 5000) insert into t select i, hex(randomblob(20)) from c;
	create index x on t(b); select count(*) from t where b like 'A%';"
SCRIPT='import json, re
d = [{"a": i, "b": str(i)} for i in range(2000)]
s = json.dumps(d)
json.loads(s), re.findall("a+b", s), sorted(d, key=lambda x: -x["a"])'

# compared COMMAND… - run it with both walkers; what they saw is in out.
compared() {
	rm -f out
	timeout 60 env STACK_COMPARE_OUT="$T/out" LD_PRELOAD="$COMPARE" \
		"$@" >/dev/null || return 1
	chmod 644 out
}

# agrees EXE FRAMES - in at least 99.9 % of at least so many frames.
agrees() {
	awk -v exe="/$1" -v want="$2" '$2 == "stacks" && index($1, exe) {
		frames += $5; agreed += $7; print }
		END { printf "agreement %.4f %%\n", 100 * agreed / (frames + !frames)
		exit !(frames >= want && agreed >= 0.999 * frames) }' out ||
		{ grep '^#' out | head -n 40; return 1; }
}

both() {
	local exe=$1 want=$2
	shift 2
	compared "$@" && agrees "$exe" "$want"
}

figures() {
	sed -n 's/^agreement/#   agreement/p; s/^walks/#   walks/p' .out
}

bites() {
	STACK_COMPARE_SPOIL=100 compared sqlite3 :memory: "$ORDERS" || return 1
	! agrees sqlite3 1000
}

if [ -e /usr/lib/x86_64-linux-gnu/libunwind.so.8 ]; then
	it "sqlite3: our stacks are libunwind's" \
		both sqlite3 100000 sqlite3 :memory: "$ORDERS"
	figures
	it "python3: our stacks are libunwind's" \
		both python3 30000 /usr/bin/python3 -c "$SCRIPT"
	figures
	git init -q repo && cd repo && seq 2000 >a && git add a &&
		git -c user.name=a -c user.email=a@b commit -qm one && cd ..
	it "git: our stacks are libunwind's" both git 2000 git -C repo log -p
	figures
	it "perl: our stacks are libunwind's" both perl 30000 \
		perl -e 'my %h; $h{$_} = $_ x 3 for 1 .. 5000; sort keys %h'
	figures
	it "that check bites: one wrong frame in a hundred stacks is seen" bites
else
	skip "our stacks are libunwind's" "libunwind isn't installed"
fi

# The whole way: a fault's site by name, by frame=, and by a stable hash.
chmod 777 .
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME="$T" "$@"
	else
		env HOME="$T" "$@"
	fi
}
mishap_run() { as_nobody "$MISHAP" run --run-dir "$T/runs" "$@"; }
named() {
	mishap_run -f 'write path=**/named fail=EIO nth=2' --expect 'exit==9' \
		-- "$TARGETS/stack_writer" named
}
it "a fault's site is told by function, file and line" \
	says 'write EIO at write_all \(.*stack_writer.c:[0-9]+\) < save' named

handled() {
	rm -rf runs
	mishap_run -f 'read path=/dev/zero delay=300ms' \
		-f 'write path=**/handled fail=EIO' --expect 'exit==9' -- \
		"$TARGETS/stack_handler" handled
	jq -r '.expectations[].site' runs/*/report.json | grep -E \
		'at handler_writes \(.*stack_handler.c:[0-9]+\) < waits < main$'
}
it "a signal handler's stack goes on through the hook that it interrupted" \
	handled

hashes() {
	jq -r '.stacks[].hash' runs/*/stacks.json | sort | uniq -c
}
twice() {
	rm -rf runs named
	named
	named
	[ "$(hashes | awk '{print $1}' | sort -u)" = 2 ] && return 0
	hashes
	return 1
}
it "the same site has the same hash in another address space" twice

fired() {
	rm -rf runs
	mishap_run -f "write path=**/framed $1 fail=EIO" --expect 'exit>=0' -- \
		"$TARGETS/stack_writer" framed
	[ "$(jq '.rules[0].fired' runs/*/report.json)" = "$2" ]
}
it "frame= matches a module in the stack" fired 'frame=stack_wri*' 1
it "frame= matches an exported function in the stack" \
	fired 'frame=__libc_start_main*' 1
it "frame= of something else doesn't match" fired 'frame=libz.so*' 0

it "signals, threads, dlopen, dlclose, fork and vfork at once do no harm" \
	timeout $((SECONDS_OF_STORM + 60)) "$BUILD/stack/storm" \
	"$SECONDS_OF_STORM" "$BUILD/stack/plugin_a.so" \
	"$BUILD/stack/plugin_b.so"
figures
