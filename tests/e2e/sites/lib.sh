# lib.sh - for sites.sh and cancel.sh: the site door with a hook that counts.
#
# $T/libhook.so and $T/prepare are built; $PLANS are the plans of this machine.
SITES=$ROOT/tests/e2e/sites
PLANS=$T/plans
COUNTS=$T/counts
export XDG_CACHE_HOME=$T/cache
mkdir -p "$PLANS"

sites_build() {
	(cd "$ROOT" && make -s build/sites/libhook.so build/sites/prepare) &&
		cp "$ROOT/build/sites/libhook.so" "$ROOT/build/sites/prepare" "$T"
}

# hook_with ARM HOW [PRELOAD] - fill ${hook[@]}: an env(1) command line under
# which a program runs with the hook.
hook_with() {
	truncate -s 0 "$COUNTS" && truncate -s 8192 "$COUNTS" &&
		chmod 666 "$COUNTS"
	hook=(env SITES_DIR="${SITES_DIR:-$PLANS}" SITES_COUNTS="$COUNTS"
		SITES_ARM="$1" SITES_HOW="$2" LD_PRELOAD="${3-$T/libhook.so}")
}

# hooked ARM HOW COMMAND… - run it under the hook; never a builtin.
hooked() {
	local hook
	hook_with "$1" "$2"
	shift 2
	"${hook[@]}" "$@"
}

# counted WORD - a figure that the hook left: calls, or a field by its name.
counted() {
	/usr/bin/python3 - "$COUNTS" "$1" <<-'END'
		import struct, sys
		raw = open(sys.argv[1], "rb").read()
		fields = dict(zip(
		    ("patch_ns", "processes", "mismatches", "others",
		     "patched", "left"),
		    struct.unpack_from("<4Q2I", raw, 512 * 8)))
		fields["calls"] = sum(struct.unpack_from("<512Q", raw))
		print(fields[sys.argv[2]])
	END
}
