"""careless_sender - a web server that takes a short send for a whole one.

careless_sender.py PORT: answers every request with the numbers 1 to 30000.
"""
import socket
import sys

body = "".join(f"{i}\n" for i in range(1, 30001)).encode()
head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    with client:
        if client.recv(4096):
            client.send(head + body)
