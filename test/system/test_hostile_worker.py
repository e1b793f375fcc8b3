"""Somebody runs code in a worker: what he cannot do."""
import re
import select
import socket
import time

from harness import Client, wait_for
from hostile import Hostile, killed, need_sandbox


def greeted(port, n, want, seconds):
    """How many of so many clients, all at once, get a banner in time; it does
    not wait for more than are wanted."""
    clients = [socket.create_connection(('127.0.0.1', port)) for _ in range(n)]
    end, waiting = time.monotonic() + seconds, set(clients)
    while n - len(waiting) < want and time.monotonic() < end:
        for c in select.select(list(waiting), [], [], 0.1)[0]:
            if c.recv(4) == b'220 ':
                waiting.discard(c)
            else:
                waiting.discard(c)
                n -= 1
    for c in clients:
        c.close()
    return n - len(waiting)


def test_a_worker_that_takes_connections_and_is_silent(d):
    with Hostile(d, workers=3) as s:
        s.play('worker 1', 'silent')
        # the two others have their share
        assert greeted(s.port, 90, 60, 20) >= 60
        s.serves()


def test_a_worker_that_reports_sessions_of_others(d):
    with Hostile(d, workers=2) as s:
        held = [Client(s.port) for _ in range(10)]
        s.play('worker 1', 'unknown', 100)
        wait_for('the log', lambda: re.search(
            r'event=session-unknown \S*slot=1 ', s.log()))
        # those of the other worker go on
        alive = 0
        for c in held:
            try:
                c.hello()
                alive += 1
            except (OSError, AssertionError):
                pass
            c.close()
        assert alive >= 5, alive
        s.all_run()
        s.serves()


def test_a_worker_that_reaches_for_other_processes(d):
    need_sandbox()
    with Hostile(d) as s:
        other = s.pid('worker 2')
        killed(s, 'worker 1', 'kill', other, 'kill')
        killed(s, 'worker 1', 'trace', other, 'ptrace')
        killed(s, 'worker 1', 'type', 0, 'ioctl')
        assert s.pid('worker 2') == other
        s.all_run()
        s.serves()
