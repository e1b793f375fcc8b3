"""Mail for the hosts that the DNS names: MX records, and names in Route."""
import contextlib
import os
import re
import smtplib
import socket
import threading
import time
from collections import Counter

from harness import (SLOW, Server, Skip, free_port, lasts, text_message,
                     wait_for)
from keys import make_pair, tls_conf
from nameserver import (AD, NXDOMAIN, SERVFAIL, Nsd, Script, a, mx, name_octets,
                        record)
from nexthop import EHLO, HANG, NextHop
from test_relay import (CONF, events, send, server, wait_bounced,
                        wait_deferred, wait_why, waiting)


def conf(dns, more=CONF):
    return f'Resolver = "{dns.address}"\nResolver_Timeout = 1\n' \
        f'Resolver_Attempts = 1\n{more}'


def by_mx(port, more='', name='*'):
    return f'''Domain "{name}" {{
    Delivery = smtp
    MX_Port = {port}
    {more}
}}
'''


OPEN = '    Open_Relay = true\n'


def mx_server(d, dns, port, *more, conf_more=CONF, options=''):
    return server(d, by_mx(port, options), *more, conf=conf(dns, conf_more),
                  listener=OPEN)


def aaaa(owner, address, ttl=300):
    return record(owner, 'AAAA', socket.inet_pton(socket.AF_INET6, address),
                  ttl)


class Zone:
    """What a name server says: {name: {type: [data, ...]}}; a name that is not
    there does not exist, and the value SERVFAIL is said as it is."""

    def __init__(self, names, ttl=300):
        self.names, self.ttl = names, ttl

    def data(self, q, values):
        make = {'A': a, 'AAAA': aaaa,
                'CNAME': lambda n, x, t: record(n, 'CNAME', name_octets(x), t),
                'MX': lambda n, x, t: mx(n, *x, t)}[q.type]
        return [make(q.name, x, self.ttl) for x in values]

    def __call__(self, q):
        known = self.names.get(q.name.lower())
        if known is None:
            return q.answer(rcode=NXDOMAIN)
        if known == SERVFAIL:
            return q.answer(rcode=SERVFAIL)
        if 'CNAME' in known:
            return q.answer(record(q.name, 'CNAME', name_octets(
                known['CNAME']), self.ttl))
        return q.answer(*self.data(q, known.get(q.type, [])))


class Hops:
    """Servers on addresses of the loopback, all with one port."""

    def __init__(self, n=0, **kw):
        self.port = free_port()
        self.hops = [NextHop((f'127.0.1.{i + 1}', self.port), **kw)
                     for i in range(n)]

    def __enter__(self):
        for h in self.hops:
            h.start()
        return self

    def __exit__(self, *exc):
        for h in self.hops:
            h.stop()

    def __getitem__(self, i):
        return self.hops[i]


@contextlib.contextmanager
def deaf(address):
    """A server to which no connection is made: its queue is full."""
    family = socket.AF_INET6 if ':' in address[0] else socket.AF_INET
    with socket.socket(family) as s, contextlib.ExitStack() as stack:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(address)
        except OSError as e:
            raise Skip(f'no {address[0]} here') from e
        s.listen(0)
        for _ in range(4):
            c = stack.enter_context(socket.socket(family))
            c.setblocking(False)
            c.connect_ex(address)
        yield s


