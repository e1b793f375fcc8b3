"""What becomes of mail at the end of its way: in which folder of a Maildir it is,
whether there is room for it, and mail that nobody gets."""
import os
import subprocess

from harness import Client, text_message, wait_for
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


EXTENSIONS_OF_USERS = '''Recipient_Delimiter = "+-"
Extension_Folder = existing
'''


def mail_in(s, user, folder):
    new = f'{s.maildir(user)}/{folder}/new'
    return len(os.listdir(new)) if os.path.isdir(new) else 0


def test_an_extension_names_a_folder(d):
    put(f'{d}/users', 'user\njoe\nann-x\n', 0o644)
    rows = EXTENSIONS_OF_USERS + f'Recipients = "file:{d}/users"\n'
    with server(d, 'team: joe, user+own, ann-x\n', rows=rows,
                listener=EXTENSIONS) as s:
        send(s, 'user+lists@example.test')
        s.wait_mail(1)
        for folder in '.lists', '.Gr&APwA3w-e':
            path = f'{s.maildir("user")}/{folder}'
            os.makedirs(f'{path}/cur')
            subprocess.run(['chown', '-R', '--reference', s.maildir('user'),
                            path], check=True)
        send(s, 'user+Lists@example.test', 'user-lists@example.test',
             'user+other@example.test', '"user+.."@example.test',
             '"user+/../../joe"@example.test', 'user@example.test',
             'ann-x@example.test')
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<a@client.test> SMTPUTF8')
            c.cmd('RCPT TO:<user+Grüße@example.test>'.encode().decode('latin-1'),
                  '250')
            c.cmd('RCPT TO:<ann-y@example.test>', '550 5.1.1')
            c.cmd('RCPT TO:<other+lists@example.test>', '550 5.1.1')
            c.cmd('RCPT TO:<ann-x+y@example.test>', '550 5.1.1')
            c.cmd('DATA', '354')
            c.cmd('Subject: x\r\n\r\nx\r\n.', '250')
        wait_for('what is in folders', lambda: (
            mail_in(s, 'user', '.lists'),
            mail_in(s, 'user', '.Gr&APwA3w-e')) == (2, 1))
        s.wait_mail(5)
        s.wait_mail(1, user='ann-x')
        # the members of an alias have it, too
        send(s, 'team+lists@example.test')
        s.wait_mail(1, user='joe')
        s.wait_mail(6)
        s.wait_empty()
        assert sorted(os.listdir(s.maildir('joe'))) == ['cur', 'new', 'tmp']
        assert not os.path.exists(s.maildir('user+lists'))


def test_a_folder_for_an_extension_is_made(d):
    rows = EXTENSIONS_OF_USERS.replace('existing', 'create')
    with server(d, 'x: y\n', rows=rows) as s:
        send(s, 'user+Lists@example.test', 'user+INBOX@example.test')
        s.wait_mail(1)
        wait_for('the folder', lambda: mail_in(s, 'user', '.lists') == 1)
        assert os.path.isfile(f'{s.maildir("user")}/.lists/maildirfolder')
        s.wait_empty()


def test_a_full_mailbox_is_told_to_the_sender(d):
    rows = '''Maildir_Quota = 4000
Maildir_Quota_Messages = 4
Recipient_Delimiter = "+"
Extension_Folder = create
'''
    with server(d, 'x: y\n', rows=rows, listener=EXTENSIONS) as s:
        for rcpt in 'joe', 'joe+lists', 'joe':
            send(s, f'{rcpt}@example.test')
        s.wait_mail(2, user='joe')
        wait_for('the folder', lambda: mail_in(s, 'joe', '.lists') == 1)
        with open(f'{s.maildir("joe")}/maildirsize') as f:
            limit, *lines = f.read().splitlines()
        sizes = [int(x.split()[0]) for x in lines]
        assert limit == '4000S,4C' and sum(
            int(x.split()[1]) for x in lines) == 3, lines
        assert sum(sizes) == sum(
            os.stat(f'{path}/{name}').st_size
            for path, _, names in os.walk(s.maildir('joe'))
            for name in names if ',S=' in name), lines
        with Client(s.port) as c:
            c.hello()
            c.envelope('joe@example.test', 'user@example.test')
            c.cmd('DATA', '354')
            c.cmd(text_message(1, 5000).decode() + '.')
            c.mail(text_message(2), 'joe@example.test')
        s.wait_mail(3, user='joe')
        [got] = s.wait_mail(1)
        _, words, _, [r], _ = parts(got)
        assert r['Action'] == 'failed' and r['Status'] == '5.2.2', r
        assert 'the mailbox is full' in words, words
        assert '/' + 'joe' not in got.decode(), got
        send(s, 'joe@example.test', sender='user@example.test')
        wait_for('the second report', lambda: len(s.delivered()) == 2)
        s.wait_empty()
        [e] = [e for e in events(s, 'bounced')
               if e['from'] == 'user@example.test'][1:]
        assert e['rcpt'] == 'joe@example.test', e


def test_a_full_mailbox_is_waited_for(d):
    rows = 'Maildir_Quota_Messages = 1\nMaildir_Over_Quota = defer\n'
    with server(d, 'x: y\n', rows=rows) as s:
        send(s, 'joe@example.test')
        [name] = s.wait_mail(1, user='joe') and os.listdir(
            f'{s.maildir("joe")}/new')
        send(s, 'joe@example.test')
        wait_for('that it waits', lambda: [
            e for e in events(s, 'deferred')
            if 'the mailbox is full' in e['error']])
        # a mail client that knows the file
        os.unlink(f'{s.maildir("joe")}/new/{name}')
        with open(f'{s.maildir("joe")}/maildirsize', 'a') as f:
            f.write(f'-{name.split(",S=")[1]} -1\n')
        s.wait_mail(1, user='joe')
        s.wait_empty()
