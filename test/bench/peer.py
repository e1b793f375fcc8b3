"""Postfix as a relay: its own programs, unpacked and not installed (unpack.sh),
with a queue on the disk under measurement.  What Debian ships, but for the
addresses, the number of processes, and chroot."""
import os
import shutil
import signal
import subprocess
import sys
import time

import proc
import server
from postfix import set_up

MASTER = '''127.0.0.1:{port} inet n - n - 2100 smtpd
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
'''
MAIN = '''myhostname = mx.example.test
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
biff = no
relay_domains = {domain}
transport_maps = inline:{{{{{domain}={transport}}}}}
smtp_tls_security_level = none
default_process_limit = 300
smtpd_client_connection_count_limit = 0
'''


class Postfix(server.Contestant):
    name = 'Postfix'

    def start(self, a, domain, transport):
        """Mail for the domain goes on by the transport, "smtp:[HOST]:PORT"."""
        root, top = f'{a.postfix}/root', f'{a.fs}/postfix'
        self.log = f'{a.state}/postfix.log'
        shutil.rmtree(top, ignore_errors=True)
        env = set_up(root, top, MAIN.format(domain=domain, transport=transport),
                     MASTER.format(port=self.port))
        env['PATH'] = os.environ['PATH']
        cmd = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c',
               server.PRIVATE_DEV, 'sh', a.state,
               f'{root}/usr/lib/postfix/sbin/master', '-d']
        with open(self.log, 'w') as log:
            self.proc = subprocess.Popen(cmd, env=env, stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL,
                                         start_new_session=True)
        self.wait_ready()
        return self

    def cpu(self):
        """Its processes come and go: master has the time of those that went."""
        self.pids = proc.tree(self.proc.pid)
        f = proc.stat_fields(self.proc.pid)
        return proc.cpu(self.pids) + sum(map(int, f[13:15])) / proc.TICK

    def stop(self):
        if self.proc is None:
            return
        self.proc.send_signal(signal.SIGTERM)
        end = time.monotonic() + 20
        while self.proc.poll() is None:
            if time.monotonic() > end:
                sys.exit(f'bench: Postfix does not stop, see {self.log}')
            time.sleep(0.05)
        self.proc = None
