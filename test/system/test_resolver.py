"""The resolver: what the DNS says, as "mailmillctl lookup" shows it."""
import os
import random
import re
import signal
import subprocess
import threading

from harness import Client, Server, lasts, wait_for
from nameserver import (AD, FORMERR, REFUSED, SERVFAIL, Nsd, Script, a, mx,
                        name_octets, record)

LARGE = 'x' * 250
ZONES = {
    'dns.test': f'''
mail MX 20 mx2
mail MX 10 mx1
mx1 A 192.0.2.1
mx1 A 192.0.2.2
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.3
null MX 0 .
alias CNAME mail
elsewhere CNAME mail.other.test.
aliased MX 10 mxalias
mxalias CNAME mx1
implicit A 192.0.2.4
nothing TXT "x"
dead MX 10 gone
dead MX 10 nothing
self MX 10 mx.example.test.
self MX 20 mx1
backup MX 10 mx1
backup MX 20 MX.Example.test.
v6only MX 10 six
six AAAA 2001:db8::6
failing MX 10 mx.servfail.test.
txt TXT "v=spf1 " "-all"
txt TXT "a \\"quoted\\" \\200 one"
large TXT {' '.join([f'"{LARGE}"'] * 30)}
''' + ''.join(f'many MX {i} a-host-with-a-long-name-{i}\n' for i in
              range(1, 101)) +
    ''.join(f'toomany MX {i} a-host-with-a-long-name-{i}\n' for i in
            range(1, 601)) +
    ''.join(f'a-host-with-a-long-name-{i} A 198.51.100.{i}\n' for i in
            range(1, 101)) + f'''
_25._tcp.mx1 TLSA 3 1 1 {'ab' * 32}
''',
    'other.test': 'mail MX 5 mx\nmx A 203.0.113.1\n',
    '2.0.192.in-addr.arpa': '1 PTR mx1.dns.test.\n',
    'servfail.test': None,
}


def conf(*servers, more=''):
    return 'Resolver = { %s }\n' % ', '.join(
        f'"{x.address}"' for x in servers) + more


def hops(s, name):
    v = s.ctl_json('lookup', name)
    return [(h['preference'], h['host'], h['address']) for h in v['hops']]


def reply(s, name):
    v = s.ctl_json('lookup', name)
    assert v['hops'] == [], v
    return f"{v['code']} {v['enhanced']}", v['reason']


def records(s, name, type, status='found'):
    v = s.ctl_json('lookup', name, type)
    assert v['status'] == status, v
    return v['records']


def test_the_hops_of_domains(d):
    with Nsd(d, ZONES) as nsd, Server(d, conf=conf(nsd)) as s:
        mx1 = [(10, 'mx1.dns.test', x) for x in (
            '2001:db8::1', '192.0.2.1', '192.0.2.2')]
        first = hops(s, 'mail.dns.test')
        # nsd may turn the addresses of a name
        assert sorted(first[:3]) == sorted(mx1) and first[0] == mx1[0], first
        assert first[3:] == [(20, 'mx2.dns.test', '192.0.2.3')], first
        assert sorted(hops(s, 'ALIAS.dns.test.')) == sorted(first)
        assert hops(s, 'elsewhere.dns.test') == [
            (5, 'mx.other.test', '203.0.113.1')]
        assert hops(s, 'implicit.dns.test') == [
            (0, 'implicit.dns.test', '192.0.2.4')]
        assert hops(s, 'v6only.dns.test') == [
            (10, 'six.dns.test', '2001:db8::6')]
        v = s.ctl_json('lookup', 'aliased.dns.test')['hops']
        assert [h['alias'] for h in v] == ['mx1.dns.test'] * 3, v
        # ourselves, and what is behind us
        assert {h[0] for h in hops(s, 'backup.dns.test')} == {10}
        assert reply(s, 'self.dns.test')[0] == '550 5.4.6'
        # the preferred ones of many, over TCP
        assert hops(s, 'many.dns.test')[:3] == [
            (i, f'a-host-with-a-long-name-{i}.dns.test', f'198.51.100.{i}')
            for i in (1, 2, 3)]
        assert hops(s, '[192.0.2.7]') == [(0, '', '192.0.2.7')]
        assert hops(s, '[IPv6:2001:db8::7]') == [(0, '', '2001:db8::7')]
        out = s.ctl('lookup', 'v6only.dns.test').stdout
        assert out == '   10  2001:db8::6  six.dns.test\n', out
        assert s.stats()['respawns'] == 0


