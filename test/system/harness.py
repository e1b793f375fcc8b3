"""What the system tests share: a server of their own, clients, mail, a runner.

A test is a function test_*() of a module test_*.py.  Each runs in a process
of its own that adopts every orphan below it, so that whatever a server leaves
behind is found, reported, and ended by its process id.
"""
import contextlib
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, TOP + '/test/lib')
from ports import free_port
BUILD = os.environ.get('MAILMILL_BUILD', TOP + '/build')
POSTFIX = TOP + '/build/postfix/bin'
SANITIZE = bool(os.environ.get('MAILMILL_SANITIZE'))
SLOW = 4 if SANITIZE else 1             # how much longer things may take
ROOT = os.getuid() == 0
NOBODY = 65534


def others_reach(path):
    """May other accounts search all folders on the way to path?"""
    while path != '/':
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


# LeakSanitizer cannot look at a process in a chroot, so there servers run
# without root, but for tests that are about being root
NOT_AS_ROOT = SANITIZE and ROOT


# Root's server needs an account for authd that is known before it starts, so
# that the file of users can be given to it: one that every system has
AUTHD_CONF = 'auth_user = "backup" ' if ROOT else ''


# for tests that want a process of each role
RELAYED = '''Domain "relayed.test" { Delivery = smtp Route = "127.0.0.1:1" }
Domain "wants-policies.test" { Delivery = smtp MTA_STS = true }
Domain "piped.test" { Delivery = pipe Command = "/bin/true" Pipe_User = "games" }
'''


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


# ------------------------------------------------------------------ processes
def adopt_orphans():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)          # PR_SET_CHILD_SUBREAPER


def stat_fields(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()
    except OSError:
        return None


def descendants(root):
    kids = {}
    for d in os.listdir('/proc'):
        if d.isdigit():
            f = stat_fields(d)
            if f and f[0] not in 'ZX':
                kids.setdefault(int(f[1]), []).append(int(d))
    out, todo = [], kids.get(root, [])[:]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cmdline(pid):
    """Its title; '' when it has ended.  A process that sets its title clears the
    old one first, so for a moment it has none."""
    end = time.monotonic() + 1
    while True:
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                title = f.read().replace(b'\0', b' ').strip()
        except OSError:
            return ''
        if title or (stat_fields(pid) or 'Z')[0] == 'Z' or \
                time.monotonic() > end:
            return title.decode(errors='replace')
        time.sleep(0.001)


def comm(pid):
    try:
        with open(f'/proc/{pid}/comm') as f:
            return f.read().strip()
    except OSError:
        return ''


def reap():
    """Take note of children that have ended, orphans too."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def wait_for(what, condition, timeout=15):
    """Until condition() is true; its value.  While a file or process that it
    looks at is not there, perhaps since it has just ended, it is not."""
    end = time.monotonic() + timeout * SLOW
    while True:
        missing = None
        try:
            v = condition()
            if v:
                return v
        except (FileNotFoundError, ProcessLookupError) as e:
            missing = e
        if time.monotonic() > end:
            raise AssertionError(
                f'waited {timeout * SLOW} s for {what}') from missing
        time.sleep(0.02)


def unshare_mounts():
    """From here on what this process mounts goes away with it."""
    if not ROOT:
        raise Skip('needs root')
    if ctypes.CDLL(None).unshare(0x00020000) != 0:   # CLONE_NEWNS
        raise Skip('no mount namespace here')
    if subprocess.run(['mount', '--make-rprivate', '/']).returncode:
        raise Skip('may not mount here')


def set_nofile(pid, soft):
    """Another process's soft limit of descriptors, set as its own account."""
    with open(f'/proc/{pid}/status') as f:
        ids = dict(re.findall(r'^([UG]id):\s+(\d+)', f.read(), re.M))
    child = os.fork()
    if child == 0:
        try:
            if ROOT:
                os.setgroups([])
                os.setresgid(*[int(ids['Gid'])] * 3)
                os.setresuid(*[int(ids['Uid'])] * 3)
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE,
                             (hard if soft is None else soft, hard))
            os._exit(0)
        except BaseException as e:
            print(e, flush=True)
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise Skip('may not change the limits of another process')


def mount_tmpfs(path, size):
    os.makedirs(path, exist_ok=True)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size},mode=1777',
                       'tmpfs', path]).returncode:
        raise Skip('may not mount a tmpfs here')


# ------------------------------------------------------------------ the server
@contextlib.contextmanager
def temp_dir():
    d = tempfile.mkdtemp(prefix='mailmill-test.')
    os.chmod(d, 0o755)                  # other accounts come here
    try:
        yield d
    finally:
        shutil.rmtree(d, ignore_errors=True)


