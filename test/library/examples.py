"""The examples, from where they are installed: built with their own Makefile and
what pkg-config says, they receive mail from real clients; also under ASan and
UBSan, under TSan with a library that is built with it, and under valgrind."""
import contextlib
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from tree import (BUILD, HERE, SANITIZE, TOP, Skip, exported, install,
                  kept_dir, once, run)

sys.path.insert(0, TOP + '/test/lib')
from ports import free_port    # noqa: E402

USER = 'user@example.test'
LINES = b'Subject: x\r\n\r\nHello.\r\n.a dot\r\n'
ASAN = '-fsanitize=address,undefined -fno-sanitize-recover=undefined'
TSAN = '-fsanitize=thread'
WARN = '-Wall -Wextra -Werror'


@once
def certificate():
    d = kept_dir()
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
        'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
        '/CN=mx.example.test', '-keyout', d + '/key', '-out', d + '/crt')
    return d + '/crt', d + '/key'


@once
def tsan_libraries():
    """Those of our own code, built with TSan, once; also as they are linked into
    tests."""
    at = os.path.relpath(BUILD, TOP) + '-tsan'
    libs = [f'{at}/{name}' for name in (
        'libmailmill.so.0', 'libmailmill-tls.so.0', 'libengine.a',
        'libcore.a', 'libtls.a', 'libtest.a')]
    run('make', '-s', '-j2', '-C', TOP, f'B={at}', f'SAN={TSAN}',
        'CFLAGS=-O1 -g1', *libs)
    return f'{TOP}/{at}'


@once
def compiled_stop(flags):
    d = kept_dir()
    run('cc', *flags.split(), '-c', '-o', d + '/stop.o', HERE + '/stop.c')
    return d + '/stop.o'


MODULES = 'domains', 'blocklist'


def installed(name=''):
    return install().root + '/usr/local/share/doc/mailmill/examples/' + name


@once
def built(name, flags, *settings):
    """That example, compiled with ${flags}."""
    d = kept_dir()
    for f in os.listdir(installed()):
        if os.path.isfile(installed(f)):
            shutil.copy(installed(f), d)
    run('make', '-C', d, name, f'CFLAGS={flags} {compiled_stop(flags)}',
        *settings, env=install().env())
    return f'{d}/{name}'


class Server:
    """An example that runs, and what it has printed."""

    def __init__(self, command, env, seconds, full):
        self.port = free_port()
        self.out = tempfile.TemporaryFile('w+', encoding='latin-1', newline='')
        self.err = tempfile.TemporaryFile('w+', encoding='latin-1', newline='')
        self.seconds = seconds
        self.process = subprocess.Popen(
            [a.replace('PORT', str(self.port)) for a in command],
            stdin=subprocess.DEVNULL, stderr=self.err, env=env,
            stdout=open('/dev/full', 'w') if full else self.out)

    def connect(self):
        """Wait until it listens."""
        end = time.monotonic() + self.seconds
        while True:
            try:
                return smtplib.SMTP('127.0.0.1', self.port,
                                    timeout=self.seconds)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(
                        f'does not listen: {self.said(self.err)}') from None
                time.sleep(0.02)

    @staticmethod
    def said(f):
        f.seek(0)
        return f.read()

    def stop(self):
        self.process.terminate()
        status = self.process.wait(self.seconds)
        err = self.said(self.err)
        assert status == 0 and err == '', f'status {status}: {err[-4000:]}'
        return self.said(self.out)


@contextlib.contextmanager
def running(*command, library=None, seconds=20, full=False, **more):
    """${full}: what it prints finds no room."""
    ours = install()
    s = Server(command, dict(ours.env(), LD_LIBRARY_PATH=library
                             or ours.libdirs[0], **more), seconds, full)
    try:
        yield s
    except (OSError, smtplib.SMTPException) as e:
        with contextlib.suppress(subprocess.TimeoutExpired):
            s.process.wait(1)
        raise AssertionError(f'{command}: {e!r}, status {s.process.poll()}: '
                             f'{s.said(s.err)[-4000:]}') from None
    finally:
        if s.process.poll() is None:
            s.process.kill()
        s.process.wait()


