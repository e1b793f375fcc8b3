"""What bounds each process, as the kernel says; what becomes of one that makes
a system call of which its role knows nothing."""
import fcntl
import os
import pty
import re
import socket
import ssl
import subprocess
import termios
import threading

from forced import forced_call
from harness import (RELAYED, ROOT, SANITIZE, TOP, Client, Server, Skip,
                     stat_fields, wait_for)
from keys import make_pair, memory, tls_conf

with open(f'{TOP}/cmd/mailmilld/role/role.def') as table:
    # the first is the master
    ROLES = re.findall(r'^ROLE\(\w+,\s*(\w+)\)', table.read(), re.M)[1:]
OWN_ROOTS = {'worker': 'empty', 'keyd': 'empty', 'logger': 'empty',
             'resolver': 'empty', 'spoold': 'incoming', 'sts': 'sts'}
# of a worker: twice the Max_Message_Size, and 1 MiB
FILE_MAX = {'keyd': '0', 'authd': '0', 'relay': '0', 'resolver': '0', 'pipe': '0',
            'spoold': '32768', 'sts': str(16 * 2 ** 20 + 20000 * 128 + 128),
            'worker': str(2 * 100 * 2 ** 20 + 2 ** 20)}
CAPS = 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'


def need_sandbox():
    if SANITIZE:
        raise Skip('sanitizers need more than a role may do')


def server(d, conf='', **kw):
    """With a process of each role."""
    make_pair(d, 'ec')
    open(f'{d}/users', 'w').close()
    s = Server(d, conf=conf, listener=tls_conf(d, 'ec') + f'Auth_Backend = '
               f'"passwd:{d}/users"\n', extra=RELAYED, **kw)
    s.give_to_authd(f'{d}/users')
    return s


def fields(path):
    with open(path) as f:
        return dict(re.findall(r'^(\w+):\s*(.*)$', f.read(), re.M))


def threads(pid):
    for t in os.listdir(f'/proc/{pid}/task'):
        yield fields(f'/proc/{pid}/task/{t}/status')


def role_pids(s):
    for role in ROLES:
        pids = s.pids(f'mailmilld: {role}')
        assert pids, role
        for pid in pids:
            yield role, pid


def in_status(s):
    return {p['role']: p['measures'] for p in s.ctl_json('status')['processes']
            if 'measures' in p}


def test_each_process_is_bound(d):
    need_sandbox()
    with server(d) as s:
        said = in_status(s)
        assert sorted(said) == sorted(ROLES), said
        for role, pid in role_pids(s):
            for t in threads(pid):
                assert t['Seccomp'] == '2' and t['NoNewPrivs'] == '1', (role, t)
                for c in CAPS:
                    if ROOT or c != 'CapBnd':
                        assert int(t[c], 16) == 0, (role, c, t[c])
                if ROOT:
                    ids = t['Uid'].split() + t['Gid'].split()
                    assert '0' not in ids and len(set(ids)) <= 2, (role, ids)
            with open(f'/proc/{pid}/limits') as f:
                limits = f.read()
            for what in 'core file size', 'processes':
                assert re.search(rf'^Max {what} +0 +0 ', limits, re.M), (
                    role, what, limits)
            for m in 'account', 'caps', 'privs', 'memory', 'fork', 'calls':
                assert said[role][m], (role, m, said[role])
            limit = re.search(r'^Max file size +(\S+)', limits, re.M).group(1)
            assert limit == FILE_MAX.get(role, 'unlimited'), (role, limit)
            assert said[role]['size'] == (role in FILE_MAX), (role, said[role])
        # the table says what holds
        for role, m in said.items():
            assert m['root'] == (ROOT and role in OWN_ROOTS), (role, m)
        text = s.ctl('status').stdout
        for role in ROLES:
            assert re.search(rf'^{role} +(yes|-) .*yes$', text, re.M), text
        assert 'turned off' not in text
        s.no_sanitizer_report()
        assert 'sandbox' not in s.log(), s.log()


