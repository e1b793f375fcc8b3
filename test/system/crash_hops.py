"""Where the mail of crash.py goes: Maildirs, other servers, a program, nowhere.

Each destination has a section of the configuration, the addresses that mail can
be sent to, and the copies that it has got.  A copy has the time at which it was
taken, or shortly before, the id that our server has given the message, and a
digest of what was sent.
"""
import collections
import email
import email.policy
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time

from dovecot import DovecotLmtp
from harness import POSTFIX, ROOT, TRACE, Server, Skip, free_port, wait_for
from keys import make_pair, tls_conf
from nameserver import Script
from nexthop import NextHop
from test_auth_mechs import passwd
from test_hop_login import logins
from test_pipe import Programs
from test_relay_mx import Zone

Copy = collections.namedtuple('Copy', 'when id digest')
# whose end can make a message come twice, to another server or to a program: those
# between its answer and the acknowledgement log
RELAYED = frozenset({'relay', 'queue', 'master'})
PIPED = frozenset({'pipe', 'programs', 'program', 'queue', 'master'})
ONCE = frozenset()
SENDER = 'sender@example.test'          # who gets reports


def digest(text):
    """Of a message as it was sent, whatever its line ends are."""
    return hashlib.sha256(text.replace(b'\r\n', b'\n')).hexdigest()


def split(stored):
    """The key of a message, the id that our server has given it, and the message
    without the lines that were put before it."""
    at = 0 if stored.startswith(b'Subject: ') else \
        stored.find(b'\nSubject: ') + 1
    key = stored[at:].split(b'\n', 1)[0].removeprefix(b'Subject: ').strip()
    ids = re.findall(rb'\sid (\w{13})\b', stored[:at])
    return key.decode(errors='replace'), \
        ids[-1].decode() if ids else '', stored[at:]


class Folder:
    """Files of messages in folders; each is read once, whatever its flags are."""

    def __init__(self):
        self.known = {}

    def read(self, *folders):
        """(name, (time, octets)) of each file"""
        for folder in folders:
            try:
                names = os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names:
                at = folder, name.partition(':')[0]
                path = f'{folder}/{name}'
                if at not in self.known:
                    try:
                        with open(path, 'rb') as f:
                            self.known[at] = (os.stat(path).st_mtime, f.read())
                    except FileNotFoundError:   # a reader has moved it
                        continue
                yield name, self.known[at]


class Destination:
    name = ''
    users, refused = (), ()             # addresses; to those nothing is delivered
    doubling = RELAYED                  # the roles whose end may double a message

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def section(self):
        """Of the configuration."""
        return ''

    def takes(self, address):
        """The addresses that get what is for this one."""
        return [address]

    def copies(self):
        """{(key, address): [Copy, ...]}"""
        got = collections.defaultdict(list)
        for key, address, copy in self.found():
            got[key, address].append(copy)
        return got


class Files(Destination):
    """One whose messages are files."""

    def __init__(self):
        self.folder = Folder()

    def folders(self, address):
        raise NotImplementedError

    def found(self):
        for address in self.users:
            for _, (when, stored) in self.folder.read(*self.folders(address)):
                key, id, text = split(stored)
                yield key, address, Copy(when, id, digest(text))


class Maildir(Files):
    """Of our server, octet for octet."""
    doubling = ONCE
    name = 'maildir'

    def __init__(self, server, users):
        super().__init__()
        self.server, self.users = server, users

    def folders(self, address):
        user, _, domain = address.partition('@')
        return [f'{self.server.maildir(user, domain)}/{x}'
                for x in ('new', 'cur')]

    def found(self):
        for address in self.users:
            for _, (when, stored) in self.folder.read(*self.folders(address)):
                if not TRACE.match(stored):
                    yield f'a file of {len(stored)} octets', address, \
                        Copy(when, '', '')
                    continue
                key, id, text = split(stored)
                # lines end as they were sent
                same = text.count(b'\n') == text.count(b'\r\n')
                yield key, address, Copy(when, id, same and digest(text))


