#!/bin/bash
# late.sh - what is patched though the runner didn't know of it at the start:
# the program's own text, programs that it starts, libraries that it loads late.
. "$(dirname "$0")/lib.sh"
export XDG_CACHE_HOME=$T/cache
STORM_SECONDS=${STORM_SECONDS:-5}
for n in a b c d; do
	cc -O1 -g -fPIC -shared -DPLUGIN_SAYS="\"plugin $n\"" \
		-o "$T/plugin_$n.so" "$ROOT/tests/e2e/sites/plugin.c"
done
cc -O1 -g -fPIC -shared -Wl,--build-id=none -DPLUGIN_SAYS='"nameless"' \
	-o "$T/nameless.so" "$ROOT/tests/e2e/sites/plugin.c"

# run EXIT COMMAND… - under `write fail=EIO`; its report is $T/json.
run() {
	local want=$1
	shift
	exits "$want" "$MISHAP" run -q --json "$T/json" "${rule[@]}" -- "$@" \
		>"$T/out" 2>&1
	local rc=$?
	[ "$rc" = 0 ] || cat "$T/out"
	return "$rc"
}
rule=(-f 'write fail=EIO nth=1' --expect exit==1)
fires() {
	run "$@" && jq -e '.rules[0].fired == 1 and
		.coverage.modules_missed == 0' "$T/json" || {
		jq '.rules, .coverage, .reasons' "$T/json"
		return 1
	}
}
it "a fault fires at a system call of the program's own" \
	fires 0 "$TARGETS/own_calls"
it "it fires at one of a program that the target starts" \
	fires 0 env "$TARGETS/own_calls"
it "it fires at one of a library that is loaded late" \
	fires 0 "$TARGETS/late_loader" "$T/plugin_a.so"
it "it fires the same with the plan from the cache" \
	fires 0 "$TARGETS/late_loader" "$T/plugin_a.so"
it "it fires in a library that a child's child loads late" \
	fires 0 sh -c "env '$TARGETS/late_loader' '$T/plugin_b.so'; exit \$?"
chmod 755 "$T"/*.so
it "it fires behind the sandbox's walls" \
	fires 0 "$TARGETS/late_loader" "$T/plugin_b.so" --sandbox

# ---- what can't be planned is said -----------------------------------------
rule=(-f 'write fail=EIO' --expect 'exit>=0')
says_missed() {
	run 3 "$TARGETS/late_loader" "$T/nameless.so" || return
	jq -e '.coverage.modules_missed == 1' "$T/json" &&
		grep -q "no plan could be made" "$T/json"
}
it "a late library without a build-id is counted, and the run inconclusive" \
	says_missed
unneeded() {
	rule=(-f 'malloc fail=ENOMEM nth=1000000' --expect 'exit==0')
	"$MISHAP" run -q --json "$T/json" "${rule[@]}" -- \
		"$TARGETS/late_loader" "$T/nameless.so" >/dev/null 2>&1
	jq -e '[.checks[] | select(.text == "modules patched")] | length == 0' \
		"$T/json"
}
it "that is no matter to a rule on allocations" unneeded

# The rule fires at libc's read and passes the other by: no PASS may rest on it.
left_says() { # EXIT, JQ: what the report says
	run "$1" "$TARGETS/left_call" && jq -e "$2" "$T/json" || {
		jq '.coverage, .reasons' "$T/json"
		return 1
	}
}
rule=(-f 'read fail=EIO' --expect exit==1)
it "a place that can't be patched makes a rule on its call inconclusive" \
	left_says 3 '.verdict == "INCONCLUSIVE" and .rules[0].fired == 1 and
	.coverage.unpatched == {read: 1} and
	(.reasons | length == 1 and (.[0] | contains("faults on read pass")))'
rule=(-f 'mkdir fail=EIO' --expect exit==0)
it "a rule on another call isn't touched by it" \
	left_says 3 '[.reasons[] | select(contains("pass them by"))] == []'
cat >"$T/low.yaml" <<-END
	version: 1
	name: low
	target: { run: [$TARGETS/left_call] }
	min_coverage: 10%
	faults: [read fail=EIO]
	expect: [exit==1]
END
low() {
	exits 0 "$MISHAP" run -q --json "$T/json" "$T/low.yaml" >"$T/out" 2>&1 ||
		{ cat "$T/out"; jq .reasons "$T/json"; return 1; }
}
it "min_coverage says how much is enough" low

# ---- it does no harm -------------------------------------------------------
storm() {
	rule=(-f 'write path=/nowhere fail=EIO' --expect exit==0)
	rm -rf .mishap
	"$MISHAP" run -q --json "$T/json" --timeout "$((STORM_SECONDS + 60))s" \
		"${rule[@]}" -- "$TARGETS/late_loader" "$STORM_SECONDS" \
		"$T"/plugin_[a-d].so >"$T/out" 2>&1
	cat "$T/out"
	jq '.target, .coverage, .reasons' "$T/json"
	cat .mishap/runs/*/stdout | tee "$T/stormed"
	local loads children
	read -r loads _ children _ <"$T/stormed"
	jq -e --argjson n "$((loads + children))" '.target.exit == 0 and
		.coverage.modules_missed == 0 and
		.coverage.calls.write == $n + 1' "$T/json"
}
it "threads and children that load and unload at once do no harm" storm
echo "#   $(cat "$T/stormed"): each write was seen"
quick() { # python loads dozens of libraries; none of them makes calls
	local t
	"$MISHAP" run -q --json "$T/json" -f 'write path=/nowhere fail=EIO' -- \
		/usr/bin/python3 -c 'import ssl, sqlite3, ctypes, decimal' \
		>"$T/out" 2>&1
	jq -c '.coverage | del(.calls)' "$T/json"
	jq -e '.target.exit == 0 and .coverage.modules_missed == 0' "$T/json"
}
it "a program that loads dozens of libraries runs as ever" quick
