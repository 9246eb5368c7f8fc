#!/bin/bash
# aarch64.sh - the port to 64-bit ARM, under qemu-user: libmishap.so and the
# site door in dynamic programs of that machine, with patch plans that are made
# on this one.
. "$(dirname "$0")/lib.sh"
cross=aarch64-linux-gnu-gcc
qemu=qemu-aarch64-static
sysroot=/usr/aarch64-linux-gnu
for tool in $cross $qemu $sysroot/lib/ld-linux-aarch64.so.1; do
	if ! command -v $tool >/dev/null; then
		skip "the port to 64-bit ARM" "$tool isn't installed"
		exit 0
	fi
done
. "$ROOT/tests/e2e/sites/lib.sh"
ARM=$ROOT/build/aarch64
loads=("$qemu" -L "$sysroot")

built() {
	sites_build && (cd "$ROOT" && make -s cross-aarch64) || return
	cp -r "$ARM/libmishap.so" "$ARM/sites" "$ARM/targets" "$T"
}
it "the library is built for 64-bit ARM" built
[ -x "$T/sites/guest_run" ] || exit 1
plans() {
	local f
	for f in libc.so.6 ld-linux-aarch64.so.1; do
		"$T/prepare" "$PLANS" library $sysroot/lib/$f || return
	done
	ls "$PLANS"
	[ "$(find "$PLANS" -name '*.sites' | wc -l)" = 2 ]
}
it "plans of its libc and ld.so are made on this machine" plans

# ---- the library, a rule, a fault -------------------------------------------
# ruled RULE COMMAND… - as a run does it; the books go to $T/books.
ruled() {
	local rule=$1
	shift
	timeout 60 "${loads[@]}" "$T/sites/guest_run" -s "$PLANS" \
		-l "$T/libmishap.so" -o "$T/books" -r "$rule" -- \
		"${loads[@]}" "$@" >"$T/said"
}
disk_is_full() {
	exits 3 ruled "write path=$T/file fail=ENOSPC" "$T/targets/full_disk" "$T/file" &&
		cat "$T/said" "$T/books" &&
		grep -qx 'No space left on device, ferror 1' "$T/said" &&
		grep -q '^event call=write .*error=ENOSPC' "$T/books" &&
		grep -q '^rule 0 matched=1 fired=1' "$T/books"
}
it "a write that stdio makes inside libc fails with ENOSPC, and stdio says so" \
	disk_is_full
all_patched() {
	cat "$T/books"
	grep -Eq '^process 0 .* sites=1 patched=4[0-9]{2} left=0' "$T/books"
}
it "more than 400 sites of libc and ld.so are patched, none is left" all_patched
other_file() {
	ruled "write path=/never/** fail=ENOSPC" "$T/targets/full_disk" "$T/file" &&
		cat "$T/said" "$T/books" && grep -qx written "$T/said" &&
		grep -q '^rule 0 matched=0 fired=0' "$T/books"
}
it "a rule on another file lets it be written" other_file
no_open() { # open(2) doesn't exist there: fopen makes openat
	ruled "open path=$T/file fail=EMFILE" "$T/targets/full_disk" "$T/file" \
		2>"$T/err"
	cat "$T/err" "$T/books"
	grep -q 'Too many open files' "$T/err" &&
		grep -q '^event call=open .*error=EMFILE' "$T/books"
}
it "a rule on open fires at openat, which is all that 64-bit ARM has" no_open

# ---- the door, with a hook that counts --------------------------------------
door() { # ARM HOW COMMAND…
	truncate -s 0 "$COUNTS" && truncate -s 8192 "$COUNTS"
	SITES_DIR=${SITES_DIR:-$PLANS} SITES_COUNTS=$COUNTS SITES_ARM=$1 \
		SITES_HOW=$2 LD_PRELOAD=$T/sites/libhook.so \
		timeout 60 "${loads[@]}" "${@:3}"
}
same() {
	local how
	timeout 60 "${loads[@]}" "$T/targets/sites_kinds" >"$T/bare" 2>/dev/null
	[ "$(wc -l <"$T/bare")" -gt 10 ] || return
	for how in 'none pass' 'all pass' 'all around'; do
		door $how "$T/targets/sites_kinds" >"$T/hooked" 2>/dev/null
		echo "under: $how" && diff "$T/bare" "$T/hooked" || return
		[ "$how" = 'none pass' ] || [ "$(counted calls)" -gt 1000 ] ||
			return
	done
}
it "children, threads, handlers and jumps out of them behave as bare" same
for how in pass around delay; do
	for call in read accept epoll_wait; do
		it "a thread in $call is cancelled and unwound (hook: $how)" \
			door all $how "$T/targets/cancel_call" $call
	done
done
it "whenever a cancellation comes, it hangs nobody" \
	door all around "$T/targets/cancel_call" read 50

# ---- what must be refused ---------------------------------------------------
spoilt() {
	mkdir "$T/spoilt"
	"$T/prepare" "$T/spoilt" spoil $sysroot/lib/libc.so.6 || return
	SITES_DIR=$T/spoilt door all fail "$T/targets/full_disk" "$T/file" \
		>"$T/said"
	cat "$T/said"
	grep -qx written "$T/said" && [ "$(counted mismatches)" = 1 ] &&
		[ "$(counted patched)" = 0 ]
}
it "a plan whose bytes don't match touches nothing" spoilt
refuses() {
	door all fail "$T/targets/full_disk" "$T/file" >"$T/said"
	[ ! -s "$T/said" ]
}
it "with the right one the same hook refuses every write" refuses
foreign() { # a plan of this machine's libc under the other's name
	local arm host=$T/host
	mkdir "$host" "$T/foreign"
	"$T/prepare" "$host" library "$(ldd /bin/true |
		sed -n 's/.*=> \(.*libc.so.6\) .*/\1/p')" || return
	arm=$(readelf -n $sysroot/lib/libc.so.6 | sed -n 's/.*Build ID: //p')
	cp "$host"/*.sites "$T/foreign/$arm.sites"
	SITES_DIR=$T/foreign door all fail "$T/targets/full_disk" "$T/file" \
		>"$T/said"
	cat "$T/said"
	grep -qx written "$T/said" && [ "$(counted patched)" = 0 ]
}
it "nor does a plan that was made for another machine" foreign
