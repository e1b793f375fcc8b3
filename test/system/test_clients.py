"""Real clients against a real server: what they send is what arrives."""
import os
import shutil
import smtplib
import subprocess

import messages
from harness import (POSTFIX, SLOW, Client, Server, Skip, body_of, sender_of,
                     text_message, wait_for)


def run(*cmd, data=None, timeout=60):
    if not shutil.which(cmd[0]):
        raise Skip(f'no {cmd[0]}')
    p = subprocess.run(cmd, input=data, capture_output=True,
                       timeout=timeout * SLOW)
    assert p.returncode == 0, (cmd, p.returncode, p.stdout[-800:], p.stderr[-800:])
    return p


def same(got, sent):
    assert got == sent, (f'{len(got)} octets arrived, {len(sent)} were sent; '
                         f'first difference at '
                         f'{next((i for i, (a, b) in enumerate(zip(got, sent)) if a != b), min(len(got), len(sent)))}')


def test_every_kind_of_message_arrives_byte_for_byte(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        for name, m in messages.all_small().items():
            c.mail(m, rcpt=f'{name}@example.test')
        c.cmd('QUIT', '221')
        c.ended()
        for name, m in messages.all_small().items():
            got = s.wait_mail(1, user=name)[0]
            same(body_of(got), m)
            assert sender_of(got) == 'a@client.test'


def test_a_50_mb_message_arrives_byte_for_byte(d):
    m = messages.big(50 * 1000 * 1000)
    with Server(d) as s, Client(s.port, timeout=120) as c:
        c.hello()
        c.mail(m)
        same(body_of(s.wait_mail(1, timeout=60)[0]), m)


def test_two_50_mb_messages_at_once(d):
    m = messages.big(50 * 1000 * 1000)
    with open(f'{d}/m', 'wb') as f:
        f.write(m)
    with Server(d, workers=1) as s:
        ps = [subprocess.Popen(
            ['curl', '-sS', f'smtp://127.0.0.1:{s.port}/client.test',
             '--mail-from', 'a@client.test', '--mail-rcpt', 'user@example.test',
             '-T', f'{d}/m']) for _ in range(2)]
        assert [p.wait(100 * SLOW) for p in ps] == [0, 0]
        for got in s.wait_mail(2, timeout=60):
            same(body_of(got), m)


def test_one_copy_for_each_recipient(d):
    users = [f'user{i}' for i in range(20)]
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        c.cmd('MAIL FROM:<>')
        for u in users:
            c.cmd(f'RCPT TO:<{u}@EXAMPLE.test>')
        c.cmd('DATA', '354')
        c.send(text_message() + b'.\r\n')
        c.expect('250')
        for u in users:
            got = s.wait_mail(1, user=u)[0]
            same(body_of(got), text_message())
            assert sender_of(got) == ''


def test_curl(d):
    with Server(d) as s:
        for name, m in messages.all_small().items():
            if name in ('empty', 'bare'):       # curl 7.88 sends neither as is
                continue
            with open(f'{d}/m', 'wb') as f:
                f.write(m)
            run('curl', '-sS', f'smtp://127.0.0.1:{s.port}/client.test',
                '--mail-from', 'a@client.test',
                '--mail-rcpt', f'{name}@example.test', '-T', f'{d}/m')
            same(body_of(s.wait_mail(1, user=name)[0]), m)


def test_curl_as_make_run_shows_it(d):
    with Server(d) as s:
        run('curl', '-sS', '--crlf', f'smtp://127.0.0.1:{s.port}',
            '--mail-from', 'me@localhost', '--mail-rcpt', 'user@example.test',
            '-T', '-', data=b'Subject: hello\n\nHello.\n')
        same(body_of(s.wait_mail()[0]), b'Subject: hello\r\n\r\nHello.\r\n')


def test_swaks(d):
    with Server(d) as s:
        m = messages.with_attachments()
        with open(f'{d}/m', 'wb') as f:
            f.write(m.replace(b'\r\n', b'\n'))
        run('swaks', '--server', '127.0.0.1', '--port', str(s.port),
            '--helo', 'client.test', '--from', 'a@client.test',
            '--to', 'user@example.test', '--data', f'@{d}/m', '--silent', '2')
        got = body_of(s.wait_mail()[0])
        assert got.rstrip() == m.rstrip(), 'swaks: not what was sent'


def test_swaks_pipelining(d):
    with Server(d) as s:
        run('swaks', '--server', '127.0.0.1', '--port', str(s.port),
            '--from', 'a@client.test', '--pipeline', '--silent', '2',
            '--to', 'user@example.test,other@example.test')
        s.wait_mail(1)
        s.wait_mail(1, user='other')


def test_msmtp(d):
    with Server(d) as s:
        for name, m in (('dots', messages.dots()),
                        ('attachments', messages.with_attachments())):
            run('msmtp', '--file=/dev/null', '--host=127.0.0.1',
                f'--port={s.port}', '--auth=off', '--tls=off',
                '--from=a@client.test', '--domain=client.test',
                '--set-date-header=off', '--set-msgid-header=off',
                '--set-from-header=off',
                f'{name}@example.test', data=m.replace(b'\r\n', b'\n'))
            same(body_of(s.wait_mail(1, user=name)[0]), m)


def test_smtplib(d):
    with Server(d) as s:
        with smtplib.SMTP('127.0.0.1', s.port, 'client.test', 60) as c:
            c.ehlo()
            for ext in ('pipelining', 'size', '8bitmime', 'enhancedstatuscodes'):
                assert c.has_extn(ext), ext
            for name, m in messages.all_small().items():
                c.sendmail('a@client.test', [f'{name}@example.test'], m,
                           ['BODY=8BITMIME'])
            refused = None
            try:
                c.sendmail('a@client.test', ['x@elsewhere.test'], b'x\r\n')
            except smtplib.SMTPRecipientsRefused as e:
                refused = e.recipients['x@elsewhere.test']
            assert refused and refused[0] == 550 and refused[1][:5] == b'5.7.1'
        for name, m in messages.all_small().items():
            if m and not m.endswith(b'\r\n'):
                m += b'\r\n'
            got = body_of(s.wait_mail(1, user=name)[0])
            # smtplib ends what is empty with a CRLF of its own
            same(got, m if m else got)


def smtp_source(port, *args, timeout=60):
    if not os.access(f'{POSTFIX}/smtp-source', os.X_OK):
        raise Skip('smtp-source is not unpacked (test/postfix.sh)')
    return run(f'{POSTFIX}/smtp-source', '-f', 'a@client.test',
               '-t', 'user@example.test', *args, f'127.0.0.1:{port}',
               timeout=timeout)


def test_smtp_source_one_message_a_connection(d):
    with Server(d) as s:
        smtp_source(s.port, '-s', '10', '-m', '500', '-l', '4096')
        got = s.wait_mail(500)
        assert all(len(body_of(m)) > 4000 for m in got)


def test_smtp_source_many_messages_a_connection(d):
    with Server(d) as s:
        smtp_source(s.port, '-d', '-s', '20', '-m', '2000', '-l', '2000')
        s.wait_mail(2000)
        st = wait_for('the counters', lambda: (lambda x: x if int(
            x['delivered']) == 2000 else None)(s.stats()))
        assert int(st['messages_accepted']) == 2000
        assert int(st['commits']) <= 2000
        assert int(st['delivery_batches']) < 2000


def test_smtp_source_with_a_file(d):
    m = messages.dots()
    with open(f'{d}/m', 'wb') as f:
        f.write(m.replace(b'\r\n', b'\n'))
    with Server(d) as s:
        smtp_source(s.port, '-d', '-s', '3', '-m', '9', '-F', f'{d}/m')
        for got in s.wait_mail(9):
            # smtp-source adds an empty line
            same(body_of(got), m + b'\r\n')


def test_lf_on_request(d):
    with Server(d, domain='Maildir_Newline = "lf"') as s, Client(s.port) as c:
        c.hello()
        c.mail(messages.dots())
        got = s.wait_mail()[0]
        assert b'\r' not in got
        assert got.endswith(messages.dots().replace(b'\r\n', b'\n'))


def test_the_name_of_a_file_says_its_size(d):
    with Server(d) as s, Client(s.port) as c:
        c.hello()
        c.mail(text_message())
        s.wait_mail()
        new = s.maildir() + '/new'
        name = os.listdir(new)[0]
        assert name.endswith(f',S={os.stat(f"{new}/{name}").st_size}'), name
        assert os.listdir(s.maildir() + '/tmp') == []
