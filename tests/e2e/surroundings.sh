#!/bin/bash
# Odd places, tight limits, closed streams, full disks: a true verdict or plain
# words, and nothing left behind.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/lone_user.inc"
cp "$TARGETS/surrounded" "$T/bin/"
SORT=(-f 'write path=**/out fail=ENOSPC' --expect exit==2
	-- sh -c 'echo foo >in; sort -o out in')

# ---- where it stands ---------------------------------------------------------
stands() ( # DIRECTORY - a checkout there, the run in it
	mkdir -p "$1/w" && cp "$MISHAP" "$T/bin/libmishap.so" "$1/" || return 1
	[ "$LONE" = 0 ] || chown "$LONE" "$1/w"
	cd "$1/w" || return 1
	exits 0 as ../mishap run -q "${SORT[@]}" &&
		exits 0 as ../mishap run -q --sandbox "${SORT[@]}"
)
long=$(printf 'x%.0s' {1..200})
for place in 'sp ace' 'col:on' "quo'te\"" 'dol$LIB' 'ütf☃' $'new\nline' \
	"$long" "$long/$long"; do
	it "a checkout and a directory named $(printf %q "${place:0:12}")" \
		stands "$T/at/$place"
done
linked() (
	ln -s "$T/at/sp ace/mishap" "$T/at/link" || return 1
	ln -s "$T/at/sp ace" "$T/at/dir" || return 1
	cd "$T/at/dir/w" && exits 0 as "$T/at/link" run -q "${SORT[@]}" &&
		PATH=$T/at/dir:$PATH exits 0 as mishap run -q "${SORT[@]}"
)
it "it is started through a link, and by PATH" linked
installed() {
	rm -rf runs
	make -s -C "$ROOT" install DESTDIR="$T/pre fix" >/dev/null || return 1
	exits 0 as "$T/pre fix/usr/local/bin/mishap" run -q \
		--run-dir "$T/w/runs" "${SORT[@]}"
}
it "it is installed below a prefix with a space" installed

# ---- what it was given -------------------------------------------------------
under() { # CODE SHELL - set up by SHELL, then a run
	local code=$1 shell=$2
	exits "$code" as timeout 20 bash -c "$shell"'; exec "$@"' x \
		"$MISHAP" run --run-dir "$T/w/runs" -q "${SORT[@]}"
}
it "64 descriptors are enough" under 0 'ulimit -n 64'
it "2 GiB of address space are enough" under 0 'ulimit -v 2097152'
it "a stack of 256 KiB is enough" under 0 'ulimit -s 256'
it "no process may be made: said, exit 2" under 2 'ulimit -u 1'
it "files of 1 MiB at most: said, exit 2, no SIGXFSZ" under 2 'ulimit -f 1024'
it "which says what to do" says 'ulimit -f wants' under 2 'ulimit -f 1024'
it "umask 077" under 0 'umask 077'
it "umask 000" under 0 'umask 000'
it "ignored SIGCHLD, SIGINT, SIGPIPE, SIGHUP" under 0 "trap '' CHLD INT PIPE HUP"
it "standard input closed" under 0 'exec <&-'
it "standard output closed: a PASS that nobody was told is 5" under 5 'exec >&-'
it "and that is said" says "standard output can't be written" under 5 'exec >&-'
files_whole() {
	rm -rf runs
	under 5 'exec <&- >&- 2>&-' || return 1
	for f in runs/*/*.json; do
		jq -e .version "$f" >/dev/null || return 1
	done
}
it "all three closed: what is kept is whole" files_whole
it "no HOME, an odd cache, no environment" \
	under 0 'export HOME=/none XDG_CACHE_HOME=:: ; unset TMPDIR LANG'
it "a TMPDIR that isn't there: said, exit 2" under 2 'export TMPDIR=/none'

# What the target sees of it all, but for what docs/LIMITS.md names.
cat >see.py <<'Y'
import os, re, resource
for line in open("/proc/self/status"):
    if re.match("Sig[BIC]|SigPnd|Umask|Cap|NoNew|Seccomp:|Groups|Threads", line):
        print(line.strip())
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd")))
for k in dir(resource):
    if k.startswith("RLIMIT_"):
        print(k, resource.getrlimit(getattr(resource, k)))
print(os.nice(0), open("/proc/self/oom_score_adj").read(), os.getcwd(),
      os.sched_getaffinity(0), open("/proc/self/timerslack_ns").read())
Y
same_sight() {
	local odd="trap '' CHLD INT XFSZ; ulimit -S -n 200; ulimit -S -c 0; umask 027"
	as bash -c "$odd; exec nice -n 3 /usr/bin/python3 see.py" \
		>bare </dev/null 2>/dev/null || return 1
	rm -rf runs
	as bash -c "$odd"'; exec nice -n 3 "$@"' x "$MISHAP" run -q --run-dir \
		"$T/w/runs" -f 'write size=77777 delay=1ms' -- \
		/usr/bin/python3 see.py </dev/null
	[ "$(grep -c . bare)" -gt 20 ] && diff bare runs/*/stdout
}
it "signals, mask, limits, fds, umask, nice, cwd are the target's as bare" same_sight