# ------------------------------------------------------------------ MX records
def test_the_hosts_of_mx_records_get_the_mail(d):
    with Hops(3) as hops, Nsd(d, {'dns.test': '''
best MX 20 two
best MX 10 one
one A 127.0.1.1
two A 127.0.1.2
three A 127.0.1.3
alias CNAME best
host A 127.0.1.3
aliased MX 5 other
other CNAME three
dead MX 10 nobody
dead MX 20 gone
dead MX 30 three
nobody A 127.0.1.99
'''}) as dns, mx_server(d, dns, hops.port) as s:
        send(s, 'a@best.dns.test', 'b@BEST.dns.test')
        [m] = hops[0].wait(1)
        assert len(m.rcpts) == 2 and m.hello == 'EHLO mx.example.test', m.rcpts
        send(s, 'a@alias.dns.test')
        hops[0].wait(2)
        # an implicit MX record, one that names an alias, a host that refuses
        for i, x in enumerate(('host', 'aliased', 'dead')):
            send(s, f'a@{x}.dns.test')
            hops[2].wait(i + 1)
        send(s, 'a@[127.0.1.2]')
        hops[1].wait(1)
        s.wait_empty()
        said = {e['rcpt']: e['reply'] for e in events(s, 'delivered')}
        assert said['a@best.dns.test'] == \
            'one.dns.test[127.0.1.1] said: 250 2.0.0 Taken', said
        assert said['a@[127.0.1.2]'] == \
            '[127.0.1.2] said: 250 2.0.0 Taken', said


def test_domains_that_take_no_mail(d):
    with Hops(1) as hops, Nsd(d, {'dns.test': '''
null MX 0 .
nothing TXT "x"
noaddr MX 10 nothing
self MX 10 mx.example.test.
self MX 20 one
backup MX 10 one
backup MX 20 mx.example.test.
one A 127.0.1.1
'''}) as dns, mx_server(d, dns, hops.port) as s:
        want = {'null': '5.1.10', 'missing': '5.1.2', 'nothing': '5.4.4',
                'noaddr': '5.4.4', 'self': '5.4.6'}
        for x in want:
            send(s, f'a@{x}.dns.test', sender='user@example.test')
        why = wait_bounced(s, len(want))
        reports = s.wait_mail(len(want))
        for x, status in want.items():
            [report] = [r for r in reports if b'a@%s.dns.test' % x.encode()
                        in r]
            assert b'\r\nStatus: %s\r\n' % status.encode() in report, report
            assert b'\r\nRemote-MTA' not in report, report
            assert why[f'a@{x}.dns.test'].startswith(f'{x}.dns.test: '), why
        assert 'null MX' in why['a@null.dns.test'], why
        # a host that is preferred to us takes it
        send(s, 'a@backup.dns.test')
        hops[0].wait(1)
        hops[0].stop()
        send(s, 'a@backup.dns.test', 'b@[127.0.1.1]')
        assert set(wait_deferred(s, 2).values()) == {
            'one.dns.test[127.0.1.1]: Connection refused',
            '[127.0.1.1]: Connection refused'}


def test_an_address_of_ours_is_no_next_hop(d):
    with Nsd(d, {'dns.test': 'loop MX 10 us\nus A 127.0.0.1\n'}) as dns:
        port = free_port()
        with Server(d, conf=conf(dns), listener=OPEN, port=port,
                    extra=by_mx(port)) as s:
            send(s, 'a@loop.dns.test', 'a@[127.0.0.1]')
            why = wait_bounced(s, 2)
            assert all('come back to this server' in x
                       for x in why.values()), why


def test_equal_hosts_have_equal_parts(d):
    n = 60
    zone = {f'd{i}.test': {'MX': [(10, 'one.test'), (10, 'two.test')]}
            for i in range(n)}
    zone.update({'one.test': {'A': ['127.0.1.1']},
                 'two.test': {'A': ['127.0.1.2']}})
    with Hops(2) as hops, Script(Zone(zone)) as dns, \
            mx_server(d, dns, hops.port) as s:
        send(s, *(f'a@d{i}.test' for i in range(n)))
        wait_for('all', lambda: sum(len(h.messages) for h in hops.hops) == n)
        # that one of them gets fewer than 15 has a chance of 1 in 10,000
        assert all(len(h.messages) >= 15 for h in hops.hops), \
            [len(h.messages) for h in hops.hops]


