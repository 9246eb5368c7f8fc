#!/bin/bash
# Inside --sandbox a faulted target may do what it likes.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/lone_user.inc"
walled() { runs --sandbox -f 'fsync delay=1ms' "$@"; }

# As ourselves: the user whom the tests are, without any right.
if ! as unshare -Ur true 2>/dev/null; then
	skip "an unprivileged sandbox" "user namespaces are forbidden here"
	exit 0
fi
inside() { # EXPECTATION COMMAND… - holds of what sh -c COMMAND leaves
	local expect=$1
	shift
	runs --sandbox -f 'write delay=1ms' --expect "$expect" -- sh -c "$*"
}
echo precious >doc
echo precious >gone
mkdir dir
echo precious >dir/deep
[ "$LONE" = 0 ] || chown -R "$LONE:$LONE" .
all() { cat doc gone dir/deep 2>&1; ls; }
before=$(all)
wreck='echo x >doc; rm gone; rm -r dir; mkdir dir; echo y >new; ls'
it "real files stay as they are, whatever the target does to them" \
	exits 0 inside exit==0 "$wreck"
it "none was touched" test "$before" = "$(all | grep -v '^runs$')"
it "a check sees what the target left" exits 0 inside \
	'check sh -c "grep -qx x doc && test ! -e gone && test ! -e dir/deep && test -e new"' \
	"$wreck"
it "and bites when it left something else" exits 1 inside \
	'check grep -q precious doc' "$wreck"
it "a file expectation sees it too" exits 1 inside 'file doc unchanged' "$wreck"
it "an untouched one is unchanged" exits 0 inside 'file doc unchanged' 'echo x'
it "nothing else can be written" exits 0 inside 'exit==0' \
	'for d in / /etc /usr /var /root /run /home /proc/sys/kernel; do touch $d/mishap-x 2>/dev/null && exit 1; done; echo ok'
it "/tmp, /dev/shm and /var/tmp are its own" exits 0 inside 'exit==0' \
	'for d in /tmp /dev/shm /var/tmp; do touch $d/mishap-sandbox-x || exit 1; done; echo ok'
it "nobody sees them outside" sh -c '! ls /tmp/mishap-sandbox-x /dev/shm/mishap-sandbox-x /var/tmp/mishap-sandbox-x 2>/dev/null'
it "/dev has what programs want, and it works" exits 0 inside 'exit==0' \
	'for n in null zero full random urandom tty; do test -c /dev/$n || exit 1; done
	 head -c 4 /dev/zero >/dev/null && echo x >/dev/null && ! echo x >/dev/full'
it "/dev/null can't be removed" exits 0 inside 'exit==0' \
	'! rm -f /dev/null 2>/dev/null && ! mv /dev/null /dev/nil 2>/dev/null; echo ok; test -c /dev/null'
it "it sees its own processes alone" exits 0 inside 'exit==0' \
	'test $(ls -d /proc/[0-9]* | wc -l) -lt 8'
it "it has no capability and can't get one" exits 0 inside 'exit==0' \
	'echo x; grep -q "^CapEff:.0*$" /proc/self/status && grep -q "^NoNewPrivs:.1" /proc/self/status'

