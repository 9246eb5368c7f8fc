#!/usr/bin/python3
"""terminal.py ROWS COLUMNS SECONDS COMMAND... - run it on a terminal of its own,
press Ctrl-C after so many seconds, and print what a person would see: the lines
that have scrolled by, `--- screen` as it was just before the Ctrl-C, `--- end` as
it is left, and what is to be checked: the status, whether everything scrolls
again, escape sequences that this terminal doesn't know."""
import fcntl, os, pty, re, select, struct, sys, termios, time

rows, columns, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])


class Screen:
    def __init__(self):
        self.lines = [[" "] * columns for _ in range(rows)]
        self.gone, self.unknown = [], []
        self.row = self.column = 0
        self.saved = (0, 0)
        self.top, self.bottom = 0, rows - 1

    def feed_line(self):
        if self.row == self.bottom:
            old = self.lines.pop(self.top)
            if self.top == 0:
                self.gone.append(old)
            self.lines.insert(self.bottom, [" "] * columns)
        elif self.row < rows - 1:
            self.row += 1

    def put(self, char):
        if self.column == columns:
            self.column = 0
            self.feed_line()
        self.lines[self.row][self.column] = char
        self.column += 1

    def clear(self, row, start):
        self.lines[row][start:] = [" "] * (columns - start)

    def control(self, numbers, letter):
        n = [int(x) if x else 0 for x in numbers.split(";")]
        if letter == "A":
            self.row = max(self.row - max(n[0], 1), 0)
        elif letter == "H":
            self.row = min(max(n[0], 1), rows) - 1
            self.column = max(n[1] if len(n) > 1 else 1, 1) - 1
        elif letter == "K":
            self.clear(self.row, self.column)
        elif letter == "J":
            self.clear(self.row, self.column)
            for row in range(self.row + 1, rows):
                self.clear(row, 0)
        elif letter == "r":
            self.top = max(n[0], 1) - 1
            self.bottom = (n[1] if len(n) > 1 else rows) - 1
            self.row = self.column = 0
        else:
            self.unknown.append(numbers + letter)

    def take(self, text):
        for m in re.finditer(r"\033\[([0-9;]*)([@-~])|\033(.)|(.)", text, re.S):
            numbers, letter, escape, char = m.groups()
            if letter:
                self.control(numbers, letter)
            elif escape == "7":
                self.saved = (self.row, self.column)
            elif escape == "8":
                self.row, self.column = self.saved
            elif escape:
                self.unknown.append(escape)
            elif char == "\n":
                self.feed_line()
            elif char == "\r":
                self.column = 0
            elif char >= " ":
                self.put(char)

    def print(self, lines):
        for line in lines:
            print("".join(line).rstrip())


pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = os.environ.get("WANT_TERM", "xterm")
    time.sleep(0.1)
    os.execvp(sys.argv[4], sys.argv[4:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
screen, start, pressed, raw = Screen(), time.time(), False, ""
while time.time() < start + seconds + 20:
    if select.select([fd], [], [], 0.05)[0]:
        try:
            text = os.read(fd, 1 << 16).decode("utf-8", "replace")
        except OSError:
            break
        if not text:
            break
        screen.take(text)
    if not pressed and time.time() > start + seconds:
        print("--- screen")
        screen.print(screen.lines)
        os.write(fd, b"\x03")
        pressed = True
else:
    os.kill(pid, 9)
    print("it didn't end")
print("--- scrolled by")
screen.print(screen.gone)
print("--- end")
screen.print(screen.lines)
print("--- status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("--- all scrolls", screen.top == 0 and screen.bottom == rows - 1)
print("--- unknown", screen.unknown)
