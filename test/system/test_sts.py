"""MTA-STS (RFC 8461): the policies of domains, from a scripted name server and an
HTTPS server of the test, and the mail that follows them."""
import contextlib
import os
import re
import signal
import subprocess
import time

from harness import SLOW, lasts, text_message, wait_for
from httpsserver import HttpsServer, answer, make_cert, policy, slowly
from nameserver import NXDOMAIN, Script, a, mx, record
from nexthop import NextHop
from test_relay import CONF, events, send, server, wait_deferred, waiting
from test_relay_mx import Hops, by_mx


class Zones:
    """For each domain: an id of its policy, or None, and its MX hosts, with the
    number of their servers.  Nothing may be kept, so that a change counts at
    once."""

    def __init__(self):
        self.ids, self.hosts, self.is_down = {}, {}, False

    def add(self, domain, id, *hosts):
        self.ids[domain], self.hosts[domain] = id, hosts or ((
            f'mx.{domain}', 1),)

    def __call__(self, q):
        name = q.name.lower()
        if self.is_down:
            return None
        if q.type == 'MX' and name in self.hosts:
            return q.answer(*[mx(q.name, 10 * (i + 1), h, 0) for i, (h, _)
                              in enumerate(self.hosts[name])])
        if q.type == 'TXT' and name.startswith('_mta-sts.'):
            id = self.ids.get(name.removeprefix('_mta-sts.'))
            if id is not None:
                text = f'v=STSv1; id={id};'.encode()
                return q.answer(record(q.name, 'TXT', bytes([len(text)]) +
                                       text, 0))
        if q.type == 'A':
            if name.startswith('mta-sts.'):
                return q.answer(a(q.name, '127.0.0.1', 0))
            for hosts in self.hosts.values():
                for h, n in hosts:
                    if h == name:
                        return q.answer(a(q.name, f'127.0.1.{n}', 0))
        return q.answer(rcode=NXDOMAIN)


class World:
    """The name server, the HTTPS server, servers of mail, and ours."""

    def __init__(self, d, stack, domains, hosts, nhops=2, conf='', level=''):
        """domains: those in the certificate of the HTTPS server; hosts: in that of
        the servers of mail."""
        self.d, self.zones = d, Zones()
        self.dns = stack.enter_context(Script(self.zones))
        pair = make_cert(d, 'https', [f'mta-sts.{x}' for x in domains])
        self.https = HttpsServer(pair, {})
        self.stack = contextlib.ExitStack()
        stack.callback(self.stack.close)
        self.stack.enter_context(self.https)
        self.hops = stack.enter_context(Hops(
            nhops, tls=make_cert(d, 'mx', hosts)))
        ca = f'TLS_CA_File = "{d}/mx.crt"'
        self.s = stack.enter_context(server(
            d, by_mx(self.hops.port, f'{ca}\n    MTA_STS = true\n    {level}'),
            listener='    Open_Relay = true\n', conf=CONF + conf + f'''
Resolver = "{self.dns.address}"
Resolver_Timeout = 1
Resolver_Attempts = 1
MTA_STS_Port = {self.https.port}
MTA_STS_CA_File = "{d}/https.crt"
'''))

    def policy(self, domain, what, id='1'):
        self.zones.ids[domain] = id
        self.https.answers[f'mta-sts.{domain}'] = what

    def wait_policy(self, domain, id='1'):
        wait_for(f'the policy of {domain}', lambda: any(
            e['domain'] == domain and e['id'] == id
            for e in events(self.s, 'sts-policy')), 60 * SLOW)


@contextlib.contextmanager
def world(d, *args, **kw):
    with contextlib.ExitStack() as stack:
        yield World(d, stack, *args, **kw)


# ---------------------------------------------------------------- what is enforced
def test_a_policy_is_fetched_and_its_hosts_are_verified(d):
    with world(d, ['sts.test'], ['mx.sts.test']) as w:
        w.zones.add('sts.test', '1')
        w.policy('sts.test', policy('*.sts.test'))
        send(w.s, 'a@sts.test')
        [m] = w.hops[0].wait(1, 60 * SLOW)
        assert m.tls, m.tls
        [e] = events(w.s, 'sts-policy')
        assert (e['domain'], e['id'], e['mode'], e['max_age']) == (
            'sts.test', '1', 'enforce', '86400'), e
        [e] = events(w.s, 'next-hop-tls')
        assert (e['verified'], e['policy']) == ('yes', 'sts'), e
        # the record says that it is the same: no more is fetched
        send(w.s, 'b@sts.test')
        w.hops[0].wait(2, 60 * SLOW)
        assert w.https.asked == ['mta-sts.sts.test'], w.https.asked


