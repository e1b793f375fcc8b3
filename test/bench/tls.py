"""TLS: handshakes a second, what an idle session costs, one large message."""
import re
import socket
import subprocess
import time

import proc
import server

BULK = 50 * 1000 * 1000         # octets of the one message


def certificate(a):
    """A P-256 key and its certificate; their paths."""
    cert, key = f'{a.state}/cert.pem', f'{a.state}/key.pem'
    subprocess.run(
        ['openssl', 'req', '-x509', '-nodes', '-days', '30', '-newkey', 'ec',
         '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/CN=mx.example.test',
         '-addext', 'subjectAltName=DNS:mx.example.test', '-keyout', key,
         '-out', cert], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def listener(a):
    cert, key = certificate(a)
    return f'TLS_Certificate = {{ "{cert}" }}\nTLS_Key = {{ "{key}" }}\n' \
        'Use_SSL = true'


def tlsbench(a, *args):
    p = subprocess.run([f'{a.build}/tlsbench', *map(str, args)],
                       capture_output=True, text=True)
    if p.returncode:
        raise RuntimeError(p.stderr.strip() or 'tlsbench failed')
    return [float(x) for x in p.stdout.split()]


class SServer(server.Contestant):
    """OpenSSL's own test server."""
    name = 's_server'

    def start(self, a):
        self.log = f'{a.state}/s_server.log'
        cert, key = f'{a.state}/cert.pem', f'{a.state}/key.pem'
        with open(self.log, 'w') as log:
            self.proc = subprocess.Popen(
                ['openssl', 's_server', '-accept', f'127.0.0.1:{self.port}',
                 '-cert', cert, '-key', key, '-quiet', '-num_tickets', '1'],
                stdin=subprocess.PIPE, stdout=log, stderr=log)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), 2).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.pids = proc.tree(self.proc.pid)
        return self


def s_time(port, secs, n=2):
    """n of openssl s_time at once; connections a second of all."""
    cmd = ['openssl', 's_time', '-connect', f'127.0.0.1:{port}', '-new',
           '-time', str(max(1, round(secs)))]
    t = time.monotonic()
    all_ = [subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL) for _ in range(n)]
    done = 0
    for p in all_:
        m = re.search(r'(\d+) connections in \d+ real', p.communicate()[0])
        done += int(m.group(1)) if m else 0
    return done / (time.monotonic() - t)


def run_handshakes(a, median, spread, note):
    v = {k: [] for k in ('memory', 'full', 's_server', 'resumed',
                         'memory resumed', '1.2 full', '1.2 resumed', 's_time',
                         's_time s_server')}
    cert, key = certificate(a)
    other = SServer().start(a)
    with a.mailmill(listen=listener(a)) as c:
        pids = c.pids
        for _ in range(a.repeats):
            t = ('-s', a.secs, '-t', 2)
            v['memory'].append(tlsbench(a, 'memory', '-c', cert, '-k', key, *t))
            cpu = proc.cpu(pids)
            full = tlsbench(a, 'load', '-p', c.port, '-b', *t)
            cpu = proc.cpu(pids) - cpu
            v['full'].append(full)
            v['s_server'].append(tlsbench(a, 'load', '-p', other.port, *t))
            v['memory resumed'].append(
                tlsbench(a, 'memory', '-r', '-c', cert, '-k', key, *t))
            v['resumed'].append(tlsbench(a, 'load', '-p', c.port, '-b', '-r', *t))
            for k, flags in ('1.2 full', '-2'), ('1.2 resumed', '-2r'):
                v[k].append(tlsbench(a, 'load', '-p', c.port, '-b', flags, *t))
            v['s_time'].append([s_time(c.port, a.secs)])
            v['s_time s_server'].append([s_time(other.port, a.secs)])
            print('handshakes ' + '  '.join(
                f'{k} {x[-1][0]:.0f}/s' for k, x in v.items())
                + f'  cpu {cpu * 1e6 / max(1, full[0] * a.secs):.0f} us, client '
                f'{full[1]:.0f} us, failed {full[3]:.0f}', flush=True)
            note(a, 'handshakes', **{k: x[-1] for k, x in v.items()})
    other.stop()
    rate = {k: [x[0] for x in r] for k, r in v.items()}
    a.row('handshakes', 'full TLS 1.3 handshakes/s, P-256, against memory BIOs '
          f'in one process on the same cores: {median(rate["memory"]):.0f}',
          spread(rate['full']), '-',
          median(rate['full']) / median(rate['memory']), (.8, .9), up=True)
    a.row('handshakes', 'the same by openssl s_time, two at once, against '
          f'openssl s_server: {median(rate["s_time s_server"]):.0f}',
          spread(rate['s_time']), '-', median(rate['s_time'])
          / median(rate['s_time s_server']), (.8, 1), up=True)
    a.row('handshakes', 'resumed TLS 1.2 handshakes/s, against full ones: '
          f'{median(rate["1.2 full"]):.0f}', spread(rate['1.2 resumed']), '-',
          median(rate['1.2 resumed']) / median(rate['1.2 full']), (3, 4),
          up=True)
    a.row('handshakes', 'resumed TLS 1.3 handshakes/s, with a key exchange of '
          'their own, against full ones (in memory '
          f'{median(rate["memory resumed"]) / median(rate["memory"]):.1f})',
          spread(rate['resumed']), '-',
          median(rate['resumed']) / median(rate['full']), (3, 4), up=True)
    a.remarks.append('handshakes: openssl s_server with the same clients '
                     f'{median(rate["s_server"]):.0f}/s')


