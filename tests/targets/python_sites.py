"""python_sites - sends from many kinds of places and says which they were.

python_sites.py twenty: twenty functions each send once.
python_sites.py kinds: every kind of function that Python has, some on lines
    that a line table finds hard; prints each place as its traceback has it.
python_sites.py storm SECONDS: threads, collections of garbage and signals
    while all of them send.
A send that fails is what is looked at: run it with `send fail=ECONNRESET`.
"""
import asyncio
import functools
import gc
import signal
import socket
import sys
import threading
import time
import traceback

a, b = socket.socketpair()
a.setblocking(False)
b.setblocking(False)


def place(error):
    """Innermost first, what of our own code the traceback names."""
    frames = [
        f"{f.f_code.co_filename.rsplit('/', 1)[-1]}:{line} in "
        f"{f.f_code.co_qualname}"
        for f, line in traceback.walk_tb(error.__traceback__)
    ]
    return " < ".join(reversed(frames))


def say(call, *args):
    try:
        call(*args)
    except OSError as error:
        print(place(error), flush=True)


def twenty():
    source = "".join(
        f"def handler_{i}():\n    a.send(b'x')\n\n" for i in range(20))
    names = {"a": a}
    exec(compile(source, "handlers.py", "exec"), names)
    for i in range(20):
        say(names[f"handler_{i}"])


class Sender:
    def method(self):
        a.send(b"m")

    @staticmethod
    def static():
        (lambda: a.send(b"s"))()

    @functools.cached_property
    def property_(self):
        return a.send(b"p")

    def __enter__(self):
        a.send(b"e")

    def __exit__(self, *_):
        pass


def over_lines(n):
    values = [
        1, 2,
        3,
    ]
    return a.send(
        bytes(
            values
        )
    ) if n else None


def backwards():
    for _ in range(2):
        x = (
            b"x"
            + a.send(
                b"y"
            ).to_bytes(1, "big"))
    return x


def generator():
    yield 1
    a.send(b"g")
    yield 2


def comprehension():
    return [
        a.send(b"c")
        for _ in range(3)
    ]


def by_c():
    return sorted([3, 1, 2], key=lambda n: a.send(b"k"))


async def inner():
    await asyncio.sleep(0)
    a.send(b"a")


async def outer():
    await inner()


def deep(n):
    return deep(n - 1) if n else a.send(b"d")


def entered():
    with Sender():
        pass


def kinds():
    say(Sender().method)
    say(Sender.static)
    say(lambda: Sender().property_)
    say(entered)
    say(over_lines, 1)
    say(backwards)
    say(lambda: list(generator()))
    say(comprehension)
    say(by_c)
    say(lambda: asyncio.run(outer()))
    say(deep, 5)
    far = "def far():\n" + "    pass\n" * 400 + "    a.send(b'f')\n"
    names = {"a": a}
    exec(compile(far, "/tmp/été/f\u4e16.py", "exec"), names)
    say(names["far"])


def storm(seconds):
    def ignore(call):
        try:
            call()
        except OSError:
            pass

    def work(until):
        while time.monotonic() < until:
            for call in (Sender().method, Sender.static, comprehension, by_c,
                         functools.partial(deep, 40)):
                ignore(call)
            names = {"a": a}
            exec("def f():\n  a.send(b'x')\n" + "#\n" * 50, names)
            ignore(names["f"])

    def rings(*_):
        ignore(Sender().method)

    signal.signal(signal.SIGALRM, rings)
    signal.set_wakeup_fd(a.fileno(), warn_on_full_buffer=False)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    sys.setswitchinterval(1e-5)
    until = time.monotonic() + seconds
    for _ in range(3):
        threading.Thread(target=work, args=(until,)).start()
    while time.monotonic() < until:
        gc.collect()
        ignore(Sender().method)
        b.setblocking(False)
        ignore(lambda: b.recv(1 << 20))
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.set_wakeup_fd(-1)
    # Threads of the kind that nobody waits for, as the interpreter ends.
    for _ in range(3):
        threading.Thread(target=work, args=(until + 60,), daemon=True).start()
    time.sleep(0.05)
    print("through")


if sys.argv[1] == "storm":
    storm(float(sys.argv[2]))
else:
    {"twenty": twenty, "kinds": kinds}[sys.argv[1]]()