def in_manual():
    """{role: {measure: whether the table in mailmilld(8) has it}}, where no back
    end is PAM and messages have a largest size."""
    with open(f'{TOP}/man/mailmilld.8') as f:
        lines = f.read().splitlines()
    start, = [i for i, line in enumerate(lines)
              if line.startswith('.It Em role Ta ')]
    measures = [x.removeprefix('Em ') for x in lines[start].split(' Ta ')[1:]]
    found = {}
    for line in lines[start + 1:lines.index('.El', start)]:
        role, *said = line.removeprefix('.It ').split(' Ta ')
        assert set(said) <= {'yes', '-', 'bound', 'PAM'}, line
        found[role] = {m: word != '-' for m, word in zip(
            measures, said, strict=True)}
    return found


def test_the_manual_has_the_table_of_status(d):
    if not ROOT:
        raise Skip('needs root')
    need_sandbox()
    with server(d) as s:
        said, manual = in_status(s), in_manual()
        # what this kernel's Landlock cannot do, no process has
        absent = [m for m in ('files', 'net', 'scope')
                  if not any(said[role][m] for role in said)]
        for role in ROLES:
            assert said[role].keys() == manual[role].keys(), role
            for m, has in said[role].items():
                assert m in absent or has == manual[role][m], (role, m, has)


def test_roots_are_empty(d):
    if not ROOT:
        raise Skip('needs root')
    need_sandbox()
    with server(d) as s:
        for role, pid in role_pids(s):
            root = os.readlink(f'/proc/{pid}/root')
            want = OWN_ROOTS.get(role)
            assert root == (f'{s.spool}/{want}' if want else '/'), (role, root)


# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
# NET_BIND_SERVICE, SYS_CHROOT
MASTER_CAPS = {0, 1, 3, 4, 5, 6, 7, 8, 10, 18}


def test_the_master_keeps_what_it_uses(d):
    if not ROOT:
        raise Skip('needs root')
    with server(d, as_root=True) as s:
        f = fields(f'/proc/{s.master}/status')
        for c in CAPS:
            v = int(f[c], 16)
            have = {i for i in range(64) if v >> i & 1}
            assert have <= MASTER_CAPS, (c, have - MASTER_CAPS)
            assert (c in ('CapInh', 'CapAmb')) == (not have), (c, have)
        # a reload can still do all that a start does
        s.ctl('reload')


def test_openssl_is_configured_in_all_that_compute_with_it(d):
    """Loaded before they are bound; here with a module that can be seen."""
    if not ROOT:
        raise Skip('needs root, to look into processes')
    with open(f'{d}/openssl.cnf', 'w') as f:
        f.write('openssl_conf = all\n[all]\nproviders = modules\n'
                '[modules]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n')
    os.chmod(f'{d}/openssl.cnf', 0o644)
    os.environ['OPENSSL_CONF'] = f'{d}/openssl.cnf'
    with server(d) as s:
        for role, pid in role_pids(s):
            with open(f'/proc/{pid}/maps') as f:
                has = '/ossl-modules/legacy.so' in f.read()
            assert has == (role in ('worker', 'keyd', 'authd', 'relay',
                                    'sts')), role
        with Client(s.port) as c:
            c.hello()
            c.cmd('STARTTLS', '220')
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            c.s = context.wrap_socket(
                c.s, server_hostname='mx.example.test')


