"""What hostile clients cost: memory of a worker, measured for each session.

The lines that begin with "figure:" are printed by run.py, also when all is well.
The bounds are read from mailmilld(8), Memory."""
import base64
import contextlib
import os
import re
import socket
import time

from harness import SANITIZE, SLOW, TOP, Client, Server, Skip, lasts, wait_for
from test_auth_mechs import Tls, ours, passwd
from test_modules import INIT, compiled, section

N = 200                                 # sessions of a kind
KIB = 1024


def page():
    with open(f'{TOP}/man/mailmilld.8', encoding='ascii') as f:
        text = re.search(r'^\.Ss Memory\n(.*?)^\.S[sh] ', f.read(), re.M | re.S)[1]
    return {what: int(n) * KIB for what, n in re.findall(
        r'^\.It (.*?) Ta (\d+) KiB', text, re.M)}


ROWS = page()
SESSION = ROWS['for itself']
INPUT = ROWS['for input that is not processed yet, lines that do not end']
REPLIES = ROWS['for replies that its client does not take']
TLS = ROWS['inside TLS, beyond that']
TOLD = ROWS['for what XCLIENT and XFORWARD say']
FIELDS = ROWS['for header fields that policy modules add to a message']
VARIABLES = ROWS['for variables of XSETCONTEXT, and of policy modules']
ENVELOPE = b'MAIL FROM:<a@client.test>\r\nRCPT TO:<user@example.test>\r\n'


def anon(pid):
    """Octets of memory that it does not share with a file."""
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'^RssAnon:\s+(\d+) kB', f.read(), re.M)[1]) * KIB


def settled(pid):
    """When it takes no more."""
    seen, since = anon(pid), time.monotonic()
    end = since + 20 * SLOW
    while time.monotonic() - since < 0.3 and time.monotonic() < end:
        time.sleep(0.05)
        now = anon(pid)
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def sessions(s):
    return s.ctl_json('status')['sessions']


@contextlib.contextmanager
def held(s, begin, n):
    """n sessions, as begin(s, n) makes them."""
    with contextlib.ExitStack() as open_ones:
        for c in begin(s, n):
            open_ones.callback(c.close)
        yield
    wait_for('them to end', lambda: sessions(s) == 0, 60)


def measure(d, what, bound, begin, n=N, prepare=lambda s: None, **kw):
    """n sessions, in a server of their own, may cost so many octets each.  A few
    are there before, which take what is kept for all.  When they have gone, as
    many others use the same memory again."""
    if SANITIZE:
        raise Skip('the memory of a sanitizer is not that of the server')
    os.mkdir(f'{d}/{what}')
    s = Server(f'{d}/{what}', workers=1, **kw)
    prepare(s)
    with s:
        [pid] = s.pids('worker')
        with held(s, begin, 2):
            pass
        before = settled(pid)
        for turn in range(2):
            with held(s, begin, n):
                assert sessions(s) == n, (what, sessions(s))
                cost = settled(pid) - before
            if turn == 0:
                print(f'figure: memory: {n} sessions, {what}: {cost // n} '
                      f'octets each, {anon(pid) // KIB} KiB in all')
            # the heap has holes when others have gone
            assert cost <= bound * n * (1 + turn / 2), (what, turn, cost)
        assert s.pids('worker') == [pid]


def opened(s, n):
    return [Client(s.port, timeout=60) for _ in range(n)]


def said(text, *want):
    """Sessions that have said the text, and have had these replies."""
    def begin(s, n):
        cs = opened(s, n)
        for c in cs:
            c.hello()
            c.send(text)
        for c in cs:
            for w in want:
                c.expect(w)
        return cs
    return begin


def flooded(text):
    """Sessions whose clients send 10 MB of it, and never read."""
    def begin(s, n):
        cs = opened(s, n)
        for c in cs:
            c.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            c.s.setblocking(False)
        left, quiet = {c: 10_000_000 for c in cs}, 0
        while left and quiet < 20:
            quiet += 1
            for c in list(left):
                with contextlib.suppress(BlockingIOError):
                    left[c] -= c.s.send(text)
                    quiet = 0
                    if left[c] <= 0:
                        del left[c]
            if quiet:
                time.sleep(0.02)
        return cs
    return begin


