"""TLSA records of next hops (RFC 7672): a zone that is signed, a resolver that
checks it, and servers that meet their records, or do not."""
import contextlib
import hashlib
import os
import re
import smtplib
import ssl

from harness import Server, free_port, wait_for
from keys import make_pair, openssl, tls_conf
from nameserver import Nsd, Unbound, sign
from nexthop import EHLO, NextHop
from test_relay import CONF, events, send, server, waiting
from test_relay_mx import OPEN, by_mx

BOGUS = 'bb' * 32


def make_ca(d):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj',
            '/CN=authority', '-keyout', f'{d}/ca.key', '-out', f'{d}/ca.crt')
    return f'{d}/ca.crt', f'{d}/ca.key'


def issue(d, name, host):
    """d/NAME.crt, with the authority's behind it, and d/NAME.key."""
    crt, key = f'{d}/{name}.crt', f'{d}/{name}.key'
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={host}',
            '-keyout', key, '-out', f'{d}/{name}.csr')
    with open(f'{d}/{name}.ext', 'w') as f:
        f.write(f'subjectAltName=DNS:{host}\n')
    openssl('x509', '-req', '-in', f'{d}/{name}.csr', '-CA', f'{d}/ca.crt',
            '-CAkey', f'{d}/ca.key', '-CAcreateserial', '-days', '30',
            '-extfile', f'{d}/{name}.ext', '-out', crt)
    with open(crt, 'a') as f, open(f'{d}/ca.crt') as ca:
        f.write(ca.read())
    return crt, key


def expired(d, name, host):
    """One that has never been valid."""
    crt, key = f'{d}/{name}.crt', f'{d}/{name}.key'
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={host}',
            '-keyout', key, '-out', f'{d}/{name}.csr')
    openssl('x509', '-req', '-in', f'{d}/{name}.csr', '-signkey', key,
            '-days', '-1', '-out', crt)
    return crt, key


def cert_sum(crt, hash=hashlib.sha256):
    """Of the first certificate in a file."""
    return hash(openssl('x509', '-in', crt, '-outform', 'DER')).hexdigest()


def key_sum(crt):
    public = openssl('x509', '-in', crt, '-noout', '-pubkey')
    return hashlib.sha256(openssl('pkey', '-pubin', '-outform', 'DER',
                                  input=public)).hexdigest()


class World:
    """Hosts NAME.signed.test with addresses 127.0.1.N of one port, the zones
    signed.test, which is signed, and plain.test, and a resolver."""

    def __init__(self, d):
        self.d, self.port = d, free_port()
        self.hops, self.signed, self.plain = {}, [], []

    def host(self, name, pair=None, *tlsa, **kw):
        """A server; tlsa: the texts of its records.  Also the domain dNAME, of
        which it is the host."""
        n = len(self.hops) + 1
        self.hops[name] = NextHop((f'127.0.1.{n}', self.port), tls=pair, **kw)
        self.signed.append(f'{name} A 127.0.1.{n}\nd{name} MX 10 {name}')
        self.tlsa(name, *tlsa)

    def tlsa(self, name, *records):
        self.signed += [f'_{self.port}._tcp.{name} TLSA {x}' for x in records]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            nsd = Nsd(self.d, {'signed.test': '\n'.join(self.signed),
                               'plain.test': '\n'.join(self.plain)})
            # one record says something else than what was signed
            ds = sign(self.d, 'signed.test', lambda x: re.sub(
                '(?i)' + BOGUS, 'cc' * 32, x))
            stack.enter_context(nsd)
            self.dns = stack.enter_context(Unbound(
                self.d, nsd, ('signed.test', 'plain.test'), [ds]))
            for h in self.hops.values():
                h.start()
                stack.callback(h.stop)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    @property
    def conf(self):
        return f'Resolver = "{self.dns.address}"\nResolver_Trust_AD = true\n' \
            f'Resolver_Timeout = 5\nresolvers = 1\n{CONF}'

    def server(self, *more, options=''):
        return server(self.d, by_mx(self.port, options), *more, conf=self.conf,
                      listener=OPEN)

    def got(self, name, n=1):
        return self.hops[name].wait(n, 60)[n - 1]


