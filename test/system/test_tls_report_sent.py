"""Reports of TLS (RFC 8460): what was counted on earlier days is sent to the domains
that ask for it."""
import email
import email.policy
import gzip
import json
import sqlite3
import time

from harness import Server, sender_of, wait_for
from nameserver import Nsd

DAY = 86400
ZONES = {
    'asks.test': '_smtp._tls TXT "v=TLSRPTv1; " '
                 '"rua=mailto:user@example.test,mailto:tls@example.test"\n',
    'silent.test': '@ A 192.0.2.1\n',
    'web.test': '_smtp._tls TXT "v=TLSRPTv1;rua=https://www.web.test/x"\n',
    'down.test': None,
}


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
            s.logged(r'event=tls-report-dropped domain=web\.test .*HTTPS')
            s.logged(r'event=tls-report-dropped domain=asks\.test .*too old')
            assert len(s.log().split('event=tls-report ')) == 3
            s.wait_empty()
        ids = [check(m, day) for m in got]
        # one report, in two messages
        assert ids[0] == ids[1], ids


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
