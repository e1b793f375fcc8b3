"""Limits, replies and what is refused, over real sockets."""
import resource
import signal
import socket
import time

from harness import (NOT_AS_ROOT, Client, Server, free_port, text_message,
                     wait_for)
from keys import make_pair, tls_conf


def test_relaying_is_denied_and_unknown_users_are_refused(d):
    with open(f'{d}/users', 'w') as f:
        f.write('# who is here\nuser\nother@example.test\n')
    with Server(d, domain=f'Recipients = "file:{d}/users"') as s, \
            Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<a@client.test>')
        c.cmd('RCPT TO:<user@elsewhere.test>', '550 5.7.1')
        c.cmd('RCPT TO:<nobody@example.test>', '550 5.1.1')
        c.cmd('RCPT TO:<user@example.test>')
        c.cmd('RCPT TO:<OTHER@example.test>')
        c.cmd('RCPT TO:<postmaster>')
        c.cmd('RCPT TO:<Postmaster@example.test>')


def test_postmaster_without_a_domain_is_delivered_to_the_first_domain(d):
    with Server(d, extra=f'Domain "a.test" {{ Maildir = "{d}/mail/%d/%u" }}') \
            as s, Client(s.port) as c:
        c.hello()
        c.mail(text_message(), rcpt='Postmaster')
        s.wait_mail(1, user='postmaster')


def test_recipients_are_read_again_on_reload(d):
    users = f'{d}/users'
    with open(users, 'w') as f:
        f.write('user\n')
    with Server(d, domain=f'Recipients = "file:{users}"') as s:
        def accepted():
            with Client(s.port) as c:
                c.hello()
                c.cmd('MAIL FROM:<a@client.test>')
                c.send(b'RCPT TO:<new@example.test>\r\n')
                return c.reply().startswith('250')
        assert not accepted()
        with open(users, 'a') as f:
            f.write('new\n')
        s.ctl('reload')
        wait_for('the new recipient', accepted)


def test_message_too_big_by_size_and_by_octets(d):
    with Server(d, listener='Max_Message_Size = 10000') as s, \
            Client(s.port) as c:
        assert 'SIZE 10000' in c.hello()
        c.cmd('MAIL FROM:<a@client.test> SIZE=10001', '552 5.3.4')
        c.mail(text_message(size=20000), want='552 5.3.4')
        c.mail(text_message(size=9000))
        s.wait_mail(1)


def test_listener_sessions(d):
    with Server(d, listener='Listener_Sessions = 2') as s:
        wait_for('no session', lambda: int(s.stats()['sessions'])
                 == int(s.stats()['sessions_ended']))
        time.sleep(0.1)
        a, b = Client(s.port), Client(s.port)
        c = Client(s.port, banner=False)
        c.expect('421 4.4.5')
        c.ended()
        a.cmd('QUIT', '221')

        def again():
            with Client(s.port, banner=False) as x:
                return x.reply().startswith('220')
        wait_for('a place', again)
        b.hello()
        assert int(s.stats()['connections_refused']) >= 1


def test_service_sessions(d):
    with Server(d, conf='Service_Sessions = 1') as s:
        time.sleep(0.2)
        a = Client(s.port)
        with Client(s.port, banner=False) as b:
            b.expect('421 4.4.5')
        a.close()

        def again():
            with Client(s.port, banner=False) as x:
                return x.reply().startswith('220')
        wait_for('a place', again)


def test_who_expects_tls_or_is_a_proxy_is_refused_without_a_word(d):
    make_pair(d, 'a', owner=65534 if NOT_AS_ROOT else None)
    for first in 'Use_SSL', 'Proxy_Protocol':
        port = free_port()
        with Server(d, listener=tls_conf(d, 'a') +
                    f'Listen "127.0.0.1:{port}" {{ {first} = true\n'
                    'Listener_Sessions = 1 }\n') as s, \
                Client(port, banner=False):
            with Client(port, banner=False) as b:
                b.ended()
            assert int(s.stats()['connections_refused']) == 1


