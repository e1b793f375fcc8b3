#!/usr/bin/env python3
"""live.py HOST:PORT [FILE...]: play the dialogues against a running server.

FORMAT.md says what they are.  The server's hostname is mx.example.test, its
domain example.test; `live.py --recipients` prints the mailboxes it must have,
one a line, and `live.py --config` the Peer scopes for its ESMTP_Listener that
dialogues with an @option need: such a dialogue comes from an address of its
own in 127.9.0.0/16.  Without --configured these are not played, and without
--certificates DIR, which makes them there, neither are those inside TLS.

What needs time, faults or a look inside (@sim-only) is not applicable live;
those are counted as such, not as passed.
"""
import argparse
import glob
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = HERE + '/../../proto/options/esmtp_option.def'
PATIENCE = 20                           # seconds for a reply
NOT_LIVE = ('@advance', '@window', '@drain', '@reconfig',
            '@extension', '@lookup', '@commit', '@commit-rcpt', '@begin',
            '@append', '@room', '@peer', '@policy', '@auth', '@sign', '@tls-start')
LOOKS_INSIDE = ('@messages', '@report', '@received', '@said', '@state',
                '@login', '@cancels')
TRACE = re.compile(rb'Received: [^\r\n]*(?:\r\n[ \t][^\r\n]*?)*? \+0000\r\n')


class Wrong(Exception):
    pass


# ---------------------------------------------------------------- the text
def raw(text):
    """The octets of "..."*N pieces."""
    out = b''
    pieces = re.compile(r'\s*"((?:[^"\\]|\\.)*)"(?:\*(\d+))?')
    at = 0
    while text[at:].strip():
        m = pieces.match(text, at)
        if not m:
            raise Wrong(f'expected "..." or "..."*count: {text[at:]}')
        simple = {'r': '\r', 'n': '\n', 't': '\t', '0': '\0'}
        piece = re.sub(r'\\(x[0-9a-fA-F]{2}|.)', lambda e: (
            chr(int(e[1][1:], 16)) if len(e[1]) == 3
            else simple.get(e[1], e[1])), m[1])
        out += piece.encode('latin1') * int(m[2] or 1)
        at = m.end()
    return out


def pattern(text):
    """A pattern of FORMAT.md as a regular expression."""
    out = ''
    for m in re.finditer(r'\\(.)|(\*)|([^\\*]+)', text):
        out += '.*' if m[2] else re.escape(m[1] or m[3])
    return re.compile(out.encode('latin1'), re.S)


class Dialogue:
    def __init__(self, path):
        self.path, self.steps, self.options = path, [], []
        self.is_sim_only = False
        lines = iter(enumerate(open(path, encoding='latin1'), 1))
        for n, line in lines:
            line = line.rstrip('\n')
            word, _, rest = line.partition(' ')
            if (not line or line[0] == '#'
                    or word in ('@whole-only', '@vanishing')):
                continue
            if word == '@sim-only':
                self.is_sim_only = True
            elif word == '@option':
                name, _, value = rest.partition(' ')
                values = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value)
                self.options.append((name, [a or b for a, b in values]))
            elif word == 'C:':
                self.send(n, rest.encode('latin1') + b'\r\n')
            elif word == 'C!':
                self.send(n, raw(rest))
            elif word == '@message':
                body = b''
                for _, text in lines:
                    text = text.rstrip('\n')
                    if text == '@end':
                        break
                    body += (raw(text[3:]) if text.startswith('|!')
                             else text[2:].encode('latin1') + b'\r\n')
                self.steps.append((n, word, (rest, body)))
            else:
                self.steps.append((n, word, rest))

    def send(self, n, octets):
        """Lines of the client that follow each other are one group."""
        if self.steps and self.steps[-1][1] == 'send':
            octets = self.steps.pop()[2] + octets
        self.steps.append((n, 'send', octets))



# ---------------------------------------------------------------- TLS
def openssl(*args):
    subprocess.run(['openssl', *args], check=True, capture_output=True)


