"""Other servers as next hops: Debian's, which are unpacked and not installed.  What
they take stays in their own queues, where it is looked at."""
import contextlib
import glob
import os
import re
import shutil
import signal
import smtplib
import subprocess

from harness import (SLOW, Skip, free_port, text_message, unshare_mounts,
                     wait_for)
from keys import make_pair
from test_auth_clients import account, mailers
from test_hop_login import logins
from test_relay import (events, send, server, wait_bounced, wait_deferred,
                        waiting)

PASSWORD = 'se:cret word'
CONF = 'retry_interval = 3600\nmax_retry_interval = 3600\n'
VERIFY = '''TLS = verify
    TLS_CA_File = "{0}/hop.crt"
    TLS_Name = "hop.test"
'''


class Mailer:
    """A server that runs until the end of the block."""

    def __init__(self, d, command, env):
        self.d, self.command, self.env, self.proc = d, command, env, None

    def greets(self):
        """Whatever it says there: it listens."""
        if self.proc.poll() is not None:
            raise AssertionError(self.output())
        try:
            with smtplib.SMTP('127.0.0.1', self.port, timeout=20 * SLOW):
                return True
        except OSError:
            return False

    def output(self):
        with open(f'{self.d}/output') as f:
            return f.read()

    def __enter__(self):
        with open(f'{self.d}/output', 'w') as f:
            self.proc = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL,
                stdout=f, stderr=f, start_new_session=True)
        try:
            wait_for('its banner', self.greets)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.proc.pid, signal.SIGTERM)
        self.proc.wait(30 * SLOW)


class Exim(Mailer):
    """main: further lines of the configuration; login: mail of alice alone."""

    def __init__(self, d, main='', login=False):
        root, env = mailers()
        account(d, 'Debian-exim')
        self.port, self.spool = free_port(), f'{d}/exim'
        os.makedirs(self.spool)
        shutil.chown(self.spool, 'Debian-exim')
        crt, key = make_pair(d, 'hop', host='hop.test', owner=os.getuid())
        shutil.chown(key, 'Debian-exim')
        with open(f'{d}/exim.conf', 'w') as f:
            f.write(f'''exim_path = {root}/usr/sbin/exim4
primary_hostname = hop.test
spool_directory = {self.spool}
log_file_path = {self.spool}/log.%slog
pid_file_path = {self.spool}/pid
keep_environment = LD_LIBRARY_PATH
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
queue_only
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {crt}
tls_privatekey = {key}
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}}}
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
{main}
begin acl
rcpt:
  {'require authenticated = *' if login else ''}
  deny local_parts = nobody
    message = 550 5.1.1 There is no $local_part here
  defer local_parts = full
    message = 452 4.2.2 $local_part has no room
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{alice}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
''')
        super().__init__(d, [f'{root}/usr/sbin/exim4', '-C', f'{d}/exim.conf',
                             '-bdf'], env)

    def log(self):
        try:
            with open(f'{self.spool}/log.mainlog') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def queue(self):
        """{the file of the envelope and header: the body} of what it has."""
        r = {}
        for path in glob.glob(f'{self.spool}/input/**/*-H', recursive=True):
            with open(path, 'rb') as f, open(path[:-1] + 'D', 'rb') as body:
                r[f.read()] = body.read().split(b'\n', 1)[1]
        return r


def section(name, hop, more='', address='127.0.0.1'):
    return f'''Domain "{name}" {{
    Delivery = smtp
    Route = "{address}:{hop.port}"
    {more}
}}
'''


def taken(s, n):
    """What the log has of n that were delivered, as soon as it has them."""
    wait_for(f'{n} delivered', lambda: len(events(s, 'delivered')) >= n)
    return events(s, 'delivered')


def reports(s):
    """Those that senders were to get: this server has no section for them."""
    return events(s, 'report-none')


