"""Destinations that do not answer, and what they cost the others: windows, rests,
probes, rates."""
import re
import threading
import time

from harness import SLOW, Client, lasts, text_message, wait_for
from nameserver import Script
from nexthop import NextHop
from test_relay import domain, events, send, server
from test_relay_mx import Hops, Zone, mx_server

CONF = 'retry_interval = 3600\nmax_retry_interval = 3600\n'


def send_many(s, n, nrcpts, domain):
    """n messages, each for so many recipients, in one session."""
    with Client(s.port) as c:
        c.hello()
        for i in range(n):
            c.send(''.join(
                ['MAIL FROM:<a@client.test>\r\n'] +
                [f'RCPT TO:<u{i}.{k}@{domain}>\r\n' for k in range(nrcpts)] +
                ['DATA\r\n']).encode())
            for _ in range(nrcpts + 1):
                c.expect('250')
            c.expect('354')
            c.send(text_message(i) + b'.\r\n')
            c.expect('250')


def target(s, hop):
    """What queue top says of it; {}: nothing."""
    top = s.ctl_json('queue', 'top', '--targets')['top']
    return {row['name']: row for row in top}.get(f'relay {hop.route}', {})


@lasts(10)
def test_a_dead_destination_costs_the_others_nothing_and_is_drained_when_it_is_back(d):
    gate = threading.Event()
    dead = NextHop(replies={'DOT': lambda *_: (gate.wait(),
                                               '250 2.0.0 Taken')[1]})
    live = NextHop()
    with live, server(d, domain('dead.test', dead), domain('live.test', live),
                      conf=CONF) as s:
        send_many(s, 300, 10, 'dead.test')
        send_many(s, 20, 10, 'live.test')
        live.wait(20)
        # all of it waits in the database, and few were tried
        wait_for('it to rest', lambda: events(s, 'target-rests'), 60)
        wait_for('all of it to be parked', lambda: 'rest' in target(s, dead) and
                 len(events(s, 'parked')) + len(events(s, 'deferred')) >= 3000,
                 60)
        assert len(events(s, 'deferred')) <= 5 * 10 + 10, events(s, 'deferred')
        row = target(s, dead)
        assert row['recipients'] == 3000 and row['sent'] == 0, row
        assert row['window'] == 1 and 'refused' in row['error'], row
        begin = len(live.messages)
        send_many(s, 50, 1, 'live.test')
        live.wait(begin + 50)
        delays = [float(e['delay']) for e in events(s, 'delivered')[-50:]]
        assert max(delays) < 2 * SLOW, delays
        text = s.ctl('queue', 'top', '--targets').stdout
        assert f'relay {dead.route} (0 of a window of 1 sent, rests for ' in text, text
        m = s.ctl_json('queue', 'list', '--limit', '1')['messages'][0]
        [r, *_] = s.ctl_json('queue', 'show', m['id'])['message']['recipients']
        assert r['target']['name'] == f'relay {dead.route}', r
        assert r['target']['window'] == 1, r
        assert f'goes to relay {dead.route} (' in s.ctl(
            'queue', 'show', m['id']).stdout
        with dead:
            # one shows that it is back, whatever others get meanwhile
            wait_for('the probe', lambda: dead.octets, 120)
            begin = len(live.messages)
            send_many(s, 50, 1, 'live.test')
            live.wait(begin + 50)
            assert dead.nsessions == 1, dead.nsessions
            assert [x[:4] for x in dead.lines].count('RCPT') == 1, dead.lines
            gate.set()
            tried = len(events(s, 'deferred'))
            wait_for('what is parked', lambda: sum(
                len(m.rcpts) for m in list(dead.messages)) >= 3000 - tried, 120)
            # the others have times of their own
            s.ctl('queue', 'retry', 'all')
            s.wait_empty(60)
            got = [r for m in dead.messages for r in m.rcpts]
            assert len(got) == len(set(got)) == 3000, len(got)
            assert len(events(s, 'target-answers')) == 1
            assert target(s, dead) == {}


