"""The dialogues of test/dialogues, played against a running server: whole.  Byte
by byte, live.py plays them."""
import os
import subprocess
import sys

from harness import BUILD, SLOW, TOP, Server, lasts

LIVE = [sys.executable, TOP + '/test/dialogues/live.py']


def output(*args):
    return subprocess.run([*LIVE, *args], capture_output=True, text=True,
                          check=True).stdout


def files_of(d):
    """The files that options of dialogues name, as options of live.py."""
    for user, password in (('alice', 'secret'), ('bob', 'hunter2'),
                           ('client@client.example', 'certified')):
        subprocess.run([f'{BUILD}/mailmillctl', 'passwd', '-f', f'{d}/logins',
                        user], input=password + '\n', text=True, check=True)
    with open(f'{d}/senders', 'w') as f:
        f.write(output('--print-senders'))
    for name in ('logins', 'senders'):
        os.chmod(f'{d}/{name}', 0o644)
    return ['--users', f'{d}/logins', '--senders', f'{d}/senders',
            '--certificates', f'{d}/certificates']


def server(d, files):
    with open(f'{d}/users', 'w') as f:
        f.write(output('--recipients'))
    s = Server(d, listener=output('--config', *files),
               domain=f'    Recipients = "file:{d}/users"')
    # a server that is not started as root reads them under its own account
    for name in os.listdir(f'{d}/certificates') if s.user else ():
        os.chmod(f'{d}/certificates/{name}', 0o644)
    return s


@lasts(10)
def test_whole(d):
    files = files_of(d)
    with server(d, files) as s:
        p = subprocess.run([*LIVE, f'127.0.0.1:{s.port}', '--configured',
                            '--maildir', s.mail, *files], timeout=100 * SLOW)
        assert p.returncode == 0
