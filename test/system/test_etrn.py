"""ETRN: a client that was away has the mail for its domain tried at once."""
import contextlib
import os
import signal
import smtplib

from harness import Client, Server, text_message, wait_for
from test_queue import CONF, block, deferred, send

LISTENER = '''ETRN_Domains = { "example.test", "*.away.test" }
Peer "127.0.0.2/32" { ETRN_Domains = { "other.test" } }
'''
DOMAINS = '''
Domain "other.test" { Maildir = "%s/%%d/%%u" }
Domain "*.away.test" { Maildir = "%s/%%d/%%u" }
'''


def server(d, **kw):
    kw.setdefault('conf', CONF.replace('warning', 'info'))
    kw.setdefault('listener', LISTENER)
    return Server(d, extra=DOMAINS % (f'{d}/mail', f'{d}/mail'), **kw)


def etrn(s, domain, source=None):
    with smtplib.SMTP('127.0.0.1', s.port, timeout=30, source_address=(
            source, 0) if source else None) as c:
        c.ehlo('client.example')
        return c.docmd('ETRN', domain), c.has_extn('etrn')


def block_domain(s, user, domain):
    folder = f'{s.mail}/{domain}'
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o777)
    open(f'{folder}/{user}', 'w').close()
    return f'{folder}/{user}'


def arrived(path):
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(path + '/new')
    return []


def test_what_waits_for_the_domain_is_delivered_at_once(d):
    with server(d) as s:
        block(s, 'user')
        other = block_domain(s, 'user', 'other.test')
        away = block_domain(s, 'user', 'a.away.test')
        send(s, 0, 3, 'user')
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message(7), rcpt='user@other.test')
            c.mail(text_message(8), rcpt='user@a.away.test')
        wait_for('all to be deferred', lambda: deferred(s) == 5)
        for path in s.maildir(), other, away:
            os.unlink(path)
        # one that may have another domain has none of these
        (code, text), _ = etrn(s, 'example.test', '127.0.0.2')
        assert (code, text.split()[0]) == (459, b'4.7.1'), text
        assert not s.delivered()
        (code, text), is_offered = etrn(s, 'Example.Test')
        assert is_offered
        assert (code, text) == (
            250, b'2.0.0 OK, queuing started for node example.test'), text
        s.wait_mail(3)
        assert not arrived(other) and not arrived(away)
        s.logged(r'event=etrn session=\S+ client=127\.0\.0\.1 '
                 r'listener=\S+ user=- domain=example\.test subdomains=no\b')
        s.logged(r'mailmilld/queue\S*\[\d+\].* event=queue-started '
                 r'domain=example\.test subdomains=no recipients=3 '
                 r'worker=[12]\b')
        assert etrn(s, 'other.test')[0][0] == 459
        assert etrn(s, 'other.test', '127.0.0.2')[0][0] == 250
        wait_for('the other', lambda: arrived(other))
        assert not arrived(away)
        assert etrn(s, '@away.test')[0][0] == 459, 'it is not in the list'
        assert etrn(s, '@a.away.test')[0][0] == 250
        wait_for('what waits for subdomains', lambda: arrived(away))
        assert deferred(s) == 5


def test_without_a_queue_process_it_is_458(d):
    """And with the next one, what waits is delivered."""
    with server(d) as s:
        block(s, 'user')
        send(s, 0, 1, 'user')
        wait_for('it to be deferred', lambda: deferred(s) == 1)
        os.unlink(s.maildir())
        with Client(s.port) as c:
            c.hello()
            codes = []

            def says(code):
                c.send(b'ETRN example.test\r\n')
                codes.append(int(c.reply()[:3]))
                return codes[-1] == code
            # no other is started
            s.signal(signal.SIGSTOP)
            os.kill(s.pids('queue')[0], signal.SIGKILL)
            wait_for('458', lambda: says(458))
            assert len(codes) < 20, 'a client may ask more often'
            s.signal(signal.SIGCONT)
            wait_for('another queue process', lambda: says(250), 30)
        s.wait_mail(1)


def test_a_client_that_asks_all_the_time_has_its_share(d):
    """It is told so; what waits is not tried more often than it may, and other
    clients are served."""
    with server(d) as s:
        block(s, 'user')
        send(s, 0, 1, 'user')
        wait_for('it to be deferred', lambda: deferred(s) == 1)
        with Client(s.port) as c:
            c.hello()
            c.send(b'ETRN example.test\r\n' * 500)
            codes = [int(c.reply()[:3]) for _ in range(500)]
        assert set(codes) == {250, 458}, set(codes)
        assert codes.count(250) < 200, codes.count(250)
        # by chance, another client has the same share
        others = [etrn(s, 'example.test', f'127.0.1.{i}')[0][0]
                  for i in range(1, 17)]
        assert others.count(250) > 8, others
        wait_for('the queue to try it', lambda: deferred(s) == 2)
        send(s, 1, 1, 'other')
        s.wait_mail(1, user='other')
        assert deferred(s) == 2, 'it was tried once'


def test_what_the_queue_has_no_room_for_is_458(d):
    """A worker knows how many more the queue takes: none is answered 250 and
    forgotten."""
    with server(d, workers=1) as s:
        codes = []
        for i in range(1, 141):
            with Client(s.port, source=f'127.0.1.{i}') as c:
                c.hello()
                c.send(b''.join(b'ETRN d%d-%d.away.test\r\n' % (i, k)
                                for k in range(10)))
                codes += [int(c.reply()[:3]) for _ in range(10)]
        assert set(codes) == {250, 458}, set(codes)
        # some clients may have one share by chance, and on a slow machine those
        # of the first may be over
        assert 1000 < codes.count(250) < 1400, codes.count(250)
        assert codes[:1000].count(250) > 900, codes[:1000].count(250)
        assert ' event=etrn-refused ' not in s.log_now(), s.log_now()