def test_a_host_that_is_not_in_the_policy_gets_no_mail(d):
    with world(d, ['sts.test', 'two.test'],
               ['mx.sts.test', 'evil.test', 'good.two.test']) as w:
        w.zones.add('sts.test', '1', ('evil.test', 1))
        w.policy('sts.test', policy('mx.sts.test', '*.evil.test'))
        w.zones.add('two.test', '1', ('evil.test', 1), ('good.two.test', 2))
        w.policy('two.test', policy('good.two.test'))
        send(w.s, 'a@sts.test')
        why = wait_deferred(w.s)['a@sts.test']
        assert 'evil.test: ' in why and 'MTA-STS policy' in why, why
        send(w.s, 'b@two.test')
        [m] = w.hops[1].wait(1, 60 * SLOW)
        assert m.rcpts == ['RCPT TO:<b@two.test>'] and m.tls, m.rcpts
        assert w.hops[0].nsessions == 0


def test_a_host_that_is_not_verified_gets_no_mail(d):
    with world(d, ['cert.test', 'clear.test'], ['other.test'], 1) as w:
        w.zones.add('cert.test', '1')
        w.policy('cert.test', policy('mx.cert.test'))
        send(w.s, 'a@cert.test')
        why = wait_deferred(w.s)['a@cert.test']
        assert 'certificate' in why and 'MTA-STS' in why, why
        clear = NextHop(('127.0.1.9', w.hops.port))
        with clear:
            w.zones.add('clear.test', '1', ('mx.clear.test', 9))
            w.policy('clear.test', policy('mx.clear.test'))
            send(w.s, 'b@clear.test')
            why = wait_deferred(w.s, 2)['b@clear.test']
            assert 'MTA-STS' in why, why
            assert not clear.messages
        assert not w.hops[0].messages


def test_a_message_whose_tls_is_optional_is_sent(d):
    """RFC 8689 4.2.2"""
    with world(d, ['sts.test'], ['evil.test'], 1) as w:
        w.zones.add('sts.test', '1', ('evil.test', 1))
        w.policy('sts.test', policy('mx.sts.test'))
        send(w.s, 'a@sts.test', message=b'TLS-Required: No\r\n' +
             text_message())
        w.hops[0].wait(1, 60 * SLOW)
        assert w.https.asked == ['mta-sts.sts.test'], w.https.asked


def test_what_is_tested_is_told_and_sent(d):
    with world(d, ['name.test', 'cert.test'], ['mx.name.test'], 1) as w:
        for x in 'name', 'cert':
            w.zones.add(f'{x}.test', '1')
        w.policy('name.test', policy('other.test', mode='testing'))
        w.policy('cert.test', policy('mx.cert.test', mode='testing'))
        send(w.s, 'a@name.test')
        w.hops[0].wait(1, 60 * SLOW)
        send(w.s, 'b@cert.test')
        w.hops[0].wait(2, 60 * SLOW)
        wait_for('what would have failed', lambda: len(
            events(w.s, 'sts-testing')) >= 2)
        found = {(e.get('name'), e['result'])
                 for e in events(w.s, 'sts-testing')}
        assert found == {('name.test', 'validation-failure'),
                         (None, 'certificate-host-mismatch')}, found


# -------------------------------------------------------------- what is no policy
GOOD = policy('mx.none')
BAD = {
    'redirect': (answer('', status='302 Found', more='Location: https://'
                        'mta-sts.right.test/.well-known/mta-sts.txt\r\n'),
                 'its status is 302, not 200'),
    'absent': (answer('', status='404 Not Found'),
               'its status is 404, not 200'),
    'html': (GOOD.replace(b'text/plain', b'text/html'),
             'its media type is not text/plain'),
    'untyped': (GOOD.replace(b'Content-Type: text/plain\r\n', b''),
                'its media type is not text/plain'),
    'large': (answer('version: STSv1\r\nmode: enforce\r\nmx: a.test\r\n'
                     'max_age: 9\r\n' + '\r\n' * 32768),
              'it is longer than 64 KiB'),
    'endless': (GOOD.split(b'Content-Length')[0] + b'\r\n' + b'\r\n' * 32769,
                'it is longer than 64 KiB'),
    'long': (b'HTTP/1.1 200 OK\r\nX: ' + b'x' * (1 << 20),
             'its header has a line that is too long'),
    'malformed': (answer('version: STSv2\r\n'), 'its version is not STSv1'),
    'closed': (b'', ''),
    'nonsense': (b'hello\r\n\r\n', ''),
    'wrong': (GOOD, ''),                # not in the certificate
    'slow': (slowly(GOOD, 200), ''),
}