class Server:
    """mailmilld with a state of its own in dir.

    conf: lines for the global scope; listener, listen, domain: lines for
    theirs.  user: the uid it is started under (root only).  as_root: the test
    is about that.  client_sessions: None is mailmill's default, which is too
    few for many clients with one address."""

    all = []                            # those of this test

    def __init__(self, dir, conf='', listener='', listen='', domain='',
                 extra='', args=(), workers=2, user=None, nofile=None,
                 spool=None, mail=None, log='stderr', port=None,
                 as_root=False, client_sessions=0,
                 program=f'{BUILD}/mailmilld'):
        if NOT_AS_ROOT and not as_root:
            user = user or NOBODY
        self.dir, self.port = dir, port or free_port()
        self.spool = spool or f'{dir}/spool'
        self.mail = mail or f'{dir}/mail'
        self.conf_file = f'{dir}/mailmill.conf'
        self.guilty = set()     # processes that are to be punished
        self.pidfile = f'{dir}/mailmilld.pid'
        self.control = f'{dir}/mailmilld.sock'
        self.stderr = f'{dir}/stderr'
        self.args, self.user, self.nofile = list(args), user, nofile
        self.settings = dict(conf=conf, listener=listener, listen=listen,
                             domain=domain, extra=extra, workers=workers,
                             log=log, client_sessions=client_sessions)
        os.makedirs(self.mail, exist_ok=True)
        os.chmod(self.mail, 0o1777)
        self.program = program
        if user:
            # where it owns the folder, root may write into its files, too,
            # also with open modes that would make them
            os.chown(dir, user, -1)
            os.chmod(dir, 0o1777)
            if not others_reach(self.program):
                self.program = shutil.copy(self.program, dir)
        self.write_conf()
        self.proc = None
        self.master = None
        Server.all.append(self)

    def give_to_authd(self, path):
        """The file at path is for it alone."""
        os.chmod(path, 0o400)
        if self.user:
            os.chown(path, self.user, self.user)
        elif ROOT:
            shutil.chown(path, 'backup', 'backup')

    def write_conf(self, **change):
        s = dict(self.settings, **change)
        few = '' if s['client_sessions'] is None else \
            f"Client_Sessions = {s['client_sessions']}"
        with open(self.conf_file + '.new', 'w') as f:
            f.write(f'''hostname = "mx.example.test"
workers = {s['workers']}
spool = "{self.spool}"
pidfile = "{self.pidfile}"
control = "{self.control}"
log = "{s['log']}"
{s['conf']}
ESMTP_Listener {{
{s['listener']}
    Listen "127.0.0.1:{self.port}" {{
{s['listen']}
    }}
}}
Domain "example.test" {{
    Maildir = "{self.mail}/%d/%u"
{s['domain']}
}}
{AUTHD_CONF}{few} {s['extra']}
''')
        os.rename(self.conf_file + '.new', self.conf_file)

    def _before_exec(self):
        if self.nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile,) * 2)
        if self.user:
            os.setgroups([])
            os.setgid(self.user)
            os.setuid(self.user)

    def command(self, *args):
        return [self.program, '-c', self.conf_file, *self.args, *args]

    def start(self, ready=True):
        """In the foreground."""
        with open(self.stderr, 'ab') as err:
            self.proc = subprocess.Popen(
                self.command('-f'), stdin=subprocess.DEVNULL, stdout=err,
                stderr=err, start_new_session=True,
                preexec_fn=self._before_exec)
        self.master = self.proc.pid
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        def up():
            if self.proc and self.proc.poll() is not None:
                raise AssertionError(f'mailmilld ended with status '
                                     f'{self.proc.returncode}: {self.log()}')
            try:
                with socket.create_connection(('127.0.0.1', self.port), 5) as s:
                    return s.recv(4) == b'220 '
            except OSError:
                return False
        wait_for('the server', up, 20)
        # workers are up by then; the other processes follow
        wait_for('all processes', lambda: {p['state'] for p in self.ctl_json(
            'status')['processes']} == {'running'}, 20)
        if self.settings['client_sessions']:
            # what has asked for the banner is not one of the test's few clients
            wait_for('the end of that session', lambda: sum(
                p.get('sessions', 0) for p in self.ctl_json('status')[
                    'processes']) == 0, 20)

    def log(self):
        """The log.  A process gathers its lines for some milliseconds, and the
        logger writes them: what was answered to a client is in the log a
        moment later.  So this waits until no more comes while each process
        waits, too: one that has no CPU yet may be about to write.  It waits for
        a second at most while mail goes through, else for five."""
        size, since = -1, time.monotonic()
        began, pids = since, None
        while self.proc and self.proc.poll() is None and \
                since + 0.05 * SLOW > time.monotonic():
            if pids is None:
                pids = [self.master] + descendants(self.master)
            before, size = size, os.path.getsize(self.stderr)
            has_grown = size != before
            if has_grown or any((stat_fields(p) or 'Z')[0] in 'RD'
                                for p in pids):
                since = time.monotonic()
            if time.monotonic() > began + (1 if has_grown else 5) * SLOW:
                break
            time.sleep(0.01)
        return self.log_now()

    def logged(self, what, n=1, timeout=15):
        """Wait until that regular expression is found n times in the log; what
        it has found."""
        wait_for(f'{what!r} in the log', lambda: len(
            re.findall(what, self.log_now())) >= n, timeout)
        return list(re.finditer(what, self.log_now()))

    def log_now(self):
        """What has been written so far: for a caller that looks again, or has
        seen a later line.  While mail goes through, log() takes a second."""
        with open(self.stderr, errors='replace') as f:
            return f.read()

    def pids(self, title=''):
        """Processes of the tree whose title holds the word."""
        return [p for p in descendants(self.master) if title in cmdline(p)]

    def end_one(self, role):
        """Kill a process of a role, and wait until its successor runs."""
        def running():
            return [p['pid'] for p in self.ctl_json('status')['processes']
                    if (p['role'], p['state']) == (role, 'running')]
        before = set(running())
        os.kill(min(before), signal.SIGKILL)
        wait_for(f'another {role}', lambda: set(running()) - before and
                 len(running()) == len(before), 20)

    def signal(self, sig):
        os.kill(self.master, sig)

    def wait_end(self, timeout=30):
        try:
            return self.proc.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'mailmilld did not end: {self.log()[-2000:]}')

    def stop(self):
        """SIGTERM; every process has to be gone, with status 0."""
        if self.proc is None:
            return
        if self.proc.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait_end()
        self.proc = None
        self.no_process_left()
        self.no_honest_process_punished()
        assert status == 0, f'mailmilld ended with {status}: {self.log()[-3000:]}'

    def no_sanitizer_report(self):
        if os.path.exists(self.stderr):
            bad = re.search(r'.*(ERROR: \w+Sanitizer|runtime error:|'
                            r'Assertion .* failed).*', self.log())
            if not bad and self.user:
                bad = re.search('LeakSanitizer has encountered', self.log())
            assert not bad, bad.group()

    def no_honest_process_punished(self):
        if os.path.exists(self.stderr):
            for bad in re.finditer(r' event=(hostile|worker-stuck|sandbox|'
                                   r'channel-protocol) .*', self.log()):
                pid = re.search(r' pid=(\d+)', bad.group())
                assert pid and int(pid.group(1)) in self.guilty, bad.group()

    def no_process_left(self):
        def gone():
            reap()
            lines = [cmdline(p) for p in descendants(os.getpid())]
            # that of a process that is about to end is empty
            return not [x for x in lines if not x or 'mailmilld' in x]
        wait_for('all processes to end', gone, 15)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *rest):
        if kind is None:
            self.stop()

    # -------------------------------------------------------------- control
    def ctl(self, *args, check=True, timeout=20):
        p = subprocess.run([f'{BUILD}/mailmillctl', '-c', self.conf_file, *args],
                           capture_output=True, text=True,
                           timeout=timeout * SLOW)
        if check:
            assert p.returncode == 0, (args, p.returncode, p.stdout, p.stderr)
        return p

    def ctl_json(self, *args):
        out = self.ctl(*args, '--json').stdout
        return json.loads(out)

    def stats(self):
        v = self.ctl_json('stats')
        return v.get('counters', v)

    def wait_empty(self, timeout=15):
        """Until no message is in the queue."""
        wait_for('an empty queue', lambda: not self.ctl_json(
            'queue', 'list')['messages'], timeout)

    # -------------------------------------------------------------- mail
    def maildir(self, user='user', domain='example.test'):
        return f'{self.mail}/{domain}/{user}'

    def delivered(self, user='user', domain='example.test', sub='new'):
        """The files in new/, oldest name first."""
        new = f'{self.maildir(user, domain)}/{sub}'
        try:
            names = sorted(os.listdir(new))
        except FileNotFoundError:
            return []
        out = []
        for n in names:
            with open(f'{new}/{n}', 'rb') as f:
                out.append(f.read())
        return out

    def wait_mail(self, n=1, user='user', domain='example.test', timeout=20):
        def there():
            m = self.delivered(user, domain)
            return m if len(m) >= n else None
        got = wait_for(f'{n} messages for {user}', there, timeout)
        assert len(got) == n, f'{len(got)} messages instead of {n}'
        return got


