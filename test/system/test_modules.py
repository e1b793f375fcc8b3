"""Modules in C that the configuration names: what they do in real sessions, which of
them are refused, and that one which crashes harms nobody but its worker."""
import os
import pwd
import re
import signal
import smtplib
import subprocess

from harness import (BUILD, NOBODY, NOT_AS_ROOT, ROOT, SANITIZE, TOP, Client,
                     Server, Skip, lasts, text_message, wait_for)

EXAMPLES = f'{TOP}/test/library/examples/modules'
HEAD = '''
#include <mailmill/ec_thread_pool.h>
#include <mailmill/mailmill_module.h>
#include <mailmill/validate.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define PHASE(name) static int name(const char *str, \\
    const struct mailaddr *addr, accept_construct *ac, \\
    validate_context *vctx, void *closure)
#define CONFIG static int config(const char *name, const char *value, \\
    char *why, size_t len)
#define INIT static int init(const struct mailmill_module_worker *worker, \\
    char *why, size_t len)
#define MODULE(...) MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, \\
    .name = "mine", __VA_ARGS__ }
'''
INIT = '''
INIT
{
	static struct validate_module m = { .size = sizeof(m), .name = "mine",
		.phase[VALIDATE_PHASE_MAILFROM] = mailfrom };
	return validate_module_register(&m);
}
MODULE(.init = init);
'''


def compiled(d, text='', name='mine', source=None, flags=(), libs=()):
    """A module; the folder is one that only its owner writes to."""
    at = f'{d}/modules'
    os.makedirs(at, exist_ok=True)
    os.chmod(at, 0o755)
    if source is None:
        source = f'{at}/{name}.c'
        with open(source, 'w', encoding='ascii') as f:
            f.write(HEAD + text)
    # another file, not another content of the one that is loaded
    p = subprocess.run(['cc', '-w', '-O1', '-fPIC', '-shared', *flags,
                        f'-I{BUILD}/include', '-o', f'{at}/{name}.new',
                        source, *libs], capture_output=True, text=True, check=False)
    assert p.returncode == 0, p.stderr
    os.chmod(f'{at}/{name}.new', 0o755)
    os.rename(f'{at}/{name}.new', f'{at}/{name}.so')
    return f'{at}/{name}.so'


def example(d, name):
    return compiled(d, name=name, source=f'{EXAMPLES}/{name}.c')


def section(path, text=''):
    return f'Module "{path}" {{\n{text}\n}}\n'


def check(s):
    """mailmilld -n: its status, and what it says."""
    # -f: accounts that are missing are those of a trial
    p = subprocess.run(s.command('-nf'), stdin=subprocess.DEVNULL, text=True,
                       capture_output=True, preexec_fn=s._before_exec,
                       timeout=60, check=False)
    return p.returncode, p.stdout + p.stderr


def workers(s):
    return sorted(s.pids('mailmilld: worker'))


# --- the examples ------------------------------------------------------------

def test_the_example_that_refuses_domains(d):
    so = example(d, 'domains')
    config = section(so, 'Domain = { "spam.example", "Junk.Example" }\n'
                     'Reply = "5.7.1 Not from there"')
    with Server(d, conf=config) as s:
        def answer(sender):
            with smtplib.SMTP('127.0.0.1', s.port, timeout=20) as c:
                c.ehlo()
                return c.mail(sender)
        assert answer('a@spam.example') == (550, b'5.7.1 Not from there')
        assert answer('a@x.JUNK.example') == (550, b'5.7.1 Not from there')
        for sender in 'a@notspam.example', 'a@example', '':
            assert answer(sender)[0] == 250, sender
        s.logged(' event=rejected ')
        # a reload starts workers with what is there now
        before = workers(s)
        s.write_conf(conf=section(so, 'Domain = other.example'))
        s.ctl('reload')
        wait_for('the new configuration', lambda: answer(
            'a@spam.example')[0] == 250)
        code, text = answer('a@other.example')
        assert code == 550 and text.startswith(b'5.7.1 '), text
        wait_for('new workers', lambda: not set(before) & set(workers(s)))
        # a bad one changes nothing
        s.write_conf(conf=section(so, 'Domian = x'))
        p = s.ctl('reload', check=False)
        assert p.returncode != 0 and "option 'Domian'" in p.stdout + p.stderr
        assert answer('a@other.example')[0] == 550


