"""Limits on logins: how often a client or a login may fail, and how many
exchanges a client may leave open."""
import contextlib
import os
import re
import signal

from harness import Client, free_port, wait_for
from test_auth import PASSWORD, PLAIN, USER, WRONG, From, server, wait_lines
from test_auth_mechs import b64


def at_once(s, lines_of, address='127.0.0.1'):
    """Open a session for each line, send all lines at once; the reply codes."""
    clients = []
    for _ in lines_of:
        c = From(s.port, address)
        c.hello()
        clients.append(c)
    for c, line in zip(clients, lines_of):
        c.send(line.encode() + b'\r\n')
    codes = [c.reply()[:3] for c in clients]
    for c in clients:
        c.close()
    return codes


def test_failures_are_counted_across_workers(d):
    with server(d, conf='auth_login_failures = 2\nauth_client_failures = 4',
                workers=3) as s:
        codes = at_once(s, [WRONG] * 6)
        assert sorted(codes) == ['454'] * 4 + ['535'] * 2, codes
        wait_for('lines of two workers', lambda: len(set(re.findall(
            r'mailmilld/(worker-\d).*auth-failed', s.log()))) > 1)
        # the right password is refused now, from any address
        assert at_once(s, [PLAIN]) == ['454']
        assert at_once(s, [PLAIN], '127.0.0.3') == ['454']
        # after two more failures the address is blocked for every name
        others = [f'AUTH PLAIN {b64(chr(0) + n + chr(0) + "x")}'
                  for n in 'abcd']
        assert sorted(at_once(s, others)) == ['454'] * 2 + ['535'] * 2
        v = s.stats()
        assert int(v['auth_failed']) == 4 and int(v['auth_blocked']) == 8, v


def test_nobody_locks_out_who_has_been_there(d):
    with server(d, conf='auth_login_failures = 3') as s:
        assert at_once(s, [PLAIN], '127.0.0.3') == ['235']
        assert '454' in at_once(s, [WRONG] * 5, '127.0.0.4')
        assert at_once(s, [PLAIN], '127.0.0.5') == ['454']
        assert at_once(s, [PLAIN], '127.0.0.3') == ['235']


def test_clients_of_a_proxy_have_a_limit_together_and_cost_no_one_else(d):
    """Only a worker says which clients those are, and an attacker may control
    it."""
    port = free_port()
    with server(d, conf='auth_proxy_failures = 4', workers=1,
                listener=f'Listen "127.0.0.1:{port}" '
                '{ Proxy_Protocol = true }') as s:
        def login(client, line):
            with Client(port, banner=False) as c:
                c.send(f'PROXY TCP4 {client} 203.0.113.25 4711 25\r\n'
                       .encode())
                c.expect('220')
                c.hello()
                c.send(line.encode() + b'\r\n')
                return c.reply()[:3]

        def guess(n):
            return f'AUTH PLAIN {b64(chr(0) + f"guess{n}" + chr(0) + "x")}'
        assert login('192.0.2.1', PLAIN) == '235'
        assert [login(f'192.0.2.{n}', guess(n)) for n in range(2, 8)] == \
            ['535'] * 4 + ['454'] * 2
        # a client that has logged in there before, and one that connects itself
        assert login('192.0.2.1', PLAIN) == '235'
        assert login('192.0.2.9', PLAIN) == '454'
        assert at_once(s, [PLAIN, guess(9)]) == ['235', '535']
        assert at_once(s, [PLAIN], '127.0.0.2') == ['235']
        failed = wait_lines(s, 'auth-failed', 5, 'authd')
        assert sorted((x['client'], x['port'], x.get('via'))
                      for x in failed)[1:] == [
            (f'192.0.2.{n}', '4711', '127.0.0.1') for n in range(2, 6)], failed
        direct, = [x for x in failed if 'via' not in x]
        assert direct['client'] == '127.0.0.1', direct


def test_exchanges_that_one_client_leaves_open_cost_others_nothing(d):
    """authd keeps 4096 exchanges of a worker, and 256 of one client."""
    with server(d, listener='Client_Sessions = 0', workers=1) as s, \
            contextlib.ExitStack() as stack:
        def rest(address):
            c = stack.enter_context(From(s.port, address))
            c.hello()
            c.cmd('AUTH LOGIN', '334')
            return c
        other = rest('127.0.0.3')
        greedy = [rest('127.0.0.2') for _ in range(260)]
        assert at_once(s, [PLAIN], '127.0.0.4') == ['235']
        assert at_once(s, [PLAIN], '127.0.0.2') == ['235']
        for c in other, greedy[-1]:
            c.cmd(b64(USER), '334')
            c.cmd(b64(PASSWORD), '235')
        # authd has ended the oldest exchange of the client
        greedy[0].cmd(b64(USER), '454 4.7.0')
        s.logged('too many exchanges at once')


def test_a_block_outlives_a_reload_and_a_crash_of_authd(d):
    with server(d, conf='auth_login_failures = 3') as s:
        assert at_once(s, [PLAIN], '127.0.0.3') == ['235']
        assert at_once(s, [WRONG] * 4, '127.0.0.4').count('535') == 3
        for disturb in (lambda authd: s.ctl('reload'),
                        lambda authd: os.kill(authd, signal.SIGKILL)):
            before = s.pids('authd')
            disturb(before[0])
            wait_for('another authd alone', lambda: (
                len(s.pids('authd')) == 1 and s.pids('authd') != before))

            # 454 is also the answer while there is no authd
            def answer():
                with From(s.port, '127.0.0.5') as c:
                    c.hello()
                    c.send(PLAIN.encode() + b'\r\n')
                    r = c.reply()
                    return r if 'Too many' in r or r[:3] != '454' else None
            r = wait_for('an answer', answer)
            assert r.startswith('454'), r
            # an address that has logged in before is not blocked
            assert at_once(s, [PLAIN], '127.0.0.3') == ['235']
