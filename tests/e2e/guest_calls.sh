#!/bin/bash
# The symbol door's calls, and blocking calls while a thread is cancelled.
. "$(dirname "$0")/lib.sh"
RUN=$BUILD/tests/guest_run
run() { timeout 60 "$RUN" -o books "$@"; }

cat >wanted <<'END'
malloc 0 ENOMEM
calloc 0 ENOMEM
realloc 0 ENOMEM
reallocarray 0 ENOMEM
memalign 0 ENOMEM
aligned_alloc 0 ENOMEM
posix_memalign ENOMEM -
getaddrinfo EAI_AGAIN -
clock_gettime -1 EINVAL
gettimeofday -1 EFAULT
time -1 EFAULT
pthread_create EAGAIN -
posix_spawn EAGAIN -
posix_spawnp EAGAIN -
fork -1 EAGAIN
vfork -1 EAGAIN
system -1 EAGAIN
popen 0 EAGAIN
END
all_fail() {
	run -r 'malloc,realloc,memalign,aligned_alloc,posix_memalign size=7777 fail=ENOMEM' \
		-r 'calloc,reallocarray size=7777 fail=ENOMEM' \
		-r 'getaddrinfo host=127.0.* fail=EAI_AGAIN' \
		-r 'clock_gettime fail=EINVAL' -r 'gettimeofday,time fail=EFAULT' \
		-r 'pthread_create,posix_spawn,fork fail=EAGAIN' -- \
		"$TARGETS/guest_symbols" >said
	diff wanted said && [ "$(grep -c '^event' books)" -ge 18 ]
}
it "each symbol fails as its page says, errno only where it counts" all_fail
none_fails() {
	run -r 'malloc,calloc,realloc,fork,time,getaddrinfo nth=4000000000 fail=ENOMEM' \
		-- "$TARGETS/guest_symbols" >said
	"$TARGETS/guest_symbols" >bare
	diff bare said
}
it "armed and not matching, each symbol does what it does" none_fails
after_vfork() { # the child is made and lives, the parent is told it failed
	run -r 'fork late=ENOMEM nth=2' -- "$TARGETS/guest_symbols" \
		>said && grep -qx 'vfork -1 ENOMEM' said
}
it "a vfork that fails after it was made is a fork" after_vfork
dash_forks() {
	run -r 'fork nth=2 fail=EAGAIN' -- dash -c 'true; /bin/true; /bin/true;
		/bin/true' 2>said
	grep -q 'fork' said && grep -qx 'rule 0 matched=2 fired=1' books
}
with dash it "the children of dash, which are vfork's, can fail" dash_forks
stacks() { # in a chain of callers, not in the library
	run -r 'malloc frame=main size=7777 fail=ENOMEM' \
		-r 'calloc frame=no_such_function fail=ENOMEM' -- \
		"$TARGETS/guest_symbols" >said
	! grep -q '^calloc 0' said && grep -qx 'rule 1 matched=0 fired=0' books
}
it "frame= looks at the callers of a symbol" stacks

cancelled() { run -r "$2" -- "$TARGETS/guest_cancel" "$1"; }
for call in read accept epoll_wait; do
	it "$call: a thread is cancelled in a hang" cancelled $call "$call hang"
	it "$call: a thread is cancelled in a delay" \
		cancelled $call "$call delay=9000000000"
	it "$call: a thread is cancelled in a call that waits to fail late" \
		cancelled $call "$call at=after kill=19"
	it "$call: a thread is cancelled in a call that goes by" \
		cancelled $call "$call fail=EIO nth=9"
done

lets_go() { # the runner's lease ends while the target hangs
	local start=$SECONDS
	run -k 700 -r 'write hang' -- sh -c 'echo through' >said
	grep -qx through said && [ $((SECONDS - start)) -lt 20 ] &&
		grep -q '^event call=write fault=hang' books
}
it "a hanging target is given back when the lease ends" lets_go
phases() { # armed, disarmed, armed … while one process runs
	run -p 2 -n 200 -r 'write phase=1 fail=EIO' -- /usr/bin/python3 -c '
import os, time
fd = os.open("/dev/null", os.O_WRONLY); seen = ""
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try: os.write(fd, b"x"); now = "+"
    except OSError: now = "-"
    if seen[-1:] != now: seen += now
    time.sleep(.005)
assert "+-+-+" in seen, seen' && grep -q '^rule 0 matched=[1-9]' books
}
it "phases open and close the doors of a running process" phases
disarmed() { # -q: nothing is armed, and exec is still repaired
	run -q -r 'write fail=EIO' -- env -i sh -c 'true; exec env' >said
	grep -q '^LD_PRELOAD=.*libmishap.so$' said &&
		grep -q '^MISHAP_SHARED=' said && ! grep -q '^event' books
}
it "env -i brings the library along, disarmed too" disarmed
order() { # a list of the user's own stays as it is, ours comes behind it
	run -q -- env -i LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libm.so.6 \
		sh -c 'exec env' >said
	grep -qx "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libm.so.6:$BUILD/libmishap.so" said
}
it "the user's own LD_PRELOAD is kept, before ours" order

cat >large.py <<'END'
import os, resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, 1 << 19)) # execve(2)
def fits(n):
    pid = os.fork()
    if pid == 0:
        env = {"A": "a" * (n // 2), "B": "b" * (n - n // 2)}
        try:
            os.execve("/bin/true", ["true"], env)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
if len(sys.argv) > 1:
    sys.exit(0 if fits(int(sys.argv[1])) else 1)
low, high = 1000, 1 << 20
while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if fits(middle) else (low, middle)
print(low)
END
full() { # an environment that just fits, without a byte of ours
	local n
	n=$(/usr/bin/python3 large.py)
	echo "$n bytes fit"
	[ "$n" -gt 10000 ] && run -q -- /usr/bin/python3 large.py "$n" &&
		exits 1 run -q -- /usr/bin/python3 large.py $((n + 1))
}
it "an environment that has no room for us is passed on as it is" full
