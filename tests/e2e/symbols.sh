#!/bin/bash
# symbols.sh - the symbol door for system calls: programs whose sites can't be
# patched are faulted by the symbols that they call, once and honestly.
. "$(dirname "$0")/lib.sh"
chmod 777 .
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME="$T" "$@"
	else
		env HOME="$T" "$@"
	fi
}
# judged COMMAND… - the run's report is $T/json, its page $T/page.
judged() {
	rm -f "$T/json"
	as_nobody "$MISHAP" run --run-dir "$T/runs" --json "$T/json" "$@" \
		>"$T/page" 2>&1
	local rc=$?
	cat "$T/page"
	return $rc
}
by_symbols() { MISHAP_DOORS=symbols judged "$@"; }
# fires CALL COMMAND… - by symbols the first rule fires; any verdict but FAIL.
fires() {
	by_symbols "$@"
	jq -e '.rules[0].fired > 0 and (.expectations | length > 0) and
		(.expectations | all(.verdict == "PASS"))' "$T/json" >/dev/null
}
unset MISHAP_DOORS

it "an unknown door is a usage error" \
	says "MISHAP_DOORS=windows: wants best, symbols or notify" \
	env MISHAP_DOORS=windows "$MISHAP" run -f 'read fail=EIO' -- true

# ---- the names that Debian's programs call --------------------------------
imports() { nm -D -u "$(readlink -f "$(command -v "$1")")" | grep -qw "$2"; }
echo hello >data && chmod 666 data
with git it "git's open64 is seen" fires -f 'open path=**/data fail=EACCES' \
	--expect 'exit!=0' --expect 'stderr~denied' -- \
	git hash-object data
with git it "a fortified open, as git calls it for an index" \
	imports git __open64_2
with python3 it "python3's open is seen" \
	fires -f 'open path=**/data fail=EMFILE' --expect exit=7 -- \
	/usr/bin/python3 -c '
import errno, os, sys
try: os.open("data", os.O_RDONLY)
except OSError as e: sys.exit(7 if e.errno == errno.EMFILE else 1)'
with perl it "perl's open is seen" \
	fires -f 'open path=**/data fail=EROFS' --expect exit=7 -- \
	perl -e 'open(F, "<", "data") or exit($! =~ /Read-only/ ? 7 : 1)'
with perl it "perl's reads are seen, short" \
	fires -f 'read path=**/data short=1' --expect 'stdout~^h-1' -- \
	perl -e 'open(F, "<", "data"); $n = sysread(F, $b, 100); print "$b-$n"'

