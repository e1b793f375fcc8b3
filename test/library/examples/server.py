#!/usr/bin/env python3
"""Receive mail for one user in Python, with cffi, and print it:
    server.py 127.0.0.1:2525

What cffi has to know of the library comes from the installed header, through
the C preprocessor: nothing of it is written down here a second time."""
import re
import subprocess
import sys

import cffi

USER = 'user@example.test'


def declarations(header):
    flags = subprocess.run(['pkg-config', '--cflags', 'mailmill'], check=True,
                           capture_output=True, text=True).stdout.split()
    text = subprocess.run(['cc', '-E', '-dD', *flags, '-'], check=True,
                          input=f'#include <mailmill/{header}>\n',
                          capture_output=True, text=True).stdout
    kept, is_ours = [], False
    for line in text.split('\n'):
        if line.startswith('# '):
            is_ours = line.split('"')[1].endswith('/mailmill/' + header)
        elif is_ours and (not line.startswith('#')
                          or re.match(r'#define \w+ \d+$', line)):
            kept.append(line)
    return '\n'.join(kept)


ffi = cffi.FFI()
ffi.cdef(declarations('mailmill_server.h'))
lib = ffi.dlopen('libmailmill.so.0')


@ffi.callback('mailmill_server_ask', error=451)
def rcpt(closure, mail, address):
    if ffi.string(address).decode() == USER:
        return 250
    return lib.mailmill_mail_reply(mail, 550, b'5.1.1 No such user')


@ffi.callback('mailmill_server_ask', error=451)
def message(closure, mail, address):
    length = ffi.new('size_t *')
    body = lib.mailmill_mail_body(mail, length)
    print(ffi.string(lib.mailmill_mail_sender(mail)).decode(), 'to',
          ffi.string(address).decode())
    print(ffi.buffer(body, length[0])[:].decode('latin-1'), flush=True)
    return 250


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: server.py ADDRESS:PORT')
    server = lib.mailmill_server_new(b'mx.example.test', message, ffi.NULL)
    if not server:
        sys.exit('server.py: no server')
    lib.mailmill_server_on_rcpt(server, rcpt)
    if lib.mailmill_server_listen(server, sys.argv[1].encode()) == -1 or \
            lib.mailmill_server_run(server) == -1:
        sys.exit(f'server.py: {sys.argv[1]}: error {ffi.errno}')


if __name__ == '__main__':
    main()