def refused(code, call, *args):
    try:
        answer = call(*args)
    except smtplib.SMTPResponseException as e:
        answer = e.smtp_code, e.smtp_error
    assert answer[0] == code, answer


def send(c, body=LINES, rcpt=USER):
    c.ehlo_or_helo_if_needed()
    refused(250, c.mail, 'a@client.example')
    refused(250, c.rcpt, rcpt)
    refused(250, c.data, body)


def flags():
    return f'-O1 -g {WARN}' + (' ' + ASAN if SANITIZE else '')


def targets():
    """The programs that the Makefile of the examples makes."""
    with open(installed('Makefile'), encoding='ascii') as f:
        found = re.search(r'^all: (.*)', f.read(), re.M)[1].split()
    sources = {f.rpartition('.')[0] for f in os.listdir(installed())
               if f.endswith(('.c', '.cc'))}
    assert set(found) == sources, f'all: {found}; the sources: {sources}'
    return found


def lines(name, is_code):
    with open(f'{HERE}/examples/{name}', encoding='ascii') as f:
        text = f.read()
    if is_code:
        text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    return len([n for n in text.split('\n') if n.strip() or not is_code]) - \
        (not is_code)


def test_how_long_the_examples_are(d):
    assert lines('server.c', True) <= 30, lines('server.c', True)
    assert lines('verb.c', True) < 50, lines('verb.c', True)
    assert lines('epoll.c', False) < 100, lines('epoll.c', False)
    for name in MODULES:
        n = lines(f'modules/{name}.c', False)
        assert n < 100, (name, n)


def for_one_user(*command):
    with running(*command, '127.0.0.1:PORT') as s:
        with s.connect() as c:
            send(c)
            refused(250, c.mail, 'a@client.example')
            refused(550, c.rcpt, 'other@example.test')
        out = s.stop() if command[0] != sys.executable else s.said(s.out)
    assert f'a@client.example to {USER}\n' in out, out
    assert 'Hello.\r\n.a dot\r\n' in out or 'Hello.\n.a dot\n' in out, out


def test_example_server(d):
    for_one_user(built('server', flags()))


def test_example_in_python(d):
    if SANITIZE:
        raise Skip('Python is not built with ASan')
    for_one_user(sys.executable, installed('server.py'))


def sent_by(port, rcpts, text=LINES):
    """What send.c prints, and its status."""
    ours = install()
    p = subprocess.run(
        [built('send', flags()), f'127.0.0.1:{port}', 'a@client.example',
         *rcpts], env=dict(ours.env(), LD_LIBRARY_PATH=ours.libdirs[0]),
        input=text, capture_output=True, timeout=60)
    assert p.stderr == b'', p.stderr
    return p.stdout.decode(), p.returncode


def test_example_send(d):
    """To the example of a server, and to where nobody is."""
    with running(built('server', flags()), '127.0.0.1:PORT') as s:
        s.connect().close()
        said, status = sent_by(s.port, [USER, 'other@example.test'])
        assert status == 1, (said, status)
        assert re.fullmatch(f'other@example.test: 550 5.1.1 .*\n'
                            f'{USER}: 250 2.* .*\n', said), said
        assert sent_by(s.port, [USER])[1] == 0
        out = s.stop()
    assert out.count(f'a@client.example to {USER}\n') == 2, out
    assert 'Hello.\r\n.a dot\r\n' in out, out
    said, status = sent_by(s.port, [USER])
    assert status == 1, (said, status)
    assert said == f'{USER}: 451 4.4.1 Connection refused\n', said


def submitted_by(port, *, name='mx.example.test', password='secret'):
    ours = install()
    p = subprocess.run(
        [built('submit', flags()), f'127.0.0.1:{port}', name, certificate()[0],
         'user', 'a@client.example', USER], input=LINES, timeout=60,
        env=dict(ours.env(), LD_LIBRARY_PATH=ours.libdirs[0],
                 PASSWORD=password), capture_output=True)
    assert p.stderr == b'', p.stderr
    return p.stdout.decode(), p.returncode


