"""Mail for Dovecot by LMTP, beside a Postfix that hands it to the same Dovecot."""
import os
import shutil
import subprocess
import sys
import time

import peer
import proc
import relay
import server

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'system'))
from dovecot import DovecotLmtp

DOMAIN = 'dove.test'
SESSIONS = {'lmtp10': 10, 'lmtp100': 100}
# smtp-source makes each recipient another one: Dovecot takes each for one of these
USERS = [f'u{i:x}' for i in range(16)]
ONE_OF = 'auth_username_format = u%1.16Nn@%d'
# must, aim: the rate and our CPU as parts of Postfix's; the part of Dovecot in the
# CPU that both servers use
RATE, CPU, SHARE = (1, 1.5), (.25, .125), (.5, .8)


class Dovecot(DovecotLmtp):
    """With its mail on the disk under measurement."""

    def __init__(self, a):
        self.top = f'{a.fs}/dovecot'
        shutil.rmtree(self.top, ignore_errors=True)
        os.mkdir(self.top)
        os.chmod(self.top, 0o755)
        super().__init__(self.top, USERS, DOMAIN, ONE_OF)

    def cpu(self):
        """Its processes come and go: master has the time of those that went."""
        f = proc.stat_fields(self.proc.pid)
        return proc.cpu(proc.tree(self.proc.pid)) + \
            sum(map(int, f[13:15])) / proc.TICK

    def arrived(self):
        n = 0
        for u in USERS:
            try:
                n += len(os.listdir(f'{self.mail}/{u}/new'))
            except FileNotFoundError:
                pass
        return n

    def clean(self):
        for u in USERS:
            for path in self.files(u):
                os.unlink(path)


def one(a, c, dovecot, n, sessions):
    """n messages through c: its figures.  Time ends when the last is in a Maildir."""
    c.settle()
    dovecot.clean()
    subprocess.run(['sync', '-f', a.fs], check=True)
    cpu, its, host = c.cpu(), dovecot.cpu(), proc.host()
    t0 = time.monotonic()
    took, _, err = server.source(a, c, n, sessions, False, rcpt=f'x@{DOMAIN}',
                                 more=('-N',))
    got, since = -1, time.monotonic()
    while not err:
        now, t = dovecot.arrived(), time.monotonic()
        if now != got:
            got, since = now, t
        if got >= n:
            break
        if t - since > 60:
            err = f'{got} of {n} arrived'
        time.sleep(0.05)
    whole = time.monotonic() - t0
    last = proc.host()
    c.settle()
    ticks = max(1, last[2] - host[2])
    return {'who': c.name, 'n': n, 'accepted': n / took, 'lmtp': n / whole,
            'cpu': (c.cpu() - cpu) * 1e6 / n,
            'dovecot': (dovecot.cpu() - its) * 1e6 / n,
            'idle': 100 * (last[0] - host[0]) / ticks,
            'iowait': 100 * (last[1] - host[1]) / ticks, 'error': err}


def measure(a, name, both, dovecot, note):
    """The pairs of figures of one row, ours and Postfix's."""
    pairs = []
    sessions = SESSIONS[name]
    ns = [relay.calibrate(a, c.name, lambda n, c=c: one(a, c, dovecot, n,
                                                        sessions),
                          sessions, 'lmtp') for c in both]
    for _ in range(a.repeats):
        pair = []
        for c, n in zip(both, ns):
            r = one(a, c, dovecot, n, sessions)
            note(a, name, **r)
            print(f'{name:10s} {c.name:9s} n={n:<6d} accepted '
                  f'{r["accepted"]:6.0f}/s delivered {r["lmtp"]:6.0f}/s '
                  f'cpu {r["cpu"]:5.0f} us, Dovecot {r["dovecot"]:5.0f} us  idle '
                  f'{r["idle"]:.0f}+{r["iowait"]:.0f} % {r["error"]}', flush=True)
            pair.append(r)
        if not any(r['error'] for r in pair):
            pairs.append(pair)
    return pairs


def run(a, name, median, spread, note):
    postfix = peer.Postfix()
    with Dovecot(a) as dovecot:
        a.extra_pids = proc.tree(dovecot.proc.pid)
        try:
            postfix.start(a, DOMAIN, f'lmtp:unix:{dovecot.socket}')
            with a.mailmill(domains=f'Domain "{DOMAIN}" {{\n\tDelivery = lmtp\n'
                            f'\tRoute = "unix:{dovecot.socket}"\n}}') as ours:
                pairs = measure(a, name, (ours, postfix), dovecot, note)
        finally:
            postfix.stop()
            a.extra_pids = []
    if not pairs:
        a.failed.append(name)
        return
    label = f'by LMTP to Dovecot, {SESSIONS[name]} sessions'
    for what, title, goal, up in (
            ('lmtp', 'messages/s', RATE, True),
            ('cpu', 'CPU us a message', CPU, False)):
        mine, its = ([p[i][what] for p in pairs] for i in (0, 1))
        a.row(name, f'{title} {label}, as a part of Postfix\'s {spread(its)}',
              spread(mine), '-', median([p / q for p, q in zip(mine, its)]), goal,
              up=up)
    mine = [p[0] for p in pairs]
    a.row(name, f'CPU us of Dovecot for ours {label}, as a part of what both use',
          spread([r['dovecot'] for r in mine]), '-',
          median([r['dovecot'] / (r['dovecot'] + r['cpu']) for r in mine]), SHARE,
          up=True)


RUNS = {name: lambda *args, name=name: run(args[0], name, *args[1:])
        for name in SESSIONS}
