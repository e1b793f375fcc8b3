"""TLS as the scanners of Debian's packages see it: no weakness."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

from harness import SLOW, lasts
from test_keys import server
from test_tls_clients import PAIRS, run, tool


SEVERE = {'LOW', 'MEDIUM', 'HIGH', 'CRITICAL', 'FATAL', 'WARN'}

# What testssl finds wrong with the certificates of this test or with the
# machine, not with the server
NOT_OURS = {
    'engine_problem': 'the local openssl has no GOST',
    'cert_chain_of_trust': 'signed by itself, as no certificate of a real '
                           'host is',
    'cert_expirationStatus': 'made for 30 days',
    'cert_notAfter': 'made for 30 days',
    'cert_revocation': 'whoever signs his own tells nobody where to ask',
    'sessionresumption_ticket': 's_client with nothing to send leaves before '
                                'the ticket of TLS 1.3 has come; '
                                'test_tls_clients resumes with clients that '
                                'wait for it',
}
# of its checks, those that are not about HTTP, once each
CHECKS = ('-p', '-s', '-f', '-P', '-S', '-U')
# and those whose result could differ behind STARTTLS
CHECKS_STARTTLS = ('-t', 'smtp', '-p', '-S', '-I', '-R', '-C')


def testssl(d, port, checks):
    name, out = tool('testssl', 'testssl.sh'), f'{d}/{port}.json'
    p = subprocess.run(
        [name, '--quiet', '--color', '0', '--warnings', 'off', '--nodns',
         'none', '--ip', '127.0.0.1', '--connect-timeout', '10',
         '--openssl-timeout', '10', '--jsonfile', out, *checks,
         f'mx.example.test:{port}'], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=600 * SLOW,
        env=dict(os.environ, TERM='dumb'))
    with open(out) as f:
        found = {}
        for x in json.load(f):
            found.setdefault(x['id'].split()[0], []).append(x)
    assert len(found) > 30, p.stdout[-3000:]
    return found


LOOKED = {'TLS1': 'not offered', 'TLS1_1': 'not offered',
          'SSLv3': 'not offered', 'TLS1_2': 'offered', 'TLS1_3': 'offered',
          'secure_renego': 'supported',
          'secure_client_renego': 'not vulnerable',
          'CCS': 'not vulnerable', 'CRIME_TLS': 'not vulnerable'}
LOOKED_ALL = dict(LOOKED, PFS='offered', cipher_order='server',
                  heartbleed='not vulnerable', LUCKY13='not vulnerable')


def no_weakness(found, looked):
    bad = [(i, x['severity'], x['finding']) for i, v in found.items()
           for x in v if x['severity'] in SEVERE and i not in NOT_OURS]
    assert not bad, bad
    # it did scan, and did not just fail to connect
    for i, words in looked.items():
        assert words in found[i][0]['finding'], (i, found[i])


@lasts(40)
def test_testssl_finds_no_weakness(d):
    tool('testssl', 'testssl.sh')
    with server(d, PAIRS) as s:
        no_weakness(testssl(d, s.tls_port, CHECKS), LOOKED_ALL)


@lasts(25)
def test_testssl_finds_no_weakness_behind_starttls(d):
    tool('testssl', 'testssl.sh')
    with server(d, PAIRS) as s:
        no_weakness(testssl(d, s.port, CHECKS_STARTTLS), LOOKED)


def sslscan(d, port, *more):
    out = f'{d}/{port}.xml'
    run('sslscan', '--sni-name=mx.example.test', '--show-sigs',
        f'--xml={out}', '--timeout=10', *more, f'127.0.0.1:{port}')
    return ElementTree.parse(out).getroot()[0]


for long in test_testssl_finds_no_weakness, \
        test_testssl_finds_no_weakness_behind_starttls:
    long.is_long = True


def test_sslscan_finds_no_weakness(d):
    tool('sslscan')
    with server(d, PAIRS) as s:
        for port, more in (s.tls_port, ()), (s.port, ('--starttls-smtp',)):
            v = sslscan(d, port, *more)
            on = {p.get('type') + p.get('version') for p in v.iter('protocol')
                  if p.get('enabled') == '1'}
            assert on == {'tls1.2', 'tls1.3'}, on
            assert v.find('renegotiation').get('supported') == '0'
            assert {h.get('vulnerable') for h in v.iter('heartbleed')} == {'0'}
            ciphers = list(v.iter('cipher'))
            assert len(ciphers) == 9, [c.attrib for c in ciphers]
            for c in ciphers:
                assert c.get('strength') in ('strong', 'acceptable'), c.attrib
                assert int(c.get('bits')) >= 128, c.attrib
                assert re.match('TLS_|ECDHE-', c.get('cipher')), c.attrib
            groups = {(g.get('sslversion'), g.get('name'))
                      for g in v.iter('group')}
            assert len(groups) == 8, groups
            assert all(int(g.get('bits')) >= 128 for g in v.iter('group'))
