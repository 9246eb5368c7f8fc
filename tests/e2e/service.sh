#!/bin/bash
# A service without a file: --ready, --load, --steady and variables in COMMAND.
. "$(dirname "$0")/lib.sh"
runs() { timeout 60 "$MISHAP" run --run-dir "$T/runs" --sandbox "$@"; }
python=/usr/bin/python3
cat >serve.py <<'P' # SECONDS-before-it-listens PORT
import socket, sys, time
time.sleep(float(sys.argv[1]))
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[2]))); s.listen(64)
while True:
    c, _ = s.accept(); c.send(b"hello\n"); c.close()
P
typed=(--phase 'calm 300ms' --phase 'slow 500ms: send side=server delay=2ms'
	--ready 'tcp:127.0.0.1:${port} within 8s'
	--load 'bash -c "cat </dev/tcp/127.0.0.1/${port}"'
	--steady 'hello bash -c "cat </dev/tcp/127.0.0.1/${port}" every 50ms'
	-e 'availability>=50%' -e 'workload load1==0' --
	"$python" serve.py 0 '${port}')
whole() {
	runs --json r.json "${typed[@]}" || return 1
	jq -e '.phases[1].samples > 3 and .rules[0].fired > 0
		and .expectations[1].text == "workload load1 == 0"' r.json
}
it "a service, a load and a probe need no file" whole
again() {
	local line
	line=$(jq -r .replay r.json)
	"$MISHAP" ${line#*mishap } --json again.json && jq -e \
		'.verdict == "PASS" and (.phases | length == 2)' again.json
}
it "its replay has them too" again
filed() {
	"$MISHAP" fmt "${typed[@]}" >typed.yaml && "$MISHAP" check typed.yaml &&
		grep -q 'tcp: 127.0.0.1:${port}' typed.yaml && runs typed.yaml
}
it "written as a file they say the same" filed
it "--ready in place of a file's: never ready is FAIL" says \
	'no-such-file' runs --ready 'file:${scratch}/no-such-file within 200ms' \
	typed.yaml
wrong() { # TEXT OPTION… - exit 2, and why
	local text=$1
	shift
	says "$text" exits 2 "$MISHAP" run "$@" -- true
}
it "a port that is none is told" wrong 'tcp: wants HOST:PORT' --ready tcp:here
it "so is an unknown variable" wrong 'unknown variable' --ready 'tcp:h:${prot}'
it "a probe without a name or a way" wrong "NAME PROBE" --steady ping
it "an empty load" wrong 'wants a command' --load ''
it "an open quote" wrong "quote" --load 'sh -c "exit'
it "a word too many" wrong 'one word too many' --ready 'file:a b'

# ---- what two runs of one scenario have in common --------------------------
cat >stable.yaml <<'Y'
version: 1
name: stable
target: {run: [sh, -c, 'echo x >"$0/out"', "${scratch}"]}
faults: ["write path=${scratch}/out fail=ENOSPC", 'read path=${scratch}/in delay=1ms']
expect: ["file ${scratch}/out exists", "file ${scratch}/out absent", exit!=0]
Y
names() { # FILE - what a CI system knows the cases by
	grep -o 'testcase [^>]*' "$1" | sort
}
stable() {
	runs --junit a.xml --json a.json stable.yaml
	runs --junit b.xml --json b.json stable.yaml
	diff <(names a.xml) <(names b.xml) &&
		[ "$(names a.xml | wc -l)" = "$(names a.xml | uniq | wc -l)" ] &&
		diff <(jq '[.rules[], .expectations[] | .text]' a.json) \
			<(jq '[.rules[], .expectations[] | .text]' b.json) &&
		jq -e '.rules[0] | (.text | contains("${scratch}")) and
			(.expanded | contains("${") | not)' a.json
}
it "rules and expectations have the same names in every run" stable
