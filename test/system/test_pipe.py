"""Mail for programs (Delivery = "pipe"): what they get, what their end means, and that
nothing of them is left."""
import json
import os
import pwd
import re
import signal
import subprocess
import time

from harness import (NOBODY, NOT_AS_ROOT, ROOT, SANITIZE, Client, Server, Skip,
                     text_message, wait_for)
from test_mailers import ALL
from test_relay import (CONF, events, received, send, wait_bounced,
                        wait_deferred, wait_why)

ACCOUNTS = 'games', 'news'
# one attempt within a test
RARELY = CONF.replace(' = 1\n', ' = 60\n', 2)


class Programs:
    """A folder for programs, one for what they write, and who they run as."""

    def __init__(self, d):
        self.dir, self.out = d, f'{d}/out'
        as_root = ROOT and not NOT_AS_ROOT
        self.users = ACCOUNTS if as_root else \
            (pwd.getpwuid(NOBODY if NOT_AS_ROOT else os.getuid()).pw_name,) * 2
        self.user = self.users[0]
        self.uid = pwd.getpwnam(self.user).pw_uid
        os.chmod(d, 0o755)
        os.mkdir(self.out)
        os.chmod(self.out, 0o1777)

    def make(self, name, text, mode=0o755):
        path = f'{self.dir}/{name}'
        with open(path + '.new', 'w') as f:
            f.write(text.replace('OUT', self.out))
        if NOT_AS_ROOT:
            os.chown(path + '.new', NOBODY, -1)
        os.chmod(path + '.new', mode)
        os.rename(path + '.new', path)
        return path

    def shell(self, name, text, **kw):
        return self.make(name, '#!/bin/sh\n' + text, **kw)

    def python(self, name, text, **kw):
        return self.make(name, '#!/usr/bin/python3 -I\n' + text, **kw)

    def domain(self, command, name='piped.test', more='', user=None):
        args = ', '.join(f"'{a}'" for a in ([command] if isinstance(
            command, str) else command))
        return f'''Domain "{name}" {{
    Delivery = pipe
    Command = {{ {args} }}
    Pipe_User = "{user or self.user}"
    {more}
}}
'''

    def server(self, *domains, conf=CONF, **kw):
        return Server(self.dir, conf=conf, listener=ALL, extra=''.join(domains),
                      **kw)

    def file(self, name):
        with open(f'{self.out}/{name}', 'rb') as f:
            return f.read()

    def wait_file(self, name):
        wait_for(name, lambda: os.path.exists(f'{self.out}/{name}'), 20)
        return self.file(name)


def wait_delivered(s, n=1, timeout=30):
    wait_for(f'{n} delivered', lambda: len(events(s, 'delivered')) >= n, timeout)
    return events(s, 'delivered')


def running(*words):
    """Processes, of anybody, in whose command line are these words."""
    found = []
    for p in os.listdir('/proc'):
        if not p.isdigit():
            continue
        try:
            with open(f'/proc/{p}/cmdline') as f:
                line = f.read()
        except OSError:
            continue
        if all(w in line for w in words):
            found.append(int(p))
    return found


# ------------------------------------------------------------------ what it gets
LOOK = r'''
import json, os, resource, signal, sys
text = sys.stdin.buffer.read()
def proc(name):
    with open(f'/proc/self/{name}') as f:
        return f.read()
seen = dict(args=sys.argv[1:], env=dict(os.environ), uid=os.getresuid(),
            gid=os.getresgid(), groups=os.getgroups(), cwd=os.getcwd(),
            umask=os.umask(0), sid=os.getsid(0), pid=os.getpid(),
            fds={n: os.readlink(f'/proc/self/fd/{n}')
                 for n in os.listdir('/proc/self/fd')
                 if os.path.exists(f'/proc/self/fd/{n}')},
            tty=proc('stat').rsplit(')')[1].split()[4],
            status=proc('status'), limits=proc('limits'))
import json
name = f"OUT/{os.environ['QUEUE_ID']}.{os.getpid()}"
with open(name + '.text', 'wb') as f:
    f.write(text)
with open(name + '.new', 'w') as f:
    json.dump(seen, f)
os.rename(name + '.new', name + '.json')
'''


