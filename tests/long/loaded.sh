#!/bin/bash
# The same scenario 100 times (or, if STRESS_SECONDS is set, for so long) while
# every core is busy: one verdict.
. "$(dirname "$0")/../e2e/lib.sh"
L=$ROOT/scenarios/library
for _ in $(seq "$(nproc)"); do
	timeout 1500 sh -c 'while :; do :; done' &
	pids+=($!)
done
hundred() { # WANTED-EXIT OPTION…
	local want=$1 i rc end=$((SECONDS + ${STRESS_SECONDS:-3600}))
	shift
	for i in $(seq 100); do
		[ "$SECONDS" -lt "$end" ] || break
		timeout 120 "$MISHAP" run -q --run-dir "$T/runs" --sandbox "$@" \
			>"$T/last" 2>&1
		rc=$?
		[ "$rc" = "$want" ] || {
			echo "run $i: exit $rc"
			cat "$T/last"
			return 1
		}
		rm -rf "$T/runs"
	done
}
it "disk full, careful: PASS 100 times" hundred 0 "$L/disk-full-during-save.yaml"
it "disk full, careless: FAIL 100 times" hundred 1 \
	"$L/disk-full-during-save.yaml" -- "$TARGETS/careless" save out
it "a server under load: PASS 100 times" hundred 0 "$L/accept-fails.yaml"
it "killed in a commit: PASS 100 times" hundred 0 "$L/killed-during-commit.yaml"
it "static: INCONCLUSIVE 100 times" hundred 3 -f 'write fail=EIO' -- busybox true
