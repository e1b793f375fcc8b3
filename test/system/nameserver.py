"""Name servers for tests: Debian's nsd with zones of the test, and one whose
answers the test makes octet by octet."""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading

from harness import Skip, descendants, free_port, wait_for

TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15,
         'TXT': 16, 'AAAA': 28, 'TLSA': 52}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, REFUSED = 0, 1, 2, 3, 5
AD = 0x20


class Nsd:
    """zones: name: text, or None for a zone whose file is missing, about which
    nsd can answer SERVFAIL alone."""

    def __init__(self, d, zones):
        self.port = free_port()
        self.conf = f'{d}/nsd.conf'
        self.log = f'{d}/nsd.log'
        with open(self.conf, 'w') as f:
            f.write(f'''server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{d}"
    pidfile: ""
    zonelistfile: "{d}/nsd.zones"
    xfrdfile: "{d}/nsd.xfrd"
    xfrdir: "{d}"
    logfile: "{self.log}"
    database: ""
remote-control:
    control-enable: no
''')
            for name, text in zones.items():
                file = f'{name or "root"}.zone'
                f.write(f'zone:\n    name: "{name or "."}"\n'
                        f'    zonefile: "{file}"\n')
                if text is None:
                    continue
                with open(f'{d}/{file}', 'w') as z:
                    z.write(f'$TTL 300\n@ SOA ns.{name}. hostmaster.{name}. 1 '
                            f'3600 600 86400 60\n@ NS ns.{name}.\n'
                            f'ns A 127.0.0.1\n{text}\n')

    def __enter__(self):
        self.proc = subprocess.Popen([program('nsd'), '-d', '-c', self.conf],
                                     stdout=subprocess.DEVNULL,
                                     stderr=subprocess.STDOUT)

        def answers():
            assert self.proc.poll() is None, open(self.log).read()
            with contextlib.suppress(OSError), \
                    socket.create_connection(('127.0.0.1', self.port), 1):
                return True
        wait_for('nsd', answers)
        return self

    def __exit__(self, *exc):
        others = descendants(self.proc.pid)
        self.proc.terminate()
        self.proc.wait(20)
        for p in others:
            # one that nsd has not waited for has become ours
            with contextlib.suppress(ChildProcessError):
                os.waitpid(p, 0)

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'


def program(name):
    path = shutil.which(name, path=os.environ['PATH'] + ':/usr/sbin')
    if path is None:
        raise Skip(f'no {name}')
    return path


def sign(d, name, spoil=None):
    """Sign a zone that Nsd has written, before it starts.  spoil(text): what the
    signed zone becomes.  The DS record, for a trust anchor."""
    def run(*args):
        return subprocess.run([program(args[0]), *args[1:]], cwd=d, check=True,
                              capture_output=True, text=True).stdout.strip()
    keys = [run('ldns-keygen', '-a', 'ECDSAP256SHA256', *kind, name)
            for kind in ((), ('-k',))]
    run('ldns-signzone', '-o', name, '-f', f'{name}.signed', f'{name}.zone',
        *keys)
    with open(f'{d}/{name}.signed') as f:
        text = f.read()
    with open(f'{d}/{name}.zone', 'w') as f:
        f.write(spoil(text) if spoil else text)
    with open(f'{d}/{keys[1]}.ds') as f:
        return f.read().strip()


class Unbound:
    """A resolver that checks DNSSEC: anchors are DS records, zones those that nsd
    has."""

    def __init__(self, d, nsd, zones, anchors):
        self.port = free_port()
        self.conf = f'{d}/unbound.conf'
        self.log = f'{d}/unbound.log'
        with open(self.conf, 'w') as f:
            f.write(f'''server:
    interface: 127.0.0.1
    port: {self.port}
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "{d}"
    pidfile: ""
    use-syslog: no
    logfile: "{self.log}"
    log-servfail: yes
    module-config: "validator iterator"
    do-not-query-localhost: no
    num-threads: 1
    local-zone: "test." nodefault
''' + ''.join(f"    trust-anchor: '{x}'\n" for x in anchors) + '''
remote-control:
    control-enable: no
''' + ''.join(f'stub-zone:\n    name: "{x}"\n    stub-addr: '
                    f'127.0.0.1@{nsd.port}\n' for x in zones))

    def __enter__(self):
        self.proc = subprocess.Popen(
            [program('unbound'), '-d', '-c', self.conf],
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

        def answers():
            assert self.proc.poll() is None, open(self.log).read()
            with contextlib.suppress(OSError), \
                    socket.create_connection(('127.0.0.1', self.port), 1):
                return True
        wait_for('unbound', answers)
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait(20)

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'


# ------------------------------------------------------------------ packets
def name_octets(name):
    return b''.join(bytes([len(x)]) + x.encode() for x in name.split('.')
                    if x) + b'\0'


def record(owner, type, data, ttl=300):
    return name_octets(owner) + struct.pack(
        '>HHIH', TYPES[type], 1, ttl, len(data)) + data


def mx(owner, preference, host, ttl=300):
    return record(owner, 'MX', struct.pack('>H', preference) +
                  name_octets(host), ttl)


def a(owner, address, ttl=300):
    return record(owner, 'A', socket.inet_aton(address), ttl)


class Question:
    def __init__(self, packet, is_tcp):
        self.packet, self.is_tcp = packet, is_tcp
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        self.name = '.'.join(labels)
        number = int.from_bytes(packet[at + 1:at + 3], 'big')
        self.type = {v: k for k, v in TYPES.items()}[number]
        self.octets = packet[12:at + 5]
        self.has_ad = bool(packet[3] & AD)
        self.has_edns = packet[11] == 1

    def answer(self, *answers, rcode=NOERROR, flags=0, authority=(), id=None):
        return (id or self.packet[:2]) + struct.pack(
            '>HHHHH', 0x8180 | flags | rcode, 1, len(answers), len(authority),
            0) + self.octets + b''.join(answers) + b''.join(authority)


class Script:
    """answers(question): the packets that it sends, None for none.  Over TCP each
    has its length in front."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def __enter__(self):
        self.udp.bind(('127.0.0.1', self.port))
        self.tcp.bind(('127.0.0.1', self.port))
        self.tcp.listen(16)
        for work in self.serve_udp, self.serve_tcp:
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *exc):
        for s in self.udp, self.tcp:
            # wakes its thread up
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def packets(self, packet, peer, is_tcp):
        q = Question(packet, is_tcp)
        q.port = peer[1]
        self.asked.append(q)
        said = self.answers(q)
        return [] if said is None else said if isinstance(said, list) \
            else [said]

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                packet, peer = self.udp.recvfrom(65536)
                if not packet:
                    return
                for p in self.packets(packet, peer, False):
                    self.udp.sendto(p, peer)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                c, peer = self.tcp.accept()
                threading.Thread(target=self.serve_one, args=(c, peer),
                                 daemon=True).start()

    def serve_one(self, c, peer):
        with c, contextlib.suppress(OSError), c.makefile('rb') as f:
            while len(head := f.read(2)) == 2:
                packet = f.read(int.from_bytes(head, 'big'))
                for p in self.packets(packet, peer, True):
                    c.sendall(len(p).to_bytes(2, 'big') + p)
