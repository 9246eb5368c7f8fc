"""sqlite_store.py DIR CLIENTS COUNT JOURNAL [early] - processes that insert into one
database and acknowledge each commit; with "early" before it.
CLIENTS 0 makes the database."""
import os
import sqlite3
import sys

directory, clients, count, journal = sys.argv[1:5]
early = len(sys.argv) > 5


def tell(kind, key):
    os.path.exists("/.mishap/%s/rows/%s" % (kind, key))


def connect():
    db = sqlite3.connect(directory + "/s.db", timeout=30, isolation_level=None)
    db.execute("pragma journal_mode=" + journal)
    db.execute("pragma synchronous=" + ("OFF" if journal == "OFF" else "FULL"))
    return db


def work(client):
    db = connect()
    for i in range(int(count)):
        key = "%d-%d" % (client, i)
        tell("invoke", key)
        db.execute("begin immediate")
        db.execute("insert into rows values(?)", (key,))
        db.execute("insert into audit values(?, randomblob(6000))", (key,))
        if early:
            tell("ack", key)
        db.execute("commit")
        tell("ack", key)


if clients == "0":
    db = connect()
    db.execute("create table rows(k)")
    db.execute("create table audit(k, b)")
    db.close()
children = []
for client in range(int(clients)):
    pid = os.fork()
    if not pid:
        work(client)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