def test_a_dns_that_gives_no_answer_is_asked_again(d):
    zone = Zone({'broken.test': SERVFAIL, 'one.test': {'A': ['127.0.1.1']},
                 'half.test': {'MX': [(10, 'broken.test')]}})
    with Hops(1) as hops, Script(zone) as dns, \
            mx_server(d, dns, hops.port) as s:
        send(s, 'a@broken.test', 'a@half.test')
        why = wait_deferred(s, 2)
        assert why == {f'a@{x}.test': f'{x}.test: the DNS gives no answer '
                       'about it now' for x in ('broken', 'half')}, why
        zone.names['broken.test'] = {'A': ['127.0.1.1']}
        hops[0].wait(2)
        assert not events(s, 'bounced')


def test_without_a_resolver_mail_waits_and_is_not_lost(d):
    zone = Zone({'one.test': {'A': ['127.0.1.1']}})
    with Hops(1) as hops, Script(zone) as dns, \
            mx_server(d, dns, hops.port) as s:
        for i in range(5):
            s.end_one('resolver')
            send(s, 'a@one.test')
        hops[0].wait(5)
        s.wait_empty()
        assert len(hops[0].messages) == 5


def test_what_the_dns_says_next_is_used_when_the_old_answer_has_ended(d):
    zone = Zone({'one.test': {'A': ['127.0.1.1']}}, ttl=1)
    with Hops(2, replies={'QUIT': '221 2.0.0 Bye'},
              ehlo=EHLO + ('LIMITS MAILMAX=1',)) as hops, \
            Script(zone) as dns, mx_server(d, dns, hops.port) as s:
        send(s, 'a@one.test')
        hops[0].wait(1)
        zone.names['one.test'] = {'A': ['127.0.1.2']}

        def moved():
            send(s, 'a@one.test')
            return hops[1].messages
        wait_for('the other host', moved)


# ------------------------------------------------------------------ addresses
def test_an_ipv6_address_that_refuses_is_no_obstacle(d):
    zone = Zone({'two.test': {'AAAA': ['::1'], 'A': ['127.0.1.1']}})
    with Hops(1) as hops, Script(zone) as dns, \
            mx_server(d, dns, hops.port) as s:
        send(s, 'a@two.test')
        hops[0].wait(1)
        assert not waiting(s)


def test_an_address_that_says_nothing_costs_its_head_start_alone(d):
    """Neither the 30 s of a connection, nor the mail its place in the queue."""
    zone = Zone({'slow.test': {'AAAA': ['::1'], 'A': ['127.0.1.1']}})
    with Hops(1) as hops, Script(zone) as dns, deaf(('::1', hops.port)), \
            mx_server(d, dns, hops.port,
                      conf_more='retry_interval = 3600\n') as s:
        begin = time.monotonic()
        send(s, 'a@slow.test')
        hops[0].wait(1)
        took = time.monotonic() - begin
        assert 0.25 <= took < 10, took
        wait_for('its end', lambda: hops[0].nopen == 0)
        # from now on the other one is the first
        send(s, 'a@slow.test')
        hops[0].wait(2)
        assert hops[0].nsessions == 2 and not waiting(s)


def test_a_host_that_is_less_preferred_is_not_tried_beside_another(d):
    zone = Zone({'far.test': {'MX': [(10, 'one.test'), (20, 'two.test')]},
                 'one.test': {'A': ['127.0.1.9']},
                 'two.test': {'A': ['127.0.1.1']}})
    with Hops(1) as hops, Script(zone) as dns, \
            deaf(('127.0.1.9', hops.port)) as first, \
            mx_server(d, dns, hops.port) as s:
        send(s, 'a@far.test')
        wait_for('its addresses', lambda: ('one.test', 'A') in [
            (q.name, q.type) for q in dns.asked])
        time.sleep(1)           # four head starts
        assert hops[0].nsessions == 0
        first.close()           # it refuses now
        hops[0].wait(1, 60)


# ------------------------------------------------------------------ addresses of many domains
def domains(n, *addresses):
    return {f'd{i}.test': {'A': list(addresses)} for i in range(n)}


def send_all(s, n):
    for i in range(0, n, 50):
        send(s, *(f'a@d{j}.test' for j in range(i, min(n, i + 50))))


