"""What crash.py takes for a loss, for a copy too many, and for an excuse."""
import collections
import datetime

import crash
from crash_hops import ONCE, RELAYED, Copy, digest

TEXT = b'Subject: s0-1\r\n\r\ntext\r\n'
ID = '6C50MR8DR4409'
Sender = collections.namedtuple('Sender', 'sent acked whole')


class Hop:
    def __init__(self, address, copies, doubling=RELAYED, refused=()):
        self.name, self.users = 'hop', (address,)
        self.doubling, self.refused, self.n = doubling, refused, copies

    def takes(self, address):
        return [address]

    def copies(self):
        return self.n


def copies(*times, address='a@hop.test', text=TEXT, key='s0-1'):
    return {(key, address): [Copy(t, ID, digest(text)) for t in times]}


def delivered(when):
    at = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    return f'{at:%Y-%m-%dT%H:%M:%S.%f}'[:-3] + \
        f'Z mailmilld/queue-1[1] level=info event=delivered id={ID} ' \
        'rcpt=a@hop.test transport=relay reply="x" size=1 delay=0.1\n'


def judge(got, kills=(), log='', acked=True, whole=True, doubling=RELAYED,
          rcpts=('a@hop.test',), refused=(), reports=None):
    key = {'s0-1'}
    sender = Sender({'s0-1': (TEXT, rcpts)}, key if acked else set(),
                    key if whole else set())
    j = crash.Judge([sender], [Hop('a@hop.test', got, doubling, refused)],
                    Hop('', reports or {}), kills)
    return list(j.offences(log))


def test_what_was_sent_comes(d):
    assert judge(copies(100)) == []
    assert judge({}, acked=False) == []
    assert judge(copies(100), acked=False) == []
    [x] = judge({})
    assert 'acknowledged, but not delivered' in x, x
    [x] = judge(copies(100, text=TEXT + b'more\r\n'))
    assert 'not what was sent' in x, x
    [x] = judge(copies(100), acked=False, whole=False)
    assert 'not sent to its end' in x, x
    assert any('never sent' in x for x in judge(
        {**copies(100), **copies(100, key='s0-2')}))


def test_a_second_copy_needs_a_kill(d):
    twice = copies(100, 101)
    [x] = judge(twice)
    assert '2 copies' in x, x
    for role in RELAYED:
        assert judge(twice, [(100.5, role)]) == []
    # not one that has nothing to do with it, that came later, or long before
    for kill in (100.5, 'worker'), (101.5, 'queue'), (50, 'queue'):
        assert judge(twice, [kill]), kill
    # each copy needs its own
    assert judge(copies(100, 101, 102), [(100.5, 'queue')])
    # a Maildir has none
    assert judge(twice, [(100.5, 'queue')], doubling=ONCE)


def test_a_kill_is_no_excuse_for_what_was_written_down(d):
    late = 100 + crash.SETTLED * crash.SLOW + 0.5
    twice = copies(100, late + 1)
    assert judge(twice, [(late, 'queue')]) == []
    assert judge(twice, [(late, 'queue')], log=delivered(late - 0.01)) == []
    [x] = judge(twice, [(late, 'queue')], log=delivered(100.2))
    assert '2 copies' in x, x


def test_who_is_refused_is_reported_once(d):
    def of(n, rcpts=('no@hop.test',)):
        return judge({}, rcpts=rcpts, refused=('no@hop.test',),
                     reports=n and copies(*range(n), address='no@hop.test'))
    assert of(1) == []
    assert 'not reported' in of(0)[0]
    assert '2 reports' in of(2)[0]
    assert any('not refused' in x for x in of(1, ('a@hop.test',)))