@lasts(15)
def test_sessions(d):
    for what, text, want in (
            ('greeted', b'', ()),
            ('1 MB without a line end', b'NOOP ' + b'x' * (1 << 20),
             ('500 5.5.6',)),
            ('unknown parameters, as many as fit in a line',
             b'MAIL FROM:<>' + b' X' * 2000 + b'\r\n', ('555 5.5.4',)),
            ('duplicate parameters, as many as fit in a line',
             b'MAIL FROM:<>' + b' SIZE=1' * 580 + b'\r\n', ('501 5.5.4',)),
            ('a local part as long as a line',
             b'RSET\r\nMAIL FROM:<' + b'x' * 4000 + b'@a.test>\r\n',
             ('250', '501 5.1.7')),
            ('a source route as long as a line',
             b'MAIL FROM:<' + b'@a.test,' * 500 + b'@a.test:b@c.test>\r\n',
             ('250 2.1.0',)),
            ('a chunk of 2^63 octets', ENVELOPE + b'BDAT 9223372036854775807'
             b'\r\n', ('250', '250'))):
        measure(d, what, SESSION, said(text, *want),
                n=50 if '1 MB' in what else N)


def test_input_that_is_not_processed(d):
    measure(d, 'half a command', SESSION + INPUT, said(b'NOOP ' + b'x' * 3995))
    passwd(f'{d}/passwd', 'alice', 'pencil')
    measure(d, 'half of AUTH', SESSION + INPUT,
            said(b'AUTH PLAIN ' + b'x' * 12000),
            prepare=lambda s: s.give_to_authd(f'{d}/passwd'),
            listener=f'Auth_Backend = "passwd:{d}/passwd"\n'
            'Auth_Without_TLS = true')


@lasts(20)
def test_replies_that_are_not_read(d):
    """The commands behind them are not read then."""
    for verb in b'NOOP', b'HELP', b'XYZZY':
        measure(d, f'10 MB of {verb.decode()} and never read',
                SESSION + INPUT + REPLIES, flooded((verb + b'\r\n') * 2000),
                n=40, listener='Max_Errors = 0')


def test_ten_thousand_commands(d):
    def begin(s, n):
        cs = opened(s, n)
        for c in cs:
            c.hello()
            for _ in range(20):
                c.send(b'RSET\r\n' * 500)
                for _ in range(500):
                    c.expect('250')
        return cs
    measure(d, '10,000 RSETs', SESSION, begin, n=10)


@lasts(10)
def test_ten_thousand_recipients(d):
    many = 10000

    def begin(s, n):
        cs = opened(s, n)
        for c in cs:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            for i in range(0, many, 500):
                c.send(b''.join(b'RCPT TO:<user%d@example.test>\r\n' % k
                                for k in range(i, i + 500)))
                for _ in range(500):
                    c.expect('250 2.1.5')
            c.cmd('RCPT TO:<more@example.test>', '452 4.5.3')
        return cs
    measure(d, f'{many} recipients', 80 * many, begin, n=3,
            listener=f'Max_Recipients_Per_Message = {many}')
    s = Server(d, listener=f'Max_Recipients_Per_Message = {many}')
    with s, begin(s, 1)[0] as c:
        c.cmd('DATA', '354')
        c.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
        c.expect('250')
        wait_for('the first', lambda: int(s.stats()['delivered']) > 0)


def test_messages_that_do_not_end(d):
    """Together they have spool_buffer; what is more goes to files."""
    def begin(s, n):
        cs = said(ENVELOPE + b'DATA\r\n', '250', '250', '354')(s, n)
        for c in cs:
            c.s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                c.s.send(b'x' * 998 + b'\r\n' * 125)
        return cs
    measure(d, '1,248 octets of a message', SESSION + 8 * KIB, begin)

    def large(s, n):
        cs = begin(s, n)
        for c in cs:
            with contextlib.suppress(BlockingIOError):
                c.s.send((b'x' * 998 + b'\r\n') * 125)
        return cs
    measure(d, '125 KB of a message, where all have 4 MiB', (8 << 20) // N,
            large, conf='spool_buffer = 4M')