def make_certificates(d):
    """What the options of the dialogues name, and a client's own."""
    os.makedirs(d, exist_ok=True)
    openssl('req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2',
            '-subj', '/CN=authority', '-keyout', f'{d}/authority.key',
            '-out', f'{d}/authority.pem')
    for name, cn in (('server', 'mx.example.test'),
                     ('client', 'client@client.example')):
        openssl('req', '-newkey', 'ed25519', '-nodes', '-subj', f'/CN={cn}',
                '-keyout', f'{d}/{name}.key', '-out', f'{d}/{name}.csr')
        openssl('x509', '-req', '-days', '2', '-in', f'{d}/{name}.csr',
                '-CA', f'{d}/authority.pem', '-CAkey', f'{d}/authority.key',
                '-CAcreateserial', '-out', f'{d}/{name}.pem')


class Tls:
    """The client's TLS of one dialogue."""
    def __init__(self, directory):
        self.directory = directory
        self.contexts = {}              # a session belongs to its context
        self.last = None

    def context(self, words):
        if words in self.contexts:
            return self.contexts[words]
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname = False
        c.load_verify_locations(f'{self.directory}/authority.pem')
        if '1.2' in words:
            c.maximum_version = ssl.TLSVersion.TLSv1_2
        if 'cert' in words:
            c.load_cert_chain(f'{self.directory}/client.pem',
                              f'{self.directory}/client.key')
        self.contexts[words] = c
        return c

    def wrap(self, s, rest):
        words = set(rest.split())
        if words - {'1.2', 'cert', 'resume'}:
            raise Wrong(f'@tls {rest} needs @sim-only')
        session = self.last.session if 'resume' in words else None
        context = self.context(frozenset(words - {'resume'}))
        s.settimeout(PATIENCE)
        self.last = context.wrap_socket(s, session=session)
        if session and not self.last.session_reused:
            raise Wrong('the session was not resumed')
        return self.last


