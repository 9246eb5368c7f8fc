# lib.sh - for sites.sh and cancel.sh: the site door with a hook that counts.
#
# Builds $T/libhook.so and $T/prepare; $PLANS are the plans of this machine.
SITES=$ROOT/tests/e2e/sites
PLANS=$T/plans
COUNTS=$T/counts
export XDG_CACHE_HOME=$T/cache
mkdir -p "$PLANS"

sites_build() {
	local cc=${CC:-cc}
	local flags="-std=gnu17 -O2 -g -D_GNU_SOURCE -I$ROOT -I$ROOT/build"
	local objects=() f

	# The product's own objects, but another hook.
	cd "$ROOT" || return
	for f in preload/{sites,sites_stub,around,late,mark,clock,mem}.c \
		preload/site_amd64.S core/*.c faults/*.c; do
		objects+=("build/pic/$f.o")
	done
	make -s build/libhouse.a "${objects[@]}" >/dev/null || return

	$cc $flags -fPIC -fvisibility=hidden -mgeneral-regs-only -fno-builtin \
		-fno-plt -fno-stack-protector -fasynchronous-unwind-tables \
		-fcf-protection=none -shared -Wl,-z,now,-z,nodelete,-Bsymbolic \
		-o "$T/libhook.so" "$SITES/hook.c" "${objects[@]}" || return
	$cc $flags -o "$T/prepare" "$SITES/prepare.c" \
		build/libhouse.a -lcapstone
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
