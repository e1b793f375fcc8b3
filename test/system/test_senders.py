"""What a login may do: senders, relaying; what is recorded of it."""
import base64
import os
import subprocess

from harness import BUILD, Client, Server, text_message, wait_for


def set_up(d, senders='@client.test bob\nalice@client.test alice\n'):
    for user, password in (('alice', 'secret'), ('bob', 'hunter2')):
        subprocess.run([f'{BUILD}/mailmillctl', 'passwd', '-f', f'{d}/logins',
                        user], input=password + '\n', text=True, check=True)
    write(d, senders)
    os.chmod(f'{d}/logins', 0o644)
    return f'''Auth_Backend = "passwd:{d}/logins"
Auth_Without_TLS = true
Require_Auth = true
Auth_In_Received = true
Sender_Login = "file:{d}/senders"'''


def write(d, senders):
    with open(f'{d}/senders', 'w') as f:
        f.write(senders)
    os.chmod(f'{d}/senders', 0o644)


def login(c, user, password):
    c.hello()
    plain = base64.b64encode(f'\0{user}\0{password}'.encode()).decode()
    c.cmd(f'AUTH PLAIN {plain}', '235 2.7.0')


def test_a_login_sends_as_itself(d):
    with Server(d, listener=set_up(d)) as s:
        with Client(s.port) as c:
            c.hello()
            c.cmd('MAIL FROM:<alice@client.test>', '530 5.7.0')
        with Client(s.port) as c:
            login(c, 'alice', 'secret')
            c.cmd('MAIL FROM:<bob@client.test>', '553 5.7.1')
            c.cmd('MAIL FROM:<alice@client.test> AUTH=<>', '250')
            c.cmd('RCPT TO:<x@elsewhere.test>', '550 5.4.4')
            c.cmd('RCPT TO:<user@example.test>', '250')
            c.cmd('DATA', '354')
            c.send(text_message() + b'.\r\n')
            c.expect('250 2.0.0')
        s.wait_mail(1)
        mail = s.delivered()[0]
        assert b'(authenticated as alice)' in mail, mail
        assert b' with ESMTPA id ' in mail, mail
        s.logged('user=alice')
        log = s.log()
        for word in ('secret', 'c2VjcmV0', 'NlY3JldA', 'zZWNyZX'):
            assert word not in log, word


def test_senders_are_read_again_on_reload_and_a_bad_file_is_refused(d):
    with Server(d, listener=set_up(d)) as s:
        def answer(sender):
            with Client(s.port) as c:
                login(c, 'alice', 'secret')
                c.send(f'MAIL FROM:<{sender}>\r\n'.encode())
                return c.reply()
        assert answer('other@client.test').startswith('553')
        write(d, '@client.test alice\nnobody\n')
        p = s.ctl('reload', check=False)
        assert p.returncode != 0
        assert f'{d}/senders:2: expected' in p.stdout + p.stderr, p
        assert answer('other@client.test').startswith('553')
        write(d, '@client.test alice\n')
        s.ctl('reload')
        wait_for('the new senders', lambda: answer(
            'other@client.test').startswith('250'))


def test_a_bad_file_stops_the_start(d):
    listener = set_up(d, 'alice@client.test\n')
    s = Server(d, listener=listener)
    p = subprocess.run(s.command('-n'), capture_output=True, text=True)
    assert p.returncode == 78, p
    assert "option 'Sender_Login'" in p.stderr, p.stderr
    assert f'{d}/senders:1: expected a login' in p.stderr, p.stderr