def test_example_submit(d):
    """To the example of a server that demands TLS and a login."""
    with running(built('threads', flags()), '127.0.0.1:PORT',
                 *certificate()) as s:
        s.connect().close()
        said, status = submitted_by(s.port)
        assert status == 0 and said.startswith(f'{USER}: 250 2.'), said
        said, status = submitted_by(s.port, password='wrong')
        assert status == 1 and said.startswith(f'{USER}: 535 5.7.8 '), said
        said, status = submitted_by(s.port, name='other.example.test')
        assert status == 1 and said == f"{USER}: 451 4.7.5 the server's " \
            'certificate is for another name\n', said
        out = s.stop()
    assert out.count(f'a@client.example to {USER}\n') == 1, out


def test_example_policy(d):
    with running(built('policy', flags()), '127.0.0.1:PORT') as s:
        with s.connect() as c:
            c.ehlo()
            assert c.esmtp_features['xcount'] == 'MESSAGES', c.esmtp_features
            assert c.docmd('XCOUNT') == (250, b'2.0.0 0 messages')
            refused(501, c.docmd, 'XCOUNT', '1')
            send(c)
            assert c.docmd('XCOUNT') == (250, b'2.0.0 1 messages')
            refused(250, c.mail, 'a@client.example')
            refused(550, c.rcpt, 'archive@example.test')
        out = s.stop()
    assert out == f'to {USER}\nto archive@example.test\n', out


def test_example_verb(d):
    with running(built('verb', flags()), '127.0.0.1:PORT') as s:
        with s.connect() as c:
            c.ehlo()
            refused(501, c.docmd, 'XNOTE', 'x')
            assert c.docmd('XNOTE') == (354, b'End with a dot')
            c.send(b'QUIT\r\n\r\n.\r\n')
            assert c.getreply() == (250, b'2.0.0 OK')
            refused(250, c.noop)
        with s.connect() as c:
            c.docmd('XNOTE')
            refused(500, c.docmd, 'x' * 1000)
            refused(421, c.getreply)
        out = s.stop()
    assert out == 'note: QUIT\nnote: \n', out


def test_examples_say_how_they_are_called(d):
    ours = install()
    env = dict(ours.env(), LD_LIBRARY_PATH=ours.libdirs[0])
    for name in 'server', 'send', 'submit', 'policy', 'verb', 'epoll', 'poll':
        said = subprocess.run([built(name, flags())], env=env, text=True,
                              capture_output=True, timeout=20)
        assert said.returncode == 2, (name, said)
        assert re.search(f'usage: .*{name} ', said.stderr), (name, said)


def test_an_example_that_cannot_write_takes_no_mail(d):
    for name in 'server', 'policy', 'epoll', 'poll':
        # no session is to wait for its deadline here
        args = (['PORT', '10000'] if name in ('epoll', 'poll') else
                ['127.0.0.1:PORT'])
        with (running(built(name, flags()), *args, full=True) as s,
              s.connect() as c):
            c.ehlo()
            refused(250, c.mail, 'a@client.example')
            refused(250, c.rcpt, USER)
            refused(451, c.data, LINES)


# --- what each of these programs has to stand -------------------------------

class Load:
    """How much of it: the least is what a tool needs that is slow."""

    def __init__(self, nlines=20000, nothers=3):
        self.body = b'x' * 70 + b'\r\n' + b'line\r\n' * nlines
        self.nlines = nlines
        self.nothers = nothers


def a_clock_is_used(s, load):
    """Mail, a client that goes away, and one that says nothing."""
    with s.connect() as c, s.connect() as other:
        send(c)
        other.ehlo()
        other.docmd('MAIL', 'FROM:<b@client.example>')
        other.docmd('RCPT', f'TO:<{USER}>')
        other.docmd('DATA')
        other.send(b'half a line')
        other.sock.shutdown(socket.SHUT_RDWR)
        send(c, load.body)
        # RFC 5321 4.5.3.2.7: five minutes, of its clock
        line = c.file.readline()
        assert line.startswith(b'421 4.4.2'), line