@lasts(10)
def test_an_address_that_accepts_and_says_nothing_costs_its_own_mail_a_delay(d):
    """However many domains lead there: without a bound each has a connection."""
    n, limit = 40, 3
    zone = Zone(domains(n, '127.0.1.1') | {'live.test': {'A': ['127.0.1.2']}})
    with Hops(2) as hops, Script(zone) as dns, mx_server(
            d, dns, hops.port, conf_more='retry_interval = 3600\n',
            options=f'MX_Connection_Limit = {limit}') as s:
        hops[0].replies['BANNER'] = HANG
        send_all(s, n)
        send(s, 'a@live.test')
        hops[1].wait(1)
        why = wait_deferred(s, n - limit)
        assert len(why) == n - limit and all(
            v == f'{k[2:]}[127.0.1.1]: there are as many connections as '
            f'MX_Connection_Limit says ({limit}), and the server has made none '
            'of them ready for mail' for k, v in why.items()), why
        assert hops[0].most == hops[0].nsessions == limit, hops[0].most
        hops[0].stop()


def test_domains_of_one_address_have_its_connections_in_turn(d):
    """None is kept for more mail of its own domain while others wait."""
    n = 60
    with Hops(1) as hops, Script(Zone(domains(n, '127.0.1.1'))) as dns, \
            mx_server(d, dns, hops.port, conf_more='retry_interval = 3600\n',
                      options='MX_Connection_Limit = 2') as s:
        for _ in range(2):
            send_all(s, n)
        hops[0].wait(2 * n, 60)
        assert hops[0].most == 2, hops[0].most
        assert not events(s, 'deferred')


def test_an_address_that_is_full_leaves_mail_to_the_next_of_its_rank(d):
    gate = threading.Event()
    with Hops(2) as hops, Script(Zone(domains(
            4, '127.0.1.1', '127.0.1.2'))) as dns, mx_server(
                d, dns, hops.port, conf_more='retry_interval = 3600\n',
                options='MX_Connection_Limit = 2') as s:
        for h in hops.hops:
            h.replies['DOT'] = lambda *_: (gate.wait(), '250 2.0.0 Taken')[1]
        send_all(s, 4)
        wait_for('four connections', lambda: [
            h.nopen for h in hops.hops] == [2, 2])
        gate.set()
        wait_for('all', lambda: sum(len(h.messages) for h in hops.hops) == 4)


@lasts(20)
def test_an_mx_host_that_does_not_answer_quit_keeps_its_place_for_seconds(d):
    zone = Zone({'one.test': {'A': ['127.0.1.1']},
                 'two.test': {'A': ['127.0.1.1']}})
    for i, option in enumerate(('Max_Connections', 'MX_Connection_Limit')):
        os.mkdir(f'{d}/{i}')
        with Hops(1, replies={'QUIT': HANG}) as hops, Script(zone) as dns, \
                mx_server(f'{d}/{i}', dns, hops.port,
                          conf_more='retry_interval = 3600\n',
                          options=f'{option} = 1') as s:
            send(s, 'a@one.test')
            wait_for('QUIT', lambda: 'QUIT' in hops[0].lines)
            began = time.monotonic()
            send(s, f'a@{("one", "two")[i]}.test')
            hops[0].wait(2)
            assert 3 < time.monotonic() - began < 15 * SLOW
            assert hops[0].most == 1, hops[0].most


# ------------------------------------------------------------------ those that say nothing
def test_domains_whose_dns_says_nothing_leave_room_for_others(d):
    """64 of them are all that are looked up at once."""
    zone, n = Zone({'live.test': {'A': ['127.0.1.1']}}), 64

    def answers(q):
        return zone(q) if q.name.lower() == 'live.test' else None
    with Hops(1) as hops, Script(answers) as dns, server(
            d, by_mx(hops.port), listener=OPEN,
            conf=f'Resolver = "{dns.address}"\nResolver_Timeout = 60\n'
            'retry_interval = 3600\n') as s:
        send_all(s, n)
        wait_for('the questions',
                 lambda: len({q.name for q in list(dns.asked)}) == n)
        send(s, 'a@live.test')
        hops[0].wait(1, 30)
        # one of them is enough
        assert len(waiting(s)) < n / 2, waiting(s)