def test_why_there_is_no_hop(d):
    with Nsd(d, ZONES) as nsd, Server(d, conf=conf(nsd)) as s:
        assert reply(s, 'null.dns.test')[0] == '556 5.1.10'
        assert reply(s, 'missing.dns.test')[0] == '550 5.1.2'
        assert reply(s, 'nothing.dns.test')[0] == '550 5.4.4'
        assert reply(s, 'dead.dns.test')[0] == '550 5.4.4'
        assert reply(s, 'toomany.dns.test')[0] == '550 5.4.4'
        assert reply(s, 'servfail.test')[0] == '451 4.4.3'
        assert reply(s, 'failing.dns.test')[0] == '451 4.4.3'
        # a name server that is not for this domain
        assert reply(s, 'nowhere.invalid')[0] == '451 4.4.3'
        assert reply(s, 'a b')[0] == '550 5.1.2'
        s.logged('event=resolver-failed name=')
        out = s.ctl('lookup', 'null.dns.test').stdout
        assert out == 'null.dns.test: accepts no mail (null MX) ' \
            '(556 5.1.10)\n', out


def test_records_of_each_type(d):
    with Nsd(d, ZONES) as nsd, Server(d, conf=conf(nsd)) as s:
        assert {(r['preference'], r['host']) for r in records(
            s, 'mail.dns.test', 'mx')} == {(20, 'mx2.dns.test'),
                                           (10, 'mx1.dns.test')}
        assert {r['address'] for r in records(s, 'mx1.dns.test', 'host')} == {
            '192.0.2.1', '192.0.2.2', '2001:db8::1'}
        assert records(s, 'null.dns.test', 'mx') == [
            {'preference': 0, 'host': '.'}]
        assert {r['text'] for r in records(s, 'txt.dns.test', 'txt')} == {
            'v=spf1 -all', 'a "quoted" \\200 one'}
        # more than fits in a datagram
        assert [r['text'] for r in records(s, 'large.dns.test', 'txt')] == [
            LARGE * 30]
        assert records(s, '_25._tcp.mx1.dns.test', 'tlsa') == [
            {'usage': 3, 'selector': 1, 'matching': 1, 'data': 'ab' * 32}]
        assert records(s, '1.2.0.192.in-addr.arpa', 'ptr') == [
            {'host': 'mx1.dns.test'}]
        assert not records(s, 'mail.dns.test', 'txt', 'no such record')
        assert not records(s, 'missing.dns.test', 'txt', 'no such name')
        assert not records(s, 'toomany.dns.test', 'mx', 'too many records')
        assert not records(s, 'servfail.test', 'txt', 'no answer')
        v = s.ctl_json('lookup', 'alias.dns.test', 'mx')
        assert v['alias'] == 'mail.dns.test' and 0 < v['ttl'] <= 300, v
        for words in (('a b', 'mx'), ('x.test', 'any')):
            p = s.ctl('lookup', *words, check=False)
            assert p.returncode == 1 and p.stderr, p
        assert s.ctl('lookup', check=False).returncode == 2


# ------------------------------------------------------------------ scripted
def simple(q):
    if q.type == 'MX':
        return q.answer(mx(q.name, 10, 'mx.' + q.name))
    if q.type == 'A':
        return q.answer(a(q.name, '192.0.2.1'))
    return q.answer()


def test_an_answer_is_kept_as_long_as_it_says(d):
    def answers(q):
        if q.type != 'TXT':
            return q.answer(rcode=SERVFAIL)
        return q.answer(record(q.name, 'TXT', b'\x01x',
                               1 if q.name.startswith('short') else 300))
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        for _ in range(5):
            records(s, 'long.test', 'txt')
        assert len(dns.asked) == 1, dns.asked
        assert dns.asked[0].has_ad and dns.asked[0].has_edns
        records(s, 'short.test', 'txt')
        wait_for('it to be asked for again', lambda: records(
            s, 'short.test', 'txt') and len(dns.asked) >= 3)
        stats = s.stats()
        assert stats['lookups'] >= 7 and stats['lookups_cached'] >= 4, stats
        assert stats['lookups_sent'] == len(dns.asked), stats
        assert stats['lookups_failed'] == 0, stats


def test_the_bit_ad_counts_if_the_servers_are_trusted(d):
    def answers(q):
        return q.answer(record(q.name, 'TXT', b'\x01x'), flags=AD)
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        assert not s.ctl_json('lookup', 'a.test', 'txt')['authentic']
        s.write_conf(conf=conf(dns, more='Resolver_Trust_AD = true\n'))
        s.ctl('reload')
        assert s.ctl_json('lookup', 'a.test', 'txt')['authentic']
        assert 'DNSSEC' in s.ctl('lookup', 'a.test', 'txt').stdout


