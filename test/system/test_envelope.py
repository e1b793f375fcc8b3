"""What is kept in the envelope, and spools that an earlier version has written."""
import os
import re
import signal
import time

from harness import Client, Server, descendants, text_message, wait_for
from test_auth import PLAIN, server

HOLD = 6                                # seconds


def kill_all(s):
    """The power is cut, but for the kernel."""
    for pid in descendants(s.master) + [s.master]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    s.proc.wait()
    s.proc = None
    s.no_process_left()


def states(s):
    return [r['state'] for m in s.ctl_json('queue')['messages']
            for r in m['recipients']]


def test_a_message_is_held_until_its_time_also_over_a_crash(d):
    s = server(d, listener='Future_Release_Max = 1h\nRequire_Auth = true',
               conf='log_level = "info"\n')
    s.start()
    with Client(s.port) as c:
        assert 'FUTURERELEASE 3600 ' in c.hello()
        c.cmd(PLAIN, '235')
        c.cmd(f'MAIL FROM:<a@client.test> HOLDFOR={HOLD}')
        accepted = time.time()
        c.cmd('RCPT TO:<user@example.test>')
        c.cmd('DATA', '354')
        c.send(text_message() + b'.\r\n')
        c.expect('250')
        c.cmd('MAIL FROM:<a@client.test> HOLDFOR=3601', '501 5.5.4')
        # one behind it, which is not held, is not kept up
        c.mail(text_message(2), rcpt='other@example.test')
    s.wait_mail(1, user='other')
    wait_for('the first to be held', lambda: states(s) == ['held'])
    message = s.ctl_json('queue')['messages'][0]
    assert abs(message['hold_until'] - accepted - HOLD) < 3, message
    shown = s.ctl('queue', 'show', message['id']).stdout
    assert 'held until' in shown, shown
    s.ctl('queue', 'retry', message['id'])
    s.ctl('queue', 'retry', 'all')
    kill_all(s)
    s.start()
    if time.time() < accepted + HOLD - 1:
        assert states(s) == ['held']
        assert not s.delivered()
    s.wait_mail(1)
    new = f'{s.maildir()}/new'
    arrived = os.stat(f'{new}/{os.listdir(new)[0]}').st_ctime
    assert arrived >= message['hold_until'], (arrived, message)
    wait_for('the queue to be empty', lambda: states(s) == [])
    assert re.search(r'event=held .*rcpt=user@example.test', s.log())
    s.stop()
