#!/bin/bash
# kernels.sh - the probes on other kernels than this machine's: Debian's 6.1 and
# the newest of its backports, booted by qemu (software emulation, no KVM needed)
# with nothing but busybox and what was built here.  Kernels come as packages from
# Debian's mirrors, into the scratch directory; nothing is installed.
# MISHAP_KERNELS="VMLINUZ..." tries others; QEMU names another qemu.
. "$(dirname "$0")/../e2e/lib.sh"
QEMU=${QEMU:-qemu-system-x86_64}
COMPARE=$ROOT/tests/e2e/watch_books.py
BOOT_SECONDS=${BOOT_SECONDS:-600}
SUITES="bookworm-security bookworm-backports"

skip_all() {
	skip "the probes on Debian's kernels" "$1"
	exit
}
[ -x "$BUILD/mishap-watch" ] || skip_all "mishap-watch isn't built"
command -v "${QEMU%% *}" >/dev/null ||
	skip_all "qemu-system-x86_64 isn't installed"
command -v busybox >/dev/null || skip_all "busybox isn't installed"

# ---- a root file system -------------------------------------------------------
root=$T/root
mkdir -p "$root"/{bin,proc,sys,dev,tmp,lib64,mishap/tests}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$BUILD/mishap" "$BUILD/mishap-watch" "$BUILD/libmishap.so" "$root/mishap"
cp "$BUILD/tests/guest_run" "$root/mishap/tests"
cp "$TARGETS/escapes" "$TARGETS/tree" "$root/mishap"
for program in "$root"/mishap/{mishap,mishap-watch,escapes,tests/guest_run}; do
	ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p "$root${library%/*}"
		cp -L "$library" "$root$library"
	done
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/mishap
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
mkdir -p /dev/shm && mount -t tmpfs none /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
ip link set lo up
ip route add 10.8.0.0/16 dev lo # nobody answers there
said() { # FILE as NAME
	echo "@@ $2"
	cat "$1"
	echo "@@"
} >/dev/ttyS1
books() { # NAME MODE N
	mkdir -p "/tmp/$1"
	mishap watch --json /tmp/w --groups life,sys --sites "/tmp/$1" -- \
		/mishap/tests/guest_run -w "/tmp/$1" -o /tmp/b -- escapes $2 $3
	said /tmp/w "$1.watch"
	said /tmp/b "$1.books"
}
cd /tmp
exec 2>/tmp/errors
mishap doctor >/tmp/doctor 2>&1
said /tmp/doctor doctor
books libc libc 1403
books code code 500
books handler handler 20
books vfork vfork 10
mishap watch --json /tmp/tree --groups life,sys -- /mishap/tree 3 10
said /tmp/tree tree
mkdir /sys/fs/cgroup/small
echo 16777216 >/sys/fs/cgroup/small/memory.max
mishap watch --json /tmp/oom --groups life -- sh -c \
	'echo $$ >/sys/fs/cgroup/small/cgroup.procs; dd if=/dev/zero of=/dev/null bs=100M count=1'
said /tmp/oom oom
mishap watch --json /tmp/net --groups life,net -- nc -w 4 10.8.0.5 80
said /tmp/net net
mishap watch --json /tmp/left --groups life -- sh -c \
	'mkdir /sys/fs/cgroup/other; echo $$ >/sys/fs/cgroup/other/cgroup.procs; true'
said /tmp/left left
mishap watch --json /tmp/slow --groups life,latency,durable --data /tmp -- \
	sh -c 'dd if=/dev/zero of=/tmp/f bs=4k count=100 conv=fsync 2>/dev/null'
said /tmp/slow slow
said /tmp/errors errors
echo "@@ over" >/dev/ttyS1
poweroff -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$T/initrd" ||
	skip_all "no initramfs can be made"

