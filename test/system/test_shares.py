"""What one client may hold, while others are still served."""
import re
import select
import signal
import time

from harness import (NOBODY, NOT_AS_ROOT, Client, Server, free_port, lasts,
                     wait_for)
from test_resources import SMALL
import keys

DEFAULT = 100                   # of Client_Sessions


def refusals(s):
    return [line for line in s.log().splitlines() if ' event=refused ' in line]


def sessions_end(s):
    wait_for('no session', lambda: s.ctl_json('status')['sessions'] == 0)


def serves(port, source, rcpt='user@example.test', header=b''):
    """Another client gets all the way to its message."""
    with Client(port, banner=False, source=source) as c:
        if header:
            c.send(header)
        c.expect('220')
        c.hello()
        c.mail(b'Subject: x\r\n\r\nx\r\n', rcpt=rcpt)
        c.cmd('QUIT', '221')


def test_by_default_one_address_leaves_room_for_others(d):
    with Server(d, client_sessions=None, nofile=1024) as s:
        sessions_end(s)
        held = []
        while True:
            c = Client(s.port, banner=False, source='127.0.0.2')
            if not c.reply().startswith('220'):
                break
            held.append(c)
        assert len(held) == DEFAULT, len(held)
        c.close()
        for _ in range(50):
            with Client(s.port, banner=False, source='127.0.0.2') as c:
                c.expect('421 4.7.0')
                c.ended()
        serves(s.port, '127.0.0.3')
        # 51 refusals, one line
        lines = refusals(s)
        assert len(lines) == 1, lines
        assert 'client=127.0.0.2 ' in lines[0] and \
            ' limit=Client_Sessions refused=1' in lines[0], lines
        assert s.stats()['connections_refused'] == 51
        held.pop().close()

        def again():
            with Client(s.port, banner=False, source='127.0.0.2') as c:
                return c.reply().startswith('220')
        wait_for('a place', again)


def behind(client, port, proxy='127.0.0.9'):
    """The first reply to a client that a proxy names."""
    c = Client(port, banner=False, source=proxy)
    version = 6 if ':' in client else 4
    own = '2001:db8::25' if version == 6 else '203.0.113.25'
    c.send(f'PROXY TCP{version} {client} {own} 4711 25\r\n'.encode())
    return c, c.reply()


def test_a_proxy_s_clients_are_counted_each_for_itself(d):
    port = free_port()
    with Server(d, workers=3, client_sessions=2, listener=f'''
    Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true }}''') as s:
        sessions_end(s)
        held = []

        def gets(client, want):
            c, reply = behind(client, port)
            assert reply.startswith(want), (client, reply)
            held.append(c)
            return c
        # one of IPv6 is its network of 64 bits
        first = gets('2001:db8:1:1::1', '220')
        gets('2001:db8:1:1:ffff::2', '220')
        gets('2001:db8:1:1:2::3', '421 4.7.0').ended()
        for n in range(2, 60):
            gets(f'2001:db8:1:{n:x}::1', '220')
        # of IPv4 its address, also when it is mapped into IPv6
        gets('192.0.2.1', '220')
        gets('::ffff:192.0.2.1', '220')
        gets('192.0.2.1', '421 4.7.0').ended()
        gets('192.0.2.2', '220')
        # a client that connects without a proxy is counted apart
        for _ in range(2):
            held.append(Client(s.port, source='127.0.0.9'))
        with Client(s.port, banner=False, source='127.0.0.9') as c:
            c.expect('421 4.7.0')
        lines = refusals(s)
        assert [line.split('client=')[1].split()[0] for line in lines][:2] == [
            '2001:db8:1:1:2::3', '192.0.2.1'], lines
        assert len(lines) == 3, lines
        assert s.stats()['connections_refused'] == 3
        # the session goes on as the client's
        first.hello()
        first.mail(b'Subject: x\r\n\r\nx\r\n')
        first.close()

        def again():
            c, reply = behind('2001:db8:1:1::9', port)
            c.close()
            return reply.startswith('220')
        wait_for('a place', again)
        # the counts are right after a reload, too
        s.signal(signal.SIGHUP)
        s.logged('event=reloaded')
        for c in held:
            c.close()
        sessions_end(s)


def test_a_proxy_s_client_is_refused_in_silence_where_tls_comes_first(d):
    keys.make_pair(d, 'a', owner=NOBODY if NOT_AS_ROOT else None)
    port = free_port()
    with Server(d, client_sessions=1, listener=keys.tls_conf(d, 'a') +
                f'''Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true
                    Use_SSL = true }}''') as s:
        sessions_end(s)
        with Client(port, banner=False) as a, \
                Client(port, banner=False) as b:
            a.send(b'PROXY TCP4 192.0.2.1 203.0.113.25 4711 25\r\n')
            wait_for('the session', lambda: s.ctl_json(
                'status')['sessions'] == 2)
            b.send(b'PROXY TCP4 192.0.2.1 203.0.113.25 4712 25\r\n')
            # two workers read the two headers, in any order
            refused = wait_for('the refusal', lambda: select.select(
                [a.s, b.s], [], [], 0)[0])
            assert [x.recv(1) for x in refused] == [b'']
            wait_for('the line', lambda: len(refusals(s)) == 1)


