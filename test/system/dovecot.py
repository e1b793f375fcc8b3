"""Dovecot, as Debian packages it, with one of its services on a socket."""
import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess

from harness import NOBODY, ROOT, SLOW, Skip, wait_for


class Dovecot:
    """A service for the users of a passwd-file, on the socket d/NAME; more: lines of
    its configuration."""

    def __init__(self, d, service, name, users, home='/nonexistent',
                 protocols='', more=''):
        program = shutil.which('dovecot', path='/usr/sbin:/usr/bin:/bin')
        if not program:
            raise Skip('no dovecot')
        self.dir, self.socket = f'{d}/dovecot', f'{d}/{name}'
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        with open(f'{d}/dovecot-users', 'w') as f:
            f.write(users)
        os.chmod(f'{d}/dovecot-users', 0o644)
        self.command = [program, '-F', '-c', f'{d}/dovecot.conf']
        with open(f'{d}/dovecot.conf', 'w') as f:
            f.write(f'''
base_dir = {self.dir}
state_dir = {self.dir}
log_path = {d}/dovecot.log
protocols = {protocols}
ssl = no
{more}
service {service} {{
  unix_listener {self.socket} {{
    mode = 0666
  }}
}}
passdb {{
  driver = passwd-file
  args = {d}/dovecot-users
}}
userdb {{
  driver = static
  args = uid={NOBODY} gid={NOBODY} home={home}
}}
''')

    def start(self):
        with open(f'{self.dir}/out', 'w') as out:
            self.proc = subprocess.Popen(self.command, stdout=out, stderr=out)

        def up():
            assert self.proc.poll() is None, open(f'{self.dir}/out').read()
            return os.path.exists(self.socket)
        wait_for('dovecot', up)
        return self

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(30 * SLOW)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)

    def __enter__(self):
        return self.start()

    def __exit__(self, *rest):
        self.stop()


class DovecotLmtp(Dovecot):
    """Its LMTP server, and the Maildirs mail/USER of these users of a domain."""

    def __init__(self, d, users=('alice', 'bob'), domain='dove.test', more=''):
        if not os.path.exists('/usr/lib/dovecot/lmtp'):
            raise Skip('no dovecot-lmtpd')
        if not ROOT:
            raise Skip('needs root')
        self.mail = f'{d}/dovemail'
        os.mkdir(self.mail)
        os.chown(self.mail, NOBODY, NOBODY)
        super().__init__(
            d, 'lmtp', 'dovecot.lmtp',
            ''.join(f'{u}@{domain}:{{PLAIN}}x\n' for u in users),
            home=f'{self.mail}/%n', protocols='lmtp', more=f'''
mail_location = maildir:{self.mail}/%n
first_valid_uid = 1
first_valid_gid = 1
{more}
''')

    def files(self, user):
        return glob.glob(f'{self.mail}/{user}/new/*')

    def subjects(self, user):
        return [re.search(rb'\nSubject: number (\d+)', open(p, 'rb').read())[1]
                for p in self.files(user)]
