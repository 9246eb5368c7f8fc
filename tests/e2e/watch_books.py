"""watch_books.py WATCH BOOKS [WANT...] - do two counts of a target's calls agree?

WATCH: lines of `mishap watch --json`, BOOKS: of guest_run -w, what the library
counted.  By number: what passed a door by the library's count is what the
probes saw at patched sites, vfork's children included, to the call; an exec
that succeeded is a new program, and counted as such.

WANT: CLASS:CALL=N, e.g. escaped:getppid=500, or uring:nop=30, or
exe:EXE/CALL=N: calls of a program that the library never got ready in.
Classes that aren't wanted must be empty: escaped, unknown.
"""
import json
import sys

EXECS = {59, 322}


def watch_read(path):
    with open(path, encoding="utf-8") as lines:
        end = [json.loads(line) for line in lines][-1]
    assert end["type"] == "end", "no last line"
    assert not end["lost"], f"lost: {end['lost']}"
    return end


def books_read(path):
    seen = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[0] == "seen":
                seen[int(words[1])] = int(words[2])
    assert seen, "the library counted nothing"
    return seen


def books_compare(end, seen):
    made = {}
    for call in end["calls"]:
        if call["abi"] == 64:
            of = call["classes"]
            made[call["number"]] = of.get("marked", 0) + of.get("vfork", 0)
    wrong = []
    for nr in sorted(set(seen) | set(made)):
        library, probes = seen.get(nr, 0), made.get(nr, 0)
        if nr in EXECS and library >= probes:
            continue
        if library != probes:
            wrong.append(f"call {nr}: the library {library}, probes {probes}")
    return wrong


def main():
    end = watch_read(sys.argv[1])
    wrong = books_compare(end, books_read(sys.argv[2]))
    got = {}
    for call in end["calls"]:
        for name in ("escaped", "unknown"):
            n = call["classes"].get(name, 0)
            if n:
                got[f"{name}:{call['call']}"] = n
    want = dict(word.rsplit("=", 1) for word in sys.argv[3:])
    for key, n in want.items():
        kind, name = key.split(":", 1)
        if kind == "uring":
            have = {u["operation"]: u["submitted"] for u in end["io_uring"]}
            have = have.get(name, 0)
        elif kind == "exe":
            exe, call = name.split("/")
            have = sum(s["calls"] for s in end["never_ready"]
                       if s["exe"] == exe and s["call"] == call)
        elif kind in ("marked", "vfork"):
            have = sum(c["classes"].get(kind, 0) for c in end["calls"]
                       if c["call"] == name)
        else:
            have = got.pop(key, 0)
        if have != int(n):
            wrong.append(f"{key}: wanted {n}, got {have}")
    wrong += [f"{key}: wanted none, got {n}" for key, n in got.items()]
    print("\n".join(wrong) or "exact")
    return 1 if wrong else 0


sys.exit(main())
