"""careless_fetch - reads an answer until the end, whatever was promised.

careless_fetch.py HOST PORT PATH OUT: Content-Length is not looked at, so a
transfer that was cut short is a success.
"""
import socket
import sys

host, port, path, out = sys.argv[1:5]
s = socket.create_connection((host, int(port)))
s.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
answer = b""
while True:
    part = s.recv(16384)
    if not part:
        break
    answer += part
with open(out, "wb") as f:
    f.write(answer.split(b"\r\n\r\n", 1)[-1])
