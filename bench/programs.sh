#!/bin/bash
# programs.sh [ROUNDS] - what whole programs cost under us and under others, and
# what a start costs.  The variants take turns; a figure is the median.
. "$(dirname "$0")/lib.sh"
rounds=${1:-5}
export XDG_CACHE_HOME=$t/cache # plans are made once, here
program=$root/bench/program
# shellcheck disable=SC2046
set -- bare disarmed armed $(others)
programs="dd-bs=1 sqlite3"
command -v redis-benchmark >/dev/null && programs="$programs redis"

for ((round = 1; round <= rounds; round++)); do
	for p in $programs; do
		for v; do
			under "$v" bash "$program" "$p" "$t/$v.ms"
			ran $? || case $v in
			bare | disarmed | armed) fail "$p, $v, ended badly" ;;
			*) echo "$p $v" >>"$t/crashed" ;; # another's fault
			esac
		done
	done
done
printf '%-12s %-10s %10s %8s\n' program variant ms ratio
for p in $programs; do
	for v; do
		if grep -qsx "$p $v" "$t/crashed"; then
			printf '%-12s %-10s %10s\n' "$p" "$v" "ends badly"
			continue
		fi
		printf '%-12s %-10s %10s %7sx\n' "$p" "$v" \
			"$(median "$t/$v.ms" "$p")" \
			"$(ratio "$(median "$t/$v.ms" "$p")" \
				"$(median "$t/bare.ms" "$p")")"
	done
done

# ---- a start: of a process, and of a run ----------------------------------
startup=$root/build/bench/startup
for ((round = 1; round <= rounds; round++)); do
	for v in bare preload disarmed; do
		under "$v" "$startup" 100 "$t/start.ms" "$v" /bin/true
		ran $? || fail "starts, $v, ended badly"
	done
	rm -rf "$t/cache"
	for v in run-cold run-cached run-cached run-cached; do
		"$startup" 1 "$t/start.ms" $v "$mishap" run --quiet \
			--run-dir "$t/runs" --expect exit==0 -f \
			'write nth=1 delay=1ns' -- /bin/true >"$t/said" 2>&1
		ran $? || fail "starts, $v, ended badly"
	done
done
printf '\n%-44s %8s %9s\n' "a start of /bin/true" ms "more"
base=$(median start.ms bare)
say() {
	printf '%-44s %8s %+9.3f\n' "$2" "$(median start.ms "$1")" \
		"$(awk -v a="$(median start.ms "$1")" -v b="$base" \
			'BEGIN { print a - b }')"
}
say bare "bare"
say preload "libmishap.so preloaded, no run"
say disarmed "in a run, plans cached"
say run-cached "mishap run and its report, plans cached"
say run-cold "mishap run and its report, plans made anew"