# ------------------------------------------------------------------ Exim
def test_exim_takes_some_recipients_and_refuses_others(d):
    unshare_mounts()
    with Exim(d) as hop, server(
            d, section('next.test', hop, 'TLS = none'), conf=CONF) as s:
        send(s, *(f'{x}@next.test' for x in ('a', 'nobody', 'b', 'full')),
             message=text_message(7))
        assert [x['rcpt'] for x in taken(s, 2)] == \
            ['a@next.test', 'b@next.test'], s.log()
        assert all(re.search('250.* OK id=', x['reply'])
                   for x in events(s, 'delivered')), s.log()
        [(rcpt, why)] = wait_bounced(s).items()
        assert rcpt == 'nobody@next.test' and \
            'said: 550 5.1.1 There is no nobody here' in why, why
        [(rcpt, why)] = wait_deferred(s).items()
        assert rcpt == 'full@next.test' and \
            '452 4.2.2 full has no room' in why, why
        # both have one copy
        [(envelope, body)] = hop.queue().items()
        assert b'\na@next.test\n' in envelope and b'\nb@next.test' in envelope
        assert body.replace(b'\n', b'\r\n') == \
            text_message(7).partition(b'\r\n\r\n')[2]
        assert ' X=TLS' not in hop.log(), hop.log()


def test_exim_by_tls_gets_what_the_envelope_has(d):
    unshare_mounts()
    def octets(text):
        return text.encode().decode('latin1')
    green = 'grün@next.test'
    with Exim(d) as hop, server(
            d, section('next.test', hop, VERIFY.format(d)), conf=CONF) as s:
        send(s, octets(f'<{green}>') + ' NOTIFY=SUCCESS,FAILURE '
             'ORCPT=rfc822;green@other.test',
             params=' SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=env+2B1',
             message=f'Subject: Grüße\r\nTo: {green}\r\n\r\nText\r\n'.encode(),
             sender=octets('ä@client.test'))
        taken(s, 1)
        [e] = events(s, 'next-hop-tls')
        assert e['verified'] == 'yes', e
        assert re.search(r'<= ä@client\.test .* P=utf8esmtps X=TLS1\.3:',
                         hop.log()), hop.log()
        [envelope] = hop.queue()
        assert b'-dsn_envid env+2B1\n' in envelope, envelope
        assert 'grün@next.test'.encode() in envelope and \
            b'rfc822;green@other.test' in envelope, envelope
        # who is to be told of success is told by Exim, which offers DSN
        assert not reports(s), s.log()


def test_exim_asks_for_a_login(d):
    unshare_mounts()
    with Exim(d, login=True) as hop:
        def write(password):
            return logins(d, f'127.0.0.1:{hop.port} alice:{password}')
        with server(d, section('next.test', hop, VERIFY.format(d) +
                               f'Login = "{write("wrong")}"'), conf=CONF) as s:
            send(s, 'a@next.test')
            [why] = wait_deferred(s).values()
            assert '535' in why, why
            write(PASSWORD)
            s.ctl('reload')
            s.ctl('queue', 'retry', 'all')
            taken(s, 1)
            assert events(s, 'hop-login')[-1]['mechanism'] == 'PLAIN'
            assert ' A=plain:alice ' in hop.log(), hop.log()
            assert PASSWORD.split()[1] not in s.log()


def test_what_is_too_large_for_exim_is_not_sent(d):
    unshare_mounts()
    with Exim(d, main='message_size_limit = 50K') as hop, server(
            d, section('next.test', hop), conf=CONF) as s:
        send(s, 'a@next.test', message=text_message() +
             (b'x' * 70 + b'\r\n') * 1000)
        send(s, 'a@next.test', message=text_message(8))
        [why] = wait_bounced(s).values()
        assert 'larger than the server permits' in why, why
        taken(s, 1)
        assert len(hop.queue()) == 1 and not waiting(s)


