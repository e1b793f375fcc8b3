"""One large message by BDAT (RFC 3030), against DATA.

The disk takes a message now faster and now slower, by a third and more, and a server
is faster than the next one that is started: so they are sent in random order, each is
compared with the DATA of its round, and the figure is the median of many rounds, with
several servers."""
import random

import tls

STARTS = 5                      # at least
ROUNDS = 10                     # with each
# how the client sends it, and whether a figure is wanted of that
WAYS = {'DATA': ([], False),
        'one chunk': (['-B', tls.BULK], True),
        'chunks of 1 MB': (['-B', 1000 * 1000], True),
        # what this costs is the client's own, a round trip each
        '1 MB, each awaited': (['-B', 1000 * 1000, '-w'], False)}


def one(a, c, is_tls, options):
    """Octets a second."""
    c.clean()
    r = tls.tlsbench(a, 'bulk', '-p', c.port, '-o', tls.BULK,
                     *([] if is_tls else ['-x']), *options)[0]
    c.wait_delivered(1)
    return r


def run_bdat(a, median, spread, note):
    for is_tls in (False, True):
        where = 'over TLS' if is_tls else 'in the clear'
        v = {k: [] for k in WAYS}
        for _ in range(max(STARTS, a.repeats)):
            with a.mailmill(listen=tls.listener(a) if is_tls else '') as c:
                for i in range(ROUNDS + 1):
                    for k in random.sample(list(v), len(v)):
                        r = one(a, c, is_tls, WAYS[k][0])
                        if i:           # the first one warms up
                            v[k].append(r)
        note(a, 'bdat', tls=is_tls, **v)
        mb = {k: spread([i / 1e6 for i in x]) for k, x in v.items()}
        print(f'bdat       {where}: ' + ', '.join(
            f'{k} {x} MB/s' for k, x in mb.items()), flush=True)
        for k in [k for k, (_, is_row) in WAYS.items() if is_row]:
            a.row('bdat', f'MB/s of a {tls.BULK // 10**6} MB message by BDAT '
                  f'in {k}, {where}, against DATA: {mb["DATA"]}', mb[k], '-',
                  median([q / p for p, q in zip(v['DATA'], v[k])]), (.97, 1),
                  up=True)


RUNS = {'bdat': run_bdat}
