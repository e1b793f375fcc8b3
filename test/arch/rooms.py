"""The rooms of the tree: which folder may use which, and which files call
each other.  Each check yields one line per offence; check.py runs them.

A folder of sources is a room.  MAY is the whole graph: a new folder, or a new
arrow between two, is a row here or a word in one.
"""
import glob
import os
import re
import subprocess

from tree import PARTS, TOP, objects_of, sources, symbols, text

# whose headers and tables, without those of their folders, are installed
INSTALLED = ('core', 'proto', 'tls/library')
# and one of a folder whose others are not
ALSO_INSTALLED = {'ec_ssl.h': 'tls/ec_ssl.h'}
CORE = 'core core/util'
LOOP = CORE + ' core/loop core/process'
MASTER = LOOP + ' proto cmd/settings cmd/mailmilld/role cmd/mailmilld/creds' \
    ' cmd/mailmilld/master/config cmd/mailmilld/master/state'
MAY = {room: set(may.split()) | {room} for room, may in {
    'core':             '',
    'core/util':        'core',
    'core/loop':        CORE,
    'core/jobs':        CORE + ' core/loop',
    'core/process':     CORE,
    'core/conf':        CORE,
    'core/table':       CORE,
    'core/spool':       LOOP,
    'core/maildir':     CORE + ' core/process core/spool',
    'core/deferred':    CORE + ' core/process core/spool',
    'core/queue':       CORE + ' core/process core/spool core/deferred',
    'core/store':       CORE + ' core/process core/spool core/deferred'
                        ' core/queue',

    'proto':            'core',
    'proto/parse':      CORE + ' proto',
    'proto/mime':       CORE,
    'proto/options':    CORE + ' proto proto/parse',
    'proto/answers':    '',
    'proto/base':       CORE + ' proto',
    'proto/auth':       CORE + ' proto proto/options',
    'proto/validate':   CORE + ' proto proto/base',
    'proto/server':     CORE + ' proto proto/parse proto/options'
                        ' proto/answers proto/base proto/auth'
                        ' proto/validate',
    'proto/message':    CORE + ' proto proto/parse proto/answers proto/server',
    'proto/command':    CORE + ' proto proto/auth proto/answers proto/server'
                        ' proto/message',
    'proto/factory':    CORE + ' proto proto/parse proto/base proto/answers'
                        ' proto/server proto/message proto/command',
    'proto/client':     CORE + ' proto proto/parse proto/mime proto/base'
                        ' proto/auth',
    'proto/report':     CORE + ' proto proto/parse proto/mime',
    'proto/ext':        CORE + ' proto proto/parse proto/server',
    'proto/embed':      CORE + ' proto proto/options proto/answers'
                        ' proto/server proto/factory',
    # our policies ask through validate.h, as those of others do; but they read
    # the options as a struct, since a RCPT must not search the table of the
    # options by name, four times and more
    'proto/policy':     CORE + ' proto proto/options',
    'proto/hooks':      CORE + ' proto proto/base',
    'proto/listener':   CORE + ' core/loop proto',

    # a client for embedders
    'proto/mailer':     CORE + ' proto proto/auth proto/client',
    # a server for embedders, on the interface that they have
    'proto/service':    CORE + ' proto',
    # SASL: what knows passwords is asked through a table
    'proto/sasl':       CORE + ' core/table proto proto/auth',

    'tls':              CORE,
    # on top of both proto/ and tls/: what a host needs of them together
    'tls/session':      CORE + ' proto tls',
    'tls/library':      CORE + ' core/table proto proto/options proto/auth'
                        ' proto/sasl tls tls/session',

    'cmd/settings':     CORE + ' core/conf core/table core/maildir'
                        ' core/process proto proto/options proto/auth',
    # without a server it opens the queue itself
    'cmd/mailmillctl':  CORE + ' core/process core/queue core/store'
                        ' core/table core/spool cmd/settings',

    # mail from programs on this host, and the maildrop that they fill while there
    # is no server
    'cmd/maildrop':     CORE + ' cmd/settings',
    'cmd/sendmail':     LOOP + ' proto proto/parse proto/client proto/report'
                        ' cmd/settings cmd/maildrop',

    # the roles: none includes another's headers, all stand on role/
    'cmd/mailmilld/role':       LOOP + ' proto cmd/settings',
    'cmd/mailmilld/creds':      LOOP + ' core/table tls cmd/settings'
                                ' cmd/mailmilld/role',
    # what asks the resolver: for the roles that have it among their peers
    'cmd/mailmilld/lookup':     LOOP + ' cmd/settings cmd/mailmilld/role',
    # reports of TLS to the domains of next hops (RFC 8460)
    'cmd/mailmilld/tlsrpt':     CORE + ' core/deferred proto proto/parse'
                                ' cmd/mailmilld/lookup',
    # modules of others: whose file, which struct, and the process that checks
    'cmd/mailmilld/module':     LOOP + ' core/jobs proto cmd/settings'
                                ' cmd/mailmilld/role',
    'cmd/mailmilld/worker':     LOOP + ' core/spool core/table proto'
                                ' proto/auth tls tls/session cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/creds'
                                ' cmd/mailmilld/module',
    'cmd/mailmilld/queue':      LOOP + ' core/spool core/queue core/store'
                                ' proto/report cmd/settings cmd/mailmilld/role'
                                ' cmd/mailmilld/lookup cmd/mailmilld/tlsrpt',
    'cmd/mailmilld/spoold':     LOOP + ' core/spool cmd/settings'
                                ' cmd/mailmilld/role',
    # what gets jobs from the queue
    'cmd/mailmilld/agent':      LOOP + ' core/spool cmd/settings'
                                ' cmd/mailmilld/role',
    'cmd/mailmilld/deliver':    LOOP + ' core/maildir cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/agent',
    'cmd/mailmilld/relay':      LOOP + ' core/spool proto/auth proto/client tls'
                                ' cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/agent'
                                ' cmd/mailmilld/lookup cmd/mailmilld/tlsrpt',
    'cmd/mailmilld/pipe':       LOOP + ' core/spool cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/agent',
    'cmd/mailmilld/resolver':   LOOP + ' cmd/settings cmd/mailmilld/role'
                                ' cmd/mailmilld/lookup',
    'cmd/mailmilld/sts':        LOOP + ' tls cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/lookup',
    'cmd/mailmilld/logger':     LOOP + ' cmd/settings cmd/mailmilld/role',
    # with SASL: passwords for next hops do not leave it where they need not
    'cmd/mailmilld/keyd':       LOOP + ' core/table proto/auth proto/sasl tls'
                                ' cmd/settings cmd/mailmilld/role'
                                ' cmd/mailmilld/creds',
    'cmd/mailmilld/authd/back': LOOP + ' core/table proto/sasl cmd/settings',
    'cmd/mailmilld/authd':      LOOP + ' proto/auth proto/sasl cmd/settings'
                                ' cmd/mailmilld/role cmd/mailmilld/authd/back',
    # the master: what it knows is at the bottom, what decides at the top
    'cmd/mailmilld/master/config':   CORE + ' core/process core/conf proto tls'
                                     ' cmd/settings cmd/mailmilld/role'
                                     ' cmd/mailmilld/creds',
    'cmd/mailmilld/master/state':    MASTER,
    'cmd/mailmilld/master/needs':    MASTER,
    'cmd/mailmilld/master/sessions': MASTER,
    'cmd/mailmilld/master/procs':    MASTER + ' cmd/mailmilld/master/sessions',
    'cmd/mailmilld/master/certs':    MASTER + ' cmd/mailmilld/master/procs',
    'cmd/mailmilld/master/start':    MASTER + ' cmd/mailmilld/master/needs'
                                     ' cmd/mailmilld/master/sessions'
                                     ' cmd/mailmilld/master/procs'
                                     ' cmd/mailmilld/master/certs',
    'cmd/mailmilld/master/control':  MASTER + ' cmd/mailmilld/master/needs'
                                     ' cmd/mailmilld/master/sessions'
                                     ' cmd/mailmilld/master/procs'
                                     ' cmd/mailmilld/master/certs',
    'cmd/mailmilld/master':          MASTER + ' cmd/mailmilld/master/needs'
                                     ' cmd/mailmilld/master/sessions'
                                     ' cmd/mailmilld/master/procs'
                                     ' cmd/mailmilld/master/certs'
                                     ' cmd/mailmilld/master/start'
                                     ' cmd/mailmilld/master/control',
    'cmd/mailmilld':            LOOP + ' tls cmd/settings cmd/mailmilld/role'
                                ' cmd/mailmilld/master'
                                ' cmd/mailmilld/master/state'
                                ' cmd/mailmilld/master/config'
                                ' cmd/mailmilld/master/needs',
}.items()}
# headers that more rooms may use than the room they lie in
ALSO = {
    # how large a request for a signature is, and a signature
    'tls/remote.h': {'cmd/mailmilld/role'},
    # what the queue gives an agent to do
    'core/spool/job.h': {'cmd/settings', 'cmd/mailmilld/role'},
    # the master chooses the numbers in the names of the spool's files
    'core/spool/spool_id.h': {'cmd/mailmilld/master/needs'},
    'core/spool/spool_segment.h': {'cmd/mailmilld/master/needs'},
    # which ids belong to the account of a role
    'core/table/subid.h': {'cmd/mailmilld/role'},
    # and which there are at all
    'core/table/idmap.h': {'cmd/mailmilld/role'},
    # a reload checks whether authd could open its back ends
    'cmd/mailmilld/authd/auth_check.h': {'cmd/mailmilld/master/config'},
    # and whether the agents could reach the Maildirs
    'cmd/mailmilld/deliver/maildir_check.h': {
        'cmd/mailmilld/master/config'},
    # and whether relay could reach the sockets of next hops
    'cmd/mailmilld/relay/route_check.h': {'cmd/mailmilld/master/config'},
    # and whether sts could fetch policies
    'cmd/mailmilld/sts/sts_check.h': {'cmd/mailmilld/master/config'},
    # and whether the programs of Command could be run
    'cmd/mailmilld/pipe/pipe_check.h': {'cmd/mailmilld/master/config'},
    # and whether the workers could load the modules
    'cmd/mailmilld/module/modules.h': {'cmd/mailmilld/master/config'},
    # the master keeps the counters of failed logins for the next authd
    'cmd/mailmilld/authd/auth_limit.h': {'cmd/mailmilld/master'},
}
# unit tests that look into another room than their own
TESTS_ALSO = {
    ('proto/policy', 'proto/server'),
    ('cmd/settings', 'cmd/mailmilld/worker'),
    ('core/queue', 'core/store'),
    ('cmd/mailmilld/spoold', 'cmd/mailmilld/worker'),
    ('cmd/mailmilld/authd', 'cmd/mailmilld/authd/back'),
    ('proto/sasl', 'cmd/mailmilld/authd/back'),
}