def logged_in(s, context):
    c = s.connect()
    c.ehlo()
    refused(530, c.mail, 'a@client.example')
    assert 'auth' not in c.esmtp_features, c.esmtp_features
    c.starttls(context=context)
    c.ehlo()
    assert c.esmtp_features['auth'].split() == ['PLAIN', 'LOGIN']
    refused(530, c.mail, 'a@client.example')
    refused(535, c.login, 'user', 'wrong')
    c.login('user', 'secret')
    return c


def tls_is_used(s, load):
    context = ssl.create_default_context(cafile=certificate()[0])
    context.check_hostname = False
    with logged_in(s, context) as c:
        send(c)
        send(c, load.body)
        # several at once; one goes away while its message is stored
        others = [logged_in(s, context) for _ in range(load.nothers)]
        others[0].mail('b@client.example')
        others[0].rcpt(USER)
        others[0].docmd('DATA')
        others[0].send(LINES + b'.\r\n')
        others[0].sock.close()
        threads = [threading.Thread(target=send, args=(o,))
                   for o in others[1:]]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for o in others[1:]:
            o.quit()
    run('curl', '-sS', '--ssl-reqd', '--cacert', certificate()[0],
        '--connect-to', f'mx.example.test:{s.port}:127.0.0.1:{s.port}',
        f'smtp://mx.example.test:{s.port}', '--user', 'user:secret',
        '--mail-from', 'curl@client.example', '--mail-rcpt', USER, '-T',
        HERE + '/stop.c', timeout=s.seconds)


PROGRAMS = {'epoll': (['PORT', '1'], a_clock_is_used),
            'poll': (['PORT', '500'], a_clock_is_used),
            'libevent': (['PORT', *'CK'], tls_is_used),
            'threads': (['127.0.0.1:PORT', *'CK'], tls_is_used)}


def program(name, flags, *tool, load=Load(), **more):
    """One of them, under a tool, from its start to its end."""
    args, use = PROGRAMS[name]
    args = [{'C': certificate()[0], 'K': certificate()[1]}.get(a, a)
            for a in args]
    with running(*tool, built(name, flags), *args, **more) as s:
        use(s, load)
        out = s.stop()
    assert out.count(f'a@client.example to {USER}\n') >= 2, out
    assert out.count('line\r\n') >= load.nlines, out.count('line\r\n')
    if use == tls_is_used:
        assert f'curl@client.example to {USER}\n' in out, out


def test_the_archives_in_a_program(d):
    """With the archives in place of both libraries, and what those need."""
    ours = install()
    said = run('pkg-config', '--cflags', '--libs', 'mailmill-tls', 'libssl',
               'libcrypto', 'libgsasl', 'libidn2', env=ours.env()).split()
    libs = [f'-l:lib{f[2:]}.a' if f in ('-lmailmill', '-lmailmill-tls') else f
            for f in said] + ['-lunistring']
    assert len([f for f in libs if '-l:lib' in f]) == 2, said
    run('c++', *flags().split(), '-pthread', '-o', d + '/threads',
        installed('threads.cc'), HERE + '/stop.c', *libs)
    with running(d + '/threads', '127.0.0.1:PORT', *certificate()) as s:
        tls_is_used(s, Load())
        s.stop()
    needs = run('readelf', '-d', d + '/threads')
    assert 'libmailmill' not in needs, needs


def test_each_example_in_a_static_program(d):
    """With what "pkg-config --static" says, for all of them; it needs no library
    when it runs, and receives mail."""
    if SANITIZE:
        raise Skip('a program with ASan cannot be static')
    at = {name: built(name, f'-O1 -g {WARN} -static', 'PC=pkg-config --static')
          for name in targets()}
    for name, path in at.items():
        needs = run('readelf', '-d', path)
        assert 'NEEDED' not in needs, f'{name}: {needs}'
    for_one_user(at['server'])
    with running(at['threads'], '127.0.0.1:PORT', *certificate()) as s:
        tls_is_used(s, Load())
        s.stop()