def test_the_parked_are_found_by_the_next_process(d):
    dead = NextHop()
    with server(d, domain('dead.test', dead), conf=CONF) as s:
        send_many(s, 50, 1, 'dead.test')
        wait_for('it to be parked', lambda: len(events(s, 'parked')) >= 40, 60)
        [queue] = s.pids('mailmilld: queue')
        s.ctl('reload')
        wait_for('another queue', lambda: [
            p for p in s.pids('mailmilld: queue') if p != queue])
        wait_for('its end', lambda: queue not in s.pids('mailmilld: queue'))
        with dead:
            # with new settings, and with those that were tried
            s.ctl('queue', 'retry', 'all')
            dead.wait(50, 60)
            s.wait_empty()
            assert len(dead.messages) == 50


def test_no_more_messages_a_minute_than_the_option_says(d):
    hop, other = NextHop(), NextHop()
    with hop, other, server(d, domain('slow.test', hop, 'Max_Rate = 120'),
                            domain('other.test', other)) as s:
        began = time.monotonic()
        send_many(s, 20, 3, 'slow.test')
        send_many(s, 20, 1, 'other.test')
        other.wait(20)
        hop.wait(20, 60)
        # two at once, one in each half of a second
        took = time.monotonic() - began
        assert took >= 18 / 2 * .9, took
        assert len(hop.messages) == 20 and all(
            len(m.rcpts) == 3 for m in hop.messages)
        assert not events(s, 'deferred')


def expect_wait(s, domain, key, words):
    """Both queue top and queue show say what the target of ${domain} waits for.
    Return what the JSON says."""
    def one():
        top = s.ctl_json('queue', 'top', '--targets', '--domain', domain)['top']
        return top[0] if top and key in top[0] else None
    row = wait_for(key, one)
    m = s.ctl_json('queue', 'list', '--domain', domain)['messages'][-1]
    [r] = s.ctl_json('queue', 'show', m['id'])['message']['recipients']
    assert r['target']['name'] == row['name'] and key in r['target'], r
    for command in (['top', '--targets'], ['show', m['id']]):
        text = s.ctl('queue', *command).stdout
        assert re.search(re.escape(row['name']) + r' \(\d+ of a window of \d+ '
                         r'sent, ' + words + r'\)', text), text
    return row[key]


def test_queue_show_and_top_say_what_a_target_waits_for(d):
    gate = threading.Event()
    hops = [NextHop(), NextHop(), NextHop(
        replies={'DOT': lambda *_: (gate.wait(), '250 2.0.0 Taken')[1]})]
    options = ['Max_Rate = 1',
               'Source = "127.0.0.1"\nSource_Max_Rate = 1',
               'Source = "127.0.0.2"\nSource_Max_Connections = 1']
    names = ['rate.test', 'source.test', 'full.test']
    with hops[0], hops[1], hops[2], server(
            d, *(domain(*x) for x in zip(names, hops, options))) as s:
        for n in names:
            for _ in range(3):
                send(s, f'x@{n}')
        assert 1 <= expect_wait(s, 'rate.test', 'rate_wait',
                                r'waits \d+ s for its rate') <= 60
        assert 1 <= expect_wait(s, 'source.test', 'source_rate_wait',
                                r'waits \d+ s for the rate of its source') <= 60
        assert expect_wait(
            s, 'full.test', 'source_full',
            'waits for room among the messages of its source') is True
        gate.set()
        hops[2].wait(3)


def test_they_say_that_it_waits_for_the_rate_of_its_mx_hosts(d):
    zone = Zone({'mx.test': {'A': ['127.0.1.1']}})
    with Hops(1) as hops, Script(zone) as dns, mx_server(
            d, dns, hops.port, options='MX_Rate_Limit = 1') as s:
        for _ in range(3):
            send(s, 'x@mx.test')
        hops[0].wait(1)
        assert 1 <= expect_wait(
            s, 'mx.test', 'mx_rate_wait',
            r'waits \d+ s for the rate of its MX hosts') <= 60