def silent_servers(d, n):
    """500 recipients for each of n, and then one for a server that answers."""
    zone = Zone({f'd{i}.test': {'A': [f'127.0.1.{i + 1}']}
                 for i in range(n + 1)})
    with Hops(n + 1) as hops, Script(zone) as dns, server(
            d, by_mx(hops.port), listener=OPEN,
            conf=f'Resolver = "{dns.address}"\nResolver_Timeout = 60\n'
            'retry_interval = 3600\n') as s:
        for i in range(n):
            hops[i].replies['BANNER'] = HANG
            for _ in range(5):
                send(s, *(f'u{j}@d{i}.test' for j in range(100)))
        wait_for('connections', lambda: all(
            hops[i].nsessions for i in range(min(n, 4))))
        began = time.monotonic()
        send(s, f'a@d{n}.test')
        hops[n].wait(1, 100)
        took = time.monotonic() - began
        why = wait_for('the reason', lambda: waiting(s), 100)
        assert all('was not ready for mail within 30 s' in x
                   for x in why.values()), set(why.values())
        for i in range(n):
            hops[i].stop()
        return took


@lasts(30)
def test_servers_that_say_nothing_leave_room_for_others(d):
    """Mail for more recipients than the queue gives a process."""
    assert silent_servers(d, 6) > 10, 'there was room before'


@lasts(30)
def test_servers_that_say_nothing_leave_room_for_mail_that_is_due(d):
    """Of which the queue gives a process half as much."""
    silent_servers(d, 2)


# ------------------------------------------------------------------ Source
def test_connections_come_from_the_source_of_their_section(d):
    """Streams of mail that do not spoil each other's reputation."""
    zone = Zone({'one.test': {'A': ['127.0.1.1']},
                 'two.test': {'A': ['127.0.1.1']},
                 'six.test': {'AAAA': ['::1']}})
    with Hops(1) as hops, Script(zone) as dns, mx_server(
            d, dns, hops.port,
            by_mx(hops.port, 'Source = "127.0.2.2" Helo = "two.example"',
                  'two.test'),
            'Domain "route.test" { Delivery = smtp Source = "127.0.2.3" '
            f'Route = "127.0.1.1:{hops.port}" }}\n',
            'Domain "other.test" { Delivery = smtp Source = "127.0.2.4" '
            f'Route = "127.0.1.1:{hops.port}" }}\n',
            options='Source = "127.0.2.1"') as s:
        for i, x in enumerate(('one', 'two', 'route', 'other')):
            send(s, f'a@{x}.test')
            m = hops[0].wait(i + 1)[i]
            assert hops[0].peers[i][0] == f'127.0.2.{i + 1}', hops[0].peers
            assert m.hello == ('EHLO two.example' if x == 'two' else
                               'EHLO mx.example.test'), m.hello
        # there is no source for IPv6
        send(s, 'a@six.test')
        why = wait_why(s, 'a@six.test')
        assert why.endswith('six.test: has no address of IPv4 or IPv6 as '
                            'Source has one'), why
        assert s.stats()['sandbox_kills'] == 0


def test_a_source_that_is_refused_does_not_stop_the_mail_of_another(d):
    """A server refuses one of two streams to the same domain."""
    zone = Zone({'far.test': {'A': ['127.0.1.1']}})
    with open(f'{d}/senders', 'w') as f:
        f.write('@news.test news.invalid\n')
    with Hops(1) as hops, Script(zone) as dns, mx_server(
            d, dns, hops.port,
            by_mx(hops.port, 'Source = "127.0.2.2"', 'news.invalid'),
            conf_more=CONF +
            f'Sender_Transport_Table = "file:{d}/senders"\n') as s:
        hops[0].replies['BANNER'] = lambda session, _: \
            '421 4.7.0 Who sends news?' if session.s.getpeername()[0] == \
            '127.0.2.2' else '220 next.test ready'
        for i in range(5):
            send(s, f'{i}@far.test', sender='n@news.test')
        s.logged(' event=target-rests .*target="far.test by news.invalid"',
                 timeout=60)
        send(s, 'a@far.test')
        [m] = hops[0].wait(1, 60)
        assert m.rcpts == ['RCPT TO:<a@far.test>'], m.rcpts