def deferred(s, *rcpts):
    wait_for('all deferred', lambda: set(rcpts) <= set(waiting(s)), 60)
    return waiting(s)


def tls_events(s, name):
    return [e for e in events(s, 'next-hop-tls') if e['remote'].startswith(
        f'{name}.')]


def test_servers_that_meet_their_records(d):
    make_ca(d)
    w = World(d)
    # names and dates in the certificate do not count: RFC 7672 3.1.1
    pair = expired(d, 'ee', 'another.name.test')
    w.host('ee', pair, f'3 1 1 {key_sum(pair[0])}', f'3 0 1 {"ab" * 32}')
    w.host('ta', issue(d, 'ta', 'ta.signed.test'),
           f'2 0 1 {cert_sum(f"{d}/ca.crt")}')
    # RFC 7672 3.2.2: the recipient's domain will do as the name
    w.host('dom', issue(d, 'dom', 'ddom.signed.test'),
           f'2 1 1 {key_sum(f"{d}/ca.crt")}')
    # RFC 7671 9: SHA-512 is right, SHA-256 would be wrong
    w.host('digest', issue(d, 'digest', 'x.test'))
    w.tlsa('digest', f'3 0 2 {cert_sum(f"{d}/digest.crt", hashlib.sha512)}',
           f'3 0 1 {"ab" * 32}')
    # records by way of an alias
    w.host('common', issue(d, 'common', 'y.test'))
    w.signed += [f'_{w.port}._tcp.common CNAME _dane',
                 f'_dane TLSA 3 0 1 {cert_sum(f"{d}/common.crt")}']
    # a host that is one: its end has the records
    w.signed += ['alias CNAME ee', 'dalias MX 10 alias']
    # its end is in a zone that is not signed: it has its own
    w.plain += ['far A 127.0.1.6', 'dplain MX 10 far']
    w.host('outside', issue(d, 'outside', 'z.test'))
    assert w.hops['outside'].address[0] == '127.0.1.6'
    w.signed += ['out CNAME far.plain.test.', 'dout MX 10 out']
    w.tlsa('out', f'3 0 1 {cert_sum(f"{d}/outside.crt")}')
    names = 'ee', 'ta', 'dom', 'digest', 'common'
    with w, w.server() as s:
        send(s, *(f'a@d{x}.signed.test' for x in names))
        for x in names:
            assert w.got(x).tls == 'TLSv1.3', x
        for x, host, n in ('alias', 'ee', 2), ('out', 'outside', 1):
            send(s, f'a@d{x}.signed.test')
            w.got(host, n)
        s.wait_empty()
        for x in (*names, 'alias', 'out'):
            [e] = tls_events(s, x)
            assert (e['policy'], e['demand'], e['verified']) == \
                ('dane', 'dane', 'yes'), e
        # a session that was verified so is kept for the next connection
        wait_for('its end', lambda: w.hops['ee'].nopen == 0)
        send(s, 'b@dee.signed.test')
        w.got('ee', 3)
        assert [e['verified'] for e in tls_events(s, 'ee')] == ['yes'] * 2
        hop = s.ctl_json('lookup', 'dalias.signed.test')['hops'][0]
        assert hop['tlsa'] == 'ee.signed.test' and hop['authentic'], hop
        assert ' (TLSA records of ee.signed.test)' in s.ctl(
            'lookup', 'dalias.signed.test').stdout


