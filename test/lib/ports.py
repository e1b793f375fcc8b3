"""TCP ports for servers under test, a different one for each caller.

They are outside ip_local_port_range: a client's connection could otherwise be
given the port before the server listens on it.
"""
import random
import socket


RANGE_FILE = '/proc/sys/net/ipv4/ip_local_port_range'
LOWEST = 10000
claims = []     # they last as long as this process


def of_connections():
    try:
        with open(RANGE_FILE) as f:
            low, high = map(int, f.read().split())
    except OSError:
        low, high = 32768, 60999
    return range(low, high + 1)


def claimed(port):
    """Claim the port, by a name that only one process can have: no other caller
    gets it."""
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind(f'\0mailmill-test-port-{port}')
    except OSError:
        s.close()
        return False
    claims.append(s)
    return True


def unused(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('', port))
        except OSError:
            return False
    return True


def free_port():
    taken = of_connections()
    ports = [p for p in range(LOWEST, 65536) if p not in taken] or \
        list(range(LOWEST, 65536))
    random.shuffle(ports)
    for port in ports:
        if claimed(port) and unused(port):
            return port
    raise RuntimeError(f'no TCP port is free from {LOWEST} on')
