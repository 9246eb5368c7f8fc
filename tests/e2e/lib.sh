# lib.sh - sourced by every e2e test: a scratch directory, TAP lines, an end.
#
# A test is `it "says what it shows" COMMAND…`; it passes when COMMAND exits 0.
# `skip "what" "why"` counts as skipped.  Scratch is $T, gone at the end.
# MISHAP is the program under test; runs go to $T/runs.  BUILD is where it and
# all that runs beside it stands: build/, or a copy that every user can reach.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$ROOT/build
T=$(mktemp -d "${TMPDIR:-/tmp}/mishap-e2e.XXXXXX")
chmod 755 "$T"
tap=0
bad=0
pids=()

finish() {
	for p in "${pids[@]:-}"; do
		[ -n "$p" ] && kill "$p" 2>/dev/null
	done
	cd /
	rm -rf "$T"
	echo "1..$tap"
	[ "$bad" = 0 ]
}
trap 'finish; exit $?' EXIT
cd "$T" || exit 1

# Root's faulted targets run as nobody, whom a clone below /root (0700) is
# closed to.
if [ "$(id -u)" = 0 ] && ! setpriv --reuid=65534 --regid=65534 \
	--clear-groups test -x "$BUILD/mishap"; then
	mkdir -p "$T/.clone/build/tests"
	cp -r "$ROOT/scenarios" "$T/.clone"
	[ ! -x "$BUILD/mishap-watch" ] ||
		cp "$BUILD/mishap-watch" "$T/.clone/build"
	cp -r "$BUILD/mishap" "$BUILD/libmishap.so" "$BUILD/targets" \
		"$BUILD/stack" "$T/.clone/build"
	cp "$BUILD/tests/guest_run" "$T/.clone/build/tests"
	BUILD=$T/.clone/build
fi
MISHAP=$BUILD/mishap
TARGETS=$BUILD/targets

it() {
	local says=$1
	shift
	tap=$((tap + 1))
	if "$@" >"$T/.out" 2>&1; then
		echo "ok $tap - $says"
	else
		echo "not ok $tap - $says"
		bad=$((bad + 1))
		sed 's/^/#   /' "$T/.out" | tail -n 40
	fi
}

skip() {
	tap=$((tap + 1))
	echo "ok $tap - $1 # SKIP $2"
}

# with PROGRAM it "says" COMMAND… - skipped where PROGRAM isn't installed.
with() {
	local program=$1
	shift
	if command -v "$program" >/dev/null; then
		"$@"
	else
		skip "$2" "$program isn't installed"
	fi
}

# exits CODE COMMAND… - the command ends with just that status.
exits() {
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || {
		echo "wanted exit $want, got $got: $*"
		return 1
	}
}

# says REGEX COMMAND… - its output, both streams, matches; any status.
says() {
	local re=$1
	shift
	"$@" >"$T/.said" 2>&1
	grep -Eq -- "$re" "$T/.said" || {
		echo "nothing matches /$re/ in:"
		cat "$T/.said"
		return 1
	}
}

# probes_why - why no probes can be had here; nothing if they can.
probes_why() {
	[ -x "$BUILD/mishap-watch" ] || {
		echo "mishap-watch isn't built"
		return
	}
	"$BUILD/mishap-watch" --groups=life,net,sys,durable </dev/null \
		>/dev/null 2>"$T/.probes" ||
		echo "probes are refused: $(tail -n 1 "$T/.probes")"
}

# free_port - a TCP port on loopback that nobody listens on just now.
free_port() {
	/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# until_true SECONDS COMMAND… - poll, bounded.
until_true() {
	local n=$(($1 * 20))
	shift
	while [ "$n" -gt 0 ]; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
		n=$((n - 1))
	done
	return 1
}
