#!/bin/bash
# Disks that are full, read-only, lie, rot and tear; descriptors, memory and CPU
# time that run out: what real programs meet, and what is on the disk then.
. "$(dirname "$0")/lib.sh"
PYTHON=/usr/bin/python3
mkdir work && cd work && mkdir tree || exit 1

# run RULE COMMAND… - one run; what the target said is in $T/said.
run() {
	local rule=$1
	shift
	rm -rf "$T/runs"
	"$MISHAP" run --run-dir "$T/runs" --seed 5 -f "$rule" --expect 'crash==none' -- \
		"$@" >"$T/run.out" 2>&1
	RC=$?
	cat "$T"/runs/*/stdout >"$T/said"
	cat "$T"/runs/*/stderr >"$T/complained"
}
fired() { # NUMBER
	[ "$(jq '.rules[0].fired' "$T"/runs/*/report.json)" = "$1" ]
}
told() { # what a test failed on
	cat "$T/said" "$T/complained" "$T/run.out"
	false
}
is() { # GOT WANTED
	[ "$1" = "$2" ] || { echo "got '$1', wanted '$2'"; told; }
}
size() { stat -c %s "$1"; }

# ---- room --------------------------------------------------------------------
lands_partly() {
	rm -rf tree/*
	run 'disk.full path=tree limit=64KiB' dd if=/dev/zero of=tree/a bs=100000 count=1
	is "$(size tree/a)" 65536 && grep -q 'No space left on device' "$T/complained" &&
		[ "$RC" = 0 ] && fired 2
}
it "disk.full: the write that doesn't fit lands as far as it does" lands_partly

PROGRAM='import os, sys
room = lambda: os.statvfs("tree").f_bavail * os.statvfs("tree").f_bsize
def put(name, n, flags=os.O_TRUNC):
    f = os.open("tree/" + name, os.O_CREAT | os.O_WRONLY | flags, 0o644)
    try: return os.write(f, b"x" * n)
    except OSError as e: return e.strerror
    finally: os.close(f)
'
said() { # RULE PROGRAM WANTED…
	local rule=$1 program=$2
	shift 2
	rm -rf tree/*
	run "$rule" "$PYTHON" -c "$PROGRAM$program"
	is "$(tr '\n' ' ' <"$T/said")" "$* " && [ "$RC" = 0 ]
}
FULL='No space left on device'
it "disk.full: unlink gives room back" said 'disk.full path=tree limit=8192' \
	'print(put("a", 9000)); print(put("b", 1)); print(room())
os.unlink("tree/a"); print(room()); print(put("b", 9000))' \
	8192 $FULL 0 8192 8192
it "disk.full: truncating gives room back, by whatever call" \
	said 'disk.full path=tree limit=4096' \
	'print(put("a", 5000)); os.truncate("tree/a", 1000); print(put("b", 5000))
print(put("a", 4096)); f = os.open("tree/b", os.O_RDWR); os.ftruncate(f, 96); print(put("c", 5000))' \
	4096 3096 1000 3000
it "disk.full: renaming over a file gives its room back" \
	said 'disk.full path=tree limit=4096' \
	'print(put("a", 2048)); print(put("b", 3000)); os.rename("tree/b", "tree/a"); print(put("c", 5000))' \
	2048 2048 2048
it "disk.full: what is overwritten in place costs nothing" \
	said 'disk.full path=tree limit=4096' \
	'print(put("a", 5000))
for i in range(3): print(put("a", 4096, 0))
print(put("a", 4097, os.O_APPEND))' \
	4096 4096 4096 4096 $FULL
it "disk.full: an unlinked file keeps its room until it is closed" \
	said 'disk.full path=tree limit=4096' \
	'f = os.open("tree/a", os.O_CREAT | os.O_RDWR); print(os.write(f, b"x" * 4096))
os.unlink("tree/a"); print(put("b", 1)); os.close(f); print(put("b", 1))' \
	4096 $FULL 1
it "disk.full: fallocate gets all of it, or ENOSPC" \
	said 'disk.full path=tree limit=4096' \
	'f = os.open("tree/a", os.O_CREAT | os.O_RDWR)
try: os.posix_fallocate(f, 0, 5000)
except OSError as e: print(e.strerror)
os.posix_fallocate(f, 0, 4096); print(room())' \
	$FULL 0
it "disk.full: vectors are cut to the byte" said 'disk.full path=tree limit=10' \
	'f = os.open("tree/a", os.O_CREAT | os.O_RDWR)
print(os.writev(f, [b"1234567", b"890123", b"456"])); print(os.pread(f, 99, 0).decode())' \
	10 1234567890
it "disk.full: other trees have room" said 'disk.full path=tree/sub limit=0' \
	'os.mkdir("tree/sub"); print(put("sub/a", 1)); print(put("subway", 1))' \
	$FULL 1
it "disk.full: several processes share the room" said 'disk.full path=tree limit=1000' \
	'for i in range(4):
    if os.fork() == 0: put("f%d" % i, 400); os._exit(0)
    os.wait()
print(sum(os.stat("tree/f%d" % i).st_size for i in range(4)))' \
	1000
it "disk.quota: EDQUOT, and statvfs tells of the whole disk" \
	said 'disk.quota path=tree limit=100' \
	'print(put("a", 101)); print(put("b", 1)); print(room() > 4096)' \
	100 Disk quota exceeded True
copies() { # cp, through whatever the kernel copies with
	rm -rf tree/*
	head -c 300000 /dev/urandom >source
	run 'disk.full path=tree limit=200000' cp --reflink=never source tree/copy
	is "$(size tree/copy)" 200000 && cmp -n 200000 source tree/copy &&
		grep -q "$FULL" "$T/complained"
}
it "disk.full: cp stops with what there is room for" copies
database() {
	rm -rf tree/*
	sqlite3 tree/db 'create table t(x); insert into t values(1)'
	run 'disk.full path=tree limit=16KiB' sqlite3 tree/db \
		'insert into t select randomblob(100000)'
	grep -q 'full' "$T/complained" && is "$(sqlite3 tree/db 'select count(*) from t; pragma integrity_check' | tr '\n' ' ')" '1 ok '
}
it "disk.full: sqlite3 says that the disk is full, and keeps its rows" database

READONLY='Read-only file system'
it "disk.readonly: reading goes on, changing doesn't, open descriptors included" \
	said 'disk.readonly path=tree nth=1+' \
	'os.close(os.open("tree/../keep", os.O_CREAT | os.O_WRONLY))
f = os.open("keep", os.O_RDWR); os.rename("keep", "other")
for call in (lambda: os.mkdir("tree/d"), lambda: os.unlink("other"), lambda: open("tree/new", "w")):
    try: call(); print("done")
    except OSError as e: print(e.strerror)' \
	$READONLY done $READONLY
it "disk.readonly: open descriptors can't write, statvfs and access agree" \
	said 'disk.readonly path=tree after=0ns nth=2+' \
	'f = os.open("tree/a", os.O_CREAT | os.O_RDWR)
try: os.write(f, b"x")
except OSError as e: print(e.strerror)
print(os.read(f, 9), os.statvfs("tree").f_flag & 1, os.access("tree/a", os.W_OK), os.access("tree/a", os.R_OK))' \
	$READONLY "b'' 1 False True"
it "disk.readonly: what isn't there is ENOENT, what is there EEXIST" \
	said 'disk.readonly path=tree' \
	'for call in (lambda: os.unlink("tree/none"), lambda: os.mkdir("tree"), lambda: os.mkdir("tree/x")):
    try: call()
    except OSError as e: print(e.errno)' \
	2 17 30

# ---- syncs, rot, tears ---------------------------------------------------------
it "lose: the sync fails once, and what it should have saved is gone" \
	said 'fsync path=**/wal lose=EIO nth=2' \
	'f = os.open("tree/wal", os.O_RDWR | os.O_CREAT)
os.write(f, b"aaaaaaaa"); os.fsync(f); os.pwrite(f, b"XX", 2); os.write(f, b"bbbb"); os.ftruncate(f, 6); os.write(f, b"c")
try: os.fsync(f)
except OSError as e: print(e.errno)
print(os.pread(f, 99, 0).decode()); os.fsync(f); print("synced")' \
	5 aaaaaaaa synced
it "lose: other files keep what was written" said 'fsync path=**/wal lose=EIO' \
	'f = os.open("tree/wal", os.O_WRONLY | os.O_CREAT); os.write(f, b"a"); put("b", 3)
try: os.fsync(f)
except OSError as e: print(e.errno)
print(os.stat("tree/wal").st_size, os.stat("tree/b").st_size)' \
	5 0 3
rots() {
	head -c 1000000 /dev/zero >tree/big
	run "read,pread path=**/big rot=10%" sh -c \
		'cksum <tree/big; dd if=tree/big bs=777 status=none | cksum; cat tree/big | cksum'
	[ "$(sort -u "$T/said" | wc -l)" = 1 ] || told || return
	[ "$(cut -d' ' -f1 "$T/said" | head -1)" != "$(cksum <tree/big | cut -d' ' -f1)" ] &&
		[ "$(tr -d '\0' <tree/big | wc -c)" = 0 ] && [ "$RC" = 0 ]
}
it "rot: the same bits are bad whatever the reads look like, and only there" rots
share() { # 244 blocks, a tenth of them bad: 24 and a bit
	run 'read path=**/big rot=10%' cat tree/big
	n=$(tr -d '\0' <"$T/said" | wc -c)
	[ "$n" -gt 10 ] && [ "$n" -lt 45 ]
}
it "rot: as many blocks as were asked for, one bit in each" share
tears() {
	rm -rf tree/*
	run 'write path=**/t torn=5' sh -c 'printf 1234567890 >tree/t; echo after'
	is "$(cat tree/t)" 12345 && is "$(cat "$T/said")" '' && [ "$RC" = 0 ] && fired 1
}
it "torn: a part is on the disk, the process is gone, and that is in the books" tears

# ---- descriptors, memory, CPU ---------------------------------------------------
it "fd.limit: EMFILE, and one closed makes room for one" said 'fd.limit max=8' \
	'fds = []
def more():
    try: fds.append(os.open("/dev/null", 0)); return fds[-1]
    except OSError as e: return e.strerror
while isinstance(more(), int): pass
print(fds[-1], more()); os.close(fds.pop()); print(more())
try: os.pipe()
except OSError as e: print(e.errno)
os.dup2(0, 20); print("dup2")' \
	7 'Too many open files' 7 24 dup2
it "alloc.limit: MemoryError past it, and what is freed can be had again" \
	said 'alloc.limit max=64MiB' \
	'b = []
try:
    while True: b.append(bytearray(4 << 20))
except MemoryError: print(len(b) in (14, 15))
b.pop(); b.append(bytearray(4 << 20)); print("again")' \
	True again
unslowed() { # an allocation that fits isn't failed, and the rule says so
	run 'alloc.limit max=1GiB' sort /dev/null
	[ "$RC" = 3 ] && grep -q 'none that it had' "$T/run.out"
}
it "alloc.limit: a run that never reached it is inconclusive" unslowed
slow() { # 100 ms of CPU time cost four times that at least
	run 'cpu.slow by=4' "$PYTHON" -c 'import time, os
t, c = time.monotonic(), time.process_time()
while time.process_time() - c < 0.1: pass
os.getcwd(); os.stat("/")
print(int((time.monotonic() - t) * 10))'
	[ "$(cat "$T/said")" -ge 4 ] && [ "$RC" = 0 ] || told
}
it "cpu.slow: what was computed is paid for" slow

# ---- the language ----------------------------------------------------------------
refused() { ! "$MISHAP" check -f "$1" 2>"$T/said" && grep -q "$2" "$T/said"; }
it "a model takes no action" refused 'disk.full path=x fail=EIO' 'takes no action'
it "a model's argument is wanted" refused 'alloc.limit' 'wants max='
it "a model's argument is read" refused 'disk.full path=x limit=lots' "'limit' wants"
same() { # explain's canonical line reads as the same rule
	"$MISHAP" explain -f "$1" | grep -qF "$2"
}
it "a model without limit= is full from the start" same 'disk.full path=x' 'disk.full path=x limit=0'