def test_servers_that_do_not_meet_their_records_get_nothing(d):
    make_ca(d)
    w = World(d)
    good = issue(d, 'good', 'good.signed.test')
    ca = f'2 0 1 {cert_sum(f"{d}/ca.crt")}'
    w.host('good', good, ca)
    w.host('wrongee', good, f'3 1 1 {"ab" * 32}')
    w.host('wrongname', good, ca)
    w.host('plain', None, ca)
    w.host('bogus', good, f'3 1 1 {BOGUS}')
    w.host('lacking', None, f'1 1 1 {"ab" * 32}')
    # the next one is tried
    w.signed.append('\n'.join(f'next MX {i} {x}' for i, x in enumerate(
        ('wrongee', 'wrongname', 'plain', 'bogus', 'lacking', 'good'))))
    want = {
        'wrongee': ('validation-failure', 'no TLSA record matches'),
        'wrongname': ('certificate-host-mismatch', 'is for another name'),
        'plain': ('starttls-not-supported', 'does not offer STARTTLS'),
        'bogus': ('dnssec-invalid', 'the DNS gives no answer about its TLSA'),
        'lacking': ('starttls-not-supported', 'does not offer STARTTLS'),
    }
    with w, w.server() as s:
        rcpts = {f'a@d{x}.signed.test': x for x in want}
        send(s, *rcpts)
        why = deferred(s, *rcpts)
        for rcpt, x in rcpts.items():
            assert want[x][1] in why[rcpt], why
            assert x == 'bogus' or 'its TLSA records demand TLS' in why[rcpt]
        send(s, 'a@next.signed.test')
        w.got('good')
        for x in want:
            name = 'next-hop-skipped' if x == 'bogus' else 'next-hop-policy'
            said = [e for e in events(s, name) if e.get(
                'host', e.get('remote')).startswith(f'{x}.signed.test')]
            assert said and {(e['policy'], e['result']) for e in said} == \
                {('dane', want[x][0])}, (x, said)
            assert not w.hops[x].messages, x
        [hop] = s.ctl_json('lookup', 'dbogus.signed.test')['hops']
        assert hop['authentic'] and hop['tlsa'] is None, hop
        # and so is nobody asked to do without TLS
        assert not events(s, 'next-hop-clear')
        for x in s.ctl_json('queue', 'list')['messages']:
            s.ctl('queue', 'remove', x['id'])


def test_a_sender_can_leave_aside_what_the_records_demand(d):
    """RFC 8689 4.2.2: TLS-Required: No."""
    w = World(d)
    pair = make_pair(d, 'next', host='x.test', owner=os.getuid())
    w.host('plain', None, f'3 1 1 {"ab" * 32}')
    w.host('wrong', pair, f'3 1 1 {"ab" * 32}')
    w.host('bogus', pair, f'3 1 1 {BOGUS}')
    w.host('good', pair, f'3 1 1 {key_sum(pair[0])}')
    names = 'plain', 'wrong', 'bogus', 'good'
    with w, w.server('Domain "route.test" { Delivery = smtp Route = '
                     f'"wrong.signed.test:{w.port}" }}\n') as s:
        rcpts = [f'a@d{x}.signed.test' for x in names] + ['a@route.test']
        send(s, *rcpts, message=b'TLS-Required: No\r\nSubject: x\r\n\r\n'
             b'x\r\n')
        for x in names:
            w.got(x, 2 if x == 'wrong' else 1)
        s.wait_empty()
        # where it can be had it is
        assert [(e['remote'].split('.')[0], e['policy'], e['verified'])
                for e in events(s, 'next-hop-tls') if e['verified'] == 'yes'] \
            == [('good', 'dane', 'yes')]
        # others wait for what is demanded
        send(s, 'b@dplain.signed.test')
        deferred(s, 'b@dplain.signed.test')
        assert len(w.hops['plain'].messages) == 1
        s.ctl('queue', 'remove', 'all')