def room_of(root, path):
    return os.path.relpath(os.path.dirname(path), root)


def includes(path):
    """The tree's files that it includes.  <mailmill/NAME> is the name, for
    others, of what is installed."""
    found = re.findall(r'^\s*#\s*include\s+(?:"([^"]+)"|<mailmill/([^>]+)>)',
                       text(path), re.M)
    return [inside or ALSO_INSTALLED.get(public) or
            next((f'{d}/{public}' for d in INSTALLED if
                  os.path.exists(f'{TOP}/{d}/{public}')),
                 f'mailmill/{public}') for inside, public in found]


def rooms_use_what_they_may(root, objects):
    for part in PARTS:
        for path in sources(root, part):
            room = room_of(root, path)
            if room not in MAY:
                yield f'{path}: test/arch/rooms.py has no row for {room}'
                continue
            for inc in includes(path):
                if os.path.dirname(inc) not in MAY[room] \
                        and room not in ALSO.get(inc, ()):
                    yield f'{path}: {room} may not include "{inc}"'


def rooms_have_no_circle(root, objects):
    """Neither in the table nor, should the table be wrong, in the tree."""
    there = {}
    for part in PARTS:
        for path in sources(root, part):
            room = room_of(root, path)
            there.setdefault(room, set()).update(
                os.path.dirname(inc) for inc in includes(path))
    for arrows in (MAY, there):
        for ring in circles(arrows):
            yield 'a circle of folders: ' + ', '.join(ring)


