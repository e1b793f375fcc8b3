"""Addresses in UTF-8 (SMTPUTF8, RFC 6531): real clients, mailboxes and domains in
each of their forms, what is kept and shown of them."""
import email.message
import email.policy
import os
import shutil
import smtplib
import subprocess

from harness import (ROOT, SLOW, Client, Server, Skip, text_message,
                     wait_for)
from test_auth_clients import Postfix
from test_auth_mechs import run
from test_xclient import events

GREEN = 'grün@example.test'
SENDER = 'jürgen@grün.example'
SENDER_A = 'jürgen@xn--grn-ioa.example'
NFD = 'gru\u0308n@example.test'


def octets(s):
    """For Client.cmd(), whose texts have an octet in each character."""
    return s.encode().decode('latin1')


def head_of(stored):
    """The header of a delivered file, lines unfolded."""
    return stored.split(b'\r\n\r\n')[0].replace(b'\r\n\t', b' ').decode()


def arrived(s, user='grün', domain='example.test'):
    """The header of the one message that has come from a client with SMTPUTF8."""
    [got] = s.wait_mail(1, user=user, domain=domain)
    head = head_of(got)
    assert head.startswith(f'Return-Path: <{SENDER_A}>\r\n'), head
    assert ' with UTF8SMTP id ' in head, head
    return head


def send(c, rcpts, sender=SENDER, params=' SMTPUTF8'):
    c.cmd(octets(f'MAIL FROM:<{sender}>{params}'))
    for r in rcpts:
        c.cmd(octets(f'RCPT TO:<{r}>'))
    c.cmd('DATA', '354')
    c.send(text_message() + b'.\r\n')
    c.expect('250 2.0.0')


# ------------------------------------------------------------------ clients
def test_smtplib(d):
    m = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    m['From'], m['To'], m['Subject'] = SENDER, GREEN, 'Grüße'
    m.set_content('Text\n')
    with Server(d) as s:
        with smtplib.SMTP('127.0.0.1', s.port, 'client.test', 60) as c:
            c.ehlo()
            assert c.has_extn('smtputf8') and c.has_extn('8bitmime')
            assert c.send_message(m) == {}
        head = arrived(s)
        assert f'for <{GREEN}>;' in head, head
        assert '\r\nSubject: Grüße' in head and f'\r\nTo: {GREEN}' in head, head


def test_curl(d):
    env = dict(os.environ, LC_ALL='C.UTF-8')
    with open(f'{d}/m', 'wb') as f:
        f.write(text_message())
    with Server(d, listener='VRFY_Policy = "lookup"') as s:
        url = f'smtp://127.0.0.1:{s.port}/client.test'
        run('curl', '-sS', url, '--mail-from', SENDER, '--mail-rcpt', GREEN,
            '-T', f'{d}/m', env=env)
        arrived(s)
        p = run('curl', '-sS', url, '--mail-rcpt', NFD, env=env)
        assert GREEN.encode() in p.stdout, p


def test_swaks_does_not_know_the_parameter(d):
    """What it is told, and what it does send."""
    with Server(d) as s:
        cmd = ['swaks', '-s', f'127.0.0.1:{s.port}', '--ehlo', 'client.test',
               '-f', 'a@client.test', '-t']
        if not shutil.which('swaks'):
            raise Skip('no swaks')
        p = subprocess.run(cmd + [GREEN], capture_output=True,
                           timeout=60 * SLOW)
        assert p.returncode != 0 and b'553 5.6.7 ' in p.stdout, p
        run(*cmd, 'user@example.test')
        s.wait_mail(1)


def test_postfix(d):
    if not ROOT:
        raise Skip('needs root')
    with Server(d) as s, Postfix(
            f'{d}/postfix', s.port, '', False,
            main='smtp_sasl_auth_enable = no\n'
            'smtp_tls_security_level = none\nsmtputf8_enable = yes\n') as p:
        run(f'{p.root}/usr/sbin/sendmail', '-f', SENDER, GREEN, env=p.env,
            data=f'Subject: Grüße\nTo: {GREEN}\n\nText\n'.encode())
        wait_for('an attempt', lambda: 'status=' in p.log())
        assert 'status=sent' in p.log(), p.log() + s.log()
        head = arrived(s)
        assert '\r\nSubject: Grüße' in head, head


