"""The events of the log: what the source writes, and the table of mailmilld(8).
Run alone, it prints the rows of that table."""
import itertools
import re
import sys
import textwrap

from tree import PARTS, sources, text

CALL = re.compile(r'\blog_(event|warnx?|errx?)\s*\(')
LEVELS = 'error', 'warning', 'notice', 'info', 'debug'
PAGE = 'man/mailmilld.8'


def arguments(s, at):
    """From behind the opening parenthesis to its closing one."""
    depth = 1
    for m in re.compile(r'"(?:[^"\\]|\\.)*"|[()]').finditer(s, at):
        depth += {'(': 1, ')': -1}.get(m[0], 0)
        if depth == 0:
            return s[at:m.start()]
    return ''


def formats(s):
    """Macros whose values are format strings."""
    return re.findall(r'^#define (\w+_FORMAT)((?:.*\\\n)*.*)$', s, re.M)


def levels_of(kind, args, before):
    if kind != 'event':
        return {'warning' if kind.startswith('warn') else 'error'}
    first = args.split(',')[0]
    if 'LOG_LEVEL' not in first:        # a variable, set just before
        first = before[-600:]
    return {x.lower() for x in re.findall(r'LOG_LEVEL_([A-Z]+)', first)}


def written(root):
    """event: its levels, its keys"""
    events = {}
    for path in (p for part in PARTS for p in sources(root, part)):
        if not path.endswith('.c') or '/process/log' in path:
            continue
        s = re.sub(r'/\*.*?\*/', '', text(path), flags=re.S)
        for name, value in formats(s):
            s = s.replace(f'#define {name}', '').replace(
                name, value.replace('\\\n', ' '))
        for m in CALL.finditer(s):
            args = arguments(s, m.end())
            levels = levels_of(m[1], args, s[:m.start()])
            literals = re.findall(r'"((?:[^"\\]|\\.)*)"', args)
            names = [x for x in itertools.takewhile(
                lambda x: '=' not in x, literals)
                if re.fullmatch('[a-z]+([_-][a-z]+)*', x)]
            names = names or [
                x for x in re.findall(r'[=,] "([a-z]+-[a-z-]+)"[,)]', s)
                if not re.search(rf'log_\w+\([^"]*"{x}"', s)]
            keys = set(re.findall(r'(?:^| )([a-z_]+)=', ' '.join(
                x for x in literals if re.match(' ?(%s|[a-z_]+)=', x))))
            if any('%s=' in x for x in literals):
                keys |= {x for x in literals if re.fullmatch('[a-z]+', x)}
            if m[1] in ('warn', 'err'):
                keys.add('error')
            for name in names:
                old = events.setdefault(name, (set(), set()))
                old[0].update(levels)
                old[1].update(keys)
    return events


def row(event, levels, keys):
    of = ' '.join(x for x in LEVELS if x in levels)
    return '\n'.join([f'.It {event} Ta {of} Ta'] + textwrap.wrap(
        ' '.join(sorted(keys)), 78, break_on_hyphens=False))


def in_the_manual(root):
    page = text(f'{root}/{PAGE}')
    return {m[1]: (set(m[2].split()), set(m[3].split())) for m in re.finditer(
        r'^\.It ([a-z_-]+) Ta ([a-z ]+) Ta\n((?:[a-z_].*\n)*)', page, re.M)}


def log_events_are_in_the_manual(root, objects):
    """Each event, with its levels and keys, and no other."""
    source, manual = written(root), in_the_manual(root)
    if len(source) < 80:
        yield f'{len(source)} events found'
    for event in sorted(source.keys() | manual.keys()):
        if event not in source:
            yield f'{PAGE}: {event}: nothing writes it'
        elif manual.get(event) != source[event]:
            yield f'{PAGE}: expected\n' + row(event, *source[event])


CHECKS = [log_events_are_in_the_manual]

if __name__ == '__main__':
    for e, (of, keys) in sorted(written(sys.argv[1]).items()):
        print(row(e, of, keys))
