"""Somebody runs code in one of the processes: what he cannot do.  Workers:
test_hostile_worker.py, but for their messages."""
import errno
import os
import pwd
import re
import ssl

from harness import NOT_AS_ROOT, ROOT, TOP, Client, Skip, lasts, wait_for
from hostile import (ATTEMPTS, Hostile, Traffic, attempted, killed,
                     need_sandbox)
from nexthop import HANG, NextHop

NFUZZ = 4000
BUT_THE_MASTER = 1 << 32

with open(f'{TOP}/cmd/mailmilld/role/msg.def') as f:
    MESSAGES = re.findall(r'^MSG\((\w+),', f.read(), re.M)
with open(f'{TOP}/cmd/mailmilld/role/role.def') as f:
    # the first is the master
    ROLES = re.findall(r'^ROLE\(\w+,\s*(\w+)\)', f.read(), re.M)[1:]
# those without a number in their title, and those that open files by their names
SINGLE = 'queue', 'authd', 'logger', 'spoold', 'sts'
OPENS_FILES = 'queue', 'deliver', 'authd', 'spoold'


# ------------------------------------------------------------------ any message
def fuzz(d, title, is_mail_safe=True, offences=(), **kw):
    """Each of the offences, which are types of messages, reaches the master, and
    is known as such."""
    sent, unfinished = 0, []
    with Hostile(d, **kw) as s:
        with Traffic(s) as t:
            t.wait(20)
            for left_out in BUT_THE_MASTER, BUT_THE_MASTER, 0, 0:
                if s.play(title, 'fuzz', left_out | NFUZZ):
                    sent += s.said('sent')
                    unfinished.append(s.said('unfinished'))
                t.wait(5)
            # what is no message
            s.play(title, 'fuzz', len(MESSAGES) << 48 | NFUZZ)
            for name in offences:
                s.play(title, 'fuzz', MESSAGES.index(name) << 48 | NFUZZ)
                wait_for(f'{name} to be an offence', lambda: re.search(
                    rf'event=hostile role={title.split()[0]} .* message={name} ',
                    s.log_now()), 30)
            s.play(title, 'empty')
            t.wait(20)
        s.logged(f' event=channel-protocol peer={title.split()[0]} ')
        # once each peer has had each word of each message, changed, or has
        # closed the channel; a worker reads what spoold says only when it has
        # asked, so that later more is there than the channel takes
        assert 0 in unfinished, unfinished
        # the logger has no peer but the master
        assert sent > 0 or title == 'logger'
        s.all_run()
        s.serves()
        s.all_run()
        assert s.stats()['hostile_kills'] > 0
        if is_mail_safe:
            t.has_arrived(but=1 if 'worker' in title else None)


def test_the_messages_of_each_role_are_forged(d):
    for role in ROLES:
        assert any(f'test_messages_of_{article}{role}' in globals()
                   for article in ('', 'a_', 'the_')), role


@lasts(30)
def test_messages_of_a_worker(d):
    fuzz(d, 'worker 1', offences=('M_CLOSED', 'M_PROXIED', 'M_MOVE'))


@lasts(15)
def test_messages_of_a_deliver(d):
    fuzz(d, 'deliver 1', conf='deliverers = 2\n')


@lasts(30)
def test_messages_of_a_relay(d):
    fuzz(d, 'relay 1', conf='relayers = 2\nTLS_Reports = true\n')


@lasts(15)
def test_messages_of_a_pipe(d):
    fuzz(d, 'pipe 1')


@lasts(15)
def test_messages_of_the_queue(d):
    # it may lose mail, and nothing else
    fuzz(d, 'queue', conf='TLS_Reports = true\n', is_mail_safe=False)


@lasts(20)
def test_messages_of_spoold(d):
    # likewise, in the workers' files
    fuzz(d, 'spoold', is_mail_safe=False)


@lasts(15)
def test_messages_of_keyd(d):
    fuzz(d, 'keyd 1', offences=('M_KEYS_READY',))


@lasts(10)
def test_messages_of_authd(d):
    fuzz(d, 'authd')


@lasts(10)
def test_messages_of_the_resolver(d):
    fuzz(d, 'resolver 1')


@lasts(15)
def test_messages_of_sts(d):
    fuzz(d, 'sts')


def test_messages_of_the_logger(d):
    fuzz(d, 'logger')


# ------------------------------------------------------------------ others
def test_a_deliver_that_reports_jobs_of_another_as_done(d):
    with Hostile(d, conf='deliverers = 2\n') as s:
        with Traffic(s) as t:
            for _ in range(5):
                t.wait(20)
                s.play('deliver 1', 'done', 4000)
        t.has_arrived()


