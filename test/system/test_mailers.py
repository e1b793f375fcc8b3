"""Other servers that hand mail over by SMTP, and use the extensions there are:
what they say with them is kept in the queue."""
import os
import re
import shutil
import subprocess

from harness import ROOT, SLOW, Server, Skip, unshare_mounts, wait_for
from test_auth_clients import Postfix, exim_account, mailers, run
from test_queue import CONF, block

ALL = '''    SMTP_Extensions = { "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8",
        "CHUNKING", "ENHANCEDSTATUSCODES", "DSN" }
'''
GREEN = 'grün@example.test'


def server(d):
    """With a user whose mail waits."""
    s = Server(d, conf=CONF, listener=ALL)
    block(s, 'grün')
    return s


def waiting(s):
    """The message in the queue, as it is shown."""
    [m] = wait_for('it to be deferred',
                   lambda: s.ctl_json('queue', 'list')['messages'])
    return s.ctl_json('queue', 'show', m['id'])['message']


def test_postfix_asks_for_notifications(d):
    if not ROOT:
        raise Skip('needs root')
    with server(d) as s, Postfix(
            f'{d}/postfix', s.port, '', False,
            main='smtp_sasl_auth_enable = no\n'
            'smtp_tls_security_level = none\nsmtputf8_enable = yes\n') as p:
        run(f'{p.root}/usr/sbin/sendmail', '-f', 'ä@client.test', '-N',
            'success,delay', '-R', 'hdrs', '-V', 'env+1', GREEN, env=p.env,
            data=f'Subject: Grüße\nTo: {GREEN}\n\nText\n'.encode())
        wait_for('an attempt', lambda: 'status=' in p.log())
        assert 'status=sent' in p.log(), p.log() + s.log()
        m = waiting(s)
        assert m['sender'] == 'ä@client.test' and m['smtputf8'], m
        assert m['envid'] == 'env+1' and m['ret'] == 'hdrs', m
        [r] = m['recipients']
        assert r['recipient'] == GREEN, r
        assert sorted(r['notify']) == ['delay', 'success'], r
        assert r['orcpt'] == f'utf-8;{GREEN}', r


def exim(d, s, *args, data):
    """Exim, with what is its standard input; its log."""
    root, env = mailers()
    exim_account(d)
    os.makedirs(f'{d}/exim')
    shutil.chown(f'{d}/exim', 'Debian-exim')
    with open(f'{d}/exim.conf', 'w') as f:
        f.write(f'''exim_path = {root}/usr/sbin/exim4
primary_hostname = client.test
spool_directory = {d}/exim
log_file_path = {d}/exim/log.%slog
keep_environment = LD_LIBRARY_PATH
acl_smtp_rcpt = accept
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
begin routers
all:
  driver = manualroute
  route_list = * localhost::{s.port} byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  hosts_try_chunking = *
''')
    p = subprocess.run([f'{root}/usr/sbin/exim4', '-C', f'{d}/exim.conf',
                        '-odf', *args], input=data, env=env,
                       capture_output=True, timeout=60 * SLOW)
    with open(f'{d}/exim/log.mainlog') as f:
        return p.stdout.decode() + p.stderr.decode() + f.read()


def test_exim_sends_all_of_it_in_one_message(d):
    """Chunks, an address in UTF-8 and wishes of its client."""
    unshare_mounts()
    with server(d) as s:
        log = exim(d, s, '-bs', data=f'''EHLO client.test
MAIL FROM:<ä@client.test> SMTPUTF8 BODY=8BITMIME RET=FULL ENVID=env+2B1
RCPT TO:<{GREEN}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;green@other.test
DATA
Subject: Grüße
To: {GREEN}

Text
.
QUIT
'''.replace('\n', '\r\n').encode())
        # K: by BDAT
        assert re.search(rf' => {GREEN} .* K .*C="250 ', log), log + s.log()
        m = waiting(s)
        assert m['sender'] == 'ä@client.test' and m['smtputf8'], m
        assert m['envid'] == 'env+1' and m['ret'] == 'full', m
        [r] = m['recipients']
        assert r['recipient'] == GREEN, r
        assert sorted(r['notify']) == ['delay', 'failure'], r
        assert r['orcpt'] == 'rfc822;green@other.test', r