# ------------------------------------------------------------------ OpenSMTPD
class Opensmtpd(Mailer):
    """Its folders are compiled in.  more: further lines of its configuration."""

    def __init__(self, d, more=''):
        root, env = mailers()
        account(d, 'opensmtpd', 'opensmtpq')
        # what is below these is the test's alone
        for folder in '/var/lib', '/var/spool', '/run':
            if subprocess.run(['mount', '-t', 'tmpfs', 'none',
                               folder]).returncode:
                raise Skip('may not mount here')
        os.makedirs('/var/lib/opensmtpd/empty', 0o711)
        os.makedirs('/var/spool/smtpd')
        os.chmod('/var/spool/smtpd', 0o711)
        self.port = free_port()
        crt, key = make_pair(d, 'hop', host='hop.test', owner=os.getuid())
        with open(f'{d}/bad', 'w') as f:
            f.write('nobody@next.test\n')
        with open(f'{d}/smtpd.conf', 'w') as f:
            f.write(f'''pki hop.test cert "{crt}"
pki hop.test key "{key}"
table bad file:{d}/bad
{more}
listen on 127.0.0.1 port {self.port} hostname hop.test tls pki hop.test
# where nobody listens: it keeps what it takes
action "out" relay host smtp://127.0.0.1:1
match from any for rcpt-to <bad> reject
match from any for any action "out"
''')
        super().__init__(d, [f'{root}/usr/sbin/smtpd', '-d', '-v', '-f',
                             f'{d}/smtpd.conf'], env)

    def messages(self):
        r = []
        for path in glob.glob('/var/spool/smtpd/queue/*/*/message'):
            with open(path, 'rb') as f:
                r.append(f.read())
        return r


def test_opensmtpd_takes_some_recipients_and_refuses_others(d):
    """It has no PIPELINING."""
    unshare_mounts()
    with Opensmtpd(d) as hop, server(
            d, section('next.test', hop, 'TLS = none'), conf=CONF) as s:
        send(s, '<a@next.test> NOTIFY=SUCCESS', 'b@next.test',
             message=text_message(7))
        send(s, 'c@next.test', 'nobody@next.test', message=text_message(8))
        assert sorted(x['rcpt'] for x in taken(s, 3)) == \
            ['a@next.test', 'b@next.test', 'c@next.test'], s.log()
        [(rcpt, why)] = wait_bounced(s).items()
        assert rcpt == 'nobody@next.test' and 'said: 550 ' in why, why
        # who is to be told of success is told by the server, which offers DSN
        assert {x['to'] for x in reports(s)} == {'a@client.test'} and \
            len(reports(s)) == 1, s.log()
        # a and b have one copy
        assert sorted(m.partition(b'\n\n')[2] for m in hop.messages()) == [
            text_message(n).replace(b'\r\n', b'\n').partition(b'\n\n')[2]
            for n in (7, 8)], hop.messages()


def test_opensmtpd_gets_mail_although_its_tls_fails(d):
    """That of Debian 12 offers STARTTLS, and no handshake of it succeeds: it has
    not been made for OpenSSL 3.  A later one may get mail by TLS."""
    unshare_mounts()
    with Opensmtpd(d) as hop, server(
            d, section('next.test', hop), conf=CONF) as s:
        send(s, 'a@next.test')
        taken(s, 1)
        assert len(events(s, 'next-hop-clear') + events(
            s, 'next-hop-tls')) == 1, s.log()
        assert len(hop.messages()) == 1


def test_what_is_too_large_for_opensmtpd_is_not_sent(d):
    unshare_mounts()
    with Opensmtpd(d, 'smtp max-message-size 50K') as hop, server(
            d, section('next.test', hop), conf=CONF) as s:
        send(s, 'a@next.test', message=text_message() +
             (b'x' * 70 + b'\r\n') * 1000)
        send(s, 'a@next.test', message=text_message(8))
        [why] = wait_bounced(s).values()
        assert 'larger than the server permits' in why, why
        taken(s, 1)
        assert len(hop.messages()) == 1 and not waiting(s)
