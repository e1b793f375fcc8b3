#!/usr/bin/env python3
"""library.py [NAME...]: is libmailmill a library that others can link?

It is installed into a temporary DESTDIR and used from there, through pkg-config.
With NAMEs, only the tests run that have one of them in their name.
"""
import os
import sys
import tempfile
import traceback

import abi
import exports
import headers
import programs
import versions
from tree import Skip

TESTS = headers.TESTS + exports.TESTS + programs.TESTS + versions.TESTS + \
    abi.TESTS


def main():
    passed = failed = skipped = 0
    for test in TESTS:
        name = test.__name__.removeprefix('test_').replace('_', ' ')
        if sys.argv[1:] and not any(n in name for n in sys.argv[1:]):
            continue
        try:
            with tempfile.TemporaryDirectory() as d:
                test(d)
        except Skip as e:
            print(f'skip {name}: {e}')
            skipped += 1
        except Exception as e:
            print(f'FAIL {name}: {e!r}' if not str(e) else f'FAIL {name}: {e}')
            if not isinstance(e, AssertionError):
                traceback.print_exc(file=sys.stdout)
            failed += 1
        else:
            print(f'ok   {name}')
            passed += 1
    if skipped:
        print(f'{skipped} skipped')
    print(f'{passed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    os.environ['LC_ALL'] = 'C'
    sys.exit(main())