def test_the_example_that_asks_a_thread(d):
    blocked = f'{d}/blocked'
    with open(blocked, 'w', encoding='ascii') as f:
        f.write('192.0.2.1\n127.0.0.3\n')
    os.chmod(blocked, 0o644)
    config = section(example(d, 'blocklist'), f'File = "{blocked}"')
    with Server(d, conf=config, workers=1) as s:
        with Client(s.port) as c:
            c.hello()
            for i in range(3):          # it is asked once
                c.mail(text_message(i))
        with Client(s.port, source='127.0.0.3') as c:
            c.hello()
            c.envelope()
            c.cmd('DATA', '550 5.7.1')
        # clients that do not wait for the answer
        for _ in range(20):
            with Client(s.port) as c:
                c.hello()
                c.envelope()
                c.send(b'DATA\r\n')
                c.reset()
        s.wait_mail(3)
        for mail in s.delivered():
            assert re.search(rb'^Received: .*(?:\n[\t ].*)*\n'
                             rb'X-Blocklist: not listed\r?\n'
                             rb'From: a@client.test', mail, re.M), mail
        s.logged(' event=module module=blocklist text="a blocklist of 20 '
                 'octets"')


# --- what is refused ---------------------------------------------------------

OBJECT = '__attribute__((visibility("default"))) '
# what is said of it, and its text
BAD = {
    'mailmill_module has not the magic number': OBJECT +
        'struct mailmill_module mailmill_module = { .magic = 1, .abi = 1, '
        '.size = sizeof(struct mailmill_module), .name = "x" };',
    'is for version 0 of the interface, this server has 1':
        'MAILMILL_MODULE = { .magic = MAILMILL_MODULE_MAGIC, .abi = 0, '
        '.size = sizeof(struct mailmill_module), .name = "x" };',
    'is for version 2 of the interface, this server has 1':
        'MAILMILL_MODULE = { .magic = MAILMILL_MODULE_MAGIC, .abi = 2, '
        '.size = sizeof(struct mailmill_module), .name = "x" };',
    'needs more than this server knows': OBJECT +
        'struct { struct mailmill_module m; void *more; } mailmill_module = '
        '{ { MAILMILL_MODULE_HEAD, .name = "x" }, "new" };\n'
        '__attribute__((constructor)) static void grow(void) '
        '{ mailmill_module.m.size = sizeof(mailmill_module); }',
    'says that it has 8 octets': 'MAILMILL_MODULE = { .magic = '
        'MAILMILL_MODULE_MAGIC, .abi = 1, .size = 8, .name = "x" };',
    'says that it has 100000 octets': 'MAILMILL_MODULE = { .magic = '
        'MAILMILL_MODULE_MAGIC, .abi = 1, .size = 100000, .name = "x" };',
    'has not the magic number': OBJECT + 'int mailmill_module = '
        'MAILMILL_MODULE_MAGIC;',
    'it has no struct mailmill_module': 'int other;',
    'has no struct mailmill_module':
        OBJECT + 'void mailmill_module(void) { }',
    'mailmill_module.name is not 1 to 32 letters':
        'MAILMILL_MODULE = { MAILMILL_MODULE_HEAD };',
    '.name is not': 'MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, '
        '.name = "a b" };',
    'job_threads is 17': 'MODULE(.job_threads = 17);',
    'undefined symbol: no_such_function': 'int no_such_function(void); '
        'INIT { return no_such_function(); } MODULE(.init = init);',
    'module mine: init(): no luck': 'INIT { snprintf(why, len, "no luck"); '
        'return -1; } MODULE(.init = init);',
    'module mine: init(): it has failed':
        'INIT { return -1; } MODULE(.init = init);',
    'module mine: nothing is said': 'CONFIG { snprintf(why, len, '
        '"nothing is said"); return -1; } MODULE(.config = config);',
    'module mine: it is not accepted':
        'CONFIG { return -1; } MODULE(.config = config);',
    'it crashes when it is loaded (signal 11)':
        'static int *volatile nowhere; __attribute__((constructor)) static '
        'void f(void) { *nowhere = 1; } MODULE(.init = 0);',
    'it crashes when it is loaded (signal 6)':
        'CONFIG { abort(); } MODULE(.config = config);',
    'it crashes when it is loaded (signal 8)':
        'INIT { raise(SIGFPE); return 0; } MODULE(.init = init);',
    'it ends the process that loads it':
        'CONFIG { exit(0); } MODULE(.config = config);',
    'module mine has started a thread before init()':
        'static void *f(void *p) { pause(); return p; } CONFIG { pthread_t t; '
        'return pthread_create(&t, 0, f, 0); } MODULE(.config = config);',
}


