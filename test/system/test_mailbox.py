"""What becomes of mail at the end of its way: in which folder of a Maildir it is,
whether there is room for it, and mail that nobody gets."""
from harness import Client
from test_relay import events, send
from test_reports import EXTENSIONS, parts
from test_reports import send as send_said
from test_aliases import put, server


def test_what_is_discarded_is_reported_as_delivered(d):
    put(f'{d}/users', 'null\n', 0o644)
    extra = f'''Domain "null.test" {{
    Delivery = discard
    Recipients = "file:{d}/users"
}}
'''
    with server(d, 'team: joe, null@null.test\n', extra=extra,
                listener=EXTENSIONS) as s:
        send(s, 'null@null.test')
        send(s, 'team@example.test')
        s.wait_mail(1, user='joe')
        with Client(s.port) as c:
            c.hello()
            send_said(c, '<user@example.test>', [
                '<null@null.test> NOTIFY=SUCCESS,FAILURE'])
            c.cmd('MAIL FROM:<a@client.test>')
            c.cmd('RCPT TO:<other@null.test>', '550 5.1.1')
        [got] = s.wait_mail(1)
        _, _, _, [r], _ = parts(got)
        assert r['Action'] == 'delivered', r
        assert r['Status'] == '2.0.0', r
        assert 'discard' not in got.decode(), got
        s.wait_empty()
        gone = [e for e in events(s, 'delivered')
                if e['rcpt'] == 'null@null.test']
        assert len(gone) == 3, gone
        assert {e['transport'] for e in gone} == {'discard'}, gone