cat >chk.c <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <sys/socket.h>
int n;
int main(int argc, char **argv)
{
	char b[8], *name = argv[1];
	int flags = argc > 9 ? O_CREAT : O_RDONLY, s[2], fd;
	fd = open(name, flags);
	printf("open %d\n", fd < 0 ? errno : 0);
	n = argc + 3;
	printf("read %zd\n", read(0, b, n));
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	send(s[0], "abcd", 4, 0);
	printf("recv %zd\n", recv(s[1], b, n, 0));
	printf("recvfrom %zd\n", recvfrom(s[1], b, n, MSG_DONTWAIT, 0, 0));
	return 0;
}
END
cc -O2 -D_FORTIFY_SOURCE=2 -D_FILE_OFFSET_BITS=64 -o chk chk.c
fortified() {
	local name
	for name in __open64_2 __read_chk __recv_chk __recvfrom_chk; do
		nm -D -u chk | grep -qw "$name" || {
			echo "chk doesn't call $name"
			return 1
		}
	done
	by_symbols -f 'open path=**/data fail=EIO' -f 'read fd=0 fail=EISDIR' \
		-f 'recv short=2 nth=1' --expect exit=0 -- ./chk data <data
	jq -r '.rules[] | .fired' "$T/json" | tr '\n' ' ' | tee fired
	grep -qx '1 1 1 ' fired || return 1
	grep -qx 'open 5' "$T"/runs/*/stdout && grep -qx 'recv 2' "$T"/runs/*/stdout &&
		grep -qx 'recvfrom 2' "$T"/runs/*/stdout
}
it "fortified names are seen: open, read, recv, recvfrom" fortified

# ---- once -------------------------------------------------------------------
cat >ten.py <<'END'
import os
fd = os.open("/dev/null", os.O_WRONLY)
for i in range(10): os.write(fd, b"x")
END
ten() { # DOORS: python3 writes to fd ten times, and that's what is counted
	MISHAP_DOORS=$1 judged -f 'write path=/dev/null nth=11 fail=EIO' \
		--expect exit=0 -- /usr/bin/python3 ten.py
	jq -e '.rules[0].matched == 10' "$T/json" >/dev/null
}
it "a call that two doors could see is counted once" ten best
it "and once by its symbol" ten symbols
same_door() { # DOORS NAME: whatever is asked for when it is repeated
	MISHAP_DOORS=$1 judged -f 'write path=/dev/null nth=3 fail=EIO' \
		--expect 'exit!=0' -- /usr/bin/python3 ten.py
	as_nobody env MISHAP_DOORS=best "$MISHAP" replay --run-dir "$T/runs" \
		--json "$T/json" >"$T/page" 2>&1
	cat "$T/page"
	jq -e --arg door "$2" \
		'.coverage.doors == [$door] and .rules[0].fired == 1' "$T/json"
}
it "a replay goes by the same door: symbols" same_door symbols symbols
it "... and notify" same_door notify notify
cat >execs.c <<'END'
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(void)
{
	char *argv[] = { "true", 0 }, *none[] = { 0 };
	int status, bad = 0;
	for (int i = 0; i < 8; i++) {
		pid_t pid = i % 2 ? fork() : vfork();
		if (pid) {
			waitpid(pid, &status, 0);
			bad |= status;
			continue;
		}
		switch (i) {
		case 0: execv("/bin/true", argv); break;
		case 1: execvp("true", argv); break;
		case 2: execve("/bin/true", argv, none); break;
		case 3: execl("/bin/true", "true", "a", "b", "c", "d", "e", "f",
			      "g", (char *)0); break;
		case 4: execlp("true", "true", "a", (char *)0); break;
		case 5: execle("/bin/true", "true", "a", (char *)0, none); break;
		case 6: execvpe("true", argv, none); break;
		case 7: fexecve(open("/bin/true", O_RDONLY), argv, none); break;
		}
		_exit(99);
	}
	return bad != 0;
}
END
cc -D_GNU_SOURCE -o execs execs.c
once() { # through every wrapper that leads to another one
	MISHAP_DOORS=$1 judged -f 'execve nth=99 fail=ENOENT' --expect exit=0 \
		-- ./execs
	# Four of the eight come from vfork children, which match nothing; at
	# sites each of the files that execvp() tries is one more.
	jq -e --arg doors "$1" '(if $doors == "best" then .rules[0].matched >= 4
		else .rules[0].matched == 4 end) and
		.coverage.processes == 9 and (.checks | all(.text != "target kept"))' "$T/json"
}
it "exec in any shape is one execve, and brings the library along" once symbols
it "so it does at sites, past the same symbols" once best

# ---- faults and their errno -------------------------------------------------
values() {
	by_symbols -f 'fsync fail=EIO' -f 'write path=**/out short=3' \
		-f 'lseek path=**/out late=EOVERFLOW' -f 'fallocate fail=ENOSPC' \
		-f 'read path=**/data corrupt=1bit' -f 'dup delay=60ms' \
		--expect exit=0 -- /usr/bin/python3 -c '
import errno, os, time
def fails(call, error):
    try: call()
    except OSError as e: assert e.errno == error, e; return
    assert False
out = os.open("out", os.O_WRONLY | os.O_CREAT, 0o666)
fails(lambda: os.fsync(out), errno.EIO)
assert os.write(out, b"abcdef") == 3
fails(lambda: os.lseek(out, 1, os.SEEK_SET), errno.EOVERFLOW)
fails(lambda: os.posix_fallocate(out, 0, 10), errno.ENOSPC)
assert os.write(out, b"x") == 1  # the late seek was made
assert open("out", "rb").read() == b"axc"
data = os.read(os.open("data", os.O_RDONLY), 100)
assert sum(bin(a ^ b).count("1") for a, b in zip(data, b"hello\n")) == 1, data
start = time.monotonic()
os.dup2(out, 99)
assert time.monotonic() - start >= .06'
	jq -e '.rules | all(.fired > 0)' "$T/json"
}
it "fail, short, late, corrupt, delay, and an error that is returned" values

cancelled() { # COMMAND… RULE; exit 0: cancelled and cleaned up
	local rule=$1
	shift
	by_symbols -f "$rule" --expect exit=0 -- timeout 30 "$@"
	jq -e '.expectations | all(.verdict == "PASS")' "$T/json" >/dev/null
}
for call in read accept epoll_wait; do
	for fault in hang delay=20s 'fail=EINTR nth=9'; do
		it "$call: a thread is cancelled under $fault" cancelled \
			"$call $fault" "$TARGETS/guest_cancel" "$call"
	done
done

# ---- what it can't see ------------------------------------------------------
seq 1000 >numbers && chmod 666 numbers
blind() { # sort's output is stdio's: no symbol shows it, and nothing passes
	by_symbols -f 'write nth=1 fail=ENOSPC' --expect exit=0 -- sort numbers
	[ $? = 3 ] && jq -e '.verdict == "INCONCLUSIVE" and
		.coverage.doors == ["symbols"] and .coverage.unknown == ["write"] and
		(.reasons | any(startswith("calls seen:")))' "$T/json"
}
it "a rule on what libc does inside itself is inconclusive, with the reason" blind
half() { # ... and so is one that fires, as long as its share isn't known
	by_symbols -f 'open path=**/data fail=EROFS' --expect exit=7 -- \
		perl -e 'open(F, "<", "data") or exit 7'
	[ $? = 3 ] && jq -e '.rules[0].fired == 1' "$T/json"
}
it "so is a rule that fires, as its share isn't known" half
any_share() {
	printf '%s\n' 'version: 1' 'name: by symbols' 'min_coverage: 0%' \
		'target: {run: [perl, -e, "open(F, q(<), q(data)) or exit 7"]}' \
		'faults: ["open path=**/data fail=EROFS"]' 'expect: [exit==7]' >any.yaml
	by_symbols any.yaml && jq -e '.verdict == "PASS"' "$T/json"
}
it "min_coverage 0% takes what symbols see" any_share
counted() { # beside strace: some are seen, some aren't, by which door
	MISHAP_DOORS=symbols "$MISHAP" doctor --coverage --json json -- \
		/usr/bin/python3 -c 'import os
for i in range(9): os.close(os.open("data", 0))'
	jq -e '(.calls | map({(.call): .}) | add) as $c |
		$c.openat.seen >= 9 and $c.openat.seen < $c.openat.made and
		$c.openat.door == "symbol"' json
}
if strace -n -qq -o /dev/null true 2>/dev/null; then
	it "doctor --coverage counts what symbols see, and what they don't" counted