def test_a_source_and_an_mx_host_have_limits_whatever_the_domains(d):
    """Ten messages at once, and the next ten within the next second.  One source has
    one connection, to two hosts; the other mail goes to one host from another."""
    n = 6
    zone = Zone({f'd{i}.test': {'A': [f'127.0.1.{1 + i % 2}']}
                 for i in range(n)} |
                {f'e{i}.far.test': {'A': ['127.0.1.3']} for i in range(n)})
    with Hops(3) as hops, Script(zone) as dns, mx_server(
            d, dns, hops.port,
            by_mx(hops.port, 'Source = "127.0.2.2"\n    MX_Rate_Limit = 600',
                  '*.far.test'),
            conf_more='retry_interval = 3600\n',
            options='Source = "127.0.2.1"\n    Source_Max_Connections = 1\n'
            '    Source_Max_Rate = 600') as s:
        began = time.monotonic()
        for _ in range(4):
            send(s, *(f'a@d{i}.test' for i in range(n)),
                 *(f'a@e{i}.far.test' for i in range(n)))
        hops[2].wait(4 * n, 60)
        wait_for('all', lambda: len(hops[0].messages) +
                 len(hops[1].messages) == 4 * n, 60)
        assert time.monotonic() - began >= (4 * n - 10) / 10 * .9
        assert {p[0] for h in hops[:2] for p in h.peers} == {'127.0.2.1'}
        assert {p[0] for p in hops[2].peers} == {'127.0.2.2'}
        assert [h.most for h in hops[:2]] == [1, 1]
        assert not events(s, 'deferred')


def test_a_source_that_this_machine_does_not_have(d):
    with Hops(1) as hops, server(
            d, 'Domain "a.test" { Delivery = smtp Source = "192.0.2.7" '
            f'Route = "127.0.1.1:{hops.port}" }}\n') as s:
        s.logged(' event=absent .*' + re.escape(
            "option 'Source': 192.0.2.7: Cannot assign requested address"))
        send(s, 'x@a.test')
        assert wait_why(s, 'x@a.test') == \
            '[127.0.1.1]: Source: Cannot assign requested address'


# ------------------------------------------------------------------ Route
def test_a_name_in_route_is_looked_up(d):
    for lmtp in False, True:
        with Hops(1, lmtp=lmtp) as hops, \
                Script(Zone({'next.test': {'A': ['127.0.1.1']}})) as dns:
            os.mkdir(f'{d}/{lmtp}')
            with server(f'{d}/{lmtp}', f'''Domain "a.test" {{
    Delivery = {'lmtp' if lmtp else 'smtp'}
    Route = "next.test:{hops.port}"
}}
''', conf=conf(dns)) as s:
                send(s, 'x@a.test')
                hops[0].wait(1)
                wait_for('the log', lambda: events(s, 'delivered'))
                assert events(s, 'delivered')[0]['reply'].startswith(
                    'next.test[127.0.1.1] said: 250'), events(s, 'delivered')
                # its MX records count for nothing
                assert {q.type for q in dns.asked} == {'A', 'AAAA'}