def test_a_relay_that_reports_jobs_of_others_as_done(d):
    with Hostile(d, conf='relayers = 2\n') as s:
        with Traffic(s) as t:
            for _ in range(5):
                t.wait(20)
                s.play('relay 1', 'done', 4000)
        t.has_arrived()


def test_an_authd_that_answers_what_was_not_asked(d):
    with Hostile(d, listener='Auth_Without_TLS = true\n') as s:
        held = [Client(s.port) for _ in range(6)]
        for c in held[:3]:
            c.hello()
            c.cmd('AUTH LOGIN', '334')
        with Traffic(s) as t:
            t.wait(5)
            s.play('authd', 'replies', 2000)
            t.wait(10)
        for c in held[:3]:
            # no answer is one; what was asked is answered
            c.send(b'dXNlcg==\r\n')
            assert c.reply()[:3] in ('235', '334', '454', '501', '535')
            c.close()
        for c in held[3:]:
            c.hello()
            c.mail(b'Subject: x\r\n\r\n', 'traffic2@example.test')
            c.close()
        t.has_arrived()
        for m in s.delivered('traffic2') + s.delivered('traffic'):
            assert b'\nEvil' not in m, m
        for line in s.log().splitlines():
            assert re.match(r'\d{4}-\d\d-\d\dT[\d:.]+Z mailmilld\b', line), line


def test_a_keyd_that_signs_wrongly(d):
    with Hostile(d) as s:
        assert starttls(s)
        with Traffic(s) as t:
            t.wait(5)
            s.play('keyd 1', 'forger', 500)
            for _ in range(3):
                assert not starttls(s)
            t.wait(10)
        t.has_arrived()
        s.logged(' event=tls-failed ')
        s.ctl('reload')
        wait_for('new processes', lambda: starttls(s))
        s.serves()


def test_a_keyd_that_announces_keys(d):
    with Hostile(d) as s:
        # those of before, that it has, a second time, and that it never got
        for kills, version in enumerate((0, 1, 2, 99, 2 ** 32 - 1), 1):
            s.play('keyd 1', 'keys', version)
            wait_for('its death', lambda: s.stats()['hostile_kills'] == kills)
            s.pid('keyd 1')
            wait_for('its successor', lambda: starttls(s))


def starttls(s):
    """Does a client get a session in TLS?"""
    context = ssl.create_default_context(cafile=f'{s.dir}/ec.crt')
    context.check_hostname = False
    with Client(s.port) as c:
        c.hello()
        c.cmd('STARTTLS', '220')
        try:
            c.s = context.wrap_socket(c.s)
        except (ssl.SSLError, OSError):
            return False
        c.hello()
        return True


def peeks(s, title, domain):
    """All of the mail is in one segment."""
    def send(first):
        with Client(s.port) as c:
            c.hello()
            for i in range(first, first + 5):
                c.mail(b'Subject: for others\r\n\r\n%d\r\n' % i)
                c.mail(b'Subject: for the agent\r\n\r\n%d\r\n' % i,
                       f'a@{domain}')

    def mine():
        assert s.play(title, 'peek')
        return s.said('own')
    send(0)
    assert wait_for('it to have mail', mine) <= 5
    s.wait_mail(5)
    send(5)
    s.wait_mail(10)
    wait_for('it to have more', lambda: mine() > 5)
    assert s.said('others') == 0


def test_a_relay_that_reads_what_it_was_not_given(d):
    hop = NextHop(replies={'RCPT': HANG})
    with hop, Hostile(d, workers=1, extra='Domain "next.test" { Delivery = smtp '
                      'Initial_Concurrency = 20 '
                      f'Route = "{hop.route}" }}\n') as s:
        peeks(s, 'relay 1', 'next.test')


@lasts(20)
def test_a_pipe_that_reads_what_it_was_not_given(d):
    # the agent has the mail while the program runs
    with Hostile(d, workers=1, extra='Domain "slow.test" { Delivery = pipe '
                 'Command = { "/bin/sleep", "600" } Pipe_User = "games" '
                 'Pipe_Processes = 100 }\n') as s:
        peeks(s, 'pipe 1', 'slow.test')