def test_what_nothing_proves_demands_nothing(d):
    w = World(d)
    pair = make_pair(d, 'next', host='x.test', owner=os.getuid())
    wrong = f'3 1 1 {"ab" * 32}'
    w.host('none', pair)
    w.host('clear')
    # TLS, whatever the certificate: RFC 7672 2.2
    w.host('unusable', pair, f'0 1 1 {"ab" * 32}', '3 0 0 00',
           f'3 9 1 {"ab" * 32}')
    w.host('right', pair, wrong)
    w.plain += ['dplain MX 10 mx', 'mx A 127.0.1.1',
                f'_{w.port}._tcp.mx TLSA {wrong}',
                # MX records that anybody can forge
                'dvia MX 10 right.signed.test.']
    with w, w.server('Domain "only.plain.test" { Delivery = smtp '
                     f'MX_Port = {w.port} TLS = dane-only }}\n',
                     'Domain "dunusable.signed.test" { Delivery = smtp '
                     f'MX_Port = {w.port} }}\n',
                     'Domain "dmay.test" { Delivery = smtp TLS = may Route = '
                     f'"right.signed.test:{w.port}" }}\n',
                     'Domain "ddane.test" { Delivery = smtp Route = '
                     f'"right.signed.test:{w.port}" }}\n') as s:
        for rcpt, host, n, policy, level, tls in (
                ('dnone.signed.test', 'none', 1, 'none', 'may', 'TLSv1.3'),
                ('dclear.signed.test', 'clear', 1, None, None, None),
                ('dplain.plain.test', 'none', 2, 'none', 'may', 'TLSv1.3'),
                ('dvia.plain.test', 'right', 1, 'none', 'may', 'TLSv1.3'),
                ('dunusable.signed.test', 'unusable', 1, 'dane', 'encrypt',
                 'TLSv1.3'),
                ('dmay.test', 'right', 2, 'none', 'may', 'TLSv1.3')):
            send(s, f'a@{rcpt}')
            m = w.got(host, n)
            assert (m.tls or None) == tls, rcpt
            if policy:
                e = events(s, 'next-hop-tls')[-1]
                assert (e['policy'], e['demand'], e['verified']) == \
                    (policy, level, 'no'), (rcpt, e)
        # a name in Route has records, too
        send(s, 'a@ddane.test')
        assert 'no TLSA record matches' in deferred(
            s, 'a@ddane.test')['a@ddane.test']
        assert len(w.hops['right'].messages) == 2


def test_dane_only(d):
    w = World(d)
    pair = make_pair(d, 'next', host='x.test', owner=os.getuid())
    w.host('none', pair)
    w.host('unusable', pair, f'1 1 1 {"ab" * 32}')
    w.host('malformed', pair, '3 0 0 00')
    w.host('right', pair, f'3 1 1 {key_sum(pair[0])}')
    w.plain += ['dvia MX 10 right.signed.test.']
    want = {
        'a@dnone.signed.test': 'there are none that DNSSEC proves',
        'a@dunusable.signed.test': 'none of those that it has can be used',
        'a@dmalformed.signed.test': 'none of its TLSA records can be used',
        'a@dvia.plain.test': 'there are none that DNSSEC proves',
    }
    with w, w.server(options='TLS = dane-only') as s:
        send(s, 'a@dright.signed.test', *want)
        w.got('right')
        why = deferred(s, *want)
        for rcpt, words in want.items():
            assert words in why[rcpt], why
        assert sum(len(h.messages) for h in w.hops.values()) == 1


def test_requiretls_by_tlsa_records(d):
    """RFC 8689 4.2.1: the server may be verified by DANE."""
    w = World(d)
    make_pair(d, 'mx')
    pair = make_pair(d, 'next', host='x.test', owner=os.getuid())
    ehlo = EHLO + ('REQUIRETLS',)
    w.host('right', pair, f'3 1 1 {key_sum(pair[0])}', ehlo=ehlo)
    w.host('unusable', pair, f'1 1 1 {"ab" * 32}', ehlo=ehlo)
    with w, Server(d, conf=w.conf, listener=OPEN + tls_conf(d, 'mx') +
                   'SMTP_Extensions = { "PIPELINING", "STARTTLS", '
                   '"ENHANCEDSTATUSCODES", "REQUIRETLS" }\n',
                   extra=by_mx(w.port)) as s:
        def require(rcpt):
            with smtplib.SMTP('127.0.0.1', s.port) as c:
                c.starttls(context=ssl._create_unverified_context())
                c.ehlo()
                c.sendmail('user@example.test', rcpt,
                           'Subject: x\r\n\r\nx\r\n', ['REQUIRETLS'])
        require('a@dright.signed.test')
        assert ' REQUIRETLS' in w.got('right').mail
        require('a@dunusable.signed.test')
        wait_for('its report', lambda: [e for e in events(s, 'bounced')
                 if 'does not promise TLS' in e['error']], 60)
        assert not w.hops['unusable'].messages