def test_who_sends_no_proxy_header_leaves_room_for_others(d):
    port = free_port()
    with Server(d, client_sessions=5, nofile=512, listener=f'''
    Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true }}''') as s:
        sessions_end(s)
        held = []
        while not s.stats()['connections_refused']:
            held += [Client(port, banner=False, source='127.0.0.2')
                     for _ in range(10)]
            assert len(held) < 1000
        n = s.ctl_json('status')['sessions']
        # more than a client, for a proxy may be busy
        assert 20 < n < len(held), (n, len(held))
        serves(s.port, '127.0.0.2')
        serves(s.port, '127.0.0.3')
        serves(port, '127.0.0.3',
               header=b'PROXY TCP4 192.0.2.1 203.0.113.25 4711 25\r\n')
        # a header counts the session for the client instead
        held[0].send(b'PROXY TCP4 192.0.2.1 203.0.113.25 4711 25\r\n')
        held[0].expect('220')
        wait_for('the line', lambda: len(refusals(s)) == 1)


def test_handshakes_that_wait_for_their_client_hold_up_nobody(d):
    keys.make_pair(d, 'a', owner=NOBODY if NOT_AS_ROOT else None)
    port = free_port()
    with Server(d, client_sessions=None, nofile=1024, workers=1,
                listener=keys.tls_conf(d, 'a') +
                f'Listen "127.0.0.1:{port}" {{ Use_SSL = true }}') as s:
        sessions_end(s)
        held = [Client(port, banner=False, source='127.0.0.2')
                for _ in range(DEFAULT)]
        for n, c in enumerate(held):
            # nothing, a part of a record, or garbage of a known length
            c.send((b'', b'\x16\x03\x01', b'\x16\x03\x01\x02\x00\x01')
                   [n % 3])
        wait_for('all of them', lambda: s.ctl_json(
            'status')['sessions'] == DEFAULT)
        for _ in range(5):
            keys.handshake(port).close()
        serves(s.port, '127.0.0.3')
        with Client(port, banner=False, source='127.0.0.2') as c:
            c.ended()


QUOTA = 64 << 20
CHUNK = 1 << 20                 # of a large message that does not end


def is_taken(c):
    """Has the server read all that c has sent?"""
    port, queued = c.s.getsockname()[1], 0
    with open('/proc/net/tcp') as f:
        for row in f.readlines()[1:]:
            _, local, remote, _, queues = row.split()[:5]
            tx, rx = (int(n, 16) for n in queues.split(':'))
            if int(local.split(':')[1], 16) == port:
                queued += tx
            elif int(remote.split(':')[1], 16) == port:
                queued += rx
    return queued == 0


