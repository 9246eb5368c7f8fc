#!/bin/bash
# calls.sh [ROUNDS] - what a call costs through our doors.  The variants take
# turns, ROUNDS times, so that a busy machine is busy for all; a figure is the
# median of the rounds.  Instructions are counted by callgrind, as the difference
# of a long run and a short one, where valgrind is installed.
. "$(dirname "$0")/lib.sh"
rounds=${1:-15}
calls=$root/build/bench/calls
variants="bare disarmed armed no-close $(others | grep libfiu)"

for ((round = 1; round <= rounds; round++)); do
	for v in $variants; do
		under "$v" "$calls" "$t/$v.ns"
		ran $? || fail "$v ended badly"
		[ -s "$t/$v.ns" ] || fail "$v measured nothing"
	done
done

# retired VARIANT OP COUNT - instructions of a whole run, in user space.
retired() {
	rm -f "$t/cg"
	under "$1" valgrind --tool=callgrind --smc-check=all \
		--callgrind-out-file="$t/cg" "$calls" -n "$3" "$2"
	awk '/^(summary|totals):/ { n = $2 } END { print n }' "$t/cg"
}

instructions() { # VARIANT OP: per op
	local short long
	command -v valgrind >/dev/null || { echo -; return; }
	short=$(retired "$1" "$2" 1000)
	long=$(retired "$1" "$2" 3000)
	[ -n "$short" ] && [ -n "$long" ] || { echo -; return; }
	echo $(((long - short) / 2000))
}

printf '%-12s %-10s %10s %8s %13s %7s\n' call variant ns ratio instructions more
for op in $("$calls" -l); do
	base= base_i=
	for v in $variants; do
		ns=$(median "$t/$v.ns" "$op")
		i=$(instructions "$v" "$op")
		[ "$v" = bare ] && base=$ns base_i=$i
		more=-
		case $i$base_i in *-*) ;; *) more=$((i - base_i)) ;; esac
		printf '%-12s %-10s %10s %7sx %13s %7s\n' "$op" "$v" "$ns" \
			"$(ratio "$ns" "$base")" "$i" "$more"
	done
done
