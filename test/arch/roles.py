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
          roles_are_described_in_their_folders, the_server_queues_no_jobs]
