"""The roles of cmd/mailmilld and the messages between them: is each written
down in one place?"""
import re

from tree import objects_of, sources, symbols, text

BASE = 'cmd/mailmilld/'


def messages_have_a_function_where_they_go(root, objects):
    """Each row of msg.def has its [ID] = in the folder of each role it goes
    to, or in lookup/ or agent/, which are a part of all that ask the resolver,
    and of those that call agent_join()."""
    base = f'{root}/{BASE}'
    folder = dict(re.findall(r'^ROLE\((\w+),\s*(\w+)\)',
                             text(base + 'role/role.def'), re.M))
    tables = {f: '\n'.join(text(p) for p in sources(base, f)
                           if p.endswith('.c'))
              for f in [*folder.values(), 'role', 'lookup',
                       'agent']}
    agents = ' | '.join(f'R({r})' for r in re.findall(
        r'^TRANSPORT\(\w+,[^,]*,\s*(\w+)',
        text(f'{root}/cmd/settings/transport.def'), re.M))
    rows = re.findall(r'^MSG\((\w+),[^,]*,\s*([^,]*),',
                      text(base + 'role/msg.def'), re.M)
    if not rows:
        yield f'{base}role/msg.def: no rows'
    for msg, to in rows:
        for f in [folder[r] for r in re.findall(
                r'\bR\((\w+)\)', to.replace('AGENTS', agents))] \
                or ['role']:
            if not re.search(rf'\[{msg}\] = \w',
                             tables[f] + tables['lookup'] + (
                                 tables['agent'] if 'agent_join(' in tables[f]
                                 else '')):
                yield f'{base}{f}: no function for {msg}'


def messages_are_in_the_manual(root, objects):
    """Each row of msg.def, with its senders and receivers: mailmilld(8) says what
    an attacker can do with it."""
    names = dict(re.findall(r'^ROLE\((\w+),\s*(\w+)\)', text(
        f'{root}/{BASE}role/role.def'), re.M))
    agents = re.findall(r'^TRANSPORT\(\w+,[^,]*,\s*(\w+)', text(
        f'{root}/cmd/settings/transport.def'), re.M)

    def roles(column):
        if column == 'ALL_CHILDREN':
            return 'all'
        return ' , '.join(names[r] for r in (
            agents if column == 'AGENTS' else re.findall(r'R\((\w+)\)', column)))
    page = f'{root}/man/mailmilld.8'
    items = re.findall(r'^\.It Cm ([A-Z]_[A-Z_]+) Pq (.*)$', text(page), re.M)
    want = [(msg, f'{roles(senders)} to {roles(receivers)}')
            for msg, senders, receivers in re.findall(
                r'^MSG\((\w+),\s*([^,]*),\s*([^,]*),', text(
                    f'{root}/{BASE}role/msg.def'), re.M)]
    if not want:
        yield f'{BASE}role/msg.def: no rows'
    for msg, way in want:
        if items.count((msg, way)) != 1:
            yield f'{page}: expected an item "{msg} Pq {way}"'
    for msg, way in items:
        if (msg, way) not in want:
            yield f'{page}: "{msg} Pq {way}" is no row of msg.def'


def roles_are_described_in_their_folders(root, objects):
    """What holds for one role alone is a member of its struct role: there is
    no table by role elsewhere, and role/ names none of the children."""
    for path in sources(root, 'cmd'):
        s = text(path)
        if re.search(r'\[ROLE_(?!MASTER\b)[A-Z]+\]\s*=', s):
            yield f'{path}: a table by role'
        if '/role/' in path and path.endswith('.c') and re.search(
                r'\bROLE_(?!MASTER\b|BIT\b|FOLDERS_MAX\b)[A-Z]', s):
            yield f'{path}: names one of the roles'


def the_server_queues_no_jobs(root, objects):
    """Nothing but core/jobs refers to core/jobs: its threads are an
    embedder's, and the filters of the roles do not permit them; but module/,
    which starts those of modules before there is a filter."""
    jobs, _ = objects_of(root, objects, ['core/jobs'])
    if not jobs:
        yield f'{objects}: no objects of core/jobs'
    theirs = {name for _, _, name in symbols(jobs, '-g', '--defined-only')}
    others = [o for o in objects_of(root, objects)[0] if o not in jobs
              and '/cmd/mailmilld/module/' not in o]
    for o, _, name in symbols(others, '-u'):
        if name in theirs:
            yield f'{o}: refers to {name}'


CHECKS = [messages_have_a_function_where_they_go,
          messages_are_in_the_manual, roles_are_described_in_their_folders,
          the_server_queues_no_jobs]
