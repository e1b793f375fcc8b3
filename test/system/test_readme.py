"""README's examples of configurations, as they are there."""
import base64
import os
import re
import shutil
import smtplib
import subprocess

from dovecot import DovecotLmtp
from harness import (AUTHD_CONF, NOBODY, NOT_AS_ROOT, TOP, Client, Server,
                     mount_tmpfs, text_message, unshare_mounts, wait_for)
from keys import context, make_pair
from nameserver import Script
from nexthop import EHLO, NextHop
from test_auth_mechs import passwd
from test_relay import events, wait_bounced
from test_relay_mx import Zone

ETC = '/usr/local/etc/mailmill'


def examples(heading):
    """The indented texts of a section."""
    with open(f'{TOP}/README') as f:
        section = re.search(rf'^{heading}\n-+\n(.*?)^[A-Z ,]+\n-+$', f.read(),
                            re.M | re.S)[1]
    return [re.sub('^    ', '', x, flags=re.M) for x in re.findall(
        r'(?:^    .*\n(?:\n(?=    ))?)+', section, re.M)]


class Example(Server):
    """Its configuration is such a text; more: what a machine has elsewhere."""

    def __init__(self, d, text, more=''):
        self.text, self.more = text, more
        super().__init__(d)

    def use(self, **places):
        """Other places than those that the text names."""
        for a, b in {ETC: f'{self.dir}/etc', **places}.items():
            assert a in self.text, (a, self.text)
            self.text = self.text.replace(a, b)
        self.write_conf()

    def write_conf(self):
        with open(self.conf_file, 'w') as f:
            f.write(f'''{self.text}
spool = "{self.spool}"
pidfile = "{self.pidfile}"
control = "{self.control}"
log = "stderr"
{self.more}
''')

    def wait_ready(self):
        # the port may be one where TLS begins at once
        self.logged('event=ready ', timeout=20)


def etc(d):
    os.mkdir(f'{d}/etc')
    os.chmod(f'{d}/etc', 0o755)
    return f'{d}/etc'


def test_in_front_of_dovecot_in_ten_lines(d):
    text = examples('IN FRONT OF DOVECOT')[0]
    assert len(text.splitlines()) <= 10, text
    with open(f'{etc(d)}/users', 'w') as f:
        f.write('alice\nbob\n')
    # bob is in the list, and Dovecot does not know him
    with DovecotLmtp(d, ['alice'], 'example.test') as dovecot:
        s = Example(d, text)
        s.use(**{'":25"': f'"127.0.0.1:{s.port}"',
                 '/run/dovecot/lmtp': dovecot.socket})
        with s, Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RCPT TO:<nobody@example.test>', '550 5.1.1')
            c.cmd('RCPT TO:<a@elsewhere.test>', '550 5.7.1')
            c.cmd('RSET')
            c.mail(text_message(1), 'alice@example.test')
            c.mail(text_message(2), 'bob@example.test')
            wait_for('the message', lambda: dovecot.files('alice'))
            assert dovecot.subjects('alice') == [b'1']
            assert list(wait_bounced(s)) == ['bob@example.test']


def trusted(d, name):
    """The authorities that this process, and what it starts, trusts: the one."""
    unshare_mounts()
    crt, _ = make_pair(d, 'smarthost', host=name)
    mount_tmpfs('/etc/ssl/certs', '1m')
    shutil.copy(crt, '/etc/ssl/certs/smarthost.pem')
    subprocess.run(['openssl', 'rehash', '/etc/ssl/certs'], check=True)


def test_a_submission_server_with_a_smarthost_in_ten_lines(d):
    text, login = examples('A SUBMISSION SERVER')[:2]
    assert len(text.splitlines()) <= 10, text
    name = re.search('Route = "(.*):587"', text)[1]
    trusted(d, name)
    who, _, password = login.split()[1].partition(':')
    token = base64.b64encode(f'\0{who}\0{password}'.encode()).decode()

    def auth(session, line):
        session.is_known = line == f'AUTH PLAIN {token}'
        return '235 2.7.0 Welcome' if session.is_known \
            else '535 5.7.8 Wrong'

    def mail(session, _):
        return '250 2.1.0 OK' if getattr(session, 'is_known', False) \
            else '530 5.7.0 Who are you?'
    hop = NextHop(ehlo=(*EHLO, 'AUTH PLAIN'), replies={
        'AUTH': auth, 'MAIL': mail},
        tls=(f'{d}/smarthost.crt', f'{d}/smarthost.key'))
    at = etc(d)
    make_pair(at, 'mx', host='mail.example.test')
    passwd(f'{at}/passwd', 'alice', 'secret')
    with open(f'{at}/logins', 'w',
              opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(login.replace(':587', f':{hop.address[1]}'))
    with hop, Script(Zone({name: {'A': ['127.0.0.1']}})) as dns:
        s = Example(d, text, f'Resolver = "{dns.address}"\n{AUTHD_CONF}')
        s.use(**{'":465"': f'"127.0.0.1:{s.port}"',
                 ':587"': f':{hop.address[1]}"'})
        s.give_to_authd(f'{at}/passwd')
        if NOT_AS_ROOT:
            os.chown(f'{at}/logins', NOBODY, NOBODY)
        with s, smtplib.SMTP_SSL('127.0.0.1', s.port, 'client.test',
                                 context=context()) as c:
            refused = c.docmd('MAIL', 'FROM:<alice@example.test>')
            assert refused[0] == 530, refused
            c.login('alice', 'secret')
            c.sendmail('alice@example.test', 'anybody@elsewhere.test',
                       text_message())
            [m] = hop.wait(1)
            assert m.tls and '<anybody@elsewhere.test>' in m.rcpts[0], m.rcpts
            [e] = events(s, 'hop-login')
            assert e['verified'] == 'yes', e
