#!/bin/bash
# ledger.sh - what was acknowledged is held against what is there afterwards.
. "$(dirname "$0")/lib.sh"
chmod 777 "$T"
run() { timeout 60 "$MISHAP" run -q --run-dir "$T/runs" "$@"; }
cat >reader <<'END'
#!/bin/sh
sed 's/^/present log /' log
echo done
END
chmod 755 reader

store() { # CODE PROMISE HOW RULE...
	local code=$1 promise=$2 how=$3
	shift 3
	rm -f log
	exits "$code" run "$@" --expect "ledger ./reader $promise" --json r.json \
		-- "$TARGETS/acks" "$how" . 8
}
seen() { jq -er '.expectations[0].seen' r.json | grep -E -- "$1"; }
it "mishap.h: all that was acknowledged is there" store 0 '== strict' careful
it "killed at an fsync: nothing is lost, one may have recovered" \
	store 0 '== strict' careful -f 'fsync kill=KILL nth=5'
it "killed before the write that was promised: lost" \
	store 1 '== strict' careless -f 'write path=**/log kill=KILL nth=5'
it "it says which one" seen '1 lost.*the first is log 4, lost'
it "a window forgives what was acknowledged just before the death" \
	store 3 '== window:2s' careless -f 'write path=**/log kill=KILL nth=5'
it "but not if nothing older was there to be lost" seen "can't fail"
it "written twice: duplicated" store 1 '== exactly_once' twice
it "it says so" seen '0 lost.* 1 duplicated'
it "at_least_once: that is fine" store 0 '== at_least_once' twice
it "C++ takes mishap.h, too" bash -c 'printf "%s\n" "#include \"mishap.h\"" \
	"int main() { mishap_ack(\"s\", \"1\", 0); }" >a.cc &&
	g++ -Wall -Wextra -Werror -I "$1/include" a.cc -o a && ./a' - "$ROOT"

cat >order.yaml <<END
version: 1
name: a list keeps its order
target: {run: [$TARGETS/acks, swapped, ., "8"]}
streams: {log: append}
durability: strict
expect: [ledger ./reader]
END
swapped() {
	rm -f log
	exits 1 run order.yaml --json r.json && seen ' 1 reordered'
}
it "two that were swapped: reordered" swapped
history() {
	"$MISHAP" report --run-dir runs last --history edn >h.edn &&
		grep -c ':type :ok.*:append "log"' h.edn | grep -qx 8 &&
		grep -q ':r "log" \[1 0 2 3 4 5 6 7\]' h.edn &&
		"$MISHAP" report --run-dir runs last --history json |
		jq -e 'length == 18' &&
		"$MISHAP" report --run-dir runs last --history porcupine |
		jq -e 'length == 16 and .[0].ClientId == 0'
}
it "its history is printed for other checkers" history

# ---- evidence that somebody has spoiled -------------------------------------
tampered() { # SED-SCRIPT CLASS
	store 0 '== strict' careful || return 1
	local id
	id=$(ls -t runs | head -n 1)
	sed -Ei "$1" "runs/$id/evidence.json"
	exits 1 "$MISHAP" report --run-dir runs -q "$id" --json r.json &&
		seen " 1 $2"
}
it "a record that is dropped from the evidence turns it red" tampered \
	's/present log 3\\n//' lost
it "so does one that is doubled" tampered \
	's/present log 3\\n/&&/' duplicated
it "so does one that nobody asked for" tampered \
	's/present log 3\\n/&present log 33\\n/' phantom

# ---- channels ---------------------------------------------------------------
cat >work.py <<'END'
import os, sys
for i in range(4):
    line = "%s%d" % (sys.argv[1], i)
    with open("log", "a") as f:
        f.write(line + "\n")
    if sys.argv[1] == "path":
        os.path.exists("/.mishap/ack/log/" + line)
    elif sys.argv[1] == "fd":
        os.write(int(os.environ["MISHAP_LEDGER_FD"]), ("ack log %s\n" % line).encode())
    else:
        print("ack log", line, flush=sys.argv[1] == "out")
END
channel() { # WORD REGEX
	rm -f log up
	exits 0 env -u PYTHONUNBUFFERED timeout 60 "$MISHAP" run -q \
		--run-dir "$T/runs" --ready file:up --load "/usr/bin/python3 work.py $1" \
		--expect 'ledger ./reader' --json r.json \
		-- sh -c 'touch up; exec sleep 50' && seen "$2"
}
it "a workload's acknowledgements by stat(2)" channel path '^all 4 ack.*recovered$'
it "by its own descriptor" channel fd '^all 4 ack.*recovered$'
it "on its standard output" channel out '^all 4 ack.*recovered$'
it "several in one write get a warning" channel late 'warning: 4 acknowledgements'

# ---- a service comes up again before it is read ----------------------------
cat >redis.yaml <<'END'
version: 1
name: redis keeps what it acknowledged
target:
  run: [redis-server, --port, "${port}", --dir, "${scratch}", --appendonly, "yes",
        --appendfsync, always, --save, ""]
  ready: {tcp: "127.0.0.1:${port}"}
workload:
  - name: sets
    run: [/usr/bin/python3, sets.py, "${port}"]
faults:
  - write path=**/*.aof kill=KILL nth=12
expect:
  - ledger ./redis-reader ${port}
END
cat >sets.py <<'END'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rb")
for i in range(40):
    print("invoke keys", i, flush=True)
    s.sendall(b"SET k%d v\r\n" % i)
    if f.readline() != b"+OK\r\n":
        break
    print("ack keys", i, flush=True)
END
cat >redis-reader <<'END'
#!/bin/sh
redis-cli -p "$1" --raw keys 'k*' | sed 's/^k/present keys /'
echo done
END
chmod 755 redis-reader
recovers() {
	exits 0 run --sandbox redis.yaml --json r.json && seen 'acknowledged records are there'
}
with redis-server it "redis is killed, started again, and read" recovers
broken() {
	sed 's/\["*prepare.*//' redis.yaml >/dev/null
	rm -f up
	exits 1 run --ready file:up --load 'sh -c "echo ack s 1; rm up"' \
		--expect 'ledger ./reader' --json r.json -- sh -c \
		'[ -e once ] && exit 3; touch once up; sleep 0.3; exit 0' &&
		seen "didn't come up again"
}
it "a service that doesn't come up again is a FAIL" broken