# ---- kernels --------------------------------------------------------------------
# kernel_fetch SUITE - the newest kernel for virtual machines, its vmlinuz.
kernel_fetch() {
	local at=$T/apt/$1 name
	mkdir -p "$at/state/lists/partial" "$at/cache/archives/partial" "$at/root"
	cat >"$at/conf" <<-CONF
		Dir::State "$at/state";
		Dir::Cache "$at/cache";
		Dir::Etc::SourceList "$at/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		APT::Sandbox::User "";
		Acquire::http::Timeout "20";
		Acquire::Retries "1";
	CONF
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"http://deb.debian.org/debian${2:-} $1 main" >"$at/sources.list"
	export APT_CONFIG=$at/conf
	timeout 120 apt-get -qq update >"$at/log" 2>&1 || return
	name=$(apt-cache depends linux-image-cloud-amd64 |
		awk '/Depends: linux-image-/ { print $2; exit }')
	[ -n "$name" ] && cd "$at" && timeout 300 apt-get -qq download "$name" \
		>>"$at/log" 2>&1 && dpkg -x ./*.deb "$at/root" &&
		ls "$at"/root/boot/vmlinuz-*
}
kernels=${MISHAP_KERNELS:-}
if [ -z "$kernels" ] && command -v apt-get >/dev/null; then
	for suite in $SUITES; do
		path=
		[ "$suite" = bookworm-security ] && path=-security
		kernels="$kernels $(kernel_fetch $suite $path)"
	done
	unset APT_CONFIG
fi
[ -n "${kernels// /}" ] || skip_all "no kernel package can be fetched"

# ---- one kernel ------------------------------------------------------------------
part() { # NAME: what the guest said
	tr -d '\r' <"$T/results" | awk -v part="@@ $1" \
		'/^@@/ { on = $0 == part; next } on' >"$T/part"
}
end() { # NAME FILTER: of its last line
	part "$1"
	[ -s "$T/part" ] && tail -n 1 "$T/part" | jq -e "$2" || {
		tail -c 2000 "$T/part"
		return 1
	}
}
boots() {
	rm -f "$T/results"
	timeout "$BOOT_SECONDS" $QEMU -accel tcg -cpu max,-cx16,-la57 -smp 2 -m 1024 \
		-nodefaults -no-reboot -display none -kernel "$1" \
		-initrd "$T/initrd" -serial "file:$T/console" \
		-serial "file:$T/results" \
		-append "console=ttyS0 quiet panic=1 rdinit=/init"
	part errors
	grep mishap "$T/part" # what a failure below may come from
	grep -q '^@@ over' "$T/results" || {
		tail -n 30 "$T/console"
		return 1
	}
}
works() { # GROUP
	part doctor
	grep -E "^ok +probes: $1 +works" "$T/part" || { cat "$T/part"; return 1; }
}
books() { # NAME WANT
	part "$1.watch"
	cp "$T/part" "$T/watch"
	part "$1.books"
	/usr/bin/python3 "$COMPARE" "$T/watch" "$T/part" "$2"
}
family() {
	end tree '([.calls[] | select(.call == "sched_get_priority_max").total] | add) == 4680
		and .processes.forks == 186 and .lost == {}'
}
any() { # NAME FILTER: of any line
	part "$1"
	jq -s -e "any($2)" "$T/part" || { tail -c 2000 "$T/part"; return 1; }
}

for kernel in $kernels; do
	v=$(basename "$kernel") v=${v#vmlinuz-}
	it "$v boots, and comes to the end" boots "$kernel"
	for group in life net sys durable latency snap; do
		it "$v: the probes '$group' work" works $group
	done
	it "$v: 1403 writes by libc came by the door" books libc marked:write=1403
	it "$v: 500 calls from code of its own escaped" books code escaped:getppid=500
	it "$v: a restarted read is one" books handler marked:read=1
	it "$v: children of vfork are told apart" books vfork vfork:write=10
	it "$v: a family of 187 processes: 4680 of 4680 calls" family
	it "$v: the OOM killer's victim is told" any oom '.event == "oom_kill"'
	it "$v: segments are sent again" end net '.peers[0].retransmits >= 1'
	it "$v: who leaves the cgroup is told" any left '.event == "left_cgroup"'
	it "$v: calls are timed" end slow '.calls[] | select(.call == "fsync" or
		.call == "fdatasync") | .latency_ns.max > 0'
done