def test_tls(d):
    tls = Tls(d)
    context = tls.context()

    def begin(s, n):
        cs = opened(s, n)
        for c in cs:
            c.hello()
            c.cmd('STARTTLS', '220')
            c.s = context.wrap_socket(c.s, server_hostname='localhost')
            c.hello()
        return cs

    def half(s, n):
        cs = opened(s, n)
        for c in cs:
            c.hello()
            c.cmd('STARTTLS', '220')
            c.send(b'\x16\x03\x01\x40\x00' + b'x' * 10000)
        return cs
    for what, how in (('greeted inside TLS', begin),
                      ('half a ClientHello of 16 KiB', half)):
        measure(d, what, SESSION + TLS, how, listener=tls.conf,
                prepare=lambda s: ours(s, *tls.files))


DOMAIN = '.'.join(['x' * 63] * 3 + ['x' * 61])
MAIL = ('MAIL FROM:<' + 'x' * 64 + '@' + DOMAIN[66:] + '> ENVID=' +
        'e' * 100 + ' SOLICIT=' + ','.join(
            ['net.example:' + 'x' * 87] * 10) + ' BODY=8BITMIME RET=FULL')
XFORWARD = ('XFORWARD NAME=' + DOMAIN + ' HELO=' + DOMAIN + ' IDENT=' +
            'i' * 255 + ' SOURCE=REMOTE ADDR=192.0.2.1 PORT=25 '
            'PROTO=ESMTP')
XSETCONTEXT = ['XSETCONTEXT ' + ' '.join(
    '%02d%s=%s' % (i + k, 'k' * 62, 'v' * 1024) for k in range(3))
               for i in range(0, 63, 3)]


@lasts(10)
def test_all_that_a_session_may_say(d):
    """Each as long as it may be."""
    passwd(f'{d}/passwd', 'a' * 255, 'pencil')
    login = 'AUTH PLAIN ' + base64.b64encode(
        b'\0' + b'a' * 255 + b'\0pencil').decode()
    listener = ('No_Soliciting = "net.example:ADV"\nMax_Errors = 0\n'
                f'Auth_Backend = "passwd:{d}/passwd"\nAuth_Without_TLS = true\n'
                'Allow_XFORWARD = true\nAllow_XCONTEXT = true\n'
                'SMTP_Extensions = { "8BITMIME", "AUTH", "DSN", '
                '"NO-SOLICITING", "XFORWARD", "XSETCONTEXT" }\n')

    def saying(lines):
        def begin(s, n):
            cs = opened(s, n)
            for c in cs:
                c.cmd('EHLO ' + DOMAIN, '250')
                for line in lines:
                    c.cmd(line, '235' if line is login else '250')
            return cs
        return begin
    for what, bound, lines in (
            ('all of MAIL', SESSION, [login, MAIL]),
            ('all of XFORWARD', SESSION + TOLD, [login, XFORWARD, MAIL]),
            ('all of XSETCONTEXT', SESSION + VARIABLES, XSETCONTEXT)):
        measure(d, what, bound, saying(lines), listener=listener, n=50,
                prepare=lambda s: s.give_to_authd(f'{d}/passwd'))


def test_all_that_modules_may_add(d):
    so = compiled(d, """
PHASE(rcptto)
{
	char name[32], value[980];
	unsigned int i;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	for (i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "X-Mine-%u", i);
		validate_context_add_header(vctx, name, value);
	}
	return VALIDATE_CONT;
}
""" + INIT.replace('PHASE_MAILFROM] = mailfrom', 'PHASE_RCPTTO] = rcptto'))
    measure(d, 'header fields of modules', SESSION + FIELDS,
            said(ENVELOPE, '250', '250'), conf=section(so))
