"""Reports of TLS (RFC 8460): what was counted on earlier days is sent to the domains
that ask for it."""
import email
import email.policy
import gzip
import json
import os
import sqlite3
import time

from harness import SLOW, Server, sender_of, wait_for
from httpsserver import HttpsServer, answer, make_cert
from nameserver import Nsd

DAY = 86400
ZONES = {
    'asks.test': '_smtp._tls TXT "v=TLSRPTv1; " '
                 '"rua=mailto:user@example.test,mailto:tls@example.test"\n',
    'silent.test': '@ A 192.0.2.1\n',
    'none.test': '_smtp._tls TXT "v=TLSRPTv1;rua=ftp://none.test/x"\n',
    'down.test': None,
}
# RFC 8460 3: those that want it over HTTPS
POSTED = {f'{x}.test': f'_smtp._tls TXT "v=TLSRPTv1;rua=https://www.{x}.test/x?y"\n'
                       f'www A 127.0.0.1\n'
          for x in ('web', 'moved', 'wrong', 'head')}
POSTED['some.test'] = '_smtp._tls TXT "v=TLSRPTv1; rua=https://www.both.test/some,' \
                      'https://www.moved.test/some,mailto:some@example.test"\n'
POSTED['both.test'] = '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:user@example.test,' \
                      'https://www.both.test/"\nwww A 127.0.0.1\n'


def count(db, day, domain, rows):
    db.execute('INSERT INTO tls_domain VALUES (?, ?, ?)',
               (day, domain, len(rows)))
    db.executemany('INSERT INTO tls_count VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,'
                   ' ?)', [(day, domain, *r) for r in rows])


def counted(s):
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db', timeout=20)
    try:
        assert {r[0] for r in db.execute('SELECT domain FROM tls_count')} == \
            {r[0] for r in db.execute('SELECT domain FROM tls_domain')}
        return list(db.execute('SELECT day, domain FROM tls_domain'
                               ' ORDER BY day, domain'))
    finally:
        db.close()


def taken(s):
    """{domain: how many of its URIs have had the report, others not}"""
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db', timeout=20)
    try:
        return dict(db.execute('SELECT domain, count(*) FROM tls_taken'
                               ' GROUP BY domain'))
    finally:
        db.close()


def test_the_report_of_a_day_is_sent_to_who_asks_for_it(d):
    day = int(time.time()) // DAY * DAY - 2 * DAY
    rows = [('sts', '', 'version: STSv1\nmode: enforce\nmax_age: 86400\n'
             'mx: *.asks.test', result, 'mx.asks.test', '192.0.2.9',
             '192.0.2.1', reason, n) for result, reason, n in (
                 ('', '', 5), ('certificate-expired', 'it is from 2020', 2))]
    with Nsd(d, ZONES) as nsd:
        s = Server(d, conf=f'Resolver = "{nsd.address}"\nResolver_Timeout = 1\n'
                           f'Resolver_Attempts = 1\nTLS_Reports = true\n'
                           f'TLS_Report_Organization = "Example"\n'
                           f'TLS_Report_Contact = "tls@example.test"\n'
                           f'TLS_Report_Sender = "reports@example.test"\n')
        with s:
            pass                        # it makes the database
        db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
        with db:
            for name in ZONES:
                count(db, day, name, rows)
            count(db, day + 2 * DAY, 'asks.test', rows)
            count(db, day - 8 * DAY, 'asks.test', rows)
        db.close()
        with s:
            got = s.wait_mail(1) + s.wait_mail(1, user='tls')
            # the others are dropped; of one it is not known yet what it wants
            wait_for('the end of the others', lambda: counted(s) == [
                (day, 'down.test'), (day + 2 * DAY, 'asks.test')], 60)
            s.logged(r'event=tls-report-dropped domain=none\.test .*no URI')
            s.logged(r'event=tls-report-dropped domain=asks\.test .*too old')
            assert len(s.log().split('event=tls-report ')) == 3
            s.wait_empty()
        ids = [check(m, day) for m in got]
        # one report, in two messages
        assert ids[0] == ids[1], ids


def start_counts(s, day, names):
    """As if these had been counted."""
    with s:
        pass                            # it makes the database
    db = sqlite3.connect(f'{s.spool}/queue/deferred.db')
    with db:
        for name in names:
            count(db, day, name, [('no-policy-found', '', '', '', f'mx.{name}',
                                   '192.0.2.9', '192.0.2.1', '', 7)])
    db.close()