def test_a_name_in_route_that_is_not_there_defers(d):
    """It is a fault of the configuration, which nobody's mail has to pay for."""
    zone = Zone({})
    with Hops(1) as hops, Script(zone) as dns, server(
            d, f'Domain "a.test" {{ Delivery = smtp '
            f'Route = "next.test:{hops.port}" }}\n', conf=conf(dns)) as s:
        send(s, 'x@a.test')
        why = wait_deferred(s)
        assert why['x@a.test'].startswith('next.test: the host that the '
                                          'configuration names'), why
        s.logged(' event=next-hop-name .*name=next.test ')
        zone.names['next.test'] = {'A': ['127.0.1.1']}
        # an answer without a SOA record is not kept
        hops[0].wait(1, 30)
        assert not events(s, 'bounced')


def test_another_route_is_used_while_a_name_cannot_be_looked_up(d):
    with Hops(1) as hops, Script(Zone({'next.test': SERVFAIL})) as dns, server(
            d, f'Domain "a.test" {{ Delivery = smtp Route = {{ '
            f'"next.test:{hops.port}", "127.0.1.1:{hops.port}" }} }}\n',
            conf=conf(dns)) as s:
        send(s, 'x@a.test')
        hops[0].wait(1)
        assert not waiting(s)


# ------------------------------------------------------------------ much
def test_many_domains_at_once(d):
    n = 300
    zone = {f'd{i}.test': {'MX': [(10, f'mx{i % 7}.test')]} for i in range(n)}
    zone.update({f'mx{i}.test': {'A': [f'127.0.1.{i % 3 + 1}']}
                 for i in range(7)})
    with Hops(3) as hops, Script(Zone(zone)) as dns, \
            mx_server(d, dns, hops.port) as s:
        for i in range(0, n, 50):
            send(s, *(f'a@d{j}.test' for j in range(i, i + 50)))
        wait_for('all', lambda: sum(len(h.messages) for h in hops.hops) == n,
                 60)
        assert s.stats()['respawns'] == 0
        assert not events(s, 'deferred')


def test_ports_of_questions_change_however_many_wait(d):
    """More than all sockets of the resolver are to have."""
    def answers(q):
        return q.answer(*(mx(q.name, 10, f'h{i}.{q.name}')
                          for i in range(16))) if q.type == 'MX' else None
    n = 40
    with Hops() as hops, Script(answers) as dns, server(
            d, by_mx(hops.port), conf=f'Resolver = "{dns.address}"\n'
            'Resolver_Timeout = 60\n', listener=OPEN) as s:
        def waiting_questions():
            return [q for q in list(dns.asked) if q.type != 'MX']
        for i in range(n):
            send(s, f'a@d{i}.test')
            wait_for('its questions', lambda: len(
                waiting_questions()) >= (i + 1) * 32)
        uses = Counter(q.port for q in waiting_questions())
        # 32 of each of 16 sockets, and then as many of each
        assert max(uses.values()) <= 3 * n * 32 / 16 / 2, uses.most_common(3)