def test_a_pipe_that_asks_for_other_programs(d):
    """It can run the programs of its account, and not with an option; it gets none
    of another account, and nothing else."""
    run = f'{d}/run'
    with open(run, 'w') as f:
        f.write(f'#!/bin/sh\necho "$(id -un)" "$@" >>{d}/out/ran\n')
    os.chmod(run, 0o755)
    os.mkdir(f'{d}/out')
    os.chmod(f'{d}/out', 0o1777)
    os.chmod(d, 0o755)
    domains = {'own.test': 'games', 'own2.test': 'games', 'theirs.test': 'news'}
    with Hostile(d, extra=''.join(
            f'Domain "{name}" {{ Delivery = pipe Command = {{ "{run}", "{name}", '
            f"'${{extension}}', '${{local}}' }} Pipe_User = {user} }}\n"
            for name, user in domains.items())) as s:

        def ran():
            try:
                with open(f'{d}/out/ran') as f:
                    return f.read().split('\n')[:-1]
            except FileNotFoundError:
                return []

        def play(index, which):
            assert s.play('pipe 1', 'program', which << 32 | index)
            said = s.log_now().rsplit('asked', 1)[1]
            if which == 1 and index in (1, 2):
                wait_for('its own program', lambda: len(ran()) == index)
            s.all_run()
            return 'errnum' in said and s.said('errnum')
        # example.test, own.test, own2.test, piped.test, relayed.test,
        # theirs.test: what is asked of none of its own ends the starter
        for index, which, want in (
                (1, 0, errno.EINVAL), (1, 1, 0), (2, 0, errno.EINVAL),
                (2, 1, 0), (5, 1, False), (0xffffffff, 1, False),
                (1, 2, False)):
            got = play(index, which)
            assert got is want or got == want is not False, (index, which, got)
        user = 'nobody' if NOT_AS_ROOT else 'games' if ROOT else pwd.getpwuid(os.getuid()).pw_name
        assert sorted(ran()) == [f'{user} own.test  a', f'{user} own2.test  a'], \
            ran()
        s.serves()


def has_landlock(s, measure):
    """The logger has it, if the kernel does."""
    return any(p['measures'][measure] for p in s.ctl_json('status')['processes']
               if p['role'] == 'logger')


def test_a_process_that_looks_around(d):
    """It opens nothing of another process, of the system or of the folder that it
    is in, but for spoold, whose root and folder is the one of its files; most roles
    do not even try twice."""
    need_sandbox()
    with Hostile(d) as s:
        if not has_landlock(s, 'files'):
            raise Skip('the kernel has no Landlock')
        other = s.pid('worker 2')
        for role in ROLES:
            title = role if role in SINGLE else f'{role} 1'
            if role in OPENS_FILES:
                at = len(s.log_now())
                assert s.play(title, 'look', other), role
                assert s.said('opened', at) == 2 * (role == 'spoold'), role
            else:
                killed(s, title, 'look', other, 'openat', 'open')
        assert s.stats()['sandbox_kills'] == len(ROLES) - len(OPENS_FILES)
        assert s.pid('worker 2') == other
        s.all_run()
        s.serves()


def connects(s, title, ports):
    """To none but the first of the ports, whatever listens there."""
    if not has_landlock(s, 'net'):
        raise Skip('the kernel has no Landlock for TCP')
    for port in ports:
        assert s.play(title, 'connect', port)
        assert s.said('connect') == (
            0 if port == ports[0] else errno.EACCES), port


def test_a_relay_that_connects_to_a_port_of_no_route(d):
    need_sandbox()
    with NextHop() as hop, NextHop() as other, Hostile(
            d, extra=f'Domain "next.test" {{ Delivery = smtp '
            f'Route = {{ "127.0.0.1:1", "{hop.route}" }} }}\n') as s:
        connects(s, 'relay 1', (hop.address[1], other.address[1], s.port))
        assert hop.nsessions == 1 and other.nsessions == 0


def test_a_resolver_that_connects_to_a_port_of_no_name_server(d):
    """Over TCP; a name server may be anywhere, so over UDP it may."""
    need_sandbox()
    with NextHop() as server, NextHop() as other, Hostile(
            d, conf=f'Resolver = {{ "{server.route}" }}\n') as s:
        connects(s, 'resolver 1', (server.address[1], other.address[1], s.port))
        assert server.nsessions == 1 and other.nsessions == 0


@lasts(30)
def test_calls_with_arguments_that_no_role_uses(d):
    """One of each kind of call, each in another role; the unit test sandbox_args
    has all of them in each."""
    need_sandbox()
    with Hostile(d) as s:
        with Traffic(s) as t:
            t.wait(5)
            # what a worker may do with the room of its files
            assert s.play('worker 1', 'attempt', [
                name for name, _ in ATTEMPTS].index('give_room'))
            for title, name in (
                    ('worker 1', 'take_hidden'), ('spoold', 'take_hidden'),
                    ('queue', 'get_signals'), ('deliver 1', 'link_unnamed'),
                    ('keyd 1', 'merge_memory'), ('authd', 'lock_priority'),
                    ('logger', 'filter'), ('worker 2', 'take_room'),
                    ('relay 1', 'make_mptcp'), ('resolver 1', 'make_ping'),
                    ('pipe 1', 'make_unix'), ('sts', 'make_udp')):
                attempted(s, title, name)
            t.wait(20)
        s.all_run()
        t.has_arrived()
        assert s.stats()['sandbox_kills'] == 12