else
	skip "doctor --coverage counts what symbols see" "strace can't trace here"
fi

# ---- a libc that isn't what was planned ------------------------------------
# A copy with other bytes, run by its own ld.so: the plan of its build-id is
# the real libc's, whose bytes it hasn't.
strange() {
	local libc ld site
	libc=$(ldconfig -p | sed -n 's/.*libc\.so\.6 (.*x86-64.*) => //p' | head -1)
	ld=$(readelf -l /bin/true | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
	mkdir -p strange
	cp "$(readlink -f "$libc")" strange/libc.so.6
	cp "$(readlink -f "$ld")" strange/ld.so
	# The bytes before sync's `syscall`: mov $0xa2,%eax, the upper bytes of
	# which are zero; a nop that means the same takes its place elsewhere.
	site=$((0x$(nm -D "$libc" | awk '$3 ~ /^sync@/ {print $1}')))
	"$1" "$site" || return 1
	cc -o strange/chk -Wl,--dynamic-linker="$T/strange/ld.so" \
		-Wl,-rpath,"$T/strange" chk.c
	judged -f 'open path=**/data fail=EIO' --expect exit=0 -- \
		./strange/chk data <data
}
# sync() is f3 0f 1e fa b8 a2 00 00 00 0f 05: another number, so other bytes.
other_bytes() {
	dd if=/dev/zero of=strange/libc.so.6 bs=1 count=1 conv=notrunc \
		seek=$((0x$(objdump -d strange/libc.so.6 \
			--start-address="$1" --stop-address=$(($1 + 32)) |
			awk '/mov +\$0xa2,%eax/ {sub(":", "", $1); print $1}') + 1))
}
no_id() { objcopy --remove-section .note.gnu.build-id strange/libc.so.6; }
falls_back() {
	strange "$1"
	jq -e --arg why "$2" '.rules[0].fired == 1 and .verdict == "INCONCLUSIVE" and
		(.reasons | any(contains($why)))' "$T/json"
}
it "a libc with other bytes than its plan: symbols, and it is said" \
	falls_back other_bytes "isn't what the patch plan was made for"
it "a libc without build-id: symbols, and it is said" \
	falls_back no_id "no patch plan for its libc"

# ---- musl -------------------------------------------------------------------
if ! command -v musl-gcc >/dev/null; then
	skip "musl programs by their symbols" "no musl-gcc here"
	exit 0
fi
musl-gcc -O2 -o musl_chk chk.c
musl-gcc -O1 -D_GNU_SOURCE -pthread -o musl_cancel \
	"$ROOT/tests/targets/guest_cancel.c"
musl_notified() { # what libc does inside itself is seen too: a PASS
	MISHAP_DOORS=notify judged -f 'open path=**/data fail=EIO' \
		--expect exit=0 -- ./musl_chk data <data &&
		jq -e '.coverage.doors == ["notify"] and .coverage.unknown == []' \
			"$T/json"
}
it "a musl program by the notify door: it can pass" musl_notified
musl_faults() {
	judged -f 'open path=**/data fail=EIO' -f 'read fd=0 fail=EISDIR' \
		-f 'recv short=2 nth=1' -f 'malloc size=7 fail=ENOMEM' \
		--expect exit=0 --expect 'stdout~"recv 2"' -- ./musl_chk data <data
	[ "$(jq -r '[.rules[].fired] | join(" ")' "$T/json")" = "1 1 1 0" ] &&
		jq -e '.expectations | all(.verdict == "PASS")' "$T/json" &&
		jq -e '.reasons | any(contains("isn'"'"'t glibc"))' "$T/json"
}
it "a musl program is faulted by its symbols, and it is said" musl_faults
bare_and_armed() {
	./musl_chk data <data >bare &&
		judged -f 'file path=/never/** delay=1s' --expect exit=0 -- \
			./musl_chk data <data
	diff bare "$(ls -td "$T"/runs/*/ | head -1)stdout"
}
it "armed and not matching, it does what it does" bare_and_armed
for call in read accept epoll_wait; do
	for fault in hang delay=20s 'fail=EINTR nth=9'; do
		it "musl, $call: a thread is cancelled under $fault" \
			cancelled "$call $fault" ./musl_cancel "$call"
	done
done