def seen(p, n=1):
    """[(what a program has seen, what it has read)]"""
    def all_there():
        return len([x for x in os.listdir(p.out) if x.endswith('.json')]) >= n
    wait_for(f'{n} programs', all_there, 20)
    return [(json.loads(p.file(x)), p.file(x[:-5] + '.text'))
            for x in sorted(os.listdir(p.out)) if x.endswith('.json')]


def test_what_a_program_gets(d):
    p = Programs(d)
    look = p.python('look', LOOK)
    args = (look, '-a', '${extension}', '--to=${recipient}', '${sender}',
            '${local}|${user}|${domain}', '${size}', '${queue_id}', '${client}')
    s = p.server(p.domain(args, more=f'Pipe_Folder = "{p.out}"\n'
                          'Pipe_Memory = 300M'))
    with s:
        message = text_message()
        with Client(s.port) as c:
            c.hello()
            c.mail(message, 'Ann+Ext.x@Piped.test')
        done, = wait_delivered(s)
        assert done['transport'] == 'pipe' and done['reply'] == \
            f'{look}: exit status 0', done
        (v, text), = seen(p)
        size = re.match('\\d+', v['env']['SIZE']).group()
        assert v['args'] == ['-a', 'Ext.x', '--to=Ann+Ext.x@piped.test',
                             'a@client.test', 'Ann+Ext.x|Ann|piped.test', size,
                             v['env']['QUEUE_ID'], '127.0.0.1'], v['args']
        head, body = text.split(b'\n', 1)
        assert head == b'Return-Path: <a@client.test>', head
        # line ends are LF alone
        assert b'\r' not in text
        assert received(body.replace(b'\n', b'\r\n')) == message
        helo = v['env'].pop('CLIENT_HELO')
        assert helo, v
        # a shell adds PWD and others, the server none
        pw = pwd.getpwnam(p.user)
        assert v['env'] == {
            'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': pw.pw_dir,
            'USER': p.user, 'LOGNAME': p.user, 'SHELL': '/bin/sh',
            'SENDER': 'a@client.test', 'RECIPIENT': 'Ann+Ext.x@piped.test',
            'LOCAL': 'Ann+Ext.x', 'LOCAL_USER': 'Ann', 'EXTENSION': 'Ext.x',
            'DOMAIN': 'piped.test', 'SIZE': size, 'QUEUE_ID': done['id'],
            'CLIENT_ADDRESS': '127.0.0.1'} | (
                {'LC_CTYPE': 'C.UTF-8'} if 'LC_CTYPE' in v['env'] else {}), v
        assert v['cwd'] == p.out and v['umask'] == 0o77, v
        assert v['sid'] == v['pid'] and v['tty'] == '0', v
        assert set(v['uid']) == {pw.pw_uid}, v['uid']
        if ROOT and not NOT_AS_ROOT:
            assert set(v['gid']) == {pw.pw_gid} and v['groups'] in (
                [], [pw.pw_gid]), v
        assert v['fds'].keys() == {'0', '1', '2'}, v['fds']
        assert all(x.startswith('pipe:') for x in v['fds'].values()), v['fds']
        status = dict(re.findall(r'^(\w+):\s*(.*)$', v['status'], re.M))
        assert status['NoNewPrivs'] == '1', status
        for c in 'CapInh', 'CapPrm', 'CapEff', 'CapAmb':
            assert int(status[c], 16) == 0, (c, status[c])
        # Python itself ignores SIGPIPE and SIGXFSZ; 32 and 33 are the C
        # library's own, which signal(2) leaves as they were when we began
        ignored = int(status['SigIgn'], 16)
        for n in range(1, 65):
            assert not ignored >> (n - 1) & 1 or n in (
                signal.SIGPIPE, signal.SIGXFSZ, 32, 33), n
        assert int(status['SigBlk'], 16) == 0, status
        for what, limit in (('core file size', '0'),
                            ('open files', '1024'),
                            ('address space', str(300 * 2 ** 20))):
            assert re.search(rf'^Max {what} +{limit} +{limit} ', v['limits'],
                             re.M), (what, v['limits'])