def inner_headers_stay_inside(root, objects):
    """An _int.h is for the files of its folder and for their unit tests."""
    for part in PARTS + ('test',):
        for path in sources(root, part):
            where = room_of(root, path)
            room = where.removeprefix('test/unit/')
            for inc in includes(path):
                inner = os.path.dirname(inc)
                if inc.endswith('_int.h') and inner not in (room, '') and not (
                        room != where and (room, inner) in TESTS_ALSO):
                    yield f'{path}: includes "{inc}"'


def unit_tests_mirror_the_rooms(root, objects):
    for path in sources(root, 'test/unit'):
        room = room_of(root, path).removeprefix('test/unit/')
        if room not in MAY:
            yield f'{path}: there is no {room}/'


def installed(root):
    """What PUBLIC_H of the Makefile names"""
    out = subprocess.run(
        ['make', '-s', '-C', root, '--no-print-directory',
         '--eval=arch-print: ; @echo $(PUBLIC_H)', 'arch-print'],
        capture_output=True, text=True)
    return set(out.stdout.split())


def public_headers_are_the_installed_ones(root, objects):
    there = {os.path.relpath(p, root) for d in INSTALLED
             for p in glob.glob(f'{root}/{d}/*.h') +
             glob.glob(f'{root}/{d}/*.def')} | set(ALSO_INSTALLED.values())
    have = installed(root)
    for p in sorted(have - there):
        yield (f'{p}: is installed, but is not directly in '
               + ', '.join(INSTALLED))
    for p in sorted(there - have):
        yield f'{p}: is not installed'
    names = [os.path.basename(p) for p in have]
    for n in sorted({n for n in names if names.count(n) > 1}):
        yield f'{n}: two installed headers have this name'
    for p in sorted(there):
        for quoted in re.findall(r'^\s*#\s*include\s+"([^"]+)"',
                                 text(f'{root}/{p}'), re.M):
            yield (f'{p}: is installed, but includes "{quoted}": '
                   'its user has no such file, only <mailmill/...>')
        for inc in includes(f'{root}/{p}'):
            if inc.startswith('mailmill/'):
                yield f'{p}: includes <{inc}>: there is none'