def refused(s, what, status=78):
    """-n says so, with file and line, and a start does not happen."""
    got, said = check(s)
    assert got == status and what in said, (what, got, said)
    assert re.search(rf'^mailmilld: {re.escape(s.conf_file)}:\d+:\d+: option '
                     rf"'Module': ", said, re.M), said
    s.start(ready=False)
    assert s.wait_end() == 78, s.log()
    s.proc = None
    assert what in s.log_now(), s.log_now()
    os.truncate(s.stderr, 0)


def test_what_is_no_module_is_refused(d):
    s = Server(d)
    for i, (what, text) in enumerate(BAD.items()):
        if SANITIZE and 'crashes' in what:
            continue                    # the sanitizer has its own words
        s.write_conf(conf=section(compiled(d, '#include <signal.h>\n' + text,
                                           f'bad{i}')))
        refused(s, what)


def test_a_file_that_is_no_shared_object_is_refused(d):
    s = Server(d)
    at = f'{d}/modules'
    os.makedirs(at)
    for text, what in (b'', 'file too short'), (b'x' * 4096, 'ELF header'):
        with open(f'{at}/x.so', 'wb') as f:
            f.write(text)
        os.chmod(f'{at}/x.so', 0o755)
        s.write_conf(conf=section(f'{at}/x.so'))
        refused(s, what)
    s.write_conf(conf=section(f'{at}/none.so'))
    refused(s, f'{at}/none.so: No such file or directory')
    s.write_conf(conf=section(at))
    refused(s, f'{at}: not a regular file')


def test_a_module_is_linked_without_the_library(d):
    so = compiled(d, 'MODULE(.init = 0);', flags=[
        '-Wl,--no-as-needed', f'-L{BUILD}', f'-Wl,-rpath,{BUILD}',
        '-l:libmailmill.so.0'])
    refused(Server(d, conf=section(so)), 'link it without -lmailmill')


def test_what_others_may_change_is_refused(d):
    so = compiled(d, 'MODULE(.init = 0);')
    s = Server(d, conf=section(so))
    for path, mode, what in ((so, 0o757, 'others may write to it (mode 0757)'),
                             (so, 0o775, 'others may write to it (mode 0775)'),
                             (f'{d}/modules', 0o777, 'mode 0777')):
        old = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        refused(s, what)
        os.chmod(path, old)
    if ROOT and not s.user:
        os.chmod(so, 0o700)
        refused(s, 'not readable by all (mode 0700)')
        os.chmod(so, 0o755)
        for path in so, f'{d}/modules':
            os.chown(path, 65534, 0)
            refused(s, 'belongs to uid 65534, not to root')
            os.chown(path, 0, 0)
    # the file counts, not the way to it
    os.chmod(so, 0o757)
    os.symlink(so, f'{d}/link.so')
    s.write_conf(conf=section(f'{d}/link.so'))
    refused(s, f'{so}: others may write to it')
    os.chmod(so, 0o755)
    status, said = check(s)
    assert status == 0, said


