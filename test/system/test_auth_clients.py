"""Programs that send mail for others, as clients of ports 587 (STARTTLS) and
465 (implicit TLS), with the default settings of logins: users whose entries
"mailmillctl passwd" made, and the default list of mechanisms."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

from harness import (ROOT, SLOW, TOP, Server, Skip, free_port,
                     text_message, unshare_mounts, wait_for)
from postfix import libraries, set_up
from test_auth_mechs import Tls, ours, passwd, run

USER, PASSWORD = 'alice', 'pencil'
POSTFIX = f'{TOP}/build/postfix'
MAILERS = f'{TOP}/build/mailers'


def unpack(*cmd):
    """Run a script of test/ that unpacks packages.  Return their root, and an
    environment in which their programs find their libraries."""
    p = subprocess.run(['sh', f'{TOP}/test/{cmd[0]}', *cmd[1:]],
                       capture_output=True, text=True, timeout=600)
    assert p.returncode == 0, p
    root = f'{cmd[1]}/root'
    return root, dict(os.environ, LD_LIBRARY_PATH=libraries(root))


def mailers():
    return unpack('unpack.sh', MAILERS, 'exim4-daemon-light', 'opensmtpd')


@contextlib.contextmanager
def server(d):
    tls = Tls(d)
    users = f'{d}/passwd'
    passwd(users, USER, PASSWORD)
    port = free_port()
    s = Server(d, listener=f'Auth_Backend = "passwd:{users}"\n'
               f'Require_Auth = true\nRequire_TLS = true\n{tls.conf}\n'
               f'Listen "127.0.0.1:{port}" {{ Use_SSL = true }}\n')
    s.give_to_authd(users)
    ours(s, *tls.files)
    s.tls_port, s.tls = port, tls
    with s:
        yield s


def arrived(s, n, mech):
    """Wait for n messages; the last is by a login with that mechanism."""
    s.wait_mail(n)
    auth = [x for x in s.log().split('\n') if 'event=auth ' in x]
    assert len(auth) == n and f'user={USER} ' in auth[-1], auth
    got = re.search(r'mechanism=(\S+)', auth[-1]).group(1)
    assert got in mech, auth[-1]
    assert 'event=auth-failed' not in s.log(), s.log()


def text():
    return text_message().replace(b'\r\n', b'\n')


# ------------------------------------------------------------------ mutt
def test_mutt(d):
    with server(d) as s:
        for n, (scheme, port) in enumerate((('smtp', s.port),
                                            ('smtps', s.tls_port)), 1):
            with open(f'{d}/muttrc', 'w') as f:
                f.write(f'set smtp_url="{scheme}://{USER}@localhost:{port}/"\n'
                        f'set smtp_pass="{PASSWORD}"\n'
                        'set ssl_starttls=yes\nset ssl_force_tls=yes\n'
                        f'set ssl_ca_certificates_file="{s.tls.ca}"\n'
                        f'set certificate_file="{d}/known"\n'
                        'set from="a@example.test"\nset copy=no\n'
                        'set record=""\nset hostname="client.test"\n')
            run('mutt', '-n', '-F', f'{d}/muttrc', '-s', 'mutt',
                'user@example.test', data=b'a line\n',
                env=dict(os.environ, HOME=d, TERM='dumb'))
            arrived(s, n, ('SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'))


# ------------------------------------------------------------------ Postfix
class Postfix:
    """A Postfix with all its files in a folder.  main, master: further lines
    of main.cf, which hold instead of those before them, and of master.cf."""

    def __init__(self, dir, port, ca, wrapped, main='', master=''):
        root, env = unpack('postfix.sh', POSTFIX)
        self.dir, self.root = dir, root
        self.env = dict(env, **set_up(root, dir, f'''
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = client.test
inet_interfaces = loopback-only
smtp_host_lookup = native
relayhost = [localhost]:{port}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{dir}/etc/login
smtp_sasl_security_options = noanonymous
smtp_tls_CAfile = {ca}
smtp_tls_security_level = verify
smtp_tls_verify_cert_match = hostname
smtp_tls_wrappermode = {'yes' if wrapped else 'no'}
{main}
''', master))
        with open(f'{dir}/etc/login', 'w') as f:
            f.write(f'[localhost]:{port} {USER}:{PASSWORD}\n')
        self.proc = None

    def __enter__(self):
        self.proc = subprocess.Popen(
            [f'{self.root}/usr/lib/postfix/sbin/master', '-d'], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for('Postfix', lambda: 'daemon started' in self.log())
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # master has its own process group, and ends all of it
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(30 * SLOW)

    def log(self):
        try:
            with open(f'{self.dir}/log') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def send(self):
        run(f'{self.root}/usr/sbin/sendmail', '-f', 'a@example.test',
            'user@example.test', data=text(), env=self.env)


def test_postfix(d):
    if not ROOT:
        raise Skip('needs root')
    with server(d) as s:
        for n, port in enumerate((s.port, s.tls_port), 1):
            with Postfix(f'{d}/postfix{n}', port, s.tls.ca,
                         port == s.tls_port) as p:
                p.send()
                wait_for('an attempt', lambda: 'status=' in p.log())
                assert 'status=sent' in p.log(), p.log() + s.log()
            arrived(s, n, ('SCRAM-SHA-256',))


# ------------------------------------------------------------------ Exim
def account(d, *names):
    """The accounts that are compiled into a server of Debian, for this process."""
    for name, line in (('passwd', '{0}:x:{1}:{1}::/:/usr/sbin/nologin'),
                       ('group', '{0}:x:{1}:')):
        shutil.copy(f'/etc/{name}', f'{d}/etc-{name}')
        with open(f'{d}/etc-{name}', 'r+') as f:
            known = f.read()
            for i, x in enumerate(names):
                if f'\n{x}:' not in known:
                    f.write(line.format(x, 4141 + i) + '\n')
        if subprocess.run(['mount', '--bind', f'{d}/etc-{name}',
                           f'/etc/{name}']).returncode:
            raise Skip('may not mount here')


def exim_account(d):
    account(d, 'Debian-exim')


def test_exim(d):
    unshare_mounts()
    root, env = mailers()
    exim_account(d)
    with server(d) as s:
        for n, port in enumerate((s.port, s.tls_port), 1):
            os.makedirs(f'{d}/exim{n}')
            shutil.chown(f'{d}/exim{n}', 'Debian-exim')
            with open(f'{d}/exim.conf', 'w') as f:
                f.write(f'''exim_path = {root}/usr/sbin/exim4
primary_hostname = client.test
spool_directory = {d}/exim{n}
log_file_path = {d}/exim{n}/log.%slog
keep_environment = LD_LIBRARY_PATH
begin routers
all:
  driver = manualroute
  route_list = * localhost::{port} byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  hosts_try_chunking = *
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {s.tls.ca}
  tls_verify_hosts = *
  protocol = {'smtps' if port == s.tls_port else 'smtp'}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{USER}^{PASSWORD}
''')
            run(f'{root}/usr/sbin/exim4', '-C', f'{d}/exim.conf', '-odf',
                '-f', 'a@example.test', 'user@example.test', data=text(),
                env=env)
            with open(f'{d}/exim{n}/log.mainlog') as f:
                log = f.read()
            assert ' => user@example.test' in log, log + s.log()
            # K: by BDAT
            assert re.search(r' => user@example.test .* K C="250 ', log), log
            arrived(s, n, ('PLAIN',))
            assert s.delivered()[-1].endswith(
                text_message().partition(b'\r\n\r\n')[2])


# ------------------------------------------------------------------ OpenSMTPD
def test_opensmtpd(d):
    """smtp(1) of OpenSMTPD, which uses the same client code as its daemon."""
    root, env = mailers()
    with server(d) as s:
        for n, (scheme, port) in enumerate((('smtp+tls', s.port),
                                            ('smtps', s.tls_port)), 1):
            run(f'{root}/usr/bin/smtp', '-C', '-s',
                f'{scheme}://{USER}:{PASSWORD}@localhost:{port}', '-F',
                'a@example.test', 'user@example.test', data=text(), env=env)
            arrived(s, n, ('PLAIN', 'LOGIN'))