# ------------------------------------------------------------------ mailboxes
def test_one_mailbox_has_one_maildir(d):
    with open(f'{d}/users', 'w', encoding='utf-8') as f:
        f.write(f'{NFD}\nuser\n')
    with Server(d, domain=f'Recipients = "file:{d}/users"') as s, \
            Client(s.port) as c:
        c.hello()
        send(c, [GREEN, NFD, 'GRÜN@EXAMPLE.test', '"grün"@example.test'])
        arrived(s)
        assert os.listdir(f'{s.mail}/example.test') == ['grün']
        c.cmd('MAIL FROM:<a@client.test> SMTPUTF8')
        c.cmd(octets('RCPT TO:<grun@example.test>'), '550 5.1.1')
        c.cmd(octets('RCPT TO:<grün\u200b@example.test>'), '501 5.1.3')


def test_a_domain_is_one_in_both_forms(d):
    for i, (title, relay) in enumerate((
            ('grün.example', 'xn--grn-ioa.example'),
            ('XN--grn-ioa.example', 'GRÜN.example'))):
        os.mkdir(f'{d}/{i}')
        with open(f'{d}/{i}/users', 'w', encoding='utf-8') as f:
            f.write('a@grün.example\nb@xn--grn-ioa.example\n')
        s = Server(f'{d}/{i}', listener=f'Relay_Domains = {{ "{relay}" }}')
        s.write_conf(extra=f'Domain "{title}" {{ Maildir = "{s.mail}/%d/%u"\n'
                     f'Recipients = "file:{d}/{i}/users" }}\n')
        with s, Client(s.port) as c:
            c.hello()
            send(c, ['a@grün.example', 'b@gru\u0308n.example'])
            arrived(s, 'a', 'xn--grn-ioa.example')
            arrived(s, 'b', 'xn--grn-ioa.example')
            # ASCII needs no extension
            send(c, ['a@XN--grn-ioa.example', 'postmaster@xn--grn-ioa.example'],
                 'a@client.test', '')
            s.wait_mail(2, user='a', domain='xn--grn-ioa.example')
            s.wait_mail(1, user='postmaster', domain='xn--grn-ioa.example')
            c.cmd('MAIL FROM:<a@client.test> SMTPUTF8')
            c.cmd(octets('RCPT TO:<c@grün.example>'), '550 5.1.1')
            c.cmd(octets('RCPT TO:<a@röt.example>'), '550 5.7.1')


def test_a_peer_does_not_get_it(d):
    with Server(d, listener='Peer "127.0.0.1" { SMTP_Extensions = '
                '{ "8BITMIME", "ENHANCEDSTATUSCODES" } }') as s, \
            Client(s.port) as c, Client(s.port, source='127.0.0.2') as other:
        assert 'SMTPUTF8' not in str(c.hello())
        c.cmd('MAIL FROM:<a@client.test> SMTPUTF8', '555 5.5.4')
        c.cmd(octets(f'MAIL FROM:<{SENDER}> SMTPUTF8'), '553 5.6.7')
        assert 'SMTPUTF8' in str(other.hello())
        send(other, [GREEN])
        arrived(s)


# ------------------------------------------------------------------ what is kept
def test_the_log_has_addresses_in_utf8(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        send(c, [GREEN])
        arrived(s)
        [a] = events(s, 'accepted')
        assert a['from'] == f'"{SENDER_A}"' and a['to'] == f'"{GREEN}"', a
        # what is not UTF-8, or cannot be seen, is escaped
        c.cmd('MAIL FROM:<gr\xfcn\xe2\x80\xae@client.test> SMTPUTF8', '501 5.1.7')
        [r] = events(s, 'rejected')
        assert r'gr\xfcn\xe2\x80\xae@' in r['arg'], r


def test_the_queue_keeps_and_shows_it(d):
    with Server(d, conf='retry_interval = 1s\nmax_retry_interval = 1s') as s:
        where = os.path.dirname(s.maildir('grün'))
        os.makedirs(where, exist_ok=True)
        with open(f'{where}/grün', 'wb'):
            pass                        # no folder: the message waits
        with Client(s.port) as c:
            c.hello()
            send(c, [GREEN])
        wait_for('it to be deferred', lambda: int(s.stats()['deferred']) >= 1)
        [m] = s.ctl_json('queue', 'list')['messages']
        assert m['smtputf8'] is True and m['sender'] == SENDER_A, m
        assert m['recipients'][0]['recipient'] == GREEN, m
        assert SENDER_A in s.ctl('queue', 'list').stdout
        os.unlink(f'{where}/grün')
        os.chmod(where, 0o1777)
        s.ctl('queue', 'retry', 'all')
        arrived(s)