def test_lines_before_the_message(d):
    p = Programs(d)
    look = p.python('look', LOOK)
    s = p.server(
        p.domain(look, 'all.test', 'Pipe_Headers = { From, Return-Path, '
                 'Delivered-To, X-Original-To }'),
        p.domain(look, 'none.test', 'Pipe_Headers = none'),
        p.domain(look, 'crlf.test', 'Pipe_Newline = crlf'))
    message = text_message()
    with s:
        for rcpt in 'all', 'none', 'crlf':
            send(s, f'{rcpt}@{rcpt}.test', message=message,
                 sender='' if rcpt == 'all' else 'a@client.test')
        wait_delivered(s, 3)
        got = {v['env']['LOCAL']: (v, t) for v, t in seen(p, 3)}
        v, text = got['all']
        m = re.match(rb'From MAILER-DAEMON \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d '
                     rb'\d{4}\nReturn-Path: <>\nX-Original-To: all@all\.test\n'
                     rb'Delivered-To: all@all\.test\nReceived: ', text)
        assert m, text[:300]
        assert v['env']['SENDER'] == '', v
        assert got['none'][1].startswith(b'Received: '), got['none'][1][:99]
        text = got['crlf'][1]
        assert text.startswith(b'Return-Path: <a@client.test>\r\n')
        assert received(text.split(b'\r\n', 1)[1]) == message
        # the program has sent on what it was given
        send(s, 'all@all.test', 'crlf@crlf.test',
             message=b'Delivered-To: all@all.test\r\n' + message)
        seen(p, 4)
        why = wait_bounced(s, 1)
        assert 'loop' in why['all@all.test'], why


def test_several_recipients_in_one_program(d):
    p = Programs(d)
    look = p.python('look', LOOK)
    s = p.server(p.domain((look, '-d', '${recipient}', '${sender}'),
                          more='Pipe_Recipients = 3'))
    with s:
        send(s, *(f'u{n}@piped.test' for n in range(4)))
        wait_delivered(s, 4)
        got = sorted((v['args'] for v, _ in seen(p, 2)), key=len)
        assert got == [['-d', 'u3@piped.test', 'a@client.test'],
                       ['-d', 'u0@piped.test', 'u1@piped.test', 'u2@piped.test',
                        'a@client.test']], got
        # which of them would be in the environment?
        envs = [v['env'] for v, _ in seen(p, 2)]
        assert sorted('RECIPIENT' in e for e in envs) == [False, True], envs


def test_each_account_has_a_process(d):
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    p = Programs(d)
    look = p.python('look', LOOK)
    a, b = p.users
    s = p.server(p.domain(look, 'a.test'), p.domain(look, 'b.test', user=b),
                 p.domain(look, 'c.test', f'Pipe_Group = "{b}"'),
                 p.domain(look, 'd.test'))
    with s:
        assert len(s.pids('mailmilld: pipe ')) == 3
        for name in 'abcd':
            send(s, f'{name}@{name}.test')
        wait_delivered(s, 4)
        uid, gid = pwd.getpwnam(a)[2:4]
        uid_b, gid_b = pwd.getpwnam(b)[2:4]
        got = {v['env']['DOMAIN'][0]: (v['uid'][0], v['gid'][0])
               for v, _ in seen(p, 4)}
        assert got == {'a': (uid, gid), 'b': (uid_b, gid_b),
                       'c': (uid, gid_b), 'd': (uid, gid)}, got


