"""Clients that speak for others: XCLIENT, XREMOTEIP, XFORWARD."""
import re

from harness import (ROOT, Client, Server, Skip, free_port, text_message,
                     wait_for)
from test_auth import PLAIN, server as auth_server
from test_auth_clients import Postfix
from test_auth_mechs import b64, run
from test_shares import sessions_end

FILTER = '127.0.0.9'
TRUSTED = f'''    Peer "{FILTER}" {{
        Allow_XCLIENT = true
        Allow_XFORWARD = true
    }}
'''


def events(s, name):
    """The keys of each line of that event."""
    return [dict(re.findall(r'(\S+?)=("[^"]*"|\S*)', line))
            for line in s.log().split('\n') if f'event={name} ' in line]


def speak(s, command, want, source=FILTER):
    c = Client(s.port, source=source)
    c.hello()
    c.cmd(command, want)
    return c


def test_who_is_not_in_a_peer_section_speaks_for_itself_alone(d):
    with Server(d, listener=TRUSTED) as s:
        with Client(s.port) as c:
            assert not re.search(r'^250[- ]X', c.hello(), re.M)
            c.cmd('XCLIENT ADDR=192.0.2.7', '550 5.7.0')
            c.cmd('XREMOTEIP 192.0.2.7', '550 5.7.0')
            c.cmd('XFORWARD ADDR=192.0.2.7', '550 5.7.0')
            c.mail(text_message())
        with Client(s.port, source=FILTER) as c:
            assert 'XCLIENT NAME ADDR' in c.hello()
        s.wait_mail(1)
        assert events(s, 'accepted')[0]['client'] == '127.0.0.1'
        assert not events(s, 'client')
        assert not events(s, 'forwarded')


def test_the_sections_limits_and_log_are_those_of_the_client(d):
    with Server(d, listener=TRUSTED + '''
    Peer "192.0.2.0/24" { Max_Message_Size = 20000 }
''') as s:
        with speak(s, 'XCLIENT NAME=mail.client.test ADDR=192.0.2.7 PORT=4711 '
                   'LOGIN=al+20ice', '220') as c:
            hello = c.hello()
            assert 'SIZE 20000' in hello and 'XCLIENT' not in hello, hello
            # which may not name another one
            c.cmd('XCLIENT ADDR=127.0.0.1', '550 5.7.0')
            c.mail(text_message())
        [mail] = s.wait_mail(1)
        assert b'(mail.client.test [192.0.2.7])' in mail, mail
        [a] = events(s, 'accepted')
        assert a['client'] == '192.0.2.7' and a['port'] == '4711', a
        assert a['via'] == FILTER and a['user'] == '"al ice"', a
        [a] = events(s, 'client')
        assert a['client'] == '192.0.2.7' and a['via'] == FILTER, a
        assert a['name'] == 'mail.client.test' and a['verb'] == 'XCLIENT', a


def test_sessions_are_counted_for_the_client(d):
    with Server(d, workers=3, client_sessions=2, listener=TRUSTED) as s:
        sessions_end(s)
        held = []
        for _ in range(2):
            held.append(speak(s, 'XCLIENT ADDR=192.0.2.7', '220'))
        with speak(s, 'XCLIENT ADDR=192.0.2.7', '421 4.7.0') as c:
            c.ended()
        with speak(s, 'XREMOTEIP 192.0.2.7', '421 4.7.0') as c:
            c.ended()
        held.append(speak(s, 'XCLIENT ADDR=192.0.2.8', '220'))
        held.append(speak(s, 'XREMOTEIP 2001:db8::7', '250'))
        # those of the filter are free again, and no direct client has lost one
        sessions_are(s, 4)
        held += [Client(s.port, source=FILTER) for _ in range(2)]
        with Client(s.port, banner=False, source=FILTER) as c:
            c.expect('421 4.7.0')
        assert [e['client'] for e in events(s, 'refused')][:2] == [
            '192.0.2.7', FILTER], events(s, 'refused')
        held.pop(0).close()
        sessions_are(s, 5)
        held[-1].cmd('XCLIENT ADDR=192.0.2.7', '220')
        for c in held:
            c.close()
        sessions_end(s)
        assert s.stats().get('hostile_kills', 0) == 0, s.log()


