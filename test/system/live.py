#!/usr/bin/env python3
"""live.py: the dialogues of test/dialogues against a running server."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness
from test_dialogues import LIVE, files_of, server


def main():
    harness.adopt_orphans()
    with harness.temp_dir() as d:
        files = files_of(d)
        with server(d, files) as s:
            status = subprocess.run(
                [*LIVE, f'127.0.0.1:{s.port}', '--maildir', s.mail,
                 '--configured', '--bytes', *files]).returncode
            if status:
                print(s.log()[-3000:], file=sys.stderr)
        s.no_sanitizer_report()
    return status


if __name__ == '__main__':
    sys.exit(main())
