"""The dialogues of test/dialogues, played against a running server."""
import subprocess
import sys

from harness import SLOW, TOP, Server

LIVE = [sys.executable, TOP + '/test/dialogues/live.py']


def output(*args):
    return subprocess.run([*LIVE, *args], capture_output=True, text=True,
                          check=True).stdout


def play(d, *args):
    with open(f'{d}/users', 'w') as f:
        f.write(output('--recipients'))
    s = Server(d, listener=output('--config'),
               domain=f'    Recipients = "file:{d}/users"')
    with s:
        p = subprocess.run([*LIVE, f'127.0.0.1:{s.port}', '--configured',
                            '--maildir', s.mail, *args],
                           timeout=100 * SLOW)
        assert p.returncode == 0


def test_whole(d):
    play(d)


def test_byte_by_byte(d):
    play(d, '--bytes')
