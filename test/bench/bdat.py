"""One large message by BDAT (RFC 3030), against DATA, in turn on one server."""
import tls

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
            for i in range(2 * a.repeats + 1):
                for k, x in v.items():
                    r = one(a, c, is_tls, CHUNKS.get(k, 0))
                    if i:               # the first one warms up
                        x.append(r)
        note(a, 'bdat', tls=is_tls, **v)
        mb = {k: spread([i / 1e6 for i in x]) for k, x in v.items()}
        print(f'bdat       {where}: ' + ', '.join(
            f'{k} {x} MB/s' for k, x in mb.items()), flush=True)
        for k in CHUNKS:
            a.row('bdat', f'MB/s of a {tls.BULK // 10**6} MB message by BDAT '
                  f'in {k}, {where}, against DATA: {mb["DATA"]}', mb[k], '-',
                  median(v[k]) / median(v['DATA']), (.97, 1), up=True)


RUNS = {'bdat': run_bdat}
