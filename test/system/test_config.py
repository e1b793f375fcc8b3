"""mailmilld -n -v and -n -T: what is in force, and where it is set."""
import os
import re
import subprocess

from harness import BUILD, ROOT, SLOW, Client, Server, Skip
from test_start import become

PROGRAM = f'{BUILD}/mailmilld'


def run(s, *args, **kw):
    """mailmilld -n: (status, standard output, standard error)."""
    p = subprocess.run(s.command('-n', '-f', *args), capture_output=True,
                       text=True, timeout=60 * SLOW,
                       preexec_fn=s._before_exec, **kw)
    return p.returncode, p.stdout, p.stderr


def lines(text):
    """{option: (value, origin)} of a listing without sections."""
    return {name: (value, origin) for name, value, origin in re.findall(
        r'^(\w+) = ([^\t\n]*)\t# (.*)$', text, re.M)}


def test_a_client_has_the_options_that_are_listed_for_it(d):
    os.mkdir(f'{d}/conf.d')
    for name, text in (('a.conf', 'Peer "127.0.0.1" {\nStatic_Banner = '
                                  '"the \\"peer\\" # 1"\n}\n'),
                       ('b.conf', 'Max_Errors = 7\n')):
        with open(f'{d}/conf.d/{name}', 'w') as f:
            f.write(text)
    with Server(d, listen='include "conf.d/*.conf"',
                conf='Max_Errors = 5') as s:
        status, out, err = run(s, '-D', 'Idle_Time=90', '-T',
                               f'127.0.0.1:{s.port},127.0.0.1')
        assert status == 0 and 'configuration ok' in err, (status, err)
        got = lines(out)
        where = f', Listen "127.0.0.1:{s.port}"'
        assert got['Max_Errors'] == ('7', f'{d}/conf.d/b.conf:1{where}'), got
        assert got['Idle_Time'] == ('90s', '-D'), got
        assert got['Max_Message_Size'] == ('100M', 'default'), got
        assert got['Static_Banner'] == (
            r'"the \"peer\" # 1"', f'{d}/conf.d/a.conf:2, Peer "127.0.0.1" in '
            f'Listen "127.0.0.1:{s.port}"'), got
        assert f'# Peer "127.0.0.1" in Listen "127.0.0.1:{s.port}", ' \
            f'{d}/conf.d/a.conf:1\n' in out, out
        # and the server does that
        with Client(s.port, banner=False) as c:
            assert c.expect('220') == '220 the "peer" # 1'
            c.cmd('EHLO x', '250')
            for _ in range(7):
                c.cmd('NO-SUCH', '5')
            c.cmd('NO-SUCH', '421')
        # another client
        status, out, err = run(s, '-T', f'127.0.0.1:{s.port},127.0.0.2')
        assert lines(out)['Static_Banner'] == ('""', 'default'), out


def test_the_listing_is_a_configuration(d):
    s = Server(d, conf='drain_time = 7', listener='Peer "127.0.0.0/8" '
               '{ Max_Errors = 3 }', listen='Relay_Hosts = { "::1", '
               '"192.0.2.0/24" }')
    status, out, err = run(s, '-v')
    assert status == 0 and 'configuration ok' in err, (status, err)
    assert 'configuration ok' not in out, out
    assert f'drain_time = 7s\t# {s.conf_file}:7, outside all sections\n' \
        in out, out
    with open(f'{d}/listing', 'w') as f:
        f.write(out)

    def bare(text):
        return re.sub(r'\t*# .*', '', text)

    # a pipe can be read only once; another account cannot open it by this name
    for conf in f'{d}/listing', *(() if s.user else ('/dev/stdin',)):
        status, again, err = run(s, '-v', '-c', conf, input=out)
        assert status == 0, (status, err)
        assert bare(again) == bare(out), (out, again)
    for addr in '127.0.0.1', '192.0.2.7':
        want, got = (bare(run(s, '-T', f'127.0.0.1:{s.port},{addr}',
                              *more)[1])
                     for more in ((), ('-c', f'{d}/listing')))
        assert want == got and 'Max_Errors = ' in got, (want, got)
    # both: the whole, as it is for this client
    status, out, err = run(s, '-v', '-T', f'127.0.0.1:{s.port},127.0.0.1')
    assert status == 0 and 'Peer "' not in re.sub('#.*', '', out), out
    assert re.search(r'\n\t\tMax_Errors = 3\t# .*:9, Peer "127\.0\.0\.0/8" in '
                     'ESMTP_Listener\n', out), out
    assert '\ndrain_time = 7s\t' in out, out


def test_the_listing_comes_before_what_the_checks_say(d):
    s = Server(d, conf='log_user = "no-such-account"', listener=
               f'TLS_Certificate = "{d}/none"\nTLS_Key = "{d}/none"\n')
    for args in ('-v',), ('-T', f'127.0.0.1:{s.port},192.0.2.7'):
        status, out, err = run(s, *args)
        assert status == 78 and f'{s.conf_file}:9:' in err and \
            f'{d}/none' in err, err
        assert f'TLS_Certificate = {{ "{d}/none" }}\t# {s.conf_file}:9, ' \
            'ESMTP_Listener\n' in out, out
    # not what cannot be understood
    s.write_conf(conf='Max_Errors = many')
    status, out, err = run(s, '-v')
    assert status == 78 and out == '' and f'{s.conf_file}:7:14: ' in err, err


def test_without_root_it_lists_too(d):
    if not ROOT:
        raise Skip('needs root, to be without')
    s = Server(d, as_root=True)
    os.chmod(d, 0o755)
    s.write_conf()
    p = subprocess.run([s.program, '-n', '-v', '-c', s.conf_file],
                       capture_output=True, text=True, preexec_fn=become,
                       timeout=60 * SLOW)
    assert f'spool = "{s.spool}"\t# {s.conf_file}:3, outside' in p.stdout, p
    assert 'not checked' in p.stderr and 'not checked' not in p.stdout, p


def test_wrong_questions_are_answered(d):
    s = Server(d)
    here = f'127.0.0.1:{s.port}'
    for what, words in (
            (here, 'a comma'), (f'{here},', 'address of a client'),
            (f'{here},localhost', '"localhost"'),
            (f'{here},::1', 'cannot connect'),
            ('127.0.0.1:1,192.0.2.1', f'only "{here}"'),
            ('x\x1b[2J,192.0.2.1', '"x?[2J"')):
        status, out, err = run(s, '-T', what)
        assert status == 2 and out == '', (what, status, out, err)
        assert err.startswith('mailmilld: -T: ') and words in err, (what, err)
    for flag in ('-v',), ('-T', f'{here},192.0.2.1'):
        p = subprocess.run(s.command('-f', *flag), capture_output=True,
                           text=True, timeout=60 * SLOW,
                           preexec_fn=s._before_exec)
        assert p.returncode == 2 and f'{flag[0]}: only together with -n' in \
            p.stderr and 'usage: ' in p.stderr, p
    # a listing that cannot be written is no success
    with open('/dev/full', 'w') as full:
        p = subprocess.run(s.command('-n', '-f', '-v'), stdout=full,
                           stderr=subprocess.PIPE, text=True,
                           timeout=60 * SLOW, preexec_fn=s._before_exec)
    assert p.returncode == 1 and 'standard output: ' in p.stderr, p
