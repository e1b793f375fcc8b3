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

MASTER = '''127.0.0.1:{port} inet n - n - 2100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''
MAIN = '''compatibility_level = 3.6
queue_directory = {queue}
data_directory = {queue}.data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {etc}
mail_owner = daemon
setgid_group = mail
default_privs = nobody
import_environment = MAIL_CONFIG={etc} LD_LIBRARY_PATH={libs}
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
myhostname = mx.example.test
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
relay_domains = {domain}
transport_maps = inline:{{{{{domain}={transport}}}}}
smtp_tls_security_level = none
default_process_limit = 300
smtpd_client_connection_count_limit = 0
'''
FOLDERS = ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush',
           'hold', 'incoming', 'private', 'saved', 'trace', 'maildrop',
           'public', 'pid')


def libraries(root):
    """Of the unpacked programs, as test/postfix.sh has them."""
    out = [f'{root}/usr/lib/postfix']
    for d in ('usr/lib', 'lib'):
        if os.path.isdir(f'{root}/{d}'):
            out += [f'{root}/{d}/{x}' for x in sorted(os.listdir(f'{root}/{d}'))
                    if '-linux-gnu' in x]
    return ':'.join(out)


class Postfix(server.Contestant):
    name = 'Postfix'

    def start(self, a, domain, transport):
        """Mail for the domain goes on by the transport, "smtp:[HOST]:PORT"."""
        root, top = f'{a.postfix}/root', f'{a.fs}/postfix'
        self.log = f'{a.state}/postfix.log'
        shutil.rmtree(top, ignore_errors=True)
        for d in ('etc', 'queue.data', *(f'queue/{x}' for x in FOLDERS)):
            os.makedirs(f'{top}/{d}')
            if d not in ('etc', 'queue/pid'):
                shutil.chown(f'{top}/{d}', 'daemon')
        self.queue = f'{top}/queue'
        names = {'port': self.port, 'queue': self.queue, 'etc': f'{top}/etc',
                 'root': root, 'libs': libraries(root), 'domain': domain,
                 'transport': transport}
        for name, text in (('main.cf', MAIN), ('master.cf', MASTER)):
            with open(f'{top}/etc/{name}', 'w') as f:
                f.write(text.format(**names))
        env = {'PATH': os.environ['PATH'], 'MAIL_CONFIG': f'{top}/etc',
               'LD_LIBRARY_PATH': names['libs']}
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