def test_the_report_of_a_day_is_posted_to_who_asks_for_that(d):
    day = int(time.time()) // DAY * DAY - 2 * DAY
    hosts = [f'www.{x}' for x in POSTED if x not in ('wrong.test', 'some.test')]
    endless = b'HTTP/1.1 500 No\r\n' + b''.join(
        b'X%d: %s\r\n' % (i, b'x' * 8000) for i in range(1024))
    with Nsd(d, POSTED) as nsd, HttpsServer(make_cert(d, 'https', hosts), {
            'www.web.test': answer('', status='201 Created'),
            'www.both.test': answer('', status='204 No Content'),
            'www.moved.test': answer('', status='307 Go', more='Location: '
                                     'https://www.web.test/\r\n'),
            'www.head.test': endless,
            'www.wrong.test': answer('')}) as https:
        s = Server(d, conf=f'Resolver = "{nsd.address}"\nResolver_Timeout = 1\n'
                           f'Resolver_Attempts = 1\nTLS_Reports = true\n'
                           f'TLS_Report_Sender = "reports@example.test"\n'
                           f'MTA_STS_Port = {https.port}\n'
                           f'MTA_STS_CA_File = "{d}/https.crt"\n')
        start_counts(s, day, POSTED)
        with s:
            [mail] = s.wait_mail(1)
            # those that have not taken it get it later
            wait_for('the end of those that were taken', lambda: counted(s) == [
                (day, 'head.test'), (day, 'moved.test'), (day, 'some.test'),
                (day, 'wrong.test')], 60 * SLOW)
            # of several, the one that has not; the others have it for good
            s.wait_mail(1, user='some')
            s.logged(r'event=tls-report-none domain=some\.test to=https://'
                     r'www\.moved\.test/some', timeout=60 * SLOW)
            wait_for('two that have it', lambda: taken(s) == {'some.test': 2},
                     60 * SLOW)
            for host, why in (('moved', 'its status is 307'),
                              ('head', 'its status is 500'),
                              ('wrong', '.*www.wrong.test')):
                s.logged(rf'event=tls-report-none domain={host}\.test to=https:'
                         rf'//www\.{host}\.test/x\?y reason="{why}',
                         timeout=60 * SLOW)
            s.logged(r'event=tls-report domain=web\.test .* to=https:')
        some = [host for host, path, _, _ in https.posted if path == '/some']
        assert sorted(some) == ['www.both.test', 'www.moved.test'], some
        got = {host: (path, fields, body)
               for host, path, fields, body in https.posted if path != '/some'}
        assert len(got) == len(https.posted) - 2 == 4, https.posted
        path, fields, body = got['www.web.test']
        assert path == '/x?y', path
        assert fields['content-type'] == 'application/tlsrpt+gzip', fields
        r = json.loads(gzip.decompress(body))
        [p] = r['policies']
        assert p['policy']['policy-domain'] == 'web.test', r
        assert p['summary']['total-successful-session-count'] == 7, r
        # by mail it is the same one
        r = json.loads(gzip.decompress(got['www.both.test'][2]))
        m = email.message_from_bytes(mail, policy=email.policy.default)
        assert r == json.loads(gzip.decompress(
            m.get_payload()[1].get_payload(decode=True))), r


def test_without_libcurl_reports_go_by_mail(d):
    day = int(time.time()) // DAY * DAY - 2 * DAY
    names = {x: POSTED[x] for x in ('web.test', 'both.test')}
    os.mkdir(f'{d}/lib')
    with open(f'{d}/lib/libcurl.so.4', 'w') as f:
        f.write('no library\n')
    os.environ['LD_LIBRARY_PATH'] = f'{d}/lib'
    with Nsd(d, names) as nsd:
        s = Server(d, conf=f'Resolver = "{nsd.address}"\nResolver_Timeout = 1\n'
                           f'Resolver_Attempts = 1\nTLS_Reports = true\n'
                           f'TLS_Report_Sender = "reports@example.test"\n')
        start_counts(s, day, names)
        before = s.log()
        with s:
            [mail] = s.wait_mail(1)
            for x, path in (('web', 'x\\?y'), ('both', '')):
                s.logged(rf'event=tls-report-none domain={x}\.test to=https://'
                         rf'www\.{x}\.test/{path} reason=".*libcurl\.so\.4.*'
                         rf'install', timeout=60 * SLOW)
            # somebody may install it within the day
            assert counted(s) == [(day, x) for x in sorted(names)]
            assert s.pids('sts')
            warned = s.log()[len(before):].split(' event=limited ')
            assert len(warned) == 2 and 'TLS_Reports' in warned[1] and \
                'libcurl.so.4' in warned[1], warned
    m = email.message_from_bytes(mail, policy=email.policy.default)
    assert m['TLS-Report-Domain'] == 'both.test', m


def check(stored, day):
    """The id of the report in that message."""
    assert sender_of(stored) == 'reports@example.test', stored
    m = email.message_from_bytes(stored, policy=email.policy.default)
    assert m['From'] == 'reports@example.test', m['From']
    assert m['TLS-Report-Domain'] == 'asks.test'
    assert m['TLS-Report-Submitter'] == 'example.test'
    assert m['TLS-Required'] == 'No'
    assert m.get_content_type() == 'multipart/report'
    assert m['Content-Type'].params['report-type'] == 'tlsrpt'
    part = m.get_payload()[1]
    assert part.get_content_type() == 'application/tlsrpt+gzip'
    assert part.get_filename() == \
        f'example.test!asks.test!{day}!{day + DAY - 1}.json.gz'
    r = json.loads(gzip.decompress(part.get_payload(decode=True)))
    date = time.strftime('%Y-%m-%d', time.gmtime(day))
    id = r.pop('report-id')
    assert f'Report-ID: <{id}>' in ' '.join(m['Subject'].split()), m['Subject']
    lines = ['version: STSv1', 'mode: enforce', 'max_age: 86400',
             'mx: *.asks.test']
    assert r == {
        'organization-name': 'Example',
        'date-range': {'start-datetime': f'{date}T00:00:00Z',
                       'end-datetime': f'{date}T23:59:59Z'},
        'contact-info': 'tls@example.test',
        'policies': [{
            'policy': {'policy-type': 'sts', 'policy-string': lines,
                       'policy-domain': 'asks.test',
                       'mx-host': ['*.asks.test']},
            'summary': {'total-successful-session-count': 5,
                        'total-failure-session-count': 2},
            'failure-details': [{
                'result-type': 'certificate-expired',
                'sending-mta-ip': '192.0.2.9',
                'receiving-mx-hostname': 'mx.asks.test',
                'receiving-ip': '192.0.2.1',
                'failed-session-count': 2,
                'failure-reason-code': 'it is from 2020'}]}]}, r
    return id