# ---------------------------------------------------------------- playing
class Player:
    def __init__(self, d, args, source):
        self.d, self.args, self.source = d, args, source
        self.s = None
        self.buf = b''
        self.is_eof = False
        self.ids = []                   # of the messages answered 250
        self.tls = Tls(args.certificates)

    def connect(self):
        host, _, port = self.args.server.rpartition(':')
        self.s = socket.create_connection(
            (host.strip('[]'), int(port)), PATIENCE,
            (self.source, 0) if self.source else None)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf, self.is_eof = b'', False

    def fill(self, patience=PATIENCE):
        """More octets; False when none come, or no more will."""
        if self.is_eof or self.s is None:
            return False
        self.s.settimeout(patience)
        try:
            d = self.s.recv(65536)
        except socket.timeout:
            return False
        except (ConnectionError, ssl.SSLError):
            d = b''
        self.is_eof = not d
        self.buf += d
        return bool(d)

    def line(self, wanted):
        if self.s is None:
            self.connect()
        while b'\n' not in self.buf:
            if not self.fill():
                raise Wrong(f'expected "{wanted}", got nothing'
                            + (' (closed)' if self.is_eof else ''))
        line, _, self.buf = self.buf.partition(b'\n')
        if line[-1:] != b'\r':
            raise Wrong(f'a line that does not end with CRLF: {line!r}')
        m = re.match(rb'250 2\.0\.0 OK: queued as (\S+)', line)
        if m:
            ident = m[1].decode()
            if ident not in self.ids[-1:]:      # LMTP: one for each recipient
                self.ids.append(ident)
        return line[:-1]

    def expect(self, wanted):
        line = self.line(wanted)
        if not pattern(wanted).fullmatch(line):
            raise Wrong(f'expected "{wanted}", got {line!r}')

    def reply(self, wanted):
        while True:
            line = self.line(wanted)
            if line[3:4] != b'-' or line[:3] != wanted[:3].encode():
                break
        if not pattern(wanted).fullmatch(line):
            raise Wrong(f'expected "{wanted}", got {line!r}')

    def nothing_left(self):
        if self.buf:
            raise Wrong(f'unexpected: {self.buf!r}')

    def send(self, octets):
        if self.s is None:
            self.connect()
        self.nothing_left()
        try:
            if self.args.bytes:
                for i in range(len(octets)):
                    self.s.sendall(octets[i:i + 1])
            else:
                self.s.sendall(octets)
        except (ConnectionError, ssl.SSLError):
            pass                        # what is missing will tell

    def silence(self):
        self.nothing_left()
        if self.fill(0.05) or self.is_eof:
            raise Wrong(f'unexpected: {self.buf!r}'
                        + (' and closed' if self.is_eof else ''))

    def closed(self):
        self.nothing_left()
        if self.s is None:
            return                      # by ourselves
        while self.fill():
            self.nothing_left()
        if not self.is_eof:
            raise Wrong('expected the server to close')

    def close(self, is_reset=False):
        if self.s is None:
            return
        if is_reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack('ii', 1, 0))
        self.s.close()
        self.s = None

    def stored(self, rcpt, ident):
        """The delivered file of one recipient, its trace lines cut off."""
        # the text of a dialogue has an octet in each character
        user, _, domain = rcpt.encode('latin1').decode().partition('@')
        new = f'{self.args.maildir}/{domain}/{user}/new'
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for name in glob.glob(f'{new}/*.{ident}R*'):
                with open(name, 'rb') as f:
                    text = f.read()
                if text.startswith(b'Return-Path: <'):
                    text = text.partition(b'\r\n')[2]
                m = TRACE.match(text)
                return text[m.end():] if m else text
            time.sleep(0.02)
        raise Wrong(f'{ident} was not delivered to {rcpt}')

    def message(self, rest, body):
        if not self.args.maildir:
            return
        if not self.ids:
            raise Wrong('no message was accepted')
        ident = self.ids.pop(0)
        for rcpt in re.search(r'to=(\S+)', rest)[1].split(','):
            got = self.stored(rcpt, ident)
            if got != expected(body):
                raise Wrong(f'the delivered body differs: {got!r}')

    def step(self, word, rest):
        if word == 'send':
            self.send(rest)
        elif word == 'S:':
            self.expect(rest)
        elif word == 'R:':
            self.reply(rest)
        elif word == '@hello':
            self.reply('220 *')
            self.send(b'EHLO client.example\r\n')
            self.reply('250 *')
        elif word == '@tls':
            if self.s is None:
                self.connect()
            self.nothing_left()
            self.s = self.tls.wrap(self.s, rest)
        elif word == '@connect':
            self.nothing_left()
            self.close()
            self.connect()
        elif word == '@pause':
            time.sleep(0.02)
        elif word == '@close':
            self.close()
        elif word == '@reset':
            self.close(is_reset=True)
        elif word == '@half-close':
            self.s.shutdown(socket.SHUT_WR)
        elif word == '@expect-silence':
            self.silence()
        elif word == '@expect-close':
            self.closed()
        elif word == '@message':
            self.message(*rest)
        elif word in NOT_LIVE:
            raise Wrong(f'{word} needs @sim-only')
        elif word not in LOOKS_INSIDE:
            raise Wrong(f'unknown directive {word}')

    def play(self):
        at = 0
        try:
            for at, word, rest in self.d.steps:
                self.step(word, rest)
            self.nothing_left()
        except (Wrong, OSError) as e:
            return f'{self.d.path}:{at}: {e}'
        finally:
            self.close()
        return None


# ---------------------------------------------------------------- the config
FILES = {'passwd:users': 'users', 'file:senders': 'senders',
         'server.pem': 'certificates', 'server.key': 'certificates',
         'authority.pem': 'certificates'}


def has_files(d, args):
    """Are those files there that the options of a dialogue name?"""
    return all(getattr(args, FILES[v]) for _, values in d.options
               for v in values if v in FILES)


def with_file(value, args):
    if value not in FILES:
        return value
    kind, _, name = value.partition(':')
    if not name:
        return f'{args.certificates}/{value}'
    return f'{kind}:{getattr(args, FILES[value])}'


def option_types():
    with open(OPTIONS) as f:
        return {m[1].lower(): m[2] for m in re.finditer(
            r'^ESMTP_OPTION\("([^"]+)",\s*\w+,\s*(\w+)', f.read(), re.M)}