if [ "$(id -u)" = 0 ]; then
	rooted() {
		timeout 60 "$MISHAP" run --sandbox --run-dir "$T/r/runs" "$@"
	}
	mkdir "$T/r"
	echo data >"$T/r/in"
	cd "$T/r" || exit 1
	it "root becomes nobody, and may still write where root could" \
		exits 0 rooted -f 'write delay=1ms' \
		--expect 'stdout~"^65534 65534$"' --expect exit==0 -- \
		sh -c 'echo "$(id -u) $(id -G)"; echo x >in && mkdir d && echo y >d/e'
	it "or who called sudo" exits 0 env SUDO_UID=4321 SUDO_GID=4322 \
		timeout 60 "$MISHAP" run --sandbox --run-dir "$T/r/runs" \
		-f 'write delay=1ms' --expect 'stdout~"^4321 4322$"' -- \
		sh -c 'echo "$(id -u) $(id -g)"'
	it "root's file is as it was" grep -qx data in
	echo secret >theirs
	chown 4444 theirs
	chmod 600 theirs
	it "an input that this user can't read: exit 2" exits 2 rooted \
		-f 'write fail=EIO' -- cat in
	it "and it is named" says "can't read $T/r/theirs" rooted \
		-f 'write fail=EIO' -- cat in
	rm theirs
	it "also outside of the directory, if the target names it" \
		says "can't read /etc/shadow" rooted -f 'write fail=EIO' -- \
		cat /etc/shadow
	it "without --sandbox one line says what that risks" \
		says 'runs as root without --sandbox' timeout 60 "$MISHAP" run \
		--run-dir "$T/r/runs" -f 'write delay=1ms' -- echo x
	O=/dev/shm/over-$$
	over() { # a working directory whose owners can't be swapped
		unshare -m sh -c 'mount -t overlay overlay \
			-o lowerdir=l,upperdir=u,workdir=k m && cd m && exec "$@"' \
			sh "$@"
	}
	mkdir "$O" && cd "$O" && mkdir l u k m && echo data >l/in || exit 1
	it "on an overlay (a container's root) it may make and remove files" \
		exits 0 over timeout 60 "$MISHAP" run --sandbox --run-dir \
		"$T/r/runs" -f 'write delay=1ms' --expect exit==0 -- \
		sh -c 'cat in && echo y >new && rm in'
	it "and outside it is as it was" test "$(cat l/in; ls u)" = data
	cd "$T/w" && rm -rf "$O"
else
	skip "root becomes nobody" "needs root"
fi

# ---- network --------------------------------------------------------------
port=$(free_port)
/usr/bin/python3 -m http.server "$port" --bind 127.0.0.1 >/dev/null 2>&1 &
pids+=($!)
until_true 10 curl -s "http://127.0.0.1:$port/"
fetch="curl -s -m 5 -o /dev/null http://127.0.0.1:$port/"
it "the network is the host's" exits 0 inside exit==0 "$fetch; r=\$?; echo x; exit \$r"
it "or none, with a loopback of its own" exits 0 runs --sandbox --no-network \
	-f 'write delay=1ms' --expect exit==7 -- sh -c "$fetch; r=\$?; echo x; exit \$r"
if command -v redis-server >/dev/null; then
	yaml net.yaml 'target:' '  cwd: ${scratch}' \
		'  run: [redis-server, --port, "${port}", --save, ""]' \
		'  ready: {tcp: "127.0.0.1:${port}", within: 10s}' \
		'steady:' '  - {name: up, tcp: "127.0.0.1:${port}", every: 50ms}' \
		'workload:' '  - {name: ping, run: [redis-cli, -p, "${port}", ping], timeout: 5s}' \
		'phases:' '  - {name: one, for: 500ms}' \
		'expect: [availability==100%, workload==0]'
	sed -i 's/availability==100%/availability>=100%/' net.yaml
	it "probes and workloads reach the target in there" exits 0 runs \
		--sandbox --no-network -f 'accept delay=1ms' net.yaml
fi

# ---- the end --------------------------------------------------------------
left() {
	walled -- sh -c "setsid sh -c 'trap \"\" TERM; sleep 3141.$$; sleep 3141.$$' & exit 0"
	gone "3141.$$"
}
it "nothing of it is left behind" left
killed() {
	as_bg "$MISHAP" run --run-dir "$T/w/runs" --sandbox -f 'fsync fail=EIO' -- \
		sleep 3142.$$
	local pid=$!
	until_true 5 pgrep -f "^sleep 3142.$$" || return 1
	kill -9 "$pid"
	wait "$pid"
	until_true 2 sh -c "! pgrep -f '^sleep 3142.$$'" || return 1
	runs -f 'write delay=1ms' -- echo x # sweeps
	gone 3142.$$
}
it "kill -9 of the runner ends everything inside" killed