def test_a_name_server_that_says_nothing(d):
    """The next one is asked; when none answers, the look-up fails in the time
    that the settings say."""
    more = 'Resolver_Timeout = 1\nResolver_Attempts = 1\n'
    with Script(lambda q: None) as silent, Script(simple) as good:
        with Server(d, conf=conf(silent, good, more=more)) as s:
            assert hops(s, 'a.test') == [(10, 'mx.a.test', '192.0.2.1')]
            assert silent.asked and good.asked
            s.write_conf(conf=conf(silent, more=more))
            s.ctl('reload')
            assert reply(s, 'b.test')[0] == '451 4.4.3'
            s.logged('event=resolver-failed name=b.test .*reason=')
            assert s.stats()['lookups_failed'] == 1


def test_a_name_server_that_cannot_answer(d):
    with Script(lambda q: q.answer(rcode=SERVFAIL)) as bad, \
            Script(lambda q: q.answer(rcode=REFUSED)) as worse, \
            Script(simple) as good:
        with Server(d, conf=conf(bad, worse, good)) as s:
            assert hops(s, 'a.test') == [(10, 'mx.a.test', '192.0.2.1')]
            assert bad.asked and worse.asked


def test_a_name_server_that_knows_no_edns(d):
    def answers(q):
        return q.answer(rcode=FORMERR) if q.has_edns else simple(q)
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        # more than c-ares' channels have
        for i in range(40):
            assert hops(s, f'a{i}.test'), i


def test_an_answer_that_is_cut_is_asked_for_over_tcp(d):
    def answers(q):
        if not q.is_tcp:
            return q.answer(flags=0x0200)
        return q.answer(*(mx(q.name, i, f'mx{i}.test') for i in range(300)))
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        assert len(records(s, 'a.test', 'mx')) == 300
        assert [q.is_tcp for q in dns.asked] == [False, True]


def test_answers_of_others_do_not_count(d):
    """Another number, another question, no octets, before the right one."""
    def answers(q):
        wrong = a(q.name, '203.0.113.66')
        other = type(q)(q.packet.replace(b'\x01a', b'\x01b'), False)
        return [b'', b'x', q.answer(wrong, id=bytes([q.packet[0] ^ 1,
                                                     q.packet[1]])),
                other.answer(a(other.name, '203.0.113.66')),
                q.answer(a(q.name, '192.0.2.1'),
                         a('others.test', '203.0.113.66'))
                if q.type == 'A' else q.answer()]
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        assert records(s, 'a.test', 'host') == [{'address': '192.0.2.1'}]
        # none of them ends a question
        assert len(dns.asked) == 2, len(dns.asked)


def test_ports_and_numbers_change(d):
    """Whoever cannot see the questions has to guess both."""
    with Script(simple) as dns, Server(d, conf=conf(dns)) as s:
        for i in range(30):
            records(s, f'a{i}.test', 'mx')
        assert len({q.port for q in dns.asked}) > 20, len(dns.asked)
        assert len({q.packet[:2] for q in dns.asked}) > 28


