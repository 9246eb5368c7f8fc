#!/bin/bash
# Real programs, bare and under a plan that is armed for every call and never
# matches: what they print, write, return and see of themselves is the same.
. "$(dirname "$0")/lib.sh"
RUN=$BUILD/tests/guest_run
files=open,read,pread,readv,preadv,write,pwrite,writev,pwritev,close
files+=,close_range,fsync,fdatasync,syncfs,ftruncate,truncate,fallocate,lseek
files+=,rename,link,unlink,rmdir,mkdir,symlink,readlink,stat,fstat,statfs
files+=,access,chmod,fchmod,chown,fchown,getdents,sendfile,copy_file_range
files+=,splice,fcntl,dup,pipe,ioctl,flock,chdir,utimens
nets=socket,socketpair,connect,bind,listen,accept,send,sendmsg,sendmmsg,recv
nets+=,recvmsg,recvmmsg,shutdown,setsockopt,getsockopt,getsockname,getpeername
nets+=,poll,select,epoll_create,epoll_wait,epoll_ctl
rest=mmap,munmap,mremap,mprotect,brk,msync,malloc,calloc,realloc,reallocarray
rest+=,memalign,aligned_alloc,posix_memalign,getaddrinfo,fork,execve
rest+=,posix_spawn,pthread_create,kill,wait4,nanosleep,clock_gettime
rest+=,gettimeofday,time
armed() {
	timeout 120 "$RUN" -o "$T/books" \
		-r "$files path=/never/** fail=EIO" \
		-r "$nets peer=192.0.2.1:1 side=client fail=EIO" \
		-r "$rest nth=4000000000 fail=EIO" \
		-r "write,malloc frame=never_called exe=/never size=1 fail=EIO" \
		-- "$@"
}

seq 20000 | sort -R --random-source=<(yes) >in
mkdir tree
for i in 1 2 3 4 5; do seq $((i * 700)) >tree/file$i; done

# same COMMAND… - in two directories of the same name, one after the other.
same() {
	rm -rf bare faulted work
	mkdir work && (cd work && timeout 120 "$@" >../out 2>../err)
	echo "exit $?" >>out
	mv work bare
	mv out bare.out
	mv err bare.err
	mkdir work && (cd work && armed "$@" >../out 2>../err)
	echo "exit $?" >>out
	mv work faulted
	mv out armed.out
	mv err armed.err
	diff bare.out armed.out && diff bare.err armed.err &&
		diff -r bare faulted && [ "$(wc -l <bare.out)" -gt 0 ] &&
		grep -q '^rule 2 matched=[1-9]' books && ! grep -q '^event' books &&
		grep -q 'unresolved=0 .* processes_lost=0' books
}
it "guest_self: open files, signals, threads, environment, random()" \
	same "$TARGETS/guest_self"
it "sort" same sort -S 100k -o out ../in
it "cp -r" same cp -r ../tree copy
it "gzip" same sh -c 'gzip -nc ../in >out.gz && gzip -dc out.gz | cksum'
it "tar" same sh -c 'tar -C .. --mtime=@0 -cf t.tar tree && tar -tvf t.tar'
it "git" same sh -c 'export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z \
	GIT_COMMITTER_DATE=2020-01-01T00:00:00Z \
	HOME=$PWD GIT_CONFIG_NOSYSTEM=1
	git init -q -b main . && cp ../tree/* . && git add . &&
	git -c user.name=a -c user.email=a@b commit -qm one && git log --stat &&
	git fsck; rm .git/index'
it "sqlite3" same sqlite3 t.db 'pragma journal_mode=wal; create table t(a);
	insert into t values(1),(2); select sum(a) from t; pragma integrity_check;
	pragma journal_mode=delete'
it "curl file://" same curl -s -o out "file://$T/in"
it "python3" same /usr/bin/python3 -c '
import os, subprocess, threading, socket, tempfile, time
print(sorted(os.listdir("/proc/self/fd")))
print([l for l in open("/proc/self/status") if l[:3] == "Sig" and l[3] != "Q"])
print(subprocess.run(["echo", "hi"], capture_output=True).stdout)
t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.sendall(b"x" * 100000); c.close()
n = 0
while d := a.recv(4096): n += len(d)
print(n, time.time() > 1e9)
pid = os.fork()
if pid == 0: os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
it "perl" same perl -e 'opendir D, "/proc/self/fd"; print join(",", sort
	grep { -e "/proc/self/fd/$_" } readdir D), "\n"; print grep /^Sig[^Q]/,
	do { open F, "/proc/self/status"; <F> }; print `echo hi`; $SIG{ALRM} = sub
	{ print "alarm\n" }; alarm 1; sleep 5; system "exit 3"; print $? >> 8, "\n"'
with node it "node" same node -e 'const fs = require("fs"), cp = require("child_process");
	console.log(fs.readdirSync("/proc/self/fd").length);
	console.log(fs.readFileSync("/proc/self/status", "utf8").match(/^Sig[^Q].*$/mg));
	console.log(cp.execFileSync("echo", ["hi"]).toString());
	fs.writeFileSync("out", fs.readFileSync("../in"));
	setTimeout(() => console.log("later"), 20)'
it "bash" same bash -c 'ls /proc/self/fd; trap "echo got" USR1; kill -USR1 $$
	x=$(for i in 1 2 3; do echo $i | tr 1-3 a-c; done); echo $x
	grep ^Sig[^Q] /proc/self/status; exec 5<../in; read -u 5 a; echo $a; cat <<<here
	{ sleep 0.05; echo later; } & wait; exit 9'

# It bites: the same comparison sees a fault when there is one.
armed() {
	timeout 120 "$RUN" -o "$T/books" -r 'write path=**/out fail=ENOSPC nth=1' \
		-- "$@"
}
differs() { ! same "$@"; }
it "the comparison sees a fault" differs sort -o out ../in
