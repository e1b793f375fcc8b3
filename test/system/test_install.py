"""make install and uninstall, into a folder of the test's."""
import glob
import os
import re
import shutil
import signal
import subprocess

from harness import (BUILD, ROOT, SANITIZE, SLOW, TOP, Client, Server, Skip,
                     text_message)


def make(d, target):
    flags = ['SANITIZE=1'] if SANITIZE else []
    if BUILD.startswith(TOP + '/build/'):       # as check.sh built it
        flags.append('WERROR=-Werror')
    p = subprocess.run(['make', '-C', TOP, target, f'DESTDIR={d}/root',
                        f'B={os.path.relpath(BUILD, TOP)}'] + flags,
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout


def files(d):
    out = set()
    for at, _, names in os.walk(f'{d}/root'):
        out |= {os.path.relpath(f'{at}/{n}', f'{d}/root') for n in names}
    return out


def test_install_and_uninstall(d):
    make(d, 'install')
    have = files(d)
    for f in ('usr/local/sbin/mailmilld', 'usr/local/sbin/mailmillctl',
              'usr/local/sbin/mailmill-sendmail',
              'usr/local/lib/mailmill/mailmill-maildrop',
              'usr/local/share/man/man1/mailmill-sendmail.1',
              'usr/local/lib/libmailmill.a',
              'usr/local/include/mailmill/event.h',
              'usr/local/include/mailmill/esmtp_factory.h',
              'usr/local/share/man/man8/mailmilld.8',
              'usr/local/share/man/man5/mailmill.conf.5',
              'usr/local/share/man/man3/event.3',
              'usr/local/etc/mailmill/mailmill.conf',
              'usr/local/lib/systemd/system/mailmilld.service',
              'etc/init.d/mailmilld'):
        assert f in have, (f, have)
    for page in glob.glob(f'{TOP}/man/*.[13578]'):
        assert any(f.endswith('/' + os.path.basename(page)) for f in have), page
    for f in ('usr/local/lib/systemd/system/mailmilld.service',
              'etc/init.d/mailmilld'):
        with open(f'{d}/root/{f}') as x:
            text = x.read()
        assert '/usr/local/sbin' in text and '@' not in text.replace('$@', ''), f
    assert os.access(f'{d}/root/etc/init.d/mailmilld', os.X_OK)
    subprocess.run(['sh', '-n', f'{d}/root/etc/init.d/mailmilld'], check=True)
    conf = f'{d}/root/usr/local/etc/mailmill/mailmill.conf'
    p = subprocess.run([f'{BUILD}/mailmilld', '-n', '-f', '-c', conf],
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    # it has no Domain: the administrator adds those
    assert 'Domain' in p.stdout, p.stdout
    with open(conf, 'a') as f:
        f.write('# mine\n')
    make(d, 'install')
    with open(conf) as f:
        assert f.read().endswith('# mine\n'), 'the configuration was overwritten'
    make(d, 'uninstall')
    assert files(d) == {'usr/local/etc/mailmill/mailmill.conf'}, files(d)


def test_the_names_of_sendmail_are_made_only_where_there_are_none(d):
    make(d, 'install-sendmail')
    names = {'usr/local/sbin/sendmail', 'usr/local/bin/mailq',
             'usr/local/bin/newaliases'}
    assert files(d) == names, files(d)
    for n in names:
        assert os.readlink(f'{d}/root/{n}') == \
            '/usr/local/sbin/mailmill-sendmail', n
    make(d, 'install-sendmail')
    make(d, 'uninstall')
    assert files(d) == set(), files(d)
    for of_others in ('link', 'file'):
        path = f'{d}/root/usr/local/sbin/sendmail'
        if of_others == 'link':
            os.symlink('/etc/alternatives/sendmail', path)
        else:
            os.unlink(path)
            with open(path, 'w') as f:
                f.write('x')
        p = subprocess.run(['make', '-C', TOP, 'install-sendmail',
                            f'DESTDIR={d}/root'], capture_output=True, text=True)
        assert p.returncode != 0 and 'another program' in p.stderr, p
        make(d, 'uninstall')
        assert files(d) == {'usr/local/sbin/sendmail'}, files(d)
        assert os.path.islink(path) == (of_others == 'link')


def test_what_was_edited_is_neither_overwritten_nor_removed(d):
    make(d, 'install')
    shipped = ('usr/local/etc/mailmill/mailmill.conf', 'etc/init.d/mailmilld',
               'etc/fail2ban/filter.d/mailmilld.conf',
               'usr/local/lib/systemd/system/mailmilld.service')
    have = files(d)
    for f in shipped:
        assert f in have, (f, have)
    # the comments name the file that there is, and its jail
    with open(f'{d}/root/etc/fail2ban/filter.d/mailmilld.conf') as f:
        text = f.read()
    assert '/etc/fail2ban/filter.d/mailmilld.conf' in text, text
    assert '[mailmilld]' in text and '@' not in text, text
    for f in shipped:
        with open(f'{d}/root/{f}', 'a') as x:
            x.write('# mine\n')
    said = make(d, 'install')
    for f in shipped:
        with open(f'{d}/root/{f}') as x:
            assert x.read().endswith('# mine\n'), f
    # one that is as it was installed follows the new version
    f = f'{d}/root/{shipped[2]}'
    copy = f'{d}/root/usr/local/share/mailmill/fail2ban.conf'
    for x in (f, copy):
        with open(x, 'w') as old:
            old.write('# an old version\n')
    make(d, 'install')
    with open(f) as x:
        assert 'failregex' in x.read()
    make(d, 'uninstall')
    assert files(d) == set(shipped) - {shipped[2]}, (files(d), said)


def test_the_unit_is_one_that_systemd_understands(d):
    if not shutil.which('systemd-analyze'):
        raise Skip('no systemd-analyze')
    make(d, 'install')
    unit = f'{d}/mailmilld.service'
    with open(f'{d}/root/usr/local/lib/systemd/system/mailmilld.service') as f:
        text = f.read()
    for line in ('Type=notify', 'RestartSec=', 'LimitMEMLOCK=',
                 'Wants=network-online.target', 'After=network-online.target'):
        assert re.search(f'^{line}', text, re.M), line
    assert re.search(r'^RestartPreventExitStatus=.*\b78\b', text, re.M), text
    with open(unit, 'w') as f:
        f.write(text.replace('/usr/local/sbin', BUILD))
    p = subprocess.run(['systemd-analyze', 'verify', '--man=no', unit],
                       capture_output=True, text=True)
    # nothing is said of the unit itself; others on this machine are not ours
    said = [x for x in (p.stdout + p.stderr).split('\n') if 'mailmilld' in x]
    assert not said, said


def test_the_init_script_and_its_exit_statuses(d):
    if not ROOT:
        raise Skip('needs root')
    make(d, 'install')
    # accounts that every Debian has; the state is the test's
    s = Server(d, as_root=True, log=f'{d}/log', conf='user = "nobody"\n'
               'queue_user = "daemon"\ndelivery_user = "mail"\n'
               'log_user = "games"\nresolver_user = "news"')
    script = f'{d}/mailmilld'
    with open(f'{d}/root/etc/init.d/mailmilld') as f:
        text = f.read()
    for old, new in (('/usr/local/sbin', os.path.dirname(s.program)),
                     ('/usr/local/etc/mailmill/mailmill.conf', s.conf_file),
                     ('/run/mailmill/mailmilld.pid', s.pidfile),
                     ('/etc/default/mailmilld', f'{d}/default')):
        assert old in text, old
        text = text.replace(old, new)
    with open(script, 'w') as f:
        f.write(text)
    with open(f'{d}/take', 'w') as f:
        f.write(f'#!/bin/sh\necho "$@" >>{d}/taken\n')
    os.chmod(f'{d}/take', 0o755)
    with open(f'{d}/default', 'w') as f:
        f.write(f'SENDMAIL={d}/take\n')

    def taken():
        with open(f'{d}/taken') as f:
            return f.read().split()

    def run(action, want):
        # the daemon inherits descriptors that it does not close
        p = subprocess.run(['sh', script, action], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60 * SLOW)
        assert p.returncode == want, (action, p.returncode, want, p.stdout)
        # that a process has ended is no error
        assert '/proc/' not in p.stdout, (action, p.stdout)

    def master():
        with open(s.pidfile) as f:
            s.master = int(f.read())
        return s.master

    for line in ('### BEGIN INIT INFO', '# Provides:', '# Required-Start:',
                 '# Default-Start:', '# Short-Description:', '### END INIT INFO'):
        assert line in text, line
    run('status', 3)
    run('reload', 7)
    run('start', 0)
    first = master()
    run('status', 0)
    assert taken() == ['-q1m'], taken()
    # the process that takes over what waits in the maildrop may have been killed
    run('start', 0)
    assert master() == first and taken() == ['-q1m'] * 2, taken()
    with Client(s.port) as c:
        c.hello()
        c.mail(text_message())
    s.wait_mail(1)
    run('reload', 0)
    run('force-reload', 0)
    assert master() == first and taken() == ['-q1m'] * 4, taken()
    s.write_conf(conf='no_such_setting = 1')
    run('reload', 6)
    run('restart', 6)
    assert master() == first
    # what only the start would find out
    s.write_conf(log=f'{d}/no/such/log')
    run('restart', 6)
    s.write_conf(extra='ESMTP_Listener { Listen "192.0.2.1:2525" { } }')
    run('restart', 6)
    assert master() == first
    with Client(s.port) as c:
        c.hello()
    s.write_conf()
    run('restart', 0)
    assert master() != first
    run('stop', 0)
    s.no_process_left()
    run('stop', 0)
    run('status', 3)
    run('nonsense', 2)
    run('start', 0)
    os.kill(master(), signal.SIGKILL)
    s.no_process_left()
    run('status', 1)
    # the number is another process's by now: an editor's, say
    with subprocess.Popen(['sh', '-c', 'exec sleep 100', 'mailmilld']) as other:
        name = f'{d}/mailmilld: master.conf'
        shutil.copy(shutil.which('sleep'), name)
        with subprocess.Popen([name, '100']) as third:
            for p in other, third:
                with open(s.pidfile, 'w') as f:
                    f.write(f'{p.pid}\n')
                run('status', 1)
                run('stop', 0)
                assert p.poll() is None, 'another process was stopped'
            third.kill()
        other.kill()
    run('start', 0)
    master()
    run('stop', 0)
    s.no_process_left()