TRACE = re.compile(rb'Return-Path: <([^>\r\n]*)>\r\n'
                   rb'(Received: [^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n)')


def body_of(stored):
    """What was sent: the stored file without the lines we put before it."""
    m = TRACE.match(stored)
    assert m, f'no trace lines: {stored[:300]!r}'
    return stored[m.end():]


def sender_of(stored):
    return TRACE.match(stored).group(1).decode()


# ------------------------------------------------------------------ a client
class Client:
    """A client that does exactly what it is told."""

    def __init__(self, port, banner=True, timeout=20, source=''):
        self.s = socket.create_connection(('127.0.0.1', port), timeout * SLOW,
                                          source_address=(source, 0))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''
        if banner:
            self.expect('220')

    def send(self, data):
        self.s.sendall(data)

    def line(self):
        """One line, or b'' at the end."""
        while b'\n' not in self.buf:
            d = self.s.recv(65536)
            if not d:
                rest, self.buf = self.buf, b''
                return rest
            self.buf += d
        line, _, self.buf = self.buf.partition(b'\n')
        return line + b'\n'

    def reply(self):
        lines = []
        while True:
            line = self.line()
            lines.append(line.decode('latin1').rstrip('\r\n'))
            if line[3:4] != b'-':
                return '\n'.join(lines)

    def expect(self, start):
        r = self.reply()
        assert r.split('\n')[-1].startswith(start), f'{r!r} instead of {start}'
        return r

    def cmd(self, text, start='250'):
        self.send(text.encode('latin1') + b'\r\n')
        return self.expect(start)

    def hello(self):
        return self.cmd('EHLO client.test')

    def envelope(self, rcpt='user@example.test', sender='a@client.test'):
        self.cmd(f'MAIL FROM:<{sender}>')
        self.cmd(f'RCPT TO:<{rcpt}>')

    def mail(self, message, rcpt='user@example.test', want='250'):
        self.envelope(rcpt)
        self.cmd('DATA', '354')
        self.send(stuffed(message) + b'.\r\n')
        return self.expect(want)

    def ended(self):
        """The server has closed, having said nothing more."""
        assert self.line() == b''

    def reset(self):
        """Close with RST."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack('ii', 1, 0))
        self.s.close()

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def stuffed(message):
    """As it goes over the wire, but for the final dot (RFC 5321 4.5.2)."""
    if message.startswith(b'.'):
        message = b'.' + message
    return message.replace(b'\r\n.', b'\r\n..')


def text_message(n=1, size=500):
    line = b'x' * 70 + b'\r\n'
    return (b'From: a@client.test\r\nSubject: number %d\r\n\r\n' % n
            + line * max(1, size // len(line)))


# ------------------------------------------------------------------ the runner
def lasts(seconds):
    """That a test takes about so long, most of which it waits, if it is more than
    ten seconds on a machine that does nothing else: run.py begins it early."""
    def mark(fn):
        fn.seconds = seconds
        return fn
    return mark


def seconds_of(fn):
    return getattr(fn, 'seconds', 0)


def run_test(fn, path):
    """In a child of the runner: 0 passed, 1 failed, 2 skipped."""
    import traceback
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, 'w', buffering=1)
    sys.stderr = os.fdopen(2, 'w', buffering=1)
    adopt_orphans()
    status = 0
    try:
        with temp_dir() as d:
            try:
                fn(d)
                for s in Server.all:
                    s.no_sanitizer_report()
            except BaseException as e:
                if not isinstance(e, Skip):
                    for s in Server.all:
                        print(f'--- end of the log in {s.stderr}:')
                        print(s.log()[-6000:] if os.path.exists(s.stderr) else '')
                    print('---')
                raise
            finally:
                left = leftovers()
            if left:
                print('processes left behind:', left)
                status = 1
    except Skip as e:
        print(e)
        status = 2
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        status = 1
    return status


def leftovers():
    """Ends what is still there; what that was."""
    left = []
    for _ in range(3):
        reap()
        if not descendants(os.getpid()):
            break               # there is nobody who could start another
        for p in descendants(os.getpid()):
            title = cmdline(p)
            if not title and p not in descendants(os.getpid()):
                continue        # it was ending by itself
            left.append(f'{p} {title}')
            with contextlib.suppress(ProcessLookupError):
                os.kill(p, signal.SIGKILL)
        time.sleep(0.05)
    reap()
    return left