def test_what_a_module_brings_with_it_is_checked_too(d):
    """An object that others may replace would run in the server as well."""
    os.makedirs(f'{d}/theirs')
    dep = compiled(d, 'int dep(void) { return 0; }', name='dep')
    os.rename(dep, f'{d}/theirs/libdep.so')
    so = compiled(d, """
extern int dep(void);
static int init(const struct mailmill_module_worker *w, char *why, size_t len)
{
	return dep();
}
MODULE(.init = init);
""", flags=[f'-L{d}/theirs', f'-Wl,-rpath,{d}/theirs'], libs=['-ldep'])
    s = Server(d, conf=section(so))
    os.chmod(f'{d}/theirs', 0o777)
    refused(s, f'it needs another object: {d}/theirs: others may write to it')
    os.chmod(f'{d}/theirs', 0o755)
    status, said = check(s)
    assert status == 0, said


def test_no_code_of_a_module_runs_in_a_process_that_can_be_root(d):
    """Constructors of what it brings with it run before that is refused: in a
    worker, too, which starts later and may find something else."""
    if not ROOT:
        raise Skip('needs root')
    ran = f'{d}/ran'
    with open(ran, 'w', encoding='ascii'):
        pass
    os.chmod(ran, 0o666)
    os.makedirs(f'{d}/theirs')
    dep = compiled(d, f"""
#include <fcntl.h>
__attribute__((constructor)) static void begin(void)
{{
	uid_t r, e, s;
	int fd = open("{ran}", O_WRONLY | O_APPEND);
	getresuid(&r, &e, &s);
	dprintf(fd, "%u %u %u %d %d\\n", r, e, s, setuid(0), seteuid(0));
	close(fd);
}}
int dep(void) {{ return 0; }}
""", name='dep', flags=['-D_GNU_SOURCE'])
    os.rename(dep, f'{d}/theirs/libdep.so')
    so = compiled(d, 'extern int dep(void); CONFIG { return dep(); } '
                  'MODULE(.config = config);',
                  flags=[f'-L{d}/theirs', f'-Wl,-rpath,{d}/theirs'],
                  libs=['-ldep'])

    def ids():
        with open(ran, encoding='ascii') as f:
            return [line.split() for line in f]

    with Server(d, conf=section(so)) as s:
        assert len(ids()) == 3, ids()       # the check, and two workers
        os.chmod(f'{d}/theirs', 0o777)
        os.kill(workers(s)[0], signal.SIGKILL)
        wait_for('the refusal', lambda: re.search(
            r'mailmilld/worker-\d.* event=module-failed .*it needs another '
            rf'object: {d}/theirs: others may write to it', s.log_now()))
        assert len(ids()) > 3, ids()        # it has run, and found no root
        os.chmod(f'{d}/theirs', 0o755)
        wait_for('the worker', lambda: len(workers(s)) == 2 and {
            p['state'] for p in s.ctl_json('status')['processes']} ==
            {'running'}, 30)
    for *uids, one, two in ids():
        assert '0' not in uids and (one, two) == ('-1', '-1'), ids()


def test_a_file_that_workers_cannot_read_is_refused_by_the_check(d):
    """They are not in the group of their account."""
    if not ROOT or NOT_AS_ROOT:
        raise Skip('needs a server that root has started')
    with Server(d) as s:
        found = re.search(r' event=account-missing role=worker \S+ uid=(\d+)',
                          s.log())
    gid = int(found[1]) if found else pwd.getpwnam('_mailmill').pw_gid
    secret = f'{d}/secret'
    with open(secret, 'w', encoding='ascii'):
        pass
    os.chown(secret, 0, gid)
    os.chmod(secret, 0o640)
    s.write_conf(conf=section(compiled(d, f"""
#include <fcntl.h>
CONFIG
{{
	if (name == NULL && open("{secret}", O_RDONLY) == -1) {{
		snprintf(why, len, "secret: %m");
		return -1;
	}}
	return 0;
}}
MODULE(.config = config);
""")))
    refused(s, 'module mine: secret: Permission denied')


