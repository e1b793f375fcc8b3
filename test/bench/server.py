"""The contestants: mailmilld on the disk under measurement, and smtp-sink."""
import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time

import proc

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from ports import free_port

SENDER, RCPT = 'a@client.test', 'user@example.test'

# a /dev of its own whose log is our sink, so that it does not matter what the host logs to
PRIVATE_DEV = r'''
set -e
mkdir -p "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for n in null zero full random urandom tty; do
    : >"$1/dev/$n"
    mount --bind "/dev/$n" "$1/dev/$n"
done
: >"$1/dev/log"
mount --bind "$1/log" "$1/dev/log"
ln -s /proc/self/fd "$1/dev/fd"
mkdir "$1/dev/shm"
mount --rbind "$1/dev" /dev
shift
exec "$@"
'''


def no_check():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def answers(port, is_tls):
    try:
        with socket.create_connection(('127.0.0.1', port), 2) as s:
            if is_tls:
                s = no_check().wrap_socket(s)
            return s.recv(3) == b'220'
    except OSError:
        return False


class Contestant:
    is_tls = False

    def __init__(self):
        self.port = free_port()
        self.proc = None

    def wait_ready(self):
        end = time.monotonic() + 20
        while not answers(self.port, self.is_tls):
            if self.proc.poll() is not None or time.monotonic() > end:
                self.stop()
                sys.exit(f'bench: {self.name} did not start, see {self.log}')
            time.sleep(0.05)
        self.pids = proc.tree(self.proc.pid)

    def cpu(self):
        return proc.cpu(self.pids)

    def settle(self, part=0.05):
        """Wait until the processes use no more than that part of a processor."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            c = self.cpu()
            time.sleep(0.2)
            if self.cpu() - c < 0.2 * part:
                return

    def clean(self):
        self.settle()

    def counters(self):
        return {}

    def stop(self):
        if self.proc is None:
            return
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            for p in proc.tree(self.proc.pid):
                os.kill(p, signal.SIGKILL)
            self.proc.wait()
        self.proc = None


class Sink(Contestant):
    name = 'smtp-sink'

    def start(self, a, log='sink.log'):
        self.log = f'{a.state}/{log}'
        with open(self.log, 'w') as log:
            self.proc = subprocess.Popen(
                [f'{a.postfix}/bin/smtp-sink', '-c', '-m', '5000']
                + (['-u', 'nobody'] if os.getuid() == 0 else [])
                + [f'127.0.0.1:{self.port}', '1024'], stdout=log, stderr=log)
        self.wait_ready()
        return self


class Mailmill(Contestant):
    name = 'mailmill'

    def start(self, a, workers=2, options=(), listen='', domains='',
              is_new=True):
        """not is_new: with the spool that it has had."""
        self.dir, self.fs = a.state, a.fs
        self.build = a.build
        self.log = f'{a.state}/mailmilld.log'
        if is_new:
            for d in ('spool', 'mail'):
                shutil.rmtree(f'{self.fs}/{d}', ignore_errors=True)
            os.mkdir(f'{self.fs}/mail')
            os.chmod(f'{self.fs}/mail', 0o1777)
        self.new = f'{self.fs}/mail/example.test/user/new'
        private = os.getuid() == 0
        self.conf = f'{a.state}/mailmill.conf'
        with open(self.conf, 'w') as f:
            f.write(f'''hostname = "mx.example.test"
workers = {workers}
spool = "{self.fs}/spool"
pidfile = "{a.state}/mailmilld.pid"
control = "{a.state}/mailmilld.sock"
log = "{'syslog' if private else '/dev/null'}"
ESMTP_Listener {{
    Client_Sessions = 0
    Listen "127.0.0.1:{self.port}" {{
{listen}
    }}
}}
Domain "example.test" {{
    Maildir = "{self.fs}/mail/%d/%u"
}}
{domains}
''')
        cmd = [f'{a.build}/mailmilld', '-f', '-c', self.conf]
        for o in list(options) + a.define:
            cmd += ['-D', o]
        if private:
            cmd = ['unshare', '--mount', '--propagation', 'private', 'sh',
                   '-c', PRIVATE_DEV, 'sh', a.state] + cmd
        with open(self.log, 'w') as log:
            self.proc = subprocess.Popen(cmd, stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL)
        self.is_tls = 'Use_SSL' in listen
        self.wait_ready()
        if is_new:
            send_one(a, self)               # makes the Maildir
            self.wait_delivered(1)
        return self

    def counters(self):
        out = subprocess.run([f'{self.build}/mailmillctl', '-c', self.conf,
                              'stats', '--json'], capture_output=True)
        if out.returncode:
            sys.exit('bench: mailmillctl: ' + out.stderr.decode())
        v = json.loads(out.stdout)
        return v.get('counters', v)

    def wait_delivered(self, n, timeout=60, stall=15):
        """Until n recipients more than at clean() are delivered; how many."""
        got, since = -1, time.monotonic()
        end = since + timeout
        while True:
            now = int(self.counters()['delivered']) - self.base
            if now != got:
                got, since = now, time.monotonic()
            if got >= n or time.monotonic() > end \
                    or time.monotonic() - since > stall:
                return got
            time.sleep(0.1)

    base = 0

    def clean(self):
        self.settle()
        try:
            for e in os.scandir(self.new):
                os.unlink(e.path)
        except FileNotFoundError:
            pass
        subprocess.run(['sync', '-f', self.fs], check=True)
        self.base = int(self.counters()['delivered'])


def source(a, c, n, sessions, keep, size=4096, rcpt=RCPT, more=()):
    """smtp-source against c: (seconds, its CPU seconds, error).  more: options."""
    cmd = [f'{a.postfix}/bin/smtp-source', '-f', SENDER, '-t', rcpt,
           '-s', str(sessions), '-m', str(n), '-l', str(size), *more]
    if keep:
        cmd.append('-d')
    t0 = time.monotonic()
    p = subprocess.Popen(cmd + [f'127.0.0.1:{c.port}'],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = p.stderr.read().decode()
    _, status, ru = os.wait4(p.pid, 0)
    p.returncode = status
    took = time.monotonic() - t0
    err = (err.strip().splitlines() or ['failed'])[-1] if status else ''
    return took, ru.ru_utime + ru.ru_stime, err


def send_one(a, c):
    if c.is_tls:
        with smtplib.SMTP_SSL('127.0.0.1', c.port, 'client.test',
                              context=no_check()) as s:
            s.sendmail(SENDER, RCPT, 'Subject: first\r\n\r\ntext\r\n')
        return
    err = source(a, c, 1, 1, False)[2]
    if err:
        c.stop()
        sys.exit(f'bench: {c.name}: {err}')