def sessions_are(s, n):
    wait_for(f'{n} sessions',
             lambda: s.ctl_json('status')['sessions'] == n)


def test_a_session_is_not_hidden_by_an_unknown_address(d):
    """It stays counted for the client that has connected."""
    with Server(d, client_sessions=2, listener=TRUSTED) as s:
        sessions_end(s)
        held = [speak(s, 'XCLIENT ADDR=[UNAVAILABLE]', '220')
                for _ in range(2)]
        sessions_are(s, 2)
        with Client(s.port, banner=False, source=FILTER) as c:
            c.expect('421 4.7.0')
        # which has no rights, though its address is not another's either
        held[0].hello()
        held[0].cmd('XCLIENT ADDR=192.0.2.7', '550 5.7.0')
        held[0].mail(text_message())
        s.wait_mail(1)
        [a] = events(s, 'accepted')
        assert a['client'] == 'unknown' and a['via'] == FILTER, a
        for c in held:
            c.close()
        sessions_end(s)


def test_failed_logins_are_those_of_the_client(d):
    """Whoever speaks for it: not of the filter, nor of its other clients."""
    with auth_server(d, conf='auth_client_failures = 3',
                     listener=TRUSTED) as s:
        def login(who, line, want):
            with speak(s, f'XCLIENT ADDR={who}', '220') as c:
                c.hello()
                c.cmd(line, want)

        for who in '192.0.2.7', '[UNAVAILABLE]':
            for n in range(3):
                login(who, plain(f'guess{n}', 'x'), '535')
            login(who, plain('guess', 'x'), '454')
        for who in '192.0.2.8', 'IPV6:::1':
            login(who, plain('guess', 'x'), '535')
        with Client(s.port, source=FILTER) as c:
            c.hello()
            c.cmd(PLAIN, '235')
        failed = events(s, 'auth-failed')
        assert {f['client'] for f in failed} == {
            '192.0.2.7', '192.0.2.8', 'unknown', '::1'}, failed
        assert {f['via'] for f in failed} == {FILTER}, failed
        [a] = events(s, 'auth')
        assert a['client'] == FILTER and 'via' not in a, a


def plain(user, password):
    return f'AUTH PLAIN {b64(chr(0) + user + chr(0) + password)}'


def test_refusals_of_one_client_do_not_hide_those_of_the_next(d):
    with Server(d, listener='Allow_XCLIENT = true\nMax_Errors = 0') as s:
        with Client(s.port) as c:
            for _ in range(60):
                c.cmd('FOO', '500')
            c.cmd('XCLIENT ADDR=192.0.2.7', '220')
            c.cmd('FOO', '500')
            c.cmd('XREMOTEIP 192.0.2.8', '250')
        wait_for('the lines', lambda: len(events(s, 'client')) == 2)
        first, second = events(s, 'client')
        assert first['left_out'] == '10', first
        assert 'left_out' not in second, second
        assert [r['client'] for r in events(s, 'rejected')] == \
            ['127.0.0.1'] * 50 + ['192.0.2.7'], s.log()
        assert [r.get('via') for r in events(s, 'rejected')] == \
            [None] * 50 + ['127.0.0.1'], s.log()


def test_one_session_speaks_for_many_clients_in_turn(d):
    """Where the clients may be named by each other, too."""
    with Server(d, client_sessions=1, listener='Allow_XCLIENT = true') as s:
        with Client(s.port) as c:
            for n in range(200):
                c.cmd(f'XCLIENT ADDR=192.0.2.{n // 2 % 3 + 1}', '220')
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
        assert s.stats().get('hostile_kills', 0) == 0, s.log()
        assert 'channel-protocol' not in s.log(), s.log()
        sessions_end(s)


