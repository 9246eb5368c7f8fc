#!/bin/bash
# Bad input gets a clear message, exit 2, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
runs() { "$MISHAP" run --run-dir "$T/runs" "$@"; }

# refused "what" REGEX COMMAND… - exit 2, the message matches, no run was made.
refused() {
	local what=$1 re=$2
	shift 2
	both() {
		rm -rf "$T/runs"
		exits 2 "$@" >"$T/said2" 2>&1 || { cat "$T/said2"; return 1; }
		grep -Eq -- "$re" "$T/said2" || {
			echo "nothing matches /$re/ in:"
			cat "$T/said2"
			return 1
		}
		[ -z "$(ls -A "$T/runs" 2>/dev/null)" ] || {
			echo "left behind: $(find "$T/runs")"
			return 1
		}
	}
	it "$what" both "$@"
}

yaml() {
	cat >"$T/$1.yaml"
}

yaml key <<'E'
version: 1
name: x
target:
  run: [true]
fautls:
  - write fail=EIO