def test_ports_change_also_while_questions_wait(d):
    """A socket would keep its port as long as it has one."""
    def answers(q):
        return q.answer(*(mx(q.name, 10, f'mx{i}.{q.name}')
                          for i in range(16))) if q.type == 'MX' else None
    more = 'Resolver_Timeout = 1\nResolver_Attempts = 1\n'
    with Script(answers) as dns, Server(d, conf=conf(dns, more=more)) as s:
        threads = [threading.Thread(target=reply, args=(s, f'a{i}.test'))
                   for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        waited = [q for q in dns.asked if q.type != 'MX']
        assert len(waited) == 8 * 16 * 2, len(waited)
        assert len({q.port for q in waited}) >= 6, {q.port for q in waited}


@lasts(15)
def test_any_octets_from_a_name_server(d):
    rng = random.Random(1)

    def spoilt(q):
        good = bytearray(q.answer(
            record(q.name, 'CNAME', name_octets('b.test')),
            mx('b.test', 10, 'mx.b.test'), a('b.test', '192.0.2.1'),
            record('b.test', 'TXT', b'\x03abc'),
            record('b.test', 'TLSA', b'\x03\x01\x01abc'),
            flags=rng.choice((0, 0, AD, 0x200)), rcode=rng.choice((0, 0, 3))))
        for _ in range(rng.randrange(6)):
            # behind the number, else it is none of ours
            good[rng.randrange(2, len(good))] = rng.choice(
                (0, 1, 0x3f, 0xc0, 0xff, rng.randrange(256)))
        return bytes(good[:rng.choice((len(good), rng.randrange(
            2, len(good)))) or None])

    def answers(q):
        return rng.choice((spoilt(q), spoilt(q) + rng.randbytes(
            rng.randrange(2000)), q.packet[:2] + rng.randbytes(
            rng.randrange(600)), [spoilt(q)] * 3))
    more = 'Resolver_Timeout = 1\nResolver_Attempts = 1\n'
    with Script(answers) as dns, Server(d, conf=conf(dns, more=more)) as s:
        def ask(n):
            for i in range(3):
                for type in 'host', 'mx', 'txt', 'tlsa', 'ptr', 'cname':
                    s.ctl('lookup', f'a{n}-{i}.test', type)
                s.ctl('lookup', f'a{n}-{i}.test')
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(dns.asked) > 100, len(dns.asked)
        stats = s.stats()
        assert stats['respawns'] == 0 and stats['sandbox_kills'] == 0, stats
        assert 'event=lookup-answer' not in s.log()
        with Client(s.port) as c:
            c.hello()


# ------------------------------------------------------------------ life
def test_the_name_servers_of_the_machine(d):
    with open('/etc/resolv.conf') as f:
        want = re.findall(r'^nameserver\s+([\d.]+)\s*$', f.read(), re.M)
    with Server(d) as s:
        m = s.logged(r'event=resolver servers=(\S+) file=/etc/resolv.conf')[0]
        have = m[1].split(',')
        assert [f'{x}:53' for x in want] == [
            x for x in have if '[' not in x] or not want, (want, have)


def test_settings_that_are_wrong(d):
    for value in 'localhost', '127.0.0.1:0', '::1:53:', '127.0.0.1:99999':
        s = Server(d, conf=f'Resolver = {{ "{value}" }}\n')
        p = subprocess.run(s.command('-n'), capture_output=True, text=True)
        assert p.returncode == 78, (value, p)
        assert 'Resolver' in p.stderr and value in p.stderr, p.stderr
    s = Server(d, conf='Resolver = { "192.0.2.53", "2001:db8::53", '
               '"[2001:db8::53]:5353" }\n')
    with s:
        s.logged(re.escape('servers=192.0.2.53:53,[2001:db8::53]:53,'
                           '[2001:db8::53]:5353 file=-'))


def test_a_server_without_one(d):
    with Server(d, conf='resolvers = 0\n') as s:
        assert not s.pids('resolver')
        p = s.ctl('lookup', 'a.test', check=False)
        assert p.returncode == 1 and 'the configuration has none' in p.stderr
        s.write_conf(conf='resolvers = 2\n')
        s.ctl('reload')
        assert len(s.pids('resolver')) == 2


def test_a_reload_takes_others(d):
    def says(address):
        return lambda q: q.answer(a(q.name, address)) if q.type == 'A' \
            else q.answer()
    with Script(says('192.0.2.1')) as one, Script(says('192.0.2.2')) as two, \
            Server(d, conf=conf(one)) as s:
        old = s.pids('resolver')
        assert records(s, 'a.test', 'host') == [{'address': '192.0.2.1'}]
        s.write_conf(conf=conf(two))
        s.ctl('reload')
        assert records(s, 'a.test', 'host') == [{'address': '192.0.2.2'}]
        wait_for('the old one to end', lambda: len(s.pids('resolver')) == 1
                 and s.pids('resolver') != old)
        # a bad configuration leaves it
        s.write_conf(conf='Resolver = { "x" }\n')
        assert s.ctl('reload', check=False).returncode != 0
        assert records(s, 'a.test', 'host') == [{'address': '192.0.2.2'}]


def test_one_that_dies_is_replaced(d):
    with Script(simple) as dns, Server(d, conf=conf(dns)) as s:
        assert hops(s, 'a.test')
        for sig in signal.SIGKILL, signal.SIGTERM:
            pid, = s.pids('resolver')
            s.guilty.add(pid)
            os.kill(pid, sig)
            # mailmillctl waits for the next one
            wait_for('its successor', lambda: s.pids('resolver') not in (
                [pid], []))
            assert hops(s, 'a.test')


def test_questions_under_way_delay_no_end(d):
    with Script(lambda q: None) as silent, Server(d, conf=conf(silent)) as s:
        out = []
        t = threading.Thread(target=lambda: out.append(
            s.ctl('lookup', 'a.test', check=False, timeout=60)))
        t.start()
        wait_for('the question', lambda: silent.asked)
        # mailmillctl asks the new one
        n = len(silent.asked)
        s.ctl('reload')
        wait_for('the question again', lambda: len(silent.asked) > n)
        s.stop()
        t.join()
        assert out[0].returncode == 1, out


def test_names_of_a_hostile_server_do_not_reach_the_terminal(d):
    def answers(q):
        return q.answer(record(q.name, 'TXT', b'\x06\x1b[2J\x9b\x07'))
    with Script(answers) as dns, Server(d, conf=conf(dns)) as s:
        p = s.ctl('lookup', 'a.test', 'txt')
        assert '\\027[2J\\155\\007' in p.stdout and '\x1b' not in p.stdout, p