def test_an_openssl_configuration_that_fails_is_no_start(d):
    """OpenSSL itself passes over a file that is missing, and over modules."""
    missing, file = f'{d}/missing.cnf', f'{d}/openssl.cnf'
    part = 'openssl_conf = all\n[all]\nproviders = modules\n[modules]\n' \
        'default = on\n%s = on\n[on]\nactivate = 1\n'

    def write(text):
        with open(file, 'w') as f:
            f.write(text)
        os.chmod(file, 0o644)

    env = dict(os.environ)
    s = server(d, as_root=True)
    try:
        for name, text, why in (
                (missing, '', 'No such file'), ('openssl.cnf', '', 'begin with'),
                (file, part % 'nosuchmodule', 'nosuchmodule'),
                (file, '[all\n', 'line 1')):
            write(text)
            os.environ['OPENSSL_CONF'] = name
            p = subprocess.run(s.command('-n'), capture_output=True, text=True)
            assert p.returncode == 78, p
            assert f'{name} (which OPENSSL_CONF' in p.stderr, p.stderr
            assert why in p.stderr, p.stderr
            p = subprocess.run(s.command('-f'), capture_output=True, text=True,
                               timeout=60)
            assert p.returncode == 1, p
            assert f'{name} (which OPENSSL_CONF' in p.stderr, p.stderr
        os.environ['OPENSSL_CONF'] = file
        write(part % 'legacy')
        with s:
            before = list(role_pids(s))
            write(part % 'nosuchmodule')
            p = s.ctl('reload', check=False)
            assert p.returncode != 0 and 'OPENSSL_CONF' in p.stderr, p
            wait_for('only the old ones', lambda:
                     list(role_pids(s)) == before)
            write(part % 'legacy')
            s.ctl('reload')
    finally:
        os.environ.clear()
        os.environ.update(env)


def test_libraries_of_the_current_folder_are_not_handed_on(d):
    """Each process that starts later would load them, as root."""
    env = dict(os.environ)
    try:
        os.environ.update(LD_LIBRARY_PATH='/nonexistent:',
                          OPENSSL_MODULES='modules')
        with server(d) as s:
            for role, pid in role_pids(s):
                with open(f'/proc/{pid}/environ') as f:
                    have = {v.split('=')[0] for v in f.read().split('\0')}
                assert not have & {'LD_LIBRARY_PATH', 'OPENSSL_MODULES'}, role
            s.ctl('reload')
            for name in 'LD_LIBRARY_PATH', 'OPENSSL_MODULES':
                assert s.log().count(
                    f'event=environment name={name} ') == 1, name
    finally:
        os.environ.clear()
        os.environ.update(env)


def test_a_process_has_no_terminal_and_no_environment(d):
    """Whatever the server is started with."""
    need_sandbox()
    s = server(d)
    master, terminal = pty.openpty()
    name = os.ttyname(terminal)
    s.proc = subprocess.Popen(
        s.command('-f'), stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, 'SECRET': 'x1y2z3', 'TZ': 'UTC', 'LD_BIND_NOW': '1',
             'OPENSSL_MODULES': '/usr/lib/ossl', 'KRB5_CONFIG': '/etc/k',
             'LANG': 'de_DE'},
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
    os.close(terminal)
    s.master = s.proc.pid
    said = b''

    def read():
        nonlocal said
        while True:
            try:
                v = os.read(master, 4096)
            except OSError:
                return
            said += v
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    s.wait_ready()
    for role, pid in role_pids(s):
        assert os.getsid(pid) == pid, role
        assert stat_fields(pid)[4] == '0', (role, 'its terminal')
        with open(f'/proc/{pid}/environ') as f:
            have = {v.split('=')[0] for v in f.read().split('\0') if v}
        # the title may lie over it
        assert have <= {'PATH', 'TZ', 'LD_LIBRARY_PATH', 'OPENSSL_MODULES'} | (
            {'KRB5_CONFIG'} if role == 'authd' else set()), (role, have)
        if ROOT:
            assert not [m for m in memory(pid) if b'SECRET=x1y2z3' in m], role
        files = {fd: os.readlink(f'/proc/{pid}/fd/{fd}')
                 for fd in os.listdir(f'/proc/{pid}/fd')}
        assert files['0'] == '/dev/null', (role, files)
        assert name not in files.values(), (role, files)
        assert files['2'].startswith('pipe:'), (role, files)
    # and still the log gets there
    c = Client(s.port)
    c.hello()
    c.mail(b'Subject: x\r\n\r\n1\r\n')
    wait_for('the log', lambda: b'mailmilld/worker' in said and
             b'event=accepted' in said and b'event=delivered' in said)
    s.stop()
    reader.join(10)
    os.close(master)
    assert b'event=stopped status=0' in said, said[-2000:]