class Alias(Destination):
    """An alias with a Maildir and somebody at another server, who is counted there."""
    name = 'alias'
    users = 'team@example.test',
    doubling = ONCE

    def __init__(self, d, server, other):
        self.mine = Maildir(server, ['ann@example.test'])
        self.gets = [*self.mine.users, other]
        self.file = f'{d}/aliases'
        with open(self.file, 'w') as f:
            f.write(f'team: {", ".join(self.gets)}\n')
        os.chmod(self.file, 0o644)

    def takes(self, address):
        return self.gets

    def found(self):
        return self.mine.found()


class Reports(Files):
    """Reports to the sender: a copy for each recipient of which they tell."""
    name = 'reports'
    doubling = ONCE

    def __init__(self, server):
        super().__init__()
        self.at = Maildir(server, [SENDER])

    def found(self):
        for _, (when, stored) in self.at.folder.read(*self.at.folders(SENDER)):
            m = email.message_from_bytes(stored, policy=email.policy.default)
            parts = m.get_payload()
            if not isinstance(parts, list) or len(parts) != 3:
                yield 'no report', SENDER, Copy(when, '', '')
                continue
            key = re.search(rb'\nSubject: (\w+-\d+)\r', stored)
            for fields in parts[1].get_payload()[1:]:
                yield key and key[1].decode(), \
                    fields['Final-Recipient'].split(';')[1].strip(), \
                    Copy(when, '', fields['Action'])


class Dovecot(Files):
    """Dovecot's LMTP server."""
    name = 'dovecot'
    users = 'alice@dove.test', 'bob@dove.test'
    refused = 'nobody@dove.test',

    def __init__(self, d):
        super().__init__()
        self.dovecot = DovecotLmtp(d)

    def __enter__(self):
        self.dovecot.start()
        return self

    def __exit__(self, *exc):
        self.dovecot.stop()

    def section(self):
        return f'''Domain "dove.test" {{
    Delivery = lmtp
    Route = "unix:{self.dovecot.socket}"
}}
'''

    def folders(self, address):
        return [f'{self.dovecot.mail}/{address.partition("@")[0]}/new']


class Second(Files):
    """Another mailmilld, which wants a login."""
    name = 'mailmilld'
    users = 'near@second.test', 'far@second.test'

    def __init__(self, d):
        super().__init__()
        os.mkdir(f'{d}/second')
        os.chmod(f'{d}/second', 0o755)
        make_pair(f'{d}/second', 'second')
        users = f'{d}/second/passwd'
        passwd(users, 'alice', 'secret')
        at = f'{d}/second'
        self.server = Server(
            at, conf='log_level = "warning"',
            listener=f'Auth_Backend = "passwd:{users}"\nRequire_Auth = true\n'
            f'Require_TLS = true\n{tls_conf(at, "second")}',
            extra=f'Domain "second.test" {{ Maildir = "{at}/mail/%d/%u" }}')
        self.server.give_to_authd(users)
        self.route = f'127.0.0.1:{self.server.port}'
        self.logins = logins(d, f'{self.route} alice:secret')

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exc):
        self.server.signal(15)
        self.server.wait_end()
        self.server.proc = None

    def section(self):
        return f'''Domain "second.test" {{
    Delivery = smtp
    Route = "{self.route}"
    TLS = encrypt
    Login = "{self.logins}"
}}
'''

    def folders(self, address):
        user, _, domain = address.partition('@')
        return [self.server.maildir(user, domain) + '/new']