def test_any_octets_from_a_name_server_cost_mail_a_delay_alone(d):
    good = Zone({'a.test': {'MX': [(10, 'mx.a.test')]},
                 'mx.a.test': {'A': ['127.0.1.1']}})
    spoilt = [True]

    def answers(q):
        octets = good(q)
        if not spoilt:
            return octets
        return [octets[:len(octets) // 2], octets[:-1],
                q.packet[:2] + bytes(range(256))]
    with Hops(1) as hops, Script(answers) as dns, \
            mx_server(d, dns, hops.port) as s:
        send(s, 'x@a.test')
        wait_deferred(s)
        spoilt.clear()
        hops[0].wait(1)
        assert s.stats()['respawns'] == 0 and not events(s, 'bounced')


# ------------------------------------------------------------------ TLS
def test_a_certificate_has_to_be_for_the_name_that_was_looked_up(d):
    make_pair(d, 'next', host='mx.next.test', owner=os.getuid())
    zone = Zone({'one.test': {'MX': [(10, 'mx.next.test')]},
                 'other.test': {'MX': [(10, 'mx.other.test')]},
                 'mx.next.test': {'A': ['127.0.1.1']},
                 'mx.other.test': {'A': ['127.0.1.1']}})
    options = f'TLS = verify TLS_CA_File = "{d}/next.crt"'
    with Hops(1, tls=(f'{d}/next.crt', f'{d}/next.key')) as hops, \
            Script(zone) as dns, mx_server(
                d, dns, hops.port, 'Domain "route.test" { Delivery = smtp '
                f'{options} Route = "mx.next.test:{hops.port}" }}\n',
                options=options) as s:
        send(s, 'a@one.test')
        send(s, 'a@route.test')
        assert {m.tls for m in hops[0].wait(2)} == {'TLSv1.3'}
        send(s, 'a@other.test')
        assert 'mx.other.test[127.0.1.1]: ' in wait_why(s, 'a@other.test')
        assert len(hops[0].messages) == 2


def test_requiretls_needs_a_name_that_nobody_can_forge(d):
    """RFC 8689 4.2.1: the DNS alone is no proof of which host is the right one."""
    make_pair(d, 'next', host='mx.next.test', owner=os.getuid())
    make_pair(d, 'mx')
    zone = Zone({'one.test': {'MX': [(10, 'mx.next.test')]},
                 'two.test': {'MX': [(10, 'mx.less.test'),
                                     (20, 'mx.next.test')]},
                 'mx.less.test': {'A': ['127.0.1.2']},
                 'mx.next.test': {'A': ['127.0.1.1']}})

    def proved(q):
        octets = bytearray(zone(q))
        octets[3] |= AD
        return bytes(octets)
    trust = 'Resolver_Trust_AD = true\n'
    with Hops(2, tls=(f'{d}/next.crt', f'{d}/next.key'),
              ehlo=EHLO + ('REQUIRETLS',)) as hops, Script(proved) as dns, \
            Server(d, conf=conf(dns), listener=OPEN + tls_conf(d, 'mx') +
                   'SMTP_Extensions = { "PIPELINING", "STARTTLS", '
                   '"ENHANCEDSTATUSCODES", "REQUIRETLS" }\n',
                   extra=by_mx(hops.port, f'TLS_CA_File = "{d}/next.crt"')
                   ) as s:
        def require(rcpt='a@one.test'):
            with smtplib.SMTP('127.0.0.1', s.port) as c:
                c.starttls()
                c.ehlo()
                c.sendmail('user@example.test', rcpt,
                           'Subject: x\r\n\r\nx\r\n', ['REQUIRETLS'])
        require()
        assert 'does not promise TLS' in wait_bounced(s)['a@one.test']
        # its certificate was right
        s.logged(' event=next-hop-tls .* verified=yes')
        assert not hops[0].messages
        s.write_conf(conf=conf(dns) + trust)
        s.ctl('reload')
        require()
        [m] = hops[0].wait(1)
        assert ' REQUIRETLS' in m.mail, m.mail
        # each of the hosts is tried until one has it
        hops[1].ehlo = EHLO
        require('a@two.test')
        assert ' REQUIRETLS' in hops[0].wait(2)[1].mail
        assert hops[1].nsessions == 2 and not hops[1].messages
        # what this server cannot check is no fault of that one
        os.unlink(f'{d}/next.crt')
        s.end_one('relay')
        require('b@one.test')
        assert 'cannot be checked' in wait_deferred(s)['b@one.test']
        assert len(events(s, 'bounced')) == 1


# ------------------------------------------------------------------ processes
def test_mail_waits_for_an_answer_of_the_dns_beyond_a_reload(d):
    zone, is_silent = Zone({'one.test': {'A': ['127.0.1.1']}}), [True]
    with Hops(1) as hops, Script(lambda q: None if is_silent else
                                 zone(q)) as dns, mx_server(
            d, dns, hops.port, conf_more=CONF) as s:
        for i in range(3):
            send(s, 'a@one.test', message=text_message(i))
            wait_for('a question', lambda: len(dns.asked) > i)
            s.ctl('reload')
        is_silent.clear()
        hops[0].wait(3)
        s.wait_empty()
        assert len(hops[0].messages) == 3 and not events(s, 'bounced')
