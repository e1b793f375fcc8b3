#!/usr/bin/env python3
"""library.py [NAME...]: is libmailmill a library that others can link?

It is installed into a temporary DESTDIR and used from there, through pkg-config.
With NAMEs, only the tests run that have one of them in their name.
"""
import os
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor

import abi
import examples
import exports
import headers
import interface
import programs
import suites
import versions
from tree import Skip, install

# those that take longest come first, for the last ones to end together
TESTS = suites.TESTS + examples.TESTS + abi.TESTS + interface.TESTS + \
    versions.TESTS[::-1] + headers.TESTS + programs.TESTS + exports.TESTS


def result(test, name):
    """The word for it, and what it has to say."""
    try:
        with tempfile.TemporaryDirectory() as d:
            test(d)
    except Skip as e:
        return 'skip', f'skip {name}: {e}'
    except AssertionError as e:
        return 'FAIL', f'FAIL {name}: {str(e) or repr(e)}'
    except Exception as e:
        return 'FAIL', f'FAIL {name}: {e!r}\n{traceback.format_exc()}'
    return 'ok', f'ok   {name}'


def main():
    named = [(t, t.__name__.removeprefix('test_').replace('_', ' '))
             for t in TESTS]
    named = [(t, name) for t, name in named if not sys.argv[1:] or any(
        n in name for n in sys.argv[1:])]
    install()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        words = []
        for word, line in pool.map(lambda t: result(*t), named):
            words.append(word)
            print(line, flush=True)
    if words.count('skip'):
        print(f'{words.count("skip")} skipped')
    failed = words.count('FAIL')
    print(f'{words.count("ok")} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    os.environ['LC_ALL'] = 'C'
    sys.exit(main())
