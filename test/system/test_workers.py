"""Workers as the master sees them: who gets connections."""
import os
import signal

from harness import Client, Server, wait_for


def connect(port, n):
    """n clients: those that have a banner, and the others."""
    clients = [Client(port, banner=False, timeout=3) for _ in range(n)]
    greeted, waiting = [], []
    for c in clients:
        try:
            c.expect('220')
            greeted.append(c)
        except TimeoutError:
            waiting.append(c)
    return greeted, waiting


def test_a_worker_that_hangs_gets_no_more_connections(d):
    with Server(d, workers=2) as s:
        stopped = s.pids('worker 1')[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            greeted, waiting = connect(s.port, 6)
            assert len(greeted) == 3, len(greeted)
            wait_for('the line', lambda: ' event=worker-late slot=1 ' in
                     s.log(), 20)
            # all clients that come now are served
            more, none = connect(s.port, 6)
            assert len(more) == 6, len(more)
        finally:
            os.kill(stopped, signal.SIGCONT)
        # those that have waited, too
        for c in waiting:
            c.expect('220')
        wait_for('the line', lambda: ' event=worker-back slot=1 ' in s.log())
        for c in greeted + waiting + more:
            c.cmd('NOOP')
            c.close()