def test_nobody_looks_into_a_process(d):
    """Not even another one of its account."""
    if not ROOT:
        raise Skip('needs root, to take the accounts')
    need_sandbox()
    with server(d) as s:
        for role, pid in role_pids(s):
            st = os.stat(f'/proc/{pid}/mem')
            assert st.st_uid == 0, (role, st.st_uid)


def killed_with(s, role, call, *args):
    """A process of the role is made to make the call."""
    pid = s.pids(f'mailmilld: {role}')[0]
    s.guilty.add(pid)
    before = s.stats()['sandbox_kills']
    forced_call(pid, call, *args)
    [line] = s.logged(
        rf'event=sandbox role={role} slot=\d+ pid={pid} call=\w+ ')
    assert f' call={call} ' in line[0], line[0]
    s.logged(rf'event=process-end role={role} slot=\d+ pid={pid} signal=31 ')
    assert s.stats()['sandbox_kills'] == before + 1
    wait_for('its successor', lambda: s.pids(f'mailmilld: {role}') and {
        p['state'] for p in s.ctl_json('status')['processes']} == {'running'})


def test_a_call_of_another_role_kills_and_is_named(d):
    need_sandbox()
    calls = {'worker': ('socket', socket.AF_INET, socket.SOCK_STREAM),
             'deliver': ('execve',), 'queue': ('ptrace',), 'keyd': ('openat',),
             'authd': ('ioctl', 0, 0x5412),                  # TIOCSTI
             'logger': ('openat',), 'spoold': ('execve',), 'relay': ('openat',),
             'resolver': ('ptrace',), 'pipe': ('execve',),
             'sts': ('openat',)}
    with server(d, workers=1) as s:
        for role in ROLES:
            killed_with(s, role, *calls[role])
        c = Client(s.port)
        c.hello()
        c.mail(b'Subject: still\r\n\r\nhere\r\n')
        s.wait_mail(1)


def test_arguments_count(d):
    need_sandbox()
    with server(d, workers=1) as s:
        killed_with(s, 'worker', 'mprotect', 0, 4096, 4)     # PROT_EXEC
        killed_with(s, 'deliver', 'kill', os.getpid(), 9)


def test_it_can_be_turned_off(d):
    need_sandbox()
    with server(d, conf='sandbox = off\n') as s:
        s.logged('level=warning event=sandbox-off ')
        assert 'the sandbox is turned off' in s.ctl('status').stdout
        assert s.ctl_json('status')['sandbox'] == 'off'
        for role, pid in role_pids(s):
            for t in threads(pid):
                assert t['Seccomp'] == '0', (role, t)
                assert t['NoNewPrivs'] == '1', (role, t)
        # a reload turns it on, but for the logger, which stays
        s.write_conf(conf='')
        s.ctl('reload')
        wait_for('new processes', lambda: all(
            t['Seccomp'] == '2' for role, pid in role_pids(s)
            for t in threads(pid) if role != 'logger'))


def test_a_folder_of_maildirs_that_is_replaced_is_used(d):
    need_sandbox()
    with Server(d) as s:
        c = Client(s.port)
        c.hello()
        c.mail(b'Subject: one\r\n\r\n1\r\n')
        s.wait_mail(1)
        s.logged('event=delivered')
        os.rename(s.mail, s.mail + '.old')
        os.mkdir(s.mail)
        os.chmod(s.mail, 0o1777)
        c.mail(b'Subject: two\r\n\r\n2\r\n')
        s.wait_mail(1)
        s.logged('event=sandbox-stale ')
        assert 'event=deferred' not in s.log()
