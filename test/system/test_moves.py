"""Idle sessions and a reload: they go on in a worker that has the new
configuration, or are told to end, without noise in the log."""
import re

from harness import (NOBODY, NOT_AS_ROOT, Client, Server, text_message,
                     wait_for)
from keys import context, make_pair, tls_conf

N = 20


def old_workers_end(s, generation):
    wait_for('the old workers to end', lambda: {
        p['generation'] for p in s.ctl_json('status')['processes']} ==
        {generation})


def drains(s):
    """What each reload did to the sessions."""
    return re.findall(r'event=drain generation=\d+ (.*)', s.log())


def test_idle_sessions_go_on_with_the_new_configuration(d):
    with Server(d, workers=2) as s:
        before = s.stats()
        greeted = [Client(s.port) for i in range(N)]
        for i, c in enumerate(greeted):
            c.cmd('EHLO client.test' if i % 2 else 'HELO client.test')
        new = [Client(s.port) for i in range(N)]
        sent = Client(s.port)
        sent.hello()
        sent.mail(text_message(1))
        s.write_conf(listener='Max_Message_Size = 1000')
        s.ctl('reload')
        old_workers_end(s, 2)
        for c in greeted + new + [sent]:
            if c in new:
                c.hello()
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RSET')
        sent.cmd('MAIL FROM:<a@client.test> SIZE=2000', '552')
        for i, c in enumerate(greeted):
            c.mail(text_message(i + 2, size=100))
        s.wait_mail(N + 1)
        # the name of the first process is in the field that the second adds
        assert sum(b'from client.test' in m for m in s.delivered()) == N + 1
        assert s.ctl_json('status')['sessions'] == 2 * N + 1
        for c in greeted + new + [sent]:
            c.cmd('QUIT', '221')
            c.ended()
        wait_for('no session', lambda: s.ctl_json('status')['sessions'] == 0)
        after = s.stats()
        assert after['sessions'] - before['sessions'] == 2 * N + 1
        assert after['replies_4xx'] == before['replies_4xx']
        n = 2 * N + 1
        assert drains(s) == [f'sessions={n} moved={n} told=0 left=0']


def test_after_its_message_a_session_moves_too(d):
    with Server(d) as s:
        c = Client(s.port)
        c.hello()
        c.envelope()
        c.cmd('DATA', '354')
        s.ctl('reload')
        wait_for('the line', lambda: drains(s))
        assert drains(s) == ['sessions=1 moved=0 told=0 left=1']
        c.send(text_message(1) + b'.\r\n')
        c.expect('250')
        old_workers_end(s, 2)
        c.mail(text_message(2))
        c.cmd('QUIT', '221')
        c.close()
        s.wait_mail(2)


def test_a_session_that_cannot_move_is_told_without_noise(d):
    make_pair(d, 'it', owner=NOBODY if NOT_AS_ROOT else None)
    with Server(d, listener=tls_conf(d, 'it')) as s:
        clients = []
        for i in range(5):
            c = Client(s.port)
            c.hello()
            c.cmd('STARTTLS', '220')
            c.s = context().wrap_socket(c.s)
            c.hello()
            clients.append(c)
        before = int(s.stats()['replies_4xx'])
        s.ctl('reload')
        for c in clients:
            assert c.reply().startswith('421'), 'not told'
            c.close()
        old_workers_end(s, 2)
        assert int(s.stats()['replies_4xx']) == before
        log = s.log()
        assert 'event=rejected' not in log and 'event=disconnect' not in \
            log.split('event=reloaded')[1], log
        assert drains(s) == ['sessions=5 moved=0 told=5 left=0'], log


def test_only_what_a_reload_causes_is_without_noise(d):
    with Server(d) as s:
        c = Client(s.port)
        c.hello()
        c.envelope()
        s.ctl('reload')
        wait_for('the line', lambda: drains(s))
        c.send(b'NOOP\n')
        c.expect('421')
        c.ended()
        c.close()
        old_workers_end(s, 2)
        assert drains(s) == ['sessions=1 moved=0 told=0 left=1']
        s.logged('event=rejected')
        assert s.log().count('event=rejected') == 1, s.log()


def test_many_reloads_lose_no_idle_session(d):
    with Server(d) as s:
        clients = [Client(s.port) for i in range(5)]
        for c in clients:
            c.hello()
        for i in range(20):
            s.ctl('reload')
            for c in clients:
                c.cmd('NOOP')
        for c in clients:
            c.cmd('QUIT', '221')
            c.close()


def test_sessions_of_a_listener_that_is_gone_are_told(d):
    with Server(d) as s:
        c = Client(s.port)
        c.hello()
        old, s.port = s.port, s.port + 1
        s.write_conf()
        s.ctl('reload')
        assert c.reply().startswith('421')
        c.ended()
        c.close()
        s.port = old
        s.write_conf()
        s.ctl('reload')


def test_who_came_through_a_proxy_or_may_send_a_refused_body_does_not_move(d):
    with Server(d, listen='Peer "127.0.0.9" { Proxy_Protocol = true }') as s:
        proxied = Client(s.port, banner=False, source='127.0.0.9')
        proxied.send(b'PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n')
        proxied.expect('220')
        proxied.hello()
        refused = Client(s.port)
        refused.hello()
        refused.cmd('DATA', '503')
        s.ctl('reload')
        for c in proxied, refused:
            c.expect('421')
            c.ended()
            c.close()
        old_workers_end(s, 2)
        assert 'event=hostile' not in s.log(), s.log()
        assert s.ctl_json('status')['sessions'] == 0


def test_no_session_in_the_clear_moves_to_where_tls_or_a_proxy_comes_first(d):
    make_pair(d, 'it', owner=NOBODY if NOT_AS_ROOT else None)
    tls = tls_conf(d, 'it')
    with Server(d, listener=tls) as s:
        for option in 'Use_SSL', 'Proxy_Protocol':
            s.write_conf(listener=tls)
            s.ctl('reload')
            c = Client(s.port)
            c.hello()
            s.write_conf(listener=tls + f'\n{option} = true')
            s.ctl('reload')
            assert c.reply().startswith('421'), 'not told'
            c.ended()
            c.close()
        assert s.ctl_json('status')['sessions'] == 0
        log = s.log()
        assert 'event=session ' not in log and 'event=hostile' not in log, log