# ------------------------------------------------------------------ hostile
def test_hostile_addresses_are_no_options_and_no_commands(d):
    p = Programs(d)
    look = p.python('look', LOOK)
    s = p.server(p.domain((look, '${local}', '${extension}', '${sender}')))
    harmless = ['|touch x', '$(touch x)', '`touch x`', ';touch x', '${sender}',
                '../../x', "'x", 'a b', '!x', '*', '&', '>x', '\\x']
    with s:
        for n in '-oX', '--help', 'a+-oX':
            send(s, f'{n}@piped.test')
        send(s, '"-oX"@piped.test')
        send(s, 'x@piped.test', sender='-f@client.test')
        why = wait_bounced(s, 5)
        for rcpt, what in (('-oX', 'local'), ('--help', 'local'),
                           ('a+-oX', 'extension'), ('x', 'sender')):
            assert why[f'{rcpt}@piped.test'].startswith(
                f'its {what} begins with a hyphen'), why
        assert not os.listdir(p.out)
        for n in harmless:
            quoted = re.sub(r'(["\\])', r'\\\1', n)
            send(s, f'"{quoted}"@piped.test')
        wait_delivered(s, len(harmless))
        got = sorted(v['args'][0] for v, _ in seen(p, len(harmless)))
        assert got == sorted(harmless), got
        assert all(len(v['args']) == 3 for v, _ in seen(p))


# ------------------------------------------------------------------ statuses
def test_statuses(d):
    p = Programs(d)
    status = p.shell('status', 'cat >/dev/null; echo "$2"; exit $1\n')
    s = p.server(p.domain((status, '${user}', '${extension}')),
                 conf=RARELY)
    good = {'0': 'exit status 0'}
    later = {'75+full': '(temporary failure): full', '71': 'resource problem'}
    never = {'64': 'usage', '65': 'data', '67+nobody': 'user unknown): nobody',
             '69': 'unavailable', '70': 'software', '73': 'cannot create',
             '77': 'permission', '78': 'configuration', '1': 'unknown error',
             '2': 'unknown', '127': 'unknown', '255': 'unknown'}
    with s:
        send(s, *(f'{n}@piped.test' for n in {**good, **later, **never}))
        done, = wait_delivered(s)
        assert done['rcpt'] == '0@piped.test', done
        why = wait_bounced(s, len(never))
        for n, text in never.items():
            assert text in why[f'{n}@piped.test'], (n, why)
        for n, text in later.items():
            assert text in wait_why(s, f'{n}@piped.test'), n


def test_a_status_in_the_output_counts_more(d):
    p = Programs(d)
    status = p.shell('status', 'echo "4.2.2 over quota"; exit 67\n')
    never = p.shell('never', 'echo "5.7.1 not you"; exit 75\n')
    with p.server(p.domain(status), p.domain(never, 'never.test')) as s:
        send(s, 'a@piped.test')
        send(s, 'a@never.test')
        assert '4.2.2 over quota' in wait_why(s, 'a@piped.test')
        assert '5.7.1 not you' in wait_bounced(s)['a@never.test']


def test_signals_and_what_cannot_be_executed(d):
    p = Programs(d)
    s = p.server(
        p.domain(p.shell('segv', 'kill -SEGV $$\n'), 'segv.test'),
        p.domain(p.shell('gone', 'exit 0\n'), 'gone.test'),
        p.domain(p.make('noshell', '#!/nonexistent/sh\n'), 'noshell.test'),
        p.domain(p.make('text', 'no program\n'), 'text.test'),
        p.domain('/bin/cat', 'folder.test', 'Pipe_Folder = "/nonexistent/x"'))
    with s:
        os.unlink(f'{d}/gone')
        for n in 'segv', 'gone', 'noshell', 'text', 'folder':
            send(s, f'a@{n}.test')
        why = wait_deferred(s, 5)
        assert 'ended by signal 11' in why['a@segv.test'], why
        for n, text in (('gone', 'No such file'), ('noshell', 'No such file'),
                        ('text', 'Exec format error')):
            assert f'cannot be executed as {p.user}: {text}' in \
                why[f'a@{n}.test'], why
        assert "option 'Pipe_Folder'" in why['a@folder.test'], why