class Sink(Files):
    """Postfix's smtp-sink, which writes each message into a file."""
    name = 'smtp-sink'
    users = 'one@sink.test', 'two@sink.test'

    def __init__(self, d):
        super().__init__()
        self.program = f'{POSTFIX}/smtp-sink'
        if not os.path.exists(self.program):
            raise Skip('no smtp-sink in build/postfix')
        self.dir, self.port = f'{d}/sink', free_port()
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o777)

    def __enter__(self):
        self.proc = subprocess.Popen(
            [self.program, *(['-u', 'nobody'] if ROOT else []), '-d',
             f'{self.dir}/%M.', f'127.0.0.1:{self.port}', '100'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def is_up():
            assert self.proc.poll() is None, 'smtp-sink did not start'
            try:
                with socket.create_connection(('127.0.0.1', self.port), 5):
                    return True
            except OSError:
                return False
        wait_for('smtp-sink', is_up)
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait()

    def section(self):
        return f'''Domain "sink.test" {{
    Delivery = smtp
    Route = "127.0.0.1:{self.port}"
}}
'''

    def found(self):
        # a file grows while its message comes; an empty line is behind each
        for name in os.listdir(self.dir):
            try:
                with open(f'{self.dir}/{name}', 'rb') as f:
                    stored = f.read()
            except FileNotFoundError:       # the rest of it did not come
                continue
            if not stored.endswith(b'\n\n') or b'\nSubject: ' not in stored:
                continue
            key, id, text = split(stored[:-1])
            for address in re.findall(rb'^X-Rcpt-Args: <([^>]*)>', stored,
                                      re.M):
                yield key, address.decode(), Copy(
                    os.stat(f'{self.dir}/{name}').st_mtime, id, digest(text))


class Scripted(Destination):
    """A server of the test, found by its MX record: it counts what it answers with
    250, knows one recipient not, and sometimes has no time."""
    name = 'scripted'
    users = 'a@hop.test', 'b@hop.test'
    refused = 'no@hop.test',

    def __init__(self, rng):
        self.rng, self.lock, self.taken = rng, threading.Lock(), []
        self.hop = NextHop(('127.0.1.1', free_port()), replies={
            'RCPT': self.rcpt, 'DOT': self.dot})
        self.dns = Script(Zone({'hop.test': {'MX': [(10, 'mx.hop.test')]},
                                'mx.hop.test': {'A': ['127.0.1.1']}}, ttl=0))

    def __enter__(self):
        self.hop.start()
        self.dns.__enter__()
        return self

    def __exit__(self, *exc):
        self.dns.__exit__()
        self.hop.stop()

    def section(self):
        return f'''Resolver = "{self.dns.address}"
Domain "hop.test" {{
    Delivery = smtp
    MX_Port = {self.hop.address[1]}
}}
'''

    def rcpt(self, session, line):
        if '<no@' in line:
            return '550 5.1.1 Unknown'
        return '250 2.1.5 OK'

    def dot(self, session, line):
        key, id, text = split(session.message.body)
        addresses = [re.search('<([^>]*)>', r)[1]
                     for r in session.message.rcpts]
        with self.lock:
            if self.rng.random() < 0.03:
                return '451 4.3.0 Later'
            for address in addresses:
                self.taken.append((key, address, Copy(time.time(), id,
                                                      digest(text))))
        return '250 2.0.0 Taken'

    def found(self):
        with self.lock:
            return self.taken[:]


PROGRAM = r'''
import hashlib, json, os, sys, time
text = sys.stdin.buffer.read()
at = text.index(b'\nSubject: ') + 1
line = json.dumps([text[at + 9:].split(b'\n', 1)[0].strip().decode(),
                   os.environ['RECIPIENT'], time.time(),
                   os.environ['QUEUE_ID'],
                   hashlib.sha256(text[at:].replace(b'\r\n', b'\n')).hexdigest()])
fd = os.open('OUT/taken', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
os.write(fd, line.encode() + b'\n')
os.fsync(fd)
'''


class Program(Destination):
    name = 'program'
    users = 'list@piped.test',
    doubling = PIPED

    def __init__(self, d):
        self.programs = Programs(d)
        self.path = self.programs.python('agent', PROGRAM)

    def section(self):
        return self.programs.domain(self.path)

    def found(self):
        try:
            taken = self.programs.file('taken').splitlines(keepends=True)
        except FileNotFoundError:
            return
        for line in taken:
            if line.endswith(b'\n'):
                key, address, when, id, text = json.loads(line)
                yield key, address, Copy(when, id, text)
