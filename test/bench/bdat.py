"""One large message by BDAT (RFC 3030), against DATA, on one server.

The disk takes a message now faster and now slower, by a third and more: so the three
are sent in random order, each is compared with the DATA of its round, and the figure
is the median of many rounds."""
import random

import tls

ROUNDS = 40                     # at least
CHUNKS = {'one chunk': tls.BULK, 'chunks of 1 MB': 1000 * 1000}


def one(a, c, is_tls, chunk):
    """Octets a second; chunk 0: by DATA."""
    c.clean()
    r = tls.tlsbench(a, 'bulk', '-p', c.port, '-o', tls.BULK,
                     *([] if is_tls else ['-x']),
                     *(['-B', chunk] if chunk else []))[0]
    c.wait_delivered(1)
    return r


def run_bdat(a, median, spread, note):
    for is_tls in (False, True):
        where = 'over TLS' if is_tls else 'in the clear'
        v = {'DATA': [], **{k: [] for k in CHUNKS}}
        with a.mailmill(listen=tls.listener(a) if is_tls else '') as c:
            for i in range(max(ROUNDS, 4 * a.repeats) + 1):
                for k in random.sample(list(v), len(v)):
                    r = one(a, c, is_tls, CHUNKS.get(k, 0))
                    if i:               # the first one warms up
                        v[k].append(r)
        note(a, 'bdat', tls=is_tls, **v)
        mb = {k: spread([i / 1e6 for i in x]) for k, x in v.items()}
        print(f'bdat       {where}: ' + ', '.join(
            f'{k} {x} MB/s' for k, x in mb.items()), flush=True)
        for k in CHUNKS:
            a.row('bdat', f'MB/s of a {tls.BULK // 10**6} MB message by BDAT '
                  f'in {k}, {where}, against DATA: {mb["DATA"]}', mb[k], '-',
                  median([q / p for p, q in zip(v['DATA'], v[k])]), (.97, 1),
                  up=True)


RUNS = {'bdat': run_bdat}
