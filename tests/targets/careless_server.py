"""careless_server - a server that a failed accept(2) brings down.

careless_server.py PORT: answers every line with +PONG, as redis-cli wants.
"""
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    with client:
        while client.recv(4096):
            client.sendall(b"+PONG\r\n")
