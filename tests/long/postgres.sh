#!/bin/bash
# postgres.sh - pgbench for STRESS_SECONDS (default 30), bare and under rules
# that never match: sums, files, descriptors and signals are the same.
. "$(dirname "$0")/../e2e/lib.sh"
. "$ROOT/tests/e2e/transparency.inc"
. "$ROOT/tests/e2e/postgres.inc"
seconds=${STRESS_SECONDS:-30}
same_seconds=$((seconds + 120))
P=$(free_port)
export P
if [ -z "$pg_bin" ]; then
	skip "pgbench" "postgres isn't installed"
	exit
fi
pgbench_says "-c 8 -j 2 -T $seconds" >postgres
it "postgres under pgbench for $seconds s" same bash ../postgres
