"""A new message beside a hundred thousand that are due: how long it waits, and
whether the others are delivered more slowly for it."""
import os
import shutil
import subprocess
import threading
import time

import server

DUE = 100000
EVERY = 0.5                     # seconds between new messages
OPTIONS = ('retry_interval=1h', 'max_retry_interval=1h')


def mailbox(c, user):
    return f'{c.fs}/mail/example.test/{user}'


def defer(a, c, n):
    """n messages for a mailbox that is a plain file: all are deferred."""
    shutil.rmtree(mailbox(c, 'old'), ignore_errors=True)
    with open(mailbox(c, 'old'), 'w'):
        pass
    was = int(c.counters()['deferred'])
    err = server.source(a, c, n, 100, True, size=500,
                        rcpt='old@example.test')[2]
    if err:
        raise RuntimeError(err)
    end = time.monotonic() + 600
    while int(c.counters()['deferred']) < was + n:
        if time.monotonic() > end:
            raise RuntimeError(f'not all of {n} messages are deferred')
        time.sleep(0.2)


class Newcomer(threading.Thread):
    """Sends a message now and then; seconds from its 250 to its file."""

    def __init__(self, port, new, smtp):
        super().__init__()
        self.new, self.waits, self.is_over = new, [], False
        self.client = smtp(port)
        self.client.cmd(b'EHLO client.test')

    def one(self):
        have = len(os.listdir(self.new))
        c = self.client
        c.cmd(b'MAIL FROM:<a@client.test>')
        c.cmd(b'RCPT TO:<user@example.test>')
        c.cmd(b'DATA', b'3')
        c.cmd(b'Subject: new\r\n\r\ntext\r\n.')
        t = time.monotonic()
        while len(os.listdir(self.new)) == have:
            if time.monotonic() - t > 120:
                raise RuntimeError('a new message was not delivered')
            time.sleep(0.005)
        self.waits.append(time.monotonic() - t)

    def run(self):
        while not self.is_over:
            self.one()
            time.sleep(EVERY)
        self.client.close()


def drain(a, c, n, newcomer):
    """Messages delivered in a second, from `queue retry all` to the last."""
    before = int(c.counters()['delivered'])
    os.unlink(mailbox(c, 'old'))
    began = time.monotonic()
    # before they are due: to make them so is work of the queue's, too
    if newcomer:
        newcomer.start()
    subprocess.run([f'{c.build}/mailmillctl', '-c', c.conf, 'queue', 'retry',
                    'all'], check=True, stdout=subprocess.DEVNULL)
    while True:
        new = len(newcomer.waits) if newcomer else 0
        if int(c.counters()['delivered']) - before - new >= n:
            break
        if time.monotonic() - began > 600:
            raise RuntimeError(f'not all of {n} messages are delivered')
        time.sleep(0.1)
    took = time.monotonic() - began
    if newcomer:
        newcomer.is_over = True
        newcomer.join()
    return n / took


def one_drain(a, c, is_beside, median, smtp):
    """DUE messages are deferred and delivered: the rate, the waits."""
    defer(a, c, DUE)
    c.settle()
    n = Newcomer(c.port, c.new, smtp) if is_beside else None
    rate, waits = drain(a, c, DUE, n), n.waits if n else []
    text = (f', {len(waits)} new messages, the slowest {max(waits):.2f} s, '
            f'median {median(waits):.3f} s') if n else ''
    print(f'due        {rate:.0f}/s due ones delivered{text}', flush=True)
    return rate, waits


def run_due(a, median, spread, note, smtp):
    slowest, rates = [], {False: [], True: []}
    for i in range(min(a.repeats, 4)):
        with a.mailmill(options=OPTIONS) as c:
            # the order changes: a second drain meets another disk
            for is_beside in ((False, True), (True, False))[i % 2]:
                rate, waits = one_drain(a, c, is_beside, median, smtp)
                rates[is_beside].append(rate)
                slowest += [max(waits)] if waits else []
                note(a, 'due', beside=is_beside, rate=rate, waits=waits)
    alone, beside = rates[False], rates[True]
    a.row('due', f'seconds that a new message waits beside {DUE} due ones, the '
          'slowest of a run', spread(slowest), '-', median(slowest), (2, 1),
          up=False)
    a.row('due', f'due messages delivered/s beside new ones, against none: '
          f'{spread(alone)}', spread(beside), '-',
          median(beside) / median(alone), (.95, 1), up=True)