def open_tls(port, n, context):
    out = []
    for _ in range(n):
        s = socket.create_connection(('127.0.0.1', port), 30)
        if context:
            s = context.wrap_socket(s)
        s.recv(4096)
        s.sendall(b'EHLO idle.test\r\n')
        s.recv(4096)
        out.append(s)
    return out


def run_tlsmemory(a, median, spread, note):
    n, cost = 2000, {False: [], True: []}
    context = server.no_check()
    for _ in range(min(a.repeats, 3)):
        for is_tls in (False, True):
            with a.mailmill(listen=listener(a) if is_tls else '') as c:
                c.settle()
                # the first sessions allocate what all of them share
                first = open_tls(c.port, 20, context if is_tls else None)
                before = proc.pss_kib(c.pids)
                s = open_tls(c.port, n, context if is_tls else None)
                c.settle()
                time.sleep(1)
                cost[is_tls].append((proc.pss_kib(c.pids) - before) / n)
                for x in s + first:
                    x.close()
        note(a, 'tlsmemory', kib=cost[True][-1], plain=cost[False][-1])
        print(f'tlsmemory  {cost[True][-1]:.2f} KiB a TLS session, '
              f'{cost[False][-1]:.2f} in the clear', flush=True)
    extra = [t - p for t, p in zip(cost[True], cost[False])]
    a.row('tlsmemory', f'KiB more of an idle TLS session than one in the clear, '
          f'{n} sessions', spread(extra), '-', median(extra), (12, 10), up=False)


def cipher_speed():
    """Octets a second of AES-256-GCM on one core, as openssl speed says."""
    out = subprocess.run(
        ['openssl', 'speed', '-seconds', '1', '-evp', 'aes-256-gcm', '-bytes',
         '16384'], capture_output=True, text=True).stdout
    return float(re.search(r'AES-256-GCM\s+([\d.]+)k', out).group(1)) * 1000


def run_tlsbulk(a, median, spread, note):
    v = {'tls': [], 'plain': [], 'smtp-sink': []}
    cipher = cipher_speed()
    for _ in range(3):
        for k, listen, flag in (('plain', '', ['-x']), ('tls', listener(a), [])):
            with a.mailmill(listen=listen) as c:
                for i in range(a.repeats + 1):
                    c.clean()
                    r = tlsbench(a, 'bulk', '-p', c.port, '-o', BULK, *flag)[0]
                    c.wait_delivered(1)
                    if i:               # the first one warms up
                        v[k].append(r)
        for i in range(a.repeats + 1):
            r = tlsbench(a, 'bulk', '-p', a.sink.port, '-o', BULK, '-x')[0]
            if i:
                v['smtp-sink'].append(r)
    for k, x in v.items():
        print(f'tlsbulk    {k} {spread([i / 1e6 for i in x])} MB/s', flush=True)
    note(a, 'tlsbulk', cipher=cipher, **v)
    mb = {k: spread([i / 1e6 for i in x]) for k, x in v.items()}
    a.row('tlsbulk', f'MB/s of a {BULK // 10**6} MB message over TLS, beside '
          f'openssl speed of the cipher: {cipher / 1e6:.0f}', mb['tls'], '-',
          median(v['tls']) / cipher, (), up=True)
    a.row('tlsbulk', f'MB/s of a {BULK // 10**6} MB message in the clear',
          mb['plain'], mb['smtp-sink'],
          median(v['plain']) / median(v['smtp-sink']), (), up=True)


RUNS = {'handshakes': run_handshakes, 'tlsmemory': run_tlsmemory,
        'tlsbulk': run_tlsbulk}