def test_client_sessions(d):
    with Server(d, listener='Client_Sessions = 3') as s:
        time.sleep(0.2)
        cs = [Client(s.port) for _ in range(3)]
        with Client(s.port, banner=False) as b:
            b.expect('421 4.7.0')
        for c in cs:
            c.hello()


def test_sessions_are_counted_exactly(d):
    with Server(d) as s:
        for i in range(200):
            c = Client(s.port)
            if i % 3 == 0:
                c.reset()
            elif i % 3 == 1:
                c.close()
            else:
                c.cmd('QUIT', '221')

        def none_open():
            v = s.stats()
            return int(v['sessions']) == int(v['sessions_ended']) >= 201
        wait_for('all sessions to end', none_open)


def test_ended_sessions_leave_the_books_without_another_to_come(d):
    n = 1200                    # more than the memory for them holds
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))
    with Server(d, workers=1) as s:
        cs = [Client(s.port) for _ in range(n)]
        assert s.ctl_json('status')['sessions'] == n
        for c in cs:
            c.reset()
        wait_for('no session', lambda: s.ctl_json('status')['sessions'] == 0)


def test_sessions_of_a_worker_that_drains_count_until_they_end(d):
    with Server(d, listener='Client_Sessions = 2') as s:
        wait_for('no session', lambda: s.ctl_json('status')['sessions'] == 0)
        a, b = Client(s.port), Client(s.port)
        for c in (a, b):
            c.hello()
            c.envelope()
            c.cmd('DATA', '354')
        s.signal(signal.SIGHUP)
        s.logged('event=reloaded')
        with Client(s.port, banner=False) as c:
            c.expect('421 4.7.0')
        a.close()

        def again():
            with Client(s.port, banner=False) as c:
                return c.reply().startswith('220')
        wait_for('a place', again)
        b.close()


def test_too_many_errors_end_the_session(d):
    with Server(d, listener='Max_Errors = 3') as s, Client(s.port) as c:
        c.hello()
        for n in range(6):
            c.send(b'XYZZY\r\n')
            r = c.reply()
            if r.startswith('421'):
                break
            assert r.startswith('500 5.5.2'), r
        assert 2 <= n <= 3 and r.startswith('421 4.7.0'), (n, r)
        c.ended()


def test_peer_scope_opens_what_the_listener_closes(d):
    with Server(d, listener='Max_Message_Size = 1000\n    Peer "127.0.0.0/8" '
                '{ Max_Message_Size = 5000 }') as s, Client(s.port) as c:
        assert 'SIZE 5000' in c.hello()


def test_override_on_the_command_line_beats_the_file(d):
    with Server(d, listener='Max_Message_Size = 1000',
                args=['-D', 'max_message_size=7000']) as s, \
            Client(s.port) as c:
        assert 'SIZE 7000' in c.hello()


def test_idle_time(d):
    with Server(d, listener='Idle_Time = 1') as s, Client(s.port) as c:
        c.hello()
        c.expect('421 4.4.2')
        c.ended()


def test_two_messages_in_one_segment_of_input(d):
    one = (b'MAIL FROM:<a@client.test>\r\nRCPT TO:<user@example.test>\r\n'
           b'DATA\r\n')
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        for _ in range(50):
            c.send(one)
            for want in ('250', '250', '354'):
                c.expect(want)
            c.send(text_message() + b'.\r\n')
            c.expect('250')
        c.send(b'RSET\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<u@no.test>\r\n'
               b'RCPT TO:<user@example.test>\r\nRSET\r\nQUIT\r\n')
        for want in ('250', '250', '550', '250', '250', '221'):
            c.expect(want)
        c.ended()
        s.wait_mail(50)


def test_one_session_writes_few_lines_to_the_log(d):
    with Server(d, listener='Max_Recipients_Per_Message = 1') as s:
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RCPT TO:<user@example.test>')
            for i in range(10):
                c.send(b'RCPT TO:<other@example.test>\r\n' * 100)
                for _ in range(100):
                    assert c.reply().startswith('452 4.5.3')
            c.cmd('QUIT', '221')
        s.logged('left_out=950')
        s.logged('event=rejected', 50)
        assert s.log().count('event=rejected') == 50