@lasts(60)
def test_a_policy_that_cannot_be_had_is_none(d):
    domains = {x: f'{x}.test' for x in BAD}
    with world(d, [domains[x] for x in BAD if x != 'wrong'],
               ['other.test'], 1) as w:
        for x, domain in domains.items():
            w.zones.add(domain, '1')
            w.policy(domain, BAD[x][0])
        began = time.monotonic()
        for x, domain in domains.items():
            send(w.s, f'a@{domain}')
        # one that is slow keeps none of the others waiting
        w.hops[0].wait(len(BAD) - 1, 50 * SLOW)
        got = {m.rcpts[0] for m in w.hops[0].messages}
        assert 'RCPT TO:<a@slow.test>' not in got, got
        w.hops[0].wait(len(BAD), 120 * SLOW)
        assert time.monotonic() - began > 59
        why = {e['domain']: e['reason'] for e in events(w.s, 'sts-failed')}
        for x, domain in domains.items():
            assert BAD[x][1] in why[domain], (x, why)
        assert 'certificate' in why['wrong.test'] or \
            'subject' in why['wrong.test'], why
        # no answer for some minutes is that of a moment ago
        n = len(w.https.asked)
        send(w.s, 'b@redirect.test')
        w.hops[0].wait(len(BAD) + 1, 60 * SLOW)
        assert len(w.https.asked) == n
        assert 'mta-sts.right.test' not in w.https.asked


# ------------------------------------------------------------ changes and restarts
def test_another_id_is_another_policy(d):
    with world(d, ['sts.test'], ['mx.sts.test'], 1) as w:
        w.zones.add('sts.test', '1')
        w.policy('sts.test', policy('mx.sts.test'))
        send(w.s, 'a@sts.test')
        w.hops[0].wait(1, 60 * SLOW)
        w.policy('sts.test', policy('other.test'), id='2')
        # connections of before are used for 5 seconds
        wait_for('no connection', lambda: w.hops[0].nopen == 0, 60 * SLOW)
        send(w.s, 'b@sts.test')
        wait_deferred(w.s)
        w.wait_policy('sts.test', '2')
        w.policy('sts.test', policy('mx.sts.test'), id='3')
        w.hops[0].wait(2, 120 * SLOW)


def outlives(w, restart):
    """A policy is in force though its record and its server are gone, and the process
    is a new one."""
    w.zones.add('sts.test', '1', ('evil.test', 1))
    w.policy('sts.test', policy('mx.sts.test'))
    send(w.s, 'a@sts.test')
    wait_deferred(w.s)
    w.stack.close()                     # the HTTPS server
    w.zones.ids['sts.test'] = None
    restart(w)
    send(w.s, 'b@sts.test')
    why = wait_deferred(w.s, 2)['b@sts.test']
    assert 'MTA-STS' in why, why
    assert not w.hops[0].messages
    assert w.https.asked == ['mta-sts.sts.test'], w.https.asked


def wait_kept(w):
    """The policy is in a file."""
    folder = f'{w.d}/spool/sts'
    wait_for('the file', lambda: any(
        'sts.test' in open(f'{folder}/{f}').read()
        for f in os.listdir(folder)))


def test_a_restart_keeps_a_policy(d):
    def restart(w):
        wait_kept(w)
        w.s.stop()
        w.s.start()
    with world(d, ['sts.test'], ['evil.test'], 1) as w:
        outlives(w, restart)


def test_a_process_that_is_killed_keeps_a_policy(d):
    def restart(w):
        wait_kept(w)
        [pid] = w.s.pids('sts')
        os.kill(pid, signal.SIGKILL)
        wait_for('another', lambda: w.s.pids('sts') not in ([], [pid]),
                 60 * SLOW)
    with world(d, ['sts.test'], ['evil.test'], 1) as w:
        outlives(w, restart)


def test_a_reload_keeps_a_policy(d):
    def restart(w):
        [pid] = w.s.pids('sts')
        w.s.signal(signal.SIGHUP)
        w.s.logged('event=reloaded', timeout=60 * SLOW)
        wait_for('the old one ends', lambda: pid not in w.s.pids('sts'),
                 60 * SLOW)
    with world(d, ['sts.test'], ['evil.test'], 1) as w:
        outlives(w, restart)


def test_a_reload_can_ask_for_policies(d):
    """The folder of the new process belongs to its account."""
    with Hops(1) as hops, server(d, by_mx(hops.port), conf=CONF) as s:
        assert s.pids('sts') == []
        s.write_conf(extra=by_mx(hops.port, 'MTA_STS = true'))
        s.signal(signal.SIGHUP)
        s.logged('event=reloaded', timeout=60 * SLOW)
        assert len(s.pids('sts')) == 1


