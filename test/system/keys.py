"""Keys and certificates made for a test, TLS clients, and what of a private
key could be found in a process's memory."""
import base64
import os
import re
import socket
import ssl
import subprocess

from harness import NOBODY, NOT_AS_ROOT, SLOW

KINDS = {'rsa': ['rsa:2048'], 'p256': ['ec', '-pkeyopt',
         'ec_paramgen_curve:P-256'], 'ed25519': ['ed25519']}
PIECE = 1 << 22                 # octets looked at in one go
WINDOW = 16                     # octets that are no coincidence


def openssl(*args, **kw):
    p = subprocess.run(['openssl', *args], capture_output=True,
                       timeout=60 * SLOW, **kw)
    assert p.returncode == 0, (args, p.stderr.decode(errors='replace'))
    return p.stdout


def make_pair(d, name, kind='p256', host='mx.example.test', owner=None):
    """d/NAME.crt and d/NAME.key, which only its owner may read."""
    if owner is None and NOT_AS_ROOT:
        owner = NOBODY                  # as the server is
    crt, key = f'{d}/{name}.crt', f'{d}/{name}.key'
    openssl('req', '-x509', '-newkey', *KINDS[kind], '-nodes', '-days', '30',
            '-subj', f'/CN={host}', '-addext', f'subjectAltName=DNS:{host}',
            '-keyout', key + '.new', '-out', crt + '.new')
    os.chmod(key + '.new', 0o400)
    os.chmod(crt + '.new', 0o644)
    if owner:
        os.chown(key + '.new', owner, owner)
    os.rename(key + '.new', key)
    os.rename(crt + '.new', crt)
    return crt, key


def tls_conf(d, *names):
    """Lines for a listener that has these pairs."""
    def files(end):
        return '{ ' + ', '.join(f'"{d}/{n}.{end}"' for n in names) + ' }'
    return f'TLS_Certificate = {files("crt")}\nTLS_Key = {files("key")}\n'


def context(version=None, ciphers=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if version:
        c.minimum_version = c.maximum_version = version
    if ciphers:
        c.set_ciphers(ciphers)
    return c


def handshake(port, ctx=None, timeout=20, host='mx.example.test'):
    """Implicit TLS up to the banner; the connection."""
    raw = socket.create_connection(('127.0.0.1', port), timeout * SLOW)
    try:
        s = (ctx or context()).wrap_socket(raw, server_hostname=host)
        banner = s.recv(4)
        assert banner == b'220 ', banner
        return s
    except BaseException:
        raw.close()
        raise


def served(port, ctx=None):
    """The certificate that a client gets, in DER."""
    with handshake(port, ctx) as s:
        return s.getpeercert(binary_form=True)


def der(crt):
    with open(crt) as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


# ------------------------------------------------------- what a key is made of
def components(key):
    """The private numbers of a key's file, by name."""
    text = openssl('pkey', '-in', key, '-noout', '-text').decode()
    parts = re.findall(r'^(\w+):\n((?:    [0-9a-f:]+\n)+)', text, re.M)
    parts = {n: bytes.fromhex(re.sub(r'[\s:]', '', v)).lstrip(b'\0')
             for n, v in parts}
    return {n: v for n, v in parts.items() if n not in ('modulus', 'pub')}


def windows(octets):
    """Parts of it that do not overlap: 31 octets in a row hold one whole."""
    return [octets[i:i + WINDOW]
            for i in range(0, len(octets) - WINDOW + 1, WINDOW)]


def text_windows(key, secrets):
    """The part of the PEM text that encodes secrets only."""
    with open(key) as f:
        lines = f.read().split('\n')[1:]
    text = ''.join(n for n in lines if not n.startswith('-'))
    octets = base64.b64decode(text)
    found = []
    for secret in secrets:
        at = octets.find(secret)
        assert at >= 0
        first, last = -(-at * 4 // 3) + 4, (at + len(secret)) * 4 // 3 - 4
        for line in range(0, len(text), 64):
            piece = text[max(first, line):min(last, line + 64)]
            found += windows(piece.encode())
    assert found
    return found


def traces(key):
    """All octets that must be in no memory but one: name, octets."""
    secrets = components(key)
    assert secrets
    for name, v in secrets.items():
        for w in windows(v):
            yield f'{name}, big-endian', w
        # a number in memory: by limbs, the least one first
        for w in windows(v[::-1]):
            yield f'{name}, little-endian', w
    for w in text_windows(key, secrets.values()):
        yield 'text', w


def memory(pid):
    """What all readable mappings of a process hold, one after the other."""
    with open(f'/proc/{pid}/maps') as f:
        maps = re.findall(r'^(\w+)-(\w+) r(\S+) .*?(\[v\w+\])?$', f.read(),
                          re.M)
    with open(f'/proc/{pid}/mem', 'rb', buffering=0) as f:
        for start, end, _, special in maps:
            if special:
                continue
            start, end = int(start, 16), int(end, 16)
            for at in range(start, end, PIECE):
                try:
                    f.seek(at)
                    octets = f.read(min(PIECE + WINDOW, end - at))
                except (OSError, OverflowError):
                    # a mapping beyond the end of its file
                    break
                # large mappings that are never used
                if octets.count(0) < len(octets):
                    yield octets


def found_in(pid, wanted):
    """Names of what is there, and how many octets were looked at."""
    found, n = set(), 0
    for chunk in memory(pid):
        n += len(chunk)
        found |= {name for name, w in wanted if w in chunk}
    return found, n
