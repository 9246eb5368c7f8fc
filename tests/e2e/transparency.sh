#!/bin/bash
# transparency.sh - `mishap run` with rules that are armed for every call and
# never match changes nothing: what real programs and services print, write,
# return, hold open and do with signals is the same as without us.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/e2e/transparency.inc"
. "$ROOT/tests/e2e/postgres.inc"

seq 20000 | sort -R --random-source=<(yes) >in
mkdir tree
for i in 1 2 3 4 5; do seq $((i * 700)) >tree/file$i; done
P=$(free_port)
export P

it "sort" same sh -c 'sort -S 100k -o out ../in; sort -R --random-source=../in \
	../in | tail -n 1; sort ../nothing'
it "cp -r" same sh -c 'cp -rv ../tree copy; cp ../nothing .'
it "gzip" same sh -c 'gzip -nc ../in >out.gz && gzip -dc out.gz | cksum'
it "tar" same sh -c 'tar -C .. --mtime=@0 -cf t.tar tree && tar -tvf t.tar'
it "git" same sh -c 'export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z \
	GIT_COMMITTER_DATE=2020-01-01T00:00:00Z \
	HOME=$PWD GIT_CONFIG_NOSYSTEM=1
	git init -q -b main . && cp ../tree/* . && git add . &&
	git -c user.name=a -c user.email=a@b commit -qm one && git log --stat &&
	git clone -q . other && git -C other log -p && git fsck
	rm .git/index other/.git/index'
it "sqlite3" same sqlite3 t.db 'pragma journal_mode=wal; create table t(a);
	insert into t values(1),(2); select sum(a) from t;
	pragma integrity_check; pragma journal_mode=delete; select * from nothing'
it "curl file://" same sh -c \
	'curl -sS -o out "file://$HOME/in"; echo $?; curl -sS file:///nothing'
it "python3: fds, signals, threads, sockets, processes" \
	same /usr/bin/python3 -c '
import os, subprocess, threading, socket, sys
print(sorted(os.listdir("/proc/self/fd")))
print([l for l in open("/proc/self/status") if l[:3] == "Sig" and l[3] != "Q"])
print(subprocess.run(["echo", "hi"], capture_output=True).stdout)
t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.sendall(b"x" * 100000); c.close()
n = 0
while d := a.recv(4096): n += len(d)
print(n, socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4])
open("out", "w").write("y" * 100000)
print("to stderr", file=sys.stderr)
sys.exit(5)'
it "perl" same perl -e 'opendir D, "/proc/self/fd"; print join(",", sort
	grep { -e "/proc/self/fd/$_" } readdir D), "\n"; print grep /^Sig[^Q]/,
	do { open F, "/proc/self/status"; <F> }; print `echo hi`; $SIG{ALRM} = sub
	{ print "alarm\n" }; alarm 1; sleep 5; system "exit 3"; print $? >> 8, "\n";
	die "here\n"'
with node it "node" same node -e 'const fs = require("fs"), cp = require("child_process");
	console.log(fs.readdirSync("/proc/self/fd").length);
	console.log(fs.readFileSync("/proc/self/status", "utf8").match(/^Sig[^Q].*$/mg));
	console.log(cp.execFileSync("echo", ["hi"]).toString());
	fs.writeFileSync("out", fs.readFileSync("../in"));
	setTimeout(() => { console.error("later"); process.exitCode = 4 }, 20)'
it "bash: traps, pipes, here documents, background jobs" \
	same bash -c 'ls /proc/self/fd; trap "echo got" USR1; kill -USR1 $$
	x=$(for i in 1 2 3; do echo $i | tr 1-3 a-c; done); echo $x
	grep ^Sig[^Q] /proc/self/status; exec 5<../in; read -u 5 a; echo $a; cat <<<here
	{ sleep 0.05; echo later; } & wait; exit 9'

cat >web.js <<'X'
const http = require("http"), fs = require("fs"), crypto = require("crypto");
const big = fs.readFileSync("../in");
const sum = b => crypto.createHash("sha1").update(b).digest("hex");
const server = http.createServer((q, r) => {
	let got = [];
	q.on("data", d => got.push(d));
	q.on("end", () => q.url == "/none" ? (r.statusCode = 404, r.end("none\n"))
		: r.end(q.method == "POST" ? sum(Buffer.concat(got)) : big));
});
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const ask = (path, body) => new Promise((good, bad) => {
	const q = http.request({ agent, port: server.address().port, path,
		host: "127.0.0.1", method: body ? "POST" : "GET" }, r => {
		let got = [];
		r.on("data", d => got.push(d));
		r.on("end", () => good(r.statusCode + " " + sum(Buffer.concat(got))));
	});
	q.on("error", bad);
	q.end(body);
});
server.listen(0, "127.0.0.1", async () => {
	const all = [];
	for (let i = 0; i < 40; i++)
		all.push(ask(i % 5 ? "/" + i : "/none", i % 2 ? big : null));
	console.log((await Promise.all(all)).join("\n"));
	console.log(fs.readdirSync("/proc/self/fd").length);
	console.log(fs.readFileSync("/proc/self/status", "utf8").match(/^Sig[^Q].*$/mg));
	agent.destroy();
	server.close(() => { fs.writeFileSync("out", "closed"); process.exitCode = 6; });
});
X
with node it "node's http over loopback, 40 requests" same node ../web.js

# What a service holds open and does with signals, told from outside.
cat >redis <<'X'
redis-server --port $P --save '' --appendonly yes --appendfsync always \
	--aof-use-rdb-preamble no >log & server=$!
cli() { redis-cli -p $P "$@"; }
until cli ping >/dev/null 2>&1; do sleep 0.05; done
redis-benchmark -p $P --csv -n 2000 -c 20 -P 4 -d 100 -t set,get,lpush |
	cut -d, -f1
cli set a 1 && cli incr a && cli dump a && cli llen mylist && cli strlen key:__rand_int__
cli info commandstats | grep -vE 'ping|info' | cut -d, -f1 | sort
sh ../seen $server
cli shutdown nosave
wait $server; echo $?
grep -c -i -E 'error|warning.*fail' log
rm log; cat appendonlydir/*.incr.aof | cksum
X
it "redis-server and redis-benchmark" same bash ../redis
cat >nginx <<'X'
mkdir www temp && seq 30000 >www/big && echo small >www/small
cat >nginx.conf <<Y
pid nginx.pid;
worker_processes 1;
events { worker_connections 64; }
http {
	access_log off; sendfile on;
	client_body_temp_path temp/b; proxy_temp_path temp/p;
	fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
	server { listen 127.0.0.1:$P; root www; }
}
Y
export PATH=$PATH:/usr/sbin
nginx -p $PWD -e error.log -c nginx.conf -g 'daemon off;' & server=$!
get() { curl -sS -m 20 "$@"; }
until get -o small http://127.0.0.1:$P/small 2>/dev/null; do sleep 0.05; done
get http://127.0.0.1:$P/big | cksum
get -r 100-199 http://127.0.0.1:$P/big
get -I http://127.0.0.1:$P/small | grep -vE 'Date|Last|ETag'
get -w '%{http_code}\n' -o missing http://127.0.0.1:$P/missing
for i in 1 2 3 4 5 6 7 8; do get http://127.0.0.1:$P/big | cksum & done | sort
sh ../seen $server
sh ../seen $(cat /proc/$server/task/$server/children)
nginx -p $PWD -e error.log -c nginx.conf -s reload; sleep 0.3
get http://127.0.0.1:$P/small
nginx -p $PWD -e error.log -c nginx.conf -s quit
wait $server; echo $?
grep -c -E 'emerg|alert|crit' error.log
rm -f error.log
X
it "nginx and curl: ranges, parallel downloads, reload, quit" same bash ../nginx

pgbench_says "-c 4 -j 2 -t 50" >postgres
if [ -n "$pg_bin" ]; then
	it "postgres: initdb, psql, pgbench, checkpoint, stop" same bash ../postgres
else
	skip "postgres: initdb, psql, pgbench, checkpoint, stop" \
		"postgres isn't installed"
fi

# The same comparison sees a fault when there is one.
idle() { jq -e '.books.fired > 0' runs/*/report.json; }
never=(-f 'write path=**/out fail=ENOSPC nth=2')
differs() { ! same "$@" && idle; }
it "it bites: the comparison sees a fault" differs sort -o out ../in
never=(-f 'write path=**/out short=1000')
it "and what a careful program makes good is the same" \
	same sh -c 'sort -o out ../in; cksum out'