def sources(dialogues):
    """An address for each dialogue with options."""
    with_options = [d for d in dialogues if d.options and not d.is_sim_only]
    return {d.path: f'127.9.{i // 250}.{i % 250 + 1}'
            for i, d in enumerate(with_options)}


def config(dialogues, args):
    types = option_types()
    addresses = sources(dialogues)
    out = ''
    for d in dialogues:
        if d.path not in addresses or not has_files(d, args):
            continue
        out += f'    Peer "{addresses[d.path]}/32" {{\n'
        for name, values in d.options:
            quoted = [f'"{with_file(v, args)}"' for v in values]
            kind = types[name.lower()]
            value = ('{ ' + ', '.join(quoted) + ' }' if kind in ('LIST', 'NETWORKS',
                                                           'DOMAINS')
                     else values[0] if kind in ('INT', 'BOOL') else quoted[0])
            out += f'        {name} = {value}\n'
        out += '    }\n'
    return out


def expected(body):
    """A first line that is no field comes behind an empty line (FORMAT.md)."""
    if re.match(rb'[!-9;-~]+[ \t]*:|\r?\n|\Z', body):
        return body
    return b'\r\n' + body


def recipients():
    return ['alice', 'bob', 'carol', 'gr\u00fcn',
            *(f'user{i}' for i in range(1, 10)), 'user' + 'a' * 60,
            '"user(odd)"', '"user\\"\\\\x"']


SENDERS = 'alice@example.test alice\n@client.example alice bob\n'


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('server', nargs='?', metavar='HOST:PORT')
    p.add_argument('files', nargs='*', metavar='FILE')
    p.add_argument('--maildir', help='folder of <domain>/<user>: compare '
                   'what was delivered')
    p.add_argument('--configured', action='store_true',
                   help='the server has what --config prints')
    p.add_argument('--users', help='the server has this file of passwords: '
                   'alice secret, bob hunter2')
    p.add_argument('--senders', help='and this one of sender addresses')
    p.add_argument('--print-senders', action='store_true',
                   help='print what is to be in it and exit')
    p.add_argument('--certificates', metavar='DIR', type=os.path.abspath,
                   help='where those of the TLS dialogues are; made if need '
                   'be')
    p.add_argument('--bytes', action='store_true',
                   help='send each octet by itself')
    p.add_argument('--config', action='store_true',
                   help='print the Peer scopes and exit')
    p.add_argument('--recipients', action='store_true',
                   help='print the mailboxes and exit')
    a = p.parse_args()
    everything = [Dialogue(f) for f in sorted(glob.glob(HERE + '/*.txt'))]
    if a.print_senders:
        print(SENDERS, end='')
        return 0
    if a.certificates and not os.path.exists(a.certificates):
        make_certificates(a.certificates)
    if a.config or a.recipients:
        print(config(everything, a) if a.config else
              '\n'.join(recipients()))
        return 0
    if not a.server:
        p.error('HOST:PORT is needed')
    chosen = [os.path.abspath(f) for f in a.files]
    addresses = sources(everything)
    passed = failed = not_live = unconfigured = unchecked = 0
    for d in everything:
        if chosen and os.path.abspath(d.path) not in chosen:
            continue
        if d.is_sim_only or (a.bytes and '@whole-only' in open(
                d.path, encoding='latin1').read()):
            not_live += 1
            continue
        if d.options and not (a.configured and has_files(d, a)):
            print(f'skip {os.path.basename(d.path)}: not played without '
                  '--configured')
            unconfigured += 1
            continue
        wrong = Player(d, a, addresses.get(d.path)).play()
        if wrong:
            print('FAIL', wrong)
            failed += 1
        else:
            passed += 1
            unchecked += not a.maildir and any(
                word == '@message' for _, word, _ in d.steps)
    print(f'live dialogues: {not_live} are not applicable live'
          + (f', {unchecked} without a look at the delivered message'
             if unchecked else ''))
    if unconfigured:
        print(f'{unconfigured} skipped')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