def test_a_client_behind_a_proxy_may_speak_for_others(d):
    port = free_port()
    with Server(d, listener='Peer "192.0.2.9" { Allow_XCLIENT = true }\n'
                f'Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true }}') as s:
        with Client(port, banner=False) as c:
            c.send(b'PROXY TCP4 192.0.2.9 203.0.113.25 4711 25\r\n')
            c.expect('220')
            c.cmd('XCLIENT ADDR=192.0.2.7', '220')
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
        [a] = events(s, 'accepted')
        assert a['client'] == '192.0.2.7' and a['via'] == '192.0.2.9', a
        sessions_end(s)


def test_swaks_speaks_for_another_client(d):
    with Server(d, listener='Peer "127.0.0.1" { Allow_XCLIENT = true }') as s:
        run('swaks', '-s', f'127.0.0.1:{s.port}', '-f', 'a@client.test',
            '-t', 'user@example.test', '--ehlo', 'client.test',
            '--xclient-name', 'mail.client.test', '--xclient-addr',
            'IPV6:2001:db8::7', '--xclient-port', '4711', '--xclient-proto',
            'ESMTP', '--xclient-helo', 'a client', '--xclient-login', 'a=b',
            '--xclient-destaddr', '192.0.2.25', '--xclient-destport', '25')
        s.wait_mail(1)
        [a] = events(s, 'accepted')
        assert a['client'] == '2001:db8::7' and a['user'] == '"a=b"', a
        [a] = events(s, 'client')
        assert a['helo'] == 'a?client' and a['destport'] == '25', a


def postfix(d, port, smtpd, options=''):
    """A Postfix that listens on the port smtpd, and sends on to port."""
    if not ROOT:
        raise Skip('needs root')
    return Postfix(f'{d}/postfix', port, '', False,
                   main='smtp_sasl_auth_enable = no\n'
                   'smtp_tls_security_level = none\n'
                   'smtp_send_xforward_command = yes\n'
                   'mynetworks = 127.0.0.0/8\n'
                   'local_recipient_maps =\n'
                   'smtpd_peername_lookup = no\n',
                   master=f'127.0.0.1:{smtpd} inet n - n - - smtpd {options}\n'
                   'anvil unix - - n - 1 anvil\n')


def through(p, smtpd, s):
    """What s is told of the client of a message that it gets by way of p."""
    try:
        with Client(smtpd, source='127.0.0.3') as c:
            c.hello()
            c.mail(text_message())
        s.wait_mail(1)
    except (AssertionError, OSError) as e:
        raise AssertionError(f'{p.log()}{s.log()}') from e
    [f] = events(s, 'forwarded')
    return f


def test_postfix_forwards_what_it_knows_of_the_client(d):
    """Its client, behind a filter of contents for example."""
    smtpd = free_port()
    with Server(d, listener='Peer "127.0.0.1" { Allow_XFORWARD = true }') \
            as s, postfix(d, s.port, smtpd) as p:
        f = through(p, smtpd, s)
        assert f['client'] == '127.0.0.3' and f['helo'] == 'client.test', f
        assert f['proto'] == 'ESMTP' and f['source'] == 'REMOTE', f
        # the id in its own log
        assert f' {f["ident"]}: ' in p.log(), (f, p.log())
        assert events(s, 'accepted')[0]['client'] == '127.0.0.1'


def test_postfix_has_us_for_a_filter_before_its_queue(d):
    smtpd = free_port()
    with Server(d, listener='Peer "127.0.0.1" { Allow_XFORWARD = true }') \
            as s, postfix(d, s.port, smtpd, '-o smtpd_proxy_filter='
                          f'127.0.0.1:{s.port}') as p:
        f = through(p, smtpd, s)
        assert f['client'] == '127.0.0.3' and f['port'] != '-', f
