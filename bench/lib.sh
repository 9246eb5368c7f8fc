# lib.sh - sourced by what bench/run starts: a scratch directory, the variants
# that are measured beside bare, medians.
#   bare      without us
#   disarmed  loaded, and no rule holds
#   armed     rules that never match, for every call that is measured
#   no-close  the same, but for close
#   libfiu    fiu-run -x, nothing enabled
#   strace, strace-bpf   strace -f -e inject= of one delay of 1 us, at the last
#             write that strace can name, without and with --seccomp-bpf
# Those that aren't installed, or don't work here, are left out.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mishap=$root/build/mishap
t=$(mktemp -d "${TMPDIR:-/tmp}/mishap-bench.XXXXXX")
chmod 755 "$t"
trap 'rm -rf "$t"' EXIT
cd "$t" || exit 1

# Rules for every call that is measured; none of them matches.
io='read,write,send,recv,open path=/never/** fail=EIO'
close='close path=/never/** fail=EIO'
memory='malloc size=1073741824 fail=ENOMEM'
inject=(-f -qq -o /dev/null -e trace=write
	-e inject=write:delay_exit=1:when=65535)

others() {
	command -v fiu-run >/dev/null && echo libfiu
	strace "${inject[@]}" true 2>/dev/null && echo strace
	strace --seccomp-bpf "${inject[@]}" true 2>/dev/null && echo strace-bpf
}

# under VARIANT COMMAND… - its output isn't ours; it writes to a file.
under() {
	local variant=$1
	shift
	case $variant in
	bare) "$@" ;;
	disarmed) # the target ends before the rules' phase begins
		"$mishap" run --quiet --run-dir "$t/runs" --phase 'calm 4m' \
			--phase "storm 1s: $io; $close; $memory" -- "$@" ;;
	armed) "$mishap" run --quiet --run-dir "$t/runs" -f "$io" \
		-f "$close" -f "$memory" -- "$@" ;;
	no-close) "$mishap" run --quiet --run-dir "$t/runs" -f "$io" \
		-f "$memory" -- "$@" ;;
	preload) LD_PRELOAD=$root/build/libmishap.so "$@" ;;
	libfiu) fiu-run -x "$@" ;;
	strace) strace "${inject[@]}" "$@" ;;
	strace-bpf) strace --seccomp-bpf "${inject[@]}" "$@" ;;
	esac >"$t/said" 2>&1
}

ran() { # a run that can't pass, since no rule fires, is a good one here
	[ "$1" = 0 ] || [ "$1" = 3 ]
}

fail() {
	echo "bench: $1" >&2
	sed 's/^/  /' "$t/said" >&2
	exit 1
}

# median FILE NAME - of the figures that stand behind the name.
median() {
	awk -v name="$2" '$1 == name { print $2 }' "$1" | sort -n |
		awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

ratio() { # A B
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}