def hold(connect, n):
    """n sessions of a client, each with a large message that does not end."""
    held = []
    for _ in range(n):
        c = connect()
        c.hello()
        c.envelope()
        c.cmd('DATA', '354')
        c.send((b'x' * 62 + b'\r\n') * (CHUNK // 64))
        wait_for('the server to read', lambda: is_taken(c))
        held.append(c)
    return held


def end(held):
    """How many of them were accepted?"""
    n = 0
    for c in held:
        c.send(b'.\r\n')
        r = c.reply()
        assert r.startswith(('250', '452 4.3.1')), r
        n += r.startswith('250')
    return n


def small(c):
    c.hello()
    c.mail(b'Subject: x\r\n\r\nx\r\n')
    c.close()


def check_shares(s, one, two, other):
    """one and two connect as a client each, and so does other."""
    sessions_end(s)
    # by then both workers know how much is free
    for _ in range(10):
        small(one())
    held, held2 = hold(one, 24), hold(two, 24)
    # clients that were refused may still send small messages, and so may others
    for connect in one, two, other, other, other, other:
        small(connect())
    n, n2 = end(held), end(held2)
    assert n * CHUNK <= QUOTA // 8, (n, n2)
    assert n2 * CHUNK <= QUOTA // 8, (n, n2)
    # what one client holds is not counted for another one
    assert n >= 2 and n2 >= 2, (n, n2)
    for c in held + held2:
        c.close()
    sessions_end(s)
    # what has ended does not count any more
    wait_for('the delivery', lambda: not s.ctl_json('queue')['messages'], 60)
    held = hold(one, 2)
    assert end(held) == 2
    for c in held:
        c.close()


LARGE = SMALL + f'spool_quota = {QUOTA}\n'


def test_unfinished_large_messages_leave_room_for_others(d):
    with Server(d, conf=LARGE, workers=2) as s:
        check_shares(s, lambda: Client(s.port, source='127.0.0.2'),
                     lambda: Client(s.port, source='127.0.0.3'),
                     lambda: Client(s.port, source='127.0.0.4'))


def test_those_of_a_proxy_s_clients_are_counted_for_each(d):
    port = free_port()

    def named(client):
        c, reply = behind(client, port)
        assert reply.startswith('220'), reply
        return c

    n = iter(range(1, 1000))
    with Server(d, conf=LARGE, workers=2, listener=f'''
    Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true }}''') as s:
        # one of IPv6 is its network of 64 bits
        check_shares(s, lambda: named('192.0.2.1'),
                     lambda: named(f'2001:db8:1:1::{next(n):x}'),
                     lambda: named('192.0.2.2'))


# ------------------------------------------------------------------ the log
ERRORS = 20                     # Max_Errors


def refused_commands(c):
    """Ends the session; the number of lines that this may cause."""
    c.hello()
    c.send(b'FOO\r\n' * ERRORS)
    for _ in range(ERRORS):
        assert c.reply()[:3] in ('500', '421')
    c.close()
    return ERRORS


def check_lines(s, one, two, other, name, other_name):
    """one and two connect as the client of that name, each a while; other as
    another one."""
    def about(who):
        return len(re.findall(
            f' event=rejected session=[^ ]* client={re.escape(who)} ', s.log()))

    def left_out():
        return [int(n) for n in re.findall(
            r' event=client-throttled client=[^ ]* left_out=(\d+)', s.log())]
    sent, begin = 0, time.monotonic()
    for n in range(150):
        sent += refused_commands((one if n % 2 else two)())
    mine = refused_commands(other())
    took = time.monotonic() - begin
    wait_for('the lines about the other client',
             lambda: about(other_name) == mine)
    # with those about the ends of its sessions they are a thousand at once, and
    # a hundred a second
    n = about(name)
    assert 800 <= n <= 1000 + 100 * (took + 1), (n, took)
    # the number comes later
    wait_for('the rest', lambda: sum(left_out()) + n >= sent, 30)
    assert len(left_out()) <= 2 + took / 10, left_out()


@lasts(10)
def test_a_client_that_is_refused_again_and_again_leaves_the_log_to_others(d):
    with Server(d, workers=1, client_sessions=None) as s:
        def from_one():
            return Client(s.port, source='127.0.0.2')
        check_lines(s, from_one, from_one,
                    lambda: Client(s.port, source='127.0.0.3'),
                    '127.0.0.2', '127.0.0.3')
        # and what it has had accepted is always there
        with from_one() as c:
            c.hello()
            c.mail(b'Subject: x\r\n\r\nx\r\n')
        wait_for('the line', lambda: re.search(
            ' event=accepted .* client=127.0.0.2 ', s.log()))


@lasts(10)
def test_so_do_the_clients_of_a_proxy(d):
    port = free_port()
    with Server(d, workers=1, client_sessions=None, listener=f'''
    Listen "127.0.0.1:{port}" {{ Proxy_Protocol = true }}''') as s:
        def named(client):
            c, reply = behind(client, port)
            assert reply.startswith('220'), reply
            return c
        # one of IPv6 is its network of 64 bits
        check_lines(s, lambda: named('2001:db8:1:1::1'),
                    lambda: named('2001:db8:1:1::1'),
                    lambda: named('2001:db8:1:2::1'),
                    '2001:db8:1:1::1', '2001:db8:1:2::1')


# ------------------------------------------------------------------ recipients
LONG = '.'.join(('d' * 61, 'd' * 61, 'd' * 58, 'test'))


def long_recipients(c, n):
    """Names recipients of the greatest length; how many were accepted."""
    c.hello()
    c.cmd('MAIL FROM:<a@client.test>')
    count = 0
    for i in range(0, n, 100):
        c.send(b''.join(f'RCPT TO:<user{k:060}@{LONG}>\r\n'.encode()
                        for k in range(i, i + 100)))
        replies = [c.reply() for _ in range(100)]
        assert all(r.startswith(('250 ', '452 4.3.1 '))
                   for r in replies), replies
        got = sum(r.startswith('250 ') for r in replies)
        count += got
        if got < 100:
            break
    return count


def test_recipients_of_one_client_leave_memory_for_those_of_others(d):
    with Server(d, workers=1, client_sessions=None,
                listener='Max_Recipients_Per_Message = 100000',
                extra=f'Domain "{LONG}" {{ Maildir = "{d}/mail/%d/%u" }}'
                ) as s:
        with Client(s.port, source='127.0.0.3') as c:
            # as many as one message can have
            most = long_recipients(c, 10000)
        assert 3000 < most < 10000, most
        held = [Client(s.port, source='127.0.0.2') for _ in range(25)]
        counts = [long_recipients(c, 10000) for c in held]
        assert counts[0] == most, counts
        # 16 MiB, and what each session may have anyway
        assert counts[-1] < most // 4, counts
        assert min(counts) >= 100, counts
        with Client(s.port, source='127.0.0.3') as c:
            assert long_recipients(c, 10000) == most
        for c in held:
            c.cmd('RSET')
        assert long_recipients(held[-1], 10000) == most
        for c in held:
            c.close()