def test_settings_of_a_module_have_their_place_in_messages(d):
    so = example(d, 'domains')
    s = Server(d, conf=section(so, 'Domain = x.example\nDomian = y.example'))
    with open(s.conf_file, encoding='ascii') as f:
        line = f.read().split('\n').index('Domian = y.example') + 1
    refused(s, f"{s.conf_file}:{line}:10: option 'Module': module domains, "
            "option 'Domian': there is no such option; there are Domain and "
            'Reply')
    s.write_conf(conf=section(so))
    refused(s, 'module domains: no Domain is given')
    s.write_conf(conf=section(compiled(d, 'MODULE(.init = 0);'), 'X = 1'))
    refused(s, "module mine takes no options, found 'X'")
    os.symlink(so, f'{d}/again.so')
    s.write_conf(conf=section(so, 'Domain = x') +
                 section(f'{d}/again.so', 'Domain = x'))
    refused(s, 'module domains is loaded already, in line ')


@lasts(15)
def test_a_module_that_takes_too_long_to_load_is_refused(d):
    so = compiled(d, 'CONFIG { for (;;) pause(); } MODULE(.config = config);')
    status, said = check(Server(d, conf=section(so)))
    assert status == 78, said
    assert f'{so}: it takes longer than 15 seconds to load' in said, said


def test_a_struct_with_later_members_that_are_zero_is_a_module(d):
    so = compiled(d, 'struct { struct mailmill_module m; void *more; } '
                  'mailmill_module = { { MAILMILL_MODULE_HEAD, .name = "x" } };'
                  '\n__attribute__((constructor)) static void grow(void) '
                  '{ mailmill_module.m.size = sizeof(mailmill_module); }')
    status, said = check(Server(d, conf=section(so)))
    assert status == 0, said


# --- where it runs -----------------------------------------------------------

def test_workers_alone_have_the_code_and_run_it_as_themselves(d):
    so = compiled(d, '''
static unsigned int euid, egid;
CONFIG { euid = geteuid(); egid = getegid(); return 0; }
static void fini(void) { }
INIT
{
	worker->log(worker, "config as %u:%u, init as %u:%u, worker %u of %u%s",
	    euid, egid, geteuid(), getegid(), worker->number,
	    worker->nworkers, worker->is_check ? " check" : "");
	return 0;
}
MODULE(.config = config, .init = init, .fini = fini);
''')
    with Server(d, conf=section(so)) as s:
        said = sorted(m.groups() for m in s.logged(
            r'mailmilld/worker-(\d).* event=module module=mine text="config as '
            r'(\d+):(\d+), init as (\d+):(\d+), worker (\d) of 2"', 2))
        assert [w[0] for w in said] == ['1', '2'], s.log()
        for n, uid, gid, uid2, gid2, number in said:
            assert (uid, gid, n) == (uid2, gid2, number), said
            assert not ROOT or '0' not in (uid, gid), said
        assert not ROOT or s.user or said[0][1] != said[1][1], said
        for pid in s.pids('mailmilld'):
            try:
                with open(f'/proc/{pid}/maps', encoding='ascii') as f:
                    maps = f.read()
            except PermissionError as e:
                raise Skip('may not look into the processes') from e
            assert (so in maps) == (pid in workers(s)), pid
        # and none else is there because of it
        s.write_conf(conf='')
        s.ctl('reload')
        wait_for('workers without it', lambda: all(
            so not in open(f'/proc/{p}/maps', encoding='ascii').read()
            for p in workers(s)))


def test_a_server_without_root_loads_what_is_its_own(d):
    """Or root's; but nothing of a third account."""
    so = compiled(d, 'INIT { worker->log(worker, "uid %u", getuid()); '
                  'return 0; } MODULE(.init = init);')
    user = NOBODY if ROOT else None
    with Server(d, conf=section(so), user=user) as s:
        uid = user or os.getuid()
        s.logged(f' module=mine text="uid {uid}"')
        if ROOT:
            os.chown(so, user, -1)
            s.ctl('reload')
            os.chown(so, 1, -1)
            p = s.ctl('reload', check=False)
            assert p.returncode != 0 and 'belongs to uid 1, not to root or ' \
                'the account of the server' in p.stdout + p.stderr, p