def test_each_example_in_a_shared_program(d):
    for name in targets():
        needs = run('readelf', '-d', built(name, flags()))
        assert 'libmailmill.so.0' in needs, f'{name}: {needs}'


def under_asan_and_ubsan(name):
    program(name, f'-O1 -g {WARN} {ASAN}', ASAN_OPTIONS='detect_leaks=1',
            UBSAN_OPTIONS='halt_on_error=1')


def under_tsan(name):
    if SANITIZE:
        raise Skip('it is ASan that the libraries are built with')
    program(name, f'-O1 -g {WARN} {TSAN}', library=tsan_libraries(),
            TSAN_OPTIONS='halt_on_error=1 report_signal_unsafe=0')


def under_valgrind(name):
    if SANITIZE:
        raise Skip('ASan and valgrind exclude each other')
    program(name, f'-O1 -g {WARN}', 'valgrind', '-q',
            '--error-exitcode=99', '--leak-check=full',
            '--show-leak-kinds=definite,indirect',
            '--errors-for-leak-kinds=definite,indirect',
            '--fair-sched=yes', load=Load(nlines=2000, nothers=2), seconds=60)


def each_program_under(tool):
    """A test for each, so that they run beside each other."""
    for name in PROGRAMS:
        def test(d, name=name):
            tool(name)
        test.__name__ = f'test_{name}_{tool.__name__}'
        yield test


# --- modules for mailmilld ---------------------------------------------------

def symbols_of(path, what):
    return {line.split()[-1].partition('@')[0] for line in run(
        'nm', '-D', what, path).splitlines()}


def test_the_example_modules(d):
    """They are made from what is installed alone, without a library, and the
    server that is installed has all that they need, and loads them."""
    ours = install()
    shutil.copytree(installed('modules'), d + '/modules')
    run('make', '-C', d + '/modules', f'CFLAGS=-O2 {WARN}', env=ours.env())
    assert {f[:-3] for f in os.listdir(d + '/modules') if f.endswith('.so')
            } == {f[:-2] for f in os.listdir(d + '/modules') if
                  f.endswith('.c')} == set(MODULES)
    server = ours.root + '/usr/local/sbin/mailmilld'
    has = symbols_of(server, '--defined-only')
    with open(d + '/blocked', 'w', encoding='ascii'):
        pass
    settings = {'domains': 'Domain = x.example',
                'blocklist': f'File = "{d}/blocked"'}
    conf = f'''hostname = "mx.example.test" spool = "{d}/spool"
pidfile = "{d}/pid" control = "{d}/control"
ESMTP_Listener {{ Listen "127.0.0.1:{free_port()}" {{ }} }}
'''
    for name in MODULES:
        so = f'{d}/modules/{name}.so'
        assert 'libmailmill' not in run('readelf', '-d', so)
        needs = symbols_of(so, '--undefined-only') & exported()
        assert len(needs) > 1 and needs <= has, needs - has
        conf += f'Module "{so}" {{ {settings[name]} }}\n'
    for at in d, d + '/modules':
        os.chmod(at, 0o755)

    def check(text):
        with open(d + '/conf', 'w', encoding='ascii') as f:
            f.write(text)
        # -f: accounts that are missing are those of a trial
        p = subprocess.run([server, '-nf', '-c', d + '/conf'], text=True,
                           capture_output=True, timeout=60)
        return p.stdout + p.stderr
    said = check(conf)
    assert "'Module'" not in said and 'configuration ok' in said, said
    said = check(conf.replace('Domain =', 'Domian ='))
    assert "module domains, option 'Domian': there is no such" in said, said


# what the others have to wait for begins first
TESTS = [*each_program_under(under_tsan), *each_program_under(under_valgrind),
         *each_program_under(under_asan_and_ubsan),
         test_the_archives_in_a_program,
         test_each_example_in_a_static_program,
         test_each_example_in_a_shared_program, test_example_policy,
         test_example_in_python, test_example_server, test_example_send,
         test_example_submit,
         test_example_verb, test_the_example_modules,
         test_examples_say_how_they_are_called,
         test_an_example_that_cannot_write_takes_no_mail,
         test_how_long_the_examples_are]