def circles(arrows):
    """The strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        on.add(v)
        for w in sorted(arrows.get(v, ())):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            ring = []
            while True:
                w = stack.pop()
                on.discard(w)
                ring.append(w)
                if w == v:
                    break
            if len(ring) > 1:
                found.append(sorted(ring))

    for v in sorted(arrows):
        if v not in index:
            visit(v)
    return found


CALL = re.compile(r'^[0-9a-f]+ R_\w+_(?:PLT32|CALL26|JUMP26|CALL_PLT)\s+'
                  r'([A-Za-z_]\w*)')


def calls(objs):
    """{object: {object it calls: {function}}}.  A call is a relocation of that
    type in code; an address in a table, or one that is passed on, is none:
    that is what tables are for."""
    owner, arrows = {}, {}
    for p, kind, name in symbols(objs, '-g', '--defined-only'):
        if kind == 'T' and name != 'main':
            owner.setdefault(name, set()).add(p)
    out = subprocess.run(['objdump', '-r'] + objs, capture_output=True,
                         text=True, check=True).stdout
    at = None
    for line in out.split('\n'):
        if ':     file format' in line:
            at = line.split(':')[0]
            continue
        m = CALL.match(line)
        for to in owner.get(m.group(1), ()) if m else ():
            if to != at:
                arrows.setdefault(at, {}).setdefault(to, set()).add(m.group(1))
    return arrows


def no_files_call_each_other_in_a_circle(root, objects):
    objs, want = objects_of(root, objects)
    if len(objs) < want or not objs:
        yield f'{objects}: {len(objs)} objects of {want} files'
        return
    arrows = calls(objs)

    def name(p):
        return os.path.relpath(p, objects)[:-2] + '.c'
    for ring in circles(arrows):
        yield 'a circle: ' + ', '.join(name(p) for p in ring)
        for a in ring:
            for b in sorted(set(arrows.get(a, ())) & set(ring)):
                yield f'    {name(a)} -> {name(b)}: ' + \
                    ', '.join(sorted(arrows[a][b]))


CHECKS = [rooms_use_what_they_may, rooms_have_no_circle,
          inner_headers_stay_inside, unit_tests_mirror_the_rooms,
          public_headers_are_the_installed_ones,
          no_files_call_each_other_in_a_circle]