CRASHES = {
    'the null pointer': ('*(volatile int *)0 = 1;', signal.SIGSEGV),
    'in libc': ('memset((void *)8, 0, 64);', signal.SIGSEGV),
    'no stack left': ('volatile char c[1 << 14]; c[0] = 1; '
                      'mailfrom(str, addr, ac, vctx, closure); c[1] = c[0];',
                      signal.SIGSEGV),
    'abort': ('abort();', signal.SIGABRT),
    'free twice': ('void *p = malloc(9); free(p); free(p);', signal.SIGABRT),
    'division': ('volatile int zero = 0, seven = 7; return seven / zero;',
                 signal.SIGFPE),
}


def crashing(d, statement):
    return compiled(d, 'PHASE(mailfrom)\n{\nif (addr->local_len == 5 && '
                    'memcmp(addr->local, "crash", 5) == 0) { ' + statement +
                    ' }\nreturn VALIDATE_CONT; }\n' + INIT,
                    flags=['-fno-builtin', '-fno-optimize-sibling-calls'])


def crash(s, so, number):
    """A client crashes its worker, and no other; another one comes."""
    wait_for('the end of older workers', lambda: len(workers(s)) == 2)
    before = workers(s)
    with Client(s.port) as other, Client(s.port) as c:
        other.hello()
        c.hello()
        c.send(b'MAIL FROM:<crash@client.test>\r\n')
        try:
            c.ended()
        except ConnectionResetError:
            pass
        other.mail(text_message())
    wait_for('a line about the module', lambda: re.search(
        rf' event=module-crashed role=worker slot=\d pid=\d+ module={so} '
        rf'signal={int(number)}\b', s.log_now()))
    wait_for('another worker', lambda: len(workers(s)) == 2 and
             workers(s) != before and {p['state'] for p in s.ctl_json(
                 'status')['processes']} == {'running'}, 30)
    return set(before) - set(workers(s))


def test_a_crash_is_of_one_worker_and_is_named(d):
    if SANITIZE:
        raise Skip('the sanitizers end the process in their own way')
    with Server(d) as s:
        for what, (statement, number) in CRASHES.items():
            so = crashing(d, statement)
            s.write_conf(conf=section(so))
            s.ctl('reload')
            os.truncate(s.stderr, 0)
            gone = crash(s, so, number)
            assert len(gone) == 1, (what, gone)
        with Client(s.port) as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(len(CRASHES) + 1)


def test_a_system_call_that_workers_do_not_make_is_a_crash(d):
    if SANITIZE:
        raise Skip('sanitizers need more than a role may do')
    so = crashing(d, 'socket(AF_INET, SOCK_STREAM, 0);')
    with Server(d, conf=section(so)) as s:
        s.guilty |= crash(s, so, signal.SIGSYS)
        s.logged(r' event=sandbox .* call=socket ')


def crashing_in_a_job(d, statement):
    return compiled(d, """
#include <mailmill/ec_malloc.h>
static void work(ec_async_job *job, void *closure)
{
	""" + statement + """
}
PHASE(mailfrom)
{
	ec_async_job *job;
	if (addr->local_len != 5 || memcmp(addr->local, "crash", 5) != 0 ||
	    (job = ec_malloc_size(MEMTYPE_EC_ASYNC_JOB, sizeof(*job))) == NULL)
		return VALIDATE_CONT;
	*job = (ec_async_job){ .job_class = ECTP_CLASS_CPU, .worker = work,
	    .free_on_completion_memtype = MEMTYPE_EC_ASYNC_JOB };
	ec_async_wake_validation_module(job, vctx);
	return ec_queue_async_job(job) ? VALIDATE_AGAIN : VALIDATE_CONT;
}
""" + INIT.replace('.init = init', '.init = init, .job_threads = 1'),
                    flags=['-fno-builtin'])


