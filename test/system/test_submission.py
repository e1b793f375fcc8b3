"""Submission (RFC 6409): what users' programs send, and what is added to it."""
import contextlib
import email
import email.utils
import os
import re
import smtplib
import ssl
import subprocess
import time

from harness import Client, Server, free_port, wait_for
from test_auth_clients import PASSWORD, USER
from test_auth_mechs import Tls, ours, passwd, run


@contextlib.contextmanager
def server(d, options=''):
    """On a port with STARTTLS, and on s.tls_port with implicit TLS."""
    tls = Tls(d)
    users = f'{d}/passwd'
    passwd(users, USER, PASSWORD)
    with open(f'{d}/senders', 'w') as f:
        f.write(f'{USER}@client.test {USER}\n')
    os.chmod(f'{d}/senders', 0o644)
    port = free_port()
    s = Server(d, listener=f'Kind = submission\n'
               f'Auth_Backend = "passwd:{users}"\n'
               f'Sender_Login = "file:{d}/senders"\n{options}\n{tls.conf}\n'
               f'Listen "127.0.0.1:{port}" {{ Use_SSL = true }}\n')
    s.give_to_authd(users)
    ours(s, *tls.files)
    s.tls_port, s.tls = port, tls
    with s:
        yield s


def check_stamp(mail, s):
    """The message has one Date and one Message-ID, of this server."""
    m = email.message_from_bytes(mail)
    [date], [ident] = m.get_all('Date'), m.get_all('Message-ID')
    assert abs(time.time() - email.utils.parsedate_to_datetime(
        date).timestamp()) < 60, date
    received = re.search(r' with ESMTPSA id (\w+)', m['Received'])
    assert ident == f'<{received[1]}@mx.example.test>', m.items()


def test_smtplib_without_date_and_message_id(d):
    with server(d) as s:
        context = ssl.create_default_context(cafile=s.tls.ca)
        context.check_hostname = False
        for n, (kind, port) in enumerate(((smtplib.SMTP, s.port),
                                          (smtplib.SMTP_SSL, s.tls_port)), 1):
            kw = {} if kind is smtplib.SMTP else {'context': context}
            with kind('localhost', port, 'client.test', **kw) as c:
                if kind is smtplib.SMTP:
                    c.starttls(context=context)
                c.login(USER, PASSWORD)
                c.sendmail(f'{USER}@client.test', ['user@example.test'],
                           f'From: {USER}@client.test\r\nSubject: x\r\n\r\n'
                           f'Date: body\r\n'.encode())
            for mail in s.wait_mail(n):
                check_stamp(mail, s)
                assert mail.endswith(b'>\r\n\r\nDate: body\r\n'), mail


def test_without_a_login(d):
    with server(d) as s, Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<alice@client.test>', '530 5.7.0')


def test_curl(d):
    with server(d) as s:
        with open(f'{d}/m', 'wb') as f:
            f.write(b'From: alice@client.test\r\n\r\nx\r\n')
        for n, url in enumerate((f'smtp://localhost:{s.port}',
                                 f'smtps://localhost:{s.tls_port}'), 1):
            run('curl', '-sS', '--ssl-reqd', '--cacert', s.tls.ca, url,
                '-u', f'{USER}:{PASSWORD}', '--mail-from',
                f'{USER}@client.test', '--mail-rcpt', 'user@example.test',
                '-T', f'{d}/m')
            check_stamp(s.wait_mail(n)[-1], s)


def test_msmtp(d):
    """It adds a Date and a From of its own, unless it is told not to."""
    with server(d) as s:
        for date in 'auto', 'off':
            run('msmtp', '--file=/dev/null', '--host=localhost',
                f'--port={s.tls_port}', '--auth=on', f'--user={USER}',
                f'--passwordeval=echo {PASSWORD}', '--tls=on',
                '--tls-starttls=off', f'--tls-trust-file={s.tls.ca}',
                f'--from={USER}@client.test', f'--set-date-header={date}',
                '--set-msgid-header=off', '--set-from-header=auto',
                'user@example.test', data=b'Subject: x\n\nx\n',
                env={**os.environ, 'TZ': 'XYZ-03:45'})
        mails = [email.message_from_bytes(m) for m in s.wait_mail(2)]
        for m in mails:
            assert len(m.get_all('Date')) == len(
                m.get_all('Message-ID')) == 1, m.items()
        # the Date of the client, in its own zone, stays; ours is in UTC
        assert sorted(m['Date'][-6:] for m in mails) == [
            ' +0000', ' +0345'], [m['Date'] for m in mails]


def test_from_is_that_of_the_login(d):
    with server(d, 'Header_From_Login = true') as s:
        context = ssl.create_default_context(cafile=s.tls.ca)
        context.check_hostname = False
        with smtplib.SMTP_SSL('localhost', s.tls_port, context=context) as c:
            c.login(USER, PASSWORD)

            def send(header, want):
                try:
                    c.sendmail(f'{USER}@client.test', ['user@example.test'],
                               header.encode() + b'\r\n\r\nx\r\n')
                    code = 250
                except smtplib.SMTPDataError as e:
                    code = e.smtp_code
                assert code == want, (header, code)
            send(f'From: Alice <{USER}@client.test>', 250)
            send('From: ceo@client.test', 550)
            send(f'From: {USER}@client.test, ceo@client.test', 550)
            send('Subject: x', 554)
            send(f'From: {USER}@client.test\r\nTo: bob@localhost', 554)
        assert len(s.wait_mail(1)) == 1
        wait_for('the refusals', lambda: s.log_now().count(
            'event=rejected ') == 4)
        assert 'code=550' in s.log_now()


def test_the_kind_is_in_the_listing(d):
    with server(d) as s:
        p = subprocess.run(s.command('-n', '-T', f'127.0.0.1:{s.port},192.0.2.1'),
                           capture_output=True, text=True)
        for line in (r'Kind = submission\t# .*:\d+, ESMTP_Listener',
                     r'Require_Auth = true\t# default of this Kind',
                     r'RFC2822_Date_Header = ifneeded\t# default of this Kind'):
            assert re.search(f'^{line}$', p.stdout, re.M), (line, p)