def test_output_is_in_the_log_and_in_the_report(d):
    p = Programs(d)
    say = p.shell('say', 'cat >/dev/null\nprintf "first\\nno \\033[31m\\001room '
                  '\\303\\244\\377\\n" >&2; exit 67\n')
    with p.server(p.domain(say)) as s:
        send(s, 'a@piped.test', sender='user@example.test')
        report, = s.wait_mail()
        assert b'first no ' in report and b'room' in report, report
        assert b'\033' not in report and b'\001' not in report
        assert b'Status: 5.1.1' in report, report
        log = [x for x in s.log().split('\n') if 'event=pipe-output' in x]
        assert len(log) == 1 and 'no ' in log[0] and '\033' not in log[0], log


# ------------------------------------------------------------------ bounds
# what loses its parent, also in a session of its own
FORKS = '''
import os, sys, time
for twice in 0, 1:
    if os.fork() == 0:
        os.setsid()
        if twice and os.fork():
            os._exit(0)
        os.execv('/bin/sleep', ['sleep', 'MARK'])
time.sleep(0.5)
sys.stdin.buffer.read()
'''


def mark(p):
    """A number of seconds that no other process sleeps."""
    return f'{300000 + os.getpid()}.{int(time.monotonic() * 1000) % 100000}'


def test_a_program_that_is_late_is_ended_with_all_it_has_started(d):
    p = Programs(d)
    number = mark(p)
    late = p.python('late', 'import signal\n'
                    'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n' +
                    FORKS.replace('MARK', number) + 'time.sleep(600)\n')
    with p.server(p.domain(late, more='Pipe_Timeout = 2s')) as s:
        send(s, 'a@piped.test')
        wait_for('what it has started', lambda: len(running('sleep', number)) == 2)
        why = wait_deferred(s)
        assert why['a@piped.test'].endswith(
            'it has not ended within Pipe_Timeout'), why
        # it comes again; with the server all is gone
    assert not running(number) and not running(late)


def test_what_a_program_leaves_behind_is_ended(d):
    p = Programs(d)
    number = mark(p)
    leave = p.python('leave', FORKS.replace('MARK', number))
    with p.server(p.domain(leave)) as s:
        send(s, 'a@piped.test')
        wait_delivered(s)
        assert not running('sleep', number)


def test_a_program_ends_by_sigterm_if_it_wants(d):
    p = Programs(d)
    tidy = p.shell('tidy', 'trap "echo tidy >OUT/tidy; exit 0" TERM\n'
                   'cat >/dev/null; echo >OUT/began\n'
                   'while :; do sleep 0.1; done\n')
    with p.server(p.domain(tidy, more='Pipe_Timeout = 5s')) as s:
        send(s, 'a@piped.test')
        assert p.wait_file('tidy') == b'tidy\n'
        # it has had all of the message, and its status counts
        wait_delivered(s)


def test_a_flood_of_output_is_ended(d):
    p = Programs(d)
    number = mark(p)
    flood = p.shell('flood', f': {number}\nexec yes {number}\n')
    with p.server(p.domain(flood, more='Pipe_Output = 64K'),
                  conf=RARELY) as s:
        send(s, 'a@piped.test')
        why = wait_deferred(s)
        assert why['a@piped.test'].endswith(
            'it has written more than Pipe_Output allows'), why
        assert not running('yes', number)
        line, = (x for x in events(s, 'pipe-output'))
        assert int(line['octets']) < 8 * 2 ** 20, line


