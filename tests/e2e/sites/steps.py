"""gdb script: single-step a program from inner() to its end; at each step the
stack must lead to main().  Prints one line that sites.sh looks for."""
import gdb

gdb.execute("set pagination off")
gdb.execute("set breakpoint pending on")
gdb.execute("break inner")
gdb.execute("run", to_string=True)
steps, lost, ways = 0, [], set()
while steps < 5000:
    try:
        gdb.execute("stepi", to_string=True)
        frame = gdb.newest_frame()
    except gdb.error:
        break
    if frame.name() == "main":
        break
    steps += 1
    ways.add(frame.name())
    names, f = [], frame
    while f and len(names) < 30:
        names.append(f.name())
        f = f.older()
    if "inner" not in names or "main" not in names:
        lost.append(hex(frame.pc()))
print("%d steps, %d of them lost: %s" % (steps, len(lost), lost[:8]))
print("through: " + " ".join(sorted(str(w) for w in ways)))
