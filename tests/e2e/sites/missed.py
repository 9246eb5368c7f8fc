"""How many of a run's system calls went through the hook?

missed.py STRACE_LOG COUNTS_FILE PERCENT - strace says how many were made since
each process's constructor ended (it closes fd -4242) or since it was forked;
the counters say how many the hook saw.  Numbers that never pass a hook, and
what ends a process, are left out on both sides.  Exit 1 if fewer than PERCENT
of them were seen.
"""
import collections
import re
import struct
import sys

log, counts, percent = sys.argv[1], sys.argv[2], float(sys.argv[3])
SKIPPED = set("clone clone3 fork vfork rt_sigreturn exit exit_group futex "
              "rt_sigprocmask set_robust_list set_tid_address arch_prctl rseq "
              "restart_syscall".split())
made = collections.Counter()
booting = collections.defaultdict(bool)
first = True
for line in open(log, errors="replace"):
    m = re.match(r"(\d+) +(\w+)\((.*)", line)
    if not m:
        continue
    pid, name, rest = m.groups()
    if first:
        booting[pid] = True
        first = False
    if name == "close" and rest.startswith("-4242)"):
        booting[pid] = False
        continue
    if name == "execve":
        # the image that calls it counts; then ld.so begins anew
        if not booting[pid]:
            made[name] += 1
        if re.search(r"= 0$|unfinished", line):
            booting[pid] = True
        continue
    if not booting[pid] and name not in SKIPPED:
        made[name] += 1
seen = struct.unpack_from("<512Q", open(counts, "rb").read())
total, caught = sum(made.values()), sum(seen)
share = 100.0 * caught / total if total else 0
print("%d of %d system calls seen, %.2f %%" % (caught, total, share))
if share < percent or caught > total * 1.001 + 2:
    print(made.most_common(12))
    print([(i, n) for i, n in enumerate(seen) if n])
    sys.exit(1)
