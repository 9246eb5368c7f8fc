# engine_lib.sh - sourced after lib.sh: a user of our own, a copy to run.
#
# Unsandboxed faulted targets never run as root, and `mishap halt` reaches all
# runs of a user: so as root these tests are somebody whom nobody else is.
LONE=0
mkdir "$T/bin" "$T/w"
cp "$MISHAP" "$ROOT/build/libmishap.so" "$T/bin/"
MISHAP=$T/bin/mishap
as() { "$@"; }
as_bg() { "$@" & } # $! is the command itself
if [ "$(id -u)" = 0 ]; then
	LONE=$((40000 + $$ % 20000))
	chown "$LONE" "$T/w"
	as() {
		setpriv --reuid="$LONE" --regid="$LONE" --clear-groups \
			env HOME="$T/w" "$@"
	}
	as_bg() {
		setpriv --reuid="$LONE" --regid="$LONE" --clear-groups \
			env HOME="$T/w" "$@" &
	}
fi
cd "$T/w" || exit 1
runs() { as timeout 60 "$MISHAP" run --run-dir "$T/w/runs" "$@"; }
yaml() { # NAME LINE… - a scenario file
	local name=$1
	shift
	printf '%s\n' 'version: 1' "name: ${name%.yaml}" "$@" >"$name"
}
# No process of ours says WORD, no directory of ours is left on a tmpfs.
gone() {
	! pgrep -f -- "$1" || return 1
	! find /dev/shm /run/user -maxdepth 2 -name 'mishap-*' \
		-user "${LONE/#0/$(id -u)}" 2>/dev/null | grep .
}