def test_a_crash_in_a_job_is_named_too(d):
    """Its thread blocks the signals of the program, but not those of a fault."""
    if SANITIZE:
        raise Skip('the sanitizers end the process in their own way')
    with Server(d) as s:
        for statement, number in (
                ('*(volatile int *)0 = 1;', signal.SIGSEGV),
                ('memset((void *)8, 0, 64);', signal.SIGSEGV),
                ('abort();', signal.SIGABRT),
                ('volatile int zero = 0, seven = 7; seven = seven / zero;',
                 signal.SIGFPE),
                ('socket(AF_INET, SOCK_STREAM, 0);', signal.SIGSYS)):
            so = crashing_in_a_job(d, statement)
            s.write_conf(conf=section(so))
            s.ctl('reload')
            os.truncate(s.stderr, 0)
            gone = crash(s, so, number)
            assert len(gone) == 1, (statement, gone)
            if number == signal.SIGSYS:
                s.guilty |= gone
                s.logged(r' event=sandbox .* call=socket ')


def test_a_crash_of_our_own_is_nobody_elses(d):
    if SANITIZE:
        raise Skip('the sanitizers end the process in their own way')
    so = crashing(d, '')
    with Server(d, conf=section(so)) as s:
        os.kill(workers(s)[0], signal.SIGSEGV)
        s.logged(' signal=11 ')
        assert 'module-crashed' not in s.log(), s.log()


def test_a_module_that_never_answers_holds_up_nobody_else(d):
    so = compiled(d, 'PHASE(mailfrom) { return addr->local_len == 5 && '
                  'memcmp(addr->local, "never", 5) == 0 ? VALIDATE_AGAIN : '
                  'VALIDATE_CONT; }' + INIT)
    with Server(d, conf='drain_time = 2s\n' + section(so), workers=1) as s, \
            Client(s.port) as c:
        c.hello()
        c.send(b'MAIL FROM:<never@client.test>\r\n')
        with Client(s.port) as other:
            other.hello()
            other.mail(text_message())
        s.wait_mail(1)
        # it says nothing, and the stop does not wait for it
        c.s.settimeout(0.2)
        try:
            assert not c.s.recv(1)
            raise AssertionError('the session has ended')
        except TimeoutError:
            pass


def test_what_a_module_says_is_one_reply(d):
    """Of a code and a text that are none, too."""
    so = compiled(d, '''
PHASE(mailfrom)
{
	static const struct { int code; const char *text; } says[] = {
		{ 550, "5.7.1 no\\r\\n250 2.1.0 yes" }, { 550, "4.7.1 no" },
		{ 354, "go" }, { 99, "x" }, { 450, 0 }, { 450, "" } };
	unsigned int i = addr->local[0] - '0';
	if (i >= sizeof(says) / sizeof(says[0]))
		return VALIDATE_CONT;
	validate_context_set_code(vctx, says[i].code, says[i].text);
	return VALIDATE_DONE;
}''' + INIT)
    with Server(d, conf=section(so)) as s, Client(s.port) as c:
        c.hello()
        for i, said in enumerate((
                '550 5.7.1 no??250 2.1.0 yes', '550 5.7.1 4.7.1 no',
                '451 4.3.0 ', '451 4.3.0 ', '450 4.7.1 ', '450 4.7.1 ')):
            c.cmd(f'MAIL FROM:<{i}@client.test>', said)
            c.cmd('NOOP', '250 2.0.0')


def test_modules_are_asked_in_their_order_and_leave_each_other_words(d):
    text = '''
PHASE(mailfrom)
{
	char text[64];
	snprintf(text, sizeof(text), "%s" NAME, validate_context_get(vctx,
	    VCTX_CONN, "who"));
	validate_context_set(vctx, VCTX_CONN, "who", text);
	if (addr->local[0] != 'w')
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 550, validate_context_get(vctx,
	    VCTX_CONN, "who"));
	return NAME[0] == 'c' ? VALIDATE_DONE : VALIDATE_CONT;
}
INIT
{
	static struct validate_module m = { .size = sizeof(m), .name = NAME,
		.phase[VALIDATE_PHASE_MAILFROM] = mailfrom };
	return validate_module_register(&m);
}
MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, .name = NAME, .init = init };
'''
    paths = [compiled(d, f'#define NAME "{n}"\n' + text, n) for n in 'bac']
    with Server(d, conf=''.join(map(section, paths))) as s, \
            Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<w@client.test>', '550 5.7.1 bac')
