"""charge_server.py careful|careless PORT FILE - charges cards over HTTP.

Each charge is a line in FILE, synced before it is answered.  Both take a request
with an Idempotency-Key; the careless one charges again when it comes again.
GET /charges lists what was charged."""
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

how, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
seen = set(open(path).read().split())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "?")
        with lock:
            if how == "careless" or key not in seen:
                os.write(log, (key + "\n").encode())
                os.fsync(log)
                seen.add(key)
        self.answer("charged\n")

    def do_GET(self):
        with open(path) as f:
            self.answer(f.read())

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", port), Handler).serve_forever()
