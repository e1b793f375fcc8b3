"""Reports of TLS (RFC 8460): what connections to MX hosts have come to is counted."""
import ssl

from harness import SLOW, wait_for
from httpsserver import answer, policy
from nexthop import CLOSE, EHLO
from test_dane import BOGUS, World as Signed, cert_sum, issue, make_ca
from test_relay import send, server
from test_relay_mx import OPEN, by_mx
from test_sts import world

REPORTS = 'TLS_Reports = true\n'


def counts(s):
    """Each by what 4.4 and 4.3 name: domain, policy, whose it is, MX host, result."""
    return {(c['domain'], c['policy_type'], c['policy_domain'], c['mx_host'],
             c['result']): c for c in s.ctl_json('tls-report')['counts']}


def late(session, line):
    """One that has no time, once there is TLS."""
    return '421 4.3.2 Later' if isinstance(session.s, ssl.SSLSocket) else \
        '250-next.test\r\n250 STARTTLS'


def wait_counts(s, want):
    wait_for('all counts', lambda: set(counts(s)) >= want, 60 * SLOW)
    got = counts(s)
    assert set(got) == want, set(got) ^ want
    return got


def test_tlsa_records_and_no_policy(d):
    make_ca(d)
    w = Signed(d)
    pair = issue(d, 'good', 'good.signed.test')
    record = f'2 0 1 {cert_sum(f"{d}/ca.crt")}'
    w.host('good', pair, record)
    w.host('name', pair, record)
    w.host('plain', None, record)
    w.host('bogus', pair, f'3 1 1 {BOGUS}')
    w.host('none', pair)
    w.host('clear')
    ehlo = EHLO + ('STARTTLS',)
    w.host('refused', None, record, ehlo=ehlo,
           replies={'STARTTLS': '454 4.7.0 Not now'})
    w.host('closing', None, record, ehlo=ehlo, replies={'STARTTLS': CLOSE})
    w.host('late', pair, replies={'EHLO': late})
    want = {(f'd{x}.signed.test', policy_type, y, f'{x}.signed.test', result)
            for x, policy_type, y, result in (
        ('good', 'tlsa', 'good.signed.test', None),
        ('name', 'tlsa', 'name.signed.test', 'certificate-host-mismatch'),
        ('plain', 'tlsa', 'plain.signed.test', 'starttls-not-supported'),
        ('refused', 'tlsa', 'refused.signed.test', 'starttls-not-supported'),
        ('closing', 'tlsa', 'closing.signed.test', 'validation-failure'),
        ('late', 'no-policy-found', 'dlate.signed.test', None),
        ('bogus', 'tlsa', 'bogus.signed.test', 'dnssec-invalid'),
        ('none', 'no-policy-found', 'dnone.signed.test', None),
        ('clear', 'no-policy-found', 'dclear.signed.test',
         'starttls-not-supported'))}
    with w, server(d, by_mx(w.port), conf=w.conf + REPORTS,
                   listener=OPEN) as s:
        send(s, *(f'a@{x[0]}' for x in want), 'b@[127.0.1.1]')
        got = wait_counts(s, want)
        assert s.stats()['tls_report_lost'] == 0
        for (domain, *_), c in got.items():
            n = list(w.hops).index(domain.split('.')[0][1:]) + 1
            if 'bogus' not in domain:
                assert (c['sending_ip'], c['receiving_ip']) == \
                    ('127.0.0.1', f'127.0.1.{n}'), c
            assert bool(c['reason']) == bool(c['result']), c
            assert c['sessions'] >= 1 and c['day'] % 86400 == 0, c
            assert c['policy'] == (record if c['policy_type'] == 'tlsa' and
                                   'bogus' not in domain else ''), c
        s.ctl('queue', 'remove', 'all')
        # without the server the queue is read, and a person can read it
        s.stop()
        out = s.ctl('tls-report', '--domain', 'dname.signed.test').stdout
        head, row = out.rstrip('\n').split('\n')
        assert 'SESSIONS' in head and \
            'dname.signed.test  tlsa  certificate-host-mismatch  ' \
            'name.signed.test: ' in row, out


def test_policies_of_mta_sts(d):
    names = 'good', 'cert', 'left', 'tested', 'absent'
    with world(d, [f'{x}.test' for x in names if x != 'absent'],
               ['mx.good.test', 'mx.tested.test', 'mx.absent.test'], 1,
               conf=REPORTS) as w:
        for x in names:
            w.zones.add(f'{x}.test', '1')
        w.policy('good.test', policy('mx.good.test'))
        w.policy('cert.test', policy('mx.cert.test'))
        w.policy('left.test', policy('other.test'))
        w.policy('tested.test', policy('other.test', mode='testing'))
        w.policy('absent.test', answer('', status='404 Not Found'))
        send(w.s, *(f'a@{x}.test' for x in names))
        want = {(f'{x}.test', policy_type, f'{x}.test', host, result)
                for x, policy_type, host, result in (
            ('good', 'sts', 'mx.good.test', None),
            ('cert', 'sts', 'mx.cert.test', 'certificate-host-mismatch'),
            ('left', 'sts', 'mx.left.test', 'validation-failure'),
            ('tested', 'sts', 'mx.tested.test', 'validation-failure'),
            ('absent', 'sts', '', 'sts-webpki-invalid'),
            ('absent', 'no-policy-found', 'mx.absent.test', None))}
        got = wait_counts(w.s, want)
        for key, c in got.items():
            lines = c['policy'].split('\n')
            assert (lines[0] == 'version: STSv1') == (
                'absent.test' not in key), c
        w.s.ctl('queue', 'remove', 'all')


def test_a_tested_policy_is_not_met_where_the_server_has_no_time_either(d):
    with world(d, ['tested.test'], ['other.test'], 1, conf=REPORTS) as w:
        w.hops[0].replies['EHLO'] = late
        w.zones.add('tested.test', '1')
        w.policy('tested.test', policy('mx.tested.test', mode='testing'))
        send(w.s, 'a@tested.test')
        wait_counts(w.s, {('tested.test', 'sts', 'tested.test',
                           'mx.tested.test', 'certificate-host-mismatch')})
        w.s.ctl('queue', 'remove', 'all')