def test_without_a_name_server_a_policy_is_in_force(d):
    """What the relay does not know is not taken for none (RFC 8461 10.2)."""
    with world(d, ['sts.test'], ['evil.test'], 1) as w:
        w.zones.add('sts.test', '1', ('evil.test', 1))
        w.policy('sts.test', policy('mx.sts.test'))
        send(w.s, 'a@sts.test')
        wait_deferred(w.s)
        w.zones.is_down = True
        send(w.s, 'b@sts.test')
        wait_deferred(w.s, 2)
        w.zones.is_down = False
        time_of = {e['rcpt'] for e in events(w.s, 'delivered')}
        assert not time_of, time_of
        assert not w.hops[0].messages and len(waiting(w.s)) == 2


def test_a_domain_that_does_not_want_policies_has_no_process(d):
    with world(d, ['sts.test'], ['mx.sts.test'], 1,
               level='}\nDomain "sts.test" {\n    Delivery = smtp\n'
               '    MX_Port = 9') as w:
        assert len(w.s.pids('sts')) == 1
    # by_mx() alone
    with Hops(1) as hops, server(d, by_mx(hops.port), conf=CONF) as s:
        assert s.pids('sts') == []


def test_what_it_needs_is_checked(d):
    with open(f'{d}/libcurl.so.4', 'w') as f:
        f.write('no library\n')
    no_file = f'MTA_STS_CA_File = "{d}/none.pem"'
    reports = 'Resolver = "127.0.0.1:9"\nTLS_Reports = true'
    policies, none = by_mx(9, 'MTA_STS = true'), by_mx(9)
    no_library = {'LD_LIBRARY_PATH': d}
    needs = r"option 'MTA_STS' needs libcurl.*libcurl.so.4: .*install"
    for domain, conf, env, status, want in (
            (policies, '', no_library, 78, needs),
            (policies, reports, no_library, 78, needs),
            (policies, no_file, {}, 78, r"option 'MTA_STS_CA_File': .*none.pem"),
            (none, f'{reports}\n{no_file}', {}, 78,
             r"option 'MTA_STS_CA_File': .*none.pem"),
            # reports can go by mail
            (none, reports, no_library, 0,
             r"option 'TLS_Reports': .* mailto: .*libcurl.so.4: .*install")):
        s = server(d, domain, conf=f'{CONF}\n{conf}\n')
        p = subprocess.run(s.command('-n', '-f'), capture_output=True,
                           text=True, env={**os.environ, **env})
        assert p.returncode == status and re.search(want, p.stderr), p


def test_policies_can_be_seen_and_fetched_by_hand(d):
    with world(d, ['sts.test', 'two.test'], ['mx.sts.test'], 1) as w:
        w.zones.add('sts.test', '1')
        w.policy('sts.test', policy('mx.sts.test', '*.b.test'))
        w.zones.add('two.test', '7')
        send(w.s, 'a@sts.test', 'b@two.test')
        w.hops[0].wait(2, 60 * SLOW)

        def seen():
            v = w.s.ctl_json('sts')
            return {p['domain']: p for p in v['policies']}
        v = seen()
        p = v['sts.test']
        assert (p['mode'], p['id'], p['max_age'], p['mx']) == (
            'enforce', '1', 86400, ['mx.sts.test', '*.b.test']), p
        assert 0 <= p['age'] < 300 and 86000 < p['expires'] <= 86400, p
        p = v['two.test']
        assert (p['mode'], p['failure'], p['failed_id']) == (
            'unknown', 'sts-policy-fetch-error', '7'), p
        assert 0 < p['retry'] <= 300, p
        out = w.s.ctl('sts', 'show', 'STS.test').stdout
        assert out.startswith('sts.test: enforce, id 1, fetched '), out
        assert '\n    mx *.b.test\n' in out, out
        # neither the id nor a failure of just now is a reason not to fetch it
        w.policy('two.test', policy('mx.two.test', mode='testing'), id='7')
        w.s.ctl('sts', 'fetch', 'two.test')
        w.wait_policy('two.test', '7')
        w.policy('sts.test', policy('other.test'))
        w.s.ctl('sts', 'fetch', 'sts.test')
        wait_for('the other text', lambda: seen()['sts.test']['mx'] ==
                 ['other.test'], 60 * SLOW)
        for words in (['sts', 'show', 'none.test'], ['sts', 'fetch', 'a b']):
            assert w.s.ctl(*words, check=False).returncode == 1, words
        for words in (['sts', 'show'], ['sts', 'fetch'], ['sts', 'x'],
                      ['sts', 'list', 'a.test']):
            assert w.s.ctl(*words, check=False).returncode == 2, words
    with Hops(1) as hops, server(d, by_mx(hops.port), conf=CONF) as s:
        p = s.ctl('sts', check=False)
        assert p.returncode == 1 and 'is not in use' in p.stderr, p
