#!/usr/bin/env python3
"""live.py: the dialogues of test/dialogues against a running server."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness

PLAYER = harness.TOP + '/test/dialogues/live.py'


def say(option):
    return subprocess.run([sys.executable, PLAYER, option], check=True,
                          capture_output=True, text=True).stdout


def main():
    harness.adopt_orphans()
    with harness.temp_dir() as d:
        with open(f'{d}/users', 'w') as f:
            f.write(say('--recipients'))
        with harness.Server(d, listener=say('--config'),
                            domain=f'Recipients = "file:{d}/users"') as s:
            status = subprocess.run(
                [sys.executable, PLAYER, f'127.0.0.1:{s.port}', '--maildir',
                 s.mail, '--configured', '--bytes']).returncode
            if status:
                print(s.log()[-3000:], file=sys.stderr)
        s.no_sanitizer_report()
    return status


if __name__ == '__main__':
    sys.exit(main())