# ---- no room -----------------------------------------------------------------
mounted() { # CODE SHELL - mounts in a namespace of our own, then a run
	local code=$1 shell=$2
	exits "$code" unshare -m bash -c "$shell"'; cd . && exec "$@"' x \
		setpriv --reuid="$LONE" --regid="$LONE" --clear-groups \
		"$MISHAP" run --run-dir "$T/w/full" -q "${SORT[@]}"
}
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	mkdir -p full "$T/mnt"
	chown "$LONE" full
	shm='mount -t tmpfs -o mode=1777'
	it "/dev/shm is full: said, exit 2" \
		mounted 2 "$shm,size=64k none /dev/shm; umount -l /run/user/* 2>/dev/null; true"
	it "/dev/shm is not there, another tmpfs is" \
		mounted 0 "mount --bind $T/at /dev/shm; $shm none $T/mnt"
	it "/dev/shm is noexec" mounted 0 "$shm,noexec none /dev/shm"
	it "/dev/shm is noexec, the checkout has a space" eval \
		'MISHAP="$T/at/sp ace/mishap" mounted 0 "$shm,noexec none /dev/shm"'
	it "there is no /proc: said" \
		says "/proc isn't mounted" mounted 2 "umount -l /proc"
	for kib in 4 12 20; do
		it "the runs' disk has $kib KiB: a PASS without its report is 5" \
			mounted 5 "$shm,size=${kib}k none $T/w/full"
	done
	it "the runs' disk is read-only: said, exit 2" \
		mounted 2 "$shm,ro none $T/w/full"
	nobody_mapped() {
		says 'user namespace|this machine forbids' unshare -U -r \
			"$MISHAP" run --run-dir "$T/own" --sandbox -q \
			"${SORT[@]}" &&
			says 'this machine forbids' setpriv --bounding-set=-all \
				--inh-caps=-all "$MISHAP" run --run-dir "$T/own" \
				--sandbox -q "${SORT[@]}"
	}
	it "a container without users or rights: --sandbox says so" nobody_mapped
else
	skip "no room on /dev/shm, no /proc, a full disk" "mounts need root"
fi

# ---- a target in a corner ----------------------------------------------------
corner() { # NAME RULE CODE
	exits "$3" runs -q -f "$2" --expect exit==7 -- "$T/bin/surrounded" "$1"
}
for name in plain stack mdwe as; do
	it "a fault reaches a target in a corner: $name" \
		corner $name 'write path=**/out fail=EIO' 0
done
it "a seccomp filter of the target's own is said, never a PASS" \
	says 'killed by SIGSYS' runs -f 'write path=**/out fail=EIO' \
	--expect 'exit!=0' -- "$T/bin/surrounded" filter
unfiltered() { # no rule may match: nothing of ours is called
	exits 3 runs -q -f 'write size=77 fail=EIO' --expect exit==0 -- \
		"$T/bin/surrounded" filter && cmp out <(printf abc)
}
it "under a filter, a rule that can't match harms nothing" unfiltered

# ---- many --------------------------------------------------------------------
eight() {
	local n pids=() bad=0
	for n in 1 2 3 4 5 6 7 8; do
		as_bg "$MISHAP" run -q --run-dir "$T/w/eight" \
			-f 'write path=**/out* fail=ENOSPC' --expect exit==2 \
			-- sh -c "echo foo >in$n; sort -o out$n in$n"
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || bad=1
	done
	[ $bad = 0 ] && [ "$(ls eight | wc -l)" = 8 ]
}
it "eight runs at once in one directory" eight
inside() {
	runs -q --expect exit==0 -f 'write path=**/none delay=1ms' -- \
		"$MISHAP" run --run-dir "$T/w/inner" -q "${SORT[@]}"
	jq -e '.verdict != "FAIL" and .rules[0].fired == 1 and
		.target.exit == 2' inner/*/report.json
}
it "a run inside a run: the inner one has its target to itself" inside
inside_odd() {
	rm -rf inner
	MISHAP=$T/at/sp\ ace/mishap inside
}
it "the same where each lends its library" inside_odd
halted() {
	as_bg "$MISHAP" run -q --run-dir "$T/w/runs" -f 'read delay=1ms' -- sleep 9
	local run=$!
	until_true 5 pgrep -u "${LONE/#0/$(id -u)}" -x sleep || return 1
	as "$MISHAP" halt &
	as "$MISHAP" halt
	wait $!
	exits 4 wait $run && says 'no live run' as "$MISHAP" halt
}
it "two halts at once; a third finds nothing" halted
storm() {
	head -c 300000 /dev/zero >zeros
	rm -rf runs
	exits 0 runs -q -f 'read fd=0 short=1' --expect exit==0 -- \
		sh -c 'exec dd of=/dev/null bs=64k <zeros' &&
		jq -e '.rules[0].fired >= 300000' runs/*/report.json
}
it "a storm of 300,000 faults loses none" storm
it "nothing is left of all these" gone "$T/w/none"