def test_memory_is_bounded(d):
    if SANITIZE:
        raise Skip('the limit would be that of a sanitizer')
    p = Programs(d)
    big = p.python('big', 'import sys\ntry:\n    x = bytearray(400 << 20)\n'
                   'except MemoryError:\n    print("no memory")\n    sys.exit(75)\n')
    s = p.server(p.domain(big, more='Pipe_Memory = 200M'),
                 p.domain(big, 'any.test', more='Pipe_Memory = 0'))
    with s:
        send(s, 'a@piped.test')
        assert 'no memory' in wait_why(s, 'a@piped.test')
        send(s, 'a@any.test')
        wait_delivered(s)


def test_no_more_programs_at_once_than_allowed(d):
    p = Programs(d)
    slow = p.shell('slow', 'ls OUT >OUT/seen.$$; : >OUT/run.$$; sleep 0.3; '
                   'rm OUT/run.$$\n')
    with p.server(p.domain(slow, more='Pipe_Processes = 2')) as s:
        send(s, *(f'a{n}@piped.test' for n in range(8)))
        wait_delivered(s, 8)
        for name in os.listdir(p.out):
            if name.startswith('seen.'):
                at_once = p.file(name).count(b'run.')
                assert at_once < 2, (name, p.file(name))


def test_a_program_that_reads_nothing_or_closes_early(d):
    p = Programs(d)
    number = mark(p)
    s = p.server(p.domain(p.shell('nothing', 'exit 0\n')),
                 p.domain(p.shell('close', 'exec <&-; sleep 0.2; exit 75\n'),
                          'close.test'),
                 p.domain(p.shell('head', 'head -c 1000 >/dev/null; '
                                  'exec <&-; sleep 0.2\n'), 'head.test'),
                 p.domain(p.shell('stuck', f'exec sleep {number}\n'),
                          'stuck.test', 'Pipe_Timeout = 1s'),
                 conf=CONF)
    message = text_message(size=2 << 20)
    with s:
        send(s, 'a@stuck.test', message=message)
        send(s, 'a@piped.test', message=message)
        send(s, 'a@close.test', message=message)
        send(s, 'a@head.test', message=message)
        done = {x['rcpt'] for x in wait_delivered(s, 2)}
        assert done == {'a@piped.test', 'a@head.test'}, done
        why = wait_deferred(s, 2)
        assert 'temporary' in why['a@close.test'], why
        assert 'Pipe_Timeout' in why['a@stuck.test'], why


def test_a_large_message(d):
    p = Programs(d)
    sums = p.python('sums', 'import hashlib, sys, time\n'
                    'h, n = hashlib.sha256(), 0\n'
                    'while True:\n    b = sys.stdin.buffer.read(1 << 16)\n'
                    '    if not b:\n        break\n'
                    '    n += len(b)\n    h.update(b)\n'
                    'print(n, h.hexdigest())\n')
    with p.server(p.domain(sums, more='Pipe_Headers = none\n'
                           'Pipe_Newline = crlf'),
                  p.domain(sums, 'lf.test', more='Pipe_Headers = none')) as s:
        line = bytes(range(33, 110)) + b'\r\n'
        message = b'Subject: large\r\n\r\n' + line * ((50 << 20) // len(line))
        send(s, 'a@piped.test', 'a@lf.test', message=message)
        done = {x['rcpt']: x['reply'] for x in wait_delivered(s, 2, 120)}
        n, digest = done['a@piped.test'].split(': ')[-1].split()
        head = int(n) - len(message)
        assert 0 < head < 1000, n
        m, _ = done['a@lf.test'].split(': ')[-1].split()
        assert int(n) - int(m) >= message.count(b'\r\n'), (n, m)
        assert len(digest) == 64


# ------------------------------------------------------------------ ends
def test_a_stop_ends_programs_and_the_message_comes_again(d):
    p = Programs(d)
    number = mark(p)
    slow = p.shell('slow', f': >>OUT/began.$$; exec sleep {number}\n')
    s = p.server(p.domain(slow))
    with s:
        send(s, 'a@piped.test')
        wait_for('the program', lambda: running('sleep', number))
    assert not running(number)
    p.shell('slow', 'cat >OUT/again\n')
    with s:
        wait_delivered(s)
        assert p.file('again').startswith(b'Return-Path: <a@client.test>\n')


def test_a_reload_takes_another_program(d):
    p = Programs(d)
    one = p.shell('one', 'exit 0\n')
    two = p.shell('two', 'echo two; exit 0\n')
    s = p.server(p.domain(one))
    with s:
        send(s, 'a@piped.test')
        wait_delivered(s)
        s.write_conf(extra=p.domain(two) + p.domain(one, 'new.test'))
        s.ctl('reload')
        send(s, 'a@piped.test')
        send(s, 'a@new.test')
        got = wait_delivered(s, 3)
        assert got[1]['reply'] in (f'{two}: exit status 0: two',
                                   f'{one}: exit status 0'), got
        # and the processes of before end
        wait_for('one agent', lambda: len(s.pids('mailmilld: pipe ')) == 1)
        s.write_conf(extra='')
        s.ctl('reload')
        wait_for('no agent', lambda: not s.pids('mailmilld: pipe '))
        wait_for('no starter', lambda: not s.pids('mailmilld: programs'))


def check_killed(d, title):
    """The message comes again, and nothing of the first program is left."""
    p = Programs(d)
    number = mark(p)
    slow = p.python('slow', f'''
import os, sys
if os.path.exists('OUT/second'):
    sys.exit(0)
if os.fork() == 0:
    os.setsid()
    os.execv('/bin/sleep', ['sleep', '{number}'])
os.execv('/bin/sleep', ['sleep', '{number}'])
''')
    s = p.server(p.domain(slow))
    with s:
        send(s, 'a@piped.test')
        wait_for('the program', lambda: len(running('sleep', number)) == 2)
        with open(f'{p.out}/second', 'w'):
            pass
        victim, = s.pids(f'mailmilld: {title}')
        os.kill(victim, signal.SIGKILL)
        wait_for('it to end', lambda: not running('sleep', number), 20)
        wait_delivered(s)


def test_a_killed_agent(d):
    check_killed(d, 'pipe 1')


def test_a_killed_starter(d):
    check_killed(d, 'programs 1')


def test_a_killed_guard(d):
    check_killed(d, 'program of piped.test')


def test_a_killed_queue(d):
    check_killed(d, 'queue')


def test_a_program_cannot_look_into_its_agent(d):
    """Although they have one account: what it does to it harms its own mail."""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs root')
    p = Programs(d)
    look = p.python('look', '''
import glob, os, sys
out = []
for p in glob.glob('/proc/[0-9]*'):
    try:
        with open(p + '/cmdline') as f:
            name = f.read()
        mine = os.stat(p + '/task').st_uid
    except OSError:
        continue
    if not name.startswith(('mailmilld: pipe', 'mailmilld: program')):
        continue
    for what in '/mem', '/environ', '/fd/3', '/maps':
        try:
            with open(p + what, 'rb') as f:
                f.read(1)
            out.append(name + what)
        except OSError:
            pass
print('seen', out)
''')
    with p.server(p.domain(look)) as s:
        send(s, 'a@piped.test')
        done, = wait_delivered(s)
        assert done['reply'].endswith('seen []'), done


# ------------------------------------------------------------------ configuration
def check(s):
    out = subprocess.run(s.command('-n', '-f'), capture_output=True, text=True,
                         preexec_fn=s._before_exec)
    return out.returncode, out.stdout + out.stderr


def test_what_cannot_be_run_is_an_error_of_the_check(d):
    p = Programs(d)
    good = p.shell('good', 'exit 0\n')
    cases = [
        (p.domain(f'{d}/missing'), f'{d}/missing: No such file or directory as '
         f'{p.user}: mail for piped.test is deferred'),
        (p.domain(p.shell('plain', '', mode=0o644)), 'Permission denied'),
        (p.domain(d), f'{d}: Permission denied'),
        (p.domain(p.shell('group', '', mode=0o775)), 'others can write to it: '
         'chmod go-w'),
        (p.domain(p.shell('others', '', mode=0o757)), 'others can write to it'),
        (p.domain(good, more='Pipe_Folder = "/nonexistent"'),
         "option 'Pipe_Folder': /nonexistent: No such file"),
    ]
    if ROOT and not NOT_AS_ROOT:
        theirs = p.shell('theirs', '')
        os.chown(theirs, pwd.getpwnam(p.users[1]).pw_uid, -1)
        own = p.shell('own', '')
        os.chown(own, p.uid, -1)
        cases += [
            (p.domain(good, user='nosuchuser'), 'there is no such account'),
            (p.domain(good, more='Pipe_Group = "nosuchgroup"'),
             'there is no such group'),
            (p.domain(good, more='Pipe_Group = "root"'), "root's group"),
            (p.domain(good, user='backup'), 'other processes of the server '
             'have it'),
            (p.domain(theirs), 'belongs neither to root nor to that account'),
            (p.domain(own), None)]
    for text, why in cases + [(p.domain(good), None)]:
        s = p.server(text)
        status, out = check(s)
        if why is None:
            assert status == 0, (text, status, out)
        else:
            assert status != 0 and why in out, (text, status, out)


def test_a_start_refuses_a_program_of_others(d):
    p = Programs(d)
    s = p.server(p.domain(p.shell('others', '', mode=0o777)))
    s.start(ready=False)
    assert s.wait_end() == 78
    wait_for('why', lambda: 'others can write to it' in s.log_now())
    s.proc = None


# ------------------------------------------------------------------ programs of others
def test_procmail(d):
    program = '/usr/bin/procmail'
    if not os.path.exists(program):
        raise Skip('no procmail')
    p = Programs(d)
    rc = p.make('rc', 'MAILDIR=OUT\nDEFAULT=OUT/mbox\nLOGFILE=OUT/log\n'
                ':0\n* ^Subject: list\nlist.$1/\n', mode=0o644)
    s = p.server(p.domain((program, '-p', '-t', '-a', '${extension}', rc),
                          more='Pipe_Headers = { From }'))
    with s:
        send(s, 'x+one@piped.test', message=b'Subject: list\r\n\r\nFirst\r\n')
        send(s, 'x@piped.test', message=b'Subject: other\r\n\r\nFrom me\r\n')
        wait_delivered(s, 2)
        name, = os.listdir(f'{p.out}/list.one/new')
        assert b'Subject: list\n\nFirst\n' in p.file(f'list.one/new/{name}')
        mbox = p.file('mbox')
        assert mbox.startswith(b'From a@client.test ') and \
            b'Subject: other\n' in mbox, mbox


def test_dovecot_lda(d):
    program = '/usr/lib/dovecot/dovecot-lda'
    if not os.path.exists(program):
        raise Skip('no dovecot-lda')
    p = Programs(d)
    conf = p.make('dovecot.conf', f'''
base_dir = OUT
state_dir = OUT
log_path = OUT/lda.log
ssl = no
mail_location = maildir:OUT/Maildir
lda_mailbox_autocreate = yes
postmaster_address = postmaster@example.test
''', mode=0o644)
    s = p.server(p.domain((program, '-c', conf, '-f', '${sender}', '-a',
                           '${recipient}', '-m', '${extension}')))
    with s:
        send(s, 'x+Lists@piped.test', message=b'Subject: x\r\n\r\nText\r\n')
        wait_delivered(s)
        name, = os.listdir(f'{p.out}/Maildir/.Lists/new')
        assert b'\nText\n' in p.file(f'Maildir/.Lists/new/{name}')
