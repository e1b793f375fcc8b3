"""What the processes of a contestant, and the machine, have used."""
import os
import re

TICK = os.sysconf('SC_CLK_TCK')


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ''


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name; [1] is the parent."""
    return read(f'/proc/{pid}/stat').rpartition(')')[2].split()


def tree(root):
    """root and all its descendants."""
    kids = {}
    for d in os.listdir('/proc'):
        if d.isdigit():
            f = stat_fields(d)
            if f:
                kids.setdefault(int(f[1]), []).append(int(d))
    out, todo = [], [root]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu(pids):
    """Seconds of CPU the processes have used, all their threads."""
    ns = 0
    for p in pids:
        try:
            tasks = os.listdir(f'/proc/{p}/task')
        except OSError:
            continue
        for t in tasks:
            s = read(f'/proc/{p}/task/{t}/schedstat').split()
            if s:
                ns += int(s[0])
            else:
                f = stat_fields(f'{p}/task/{t}')
                ns += sum(map(int, f[11:13])) * 10**9 // TICK if f else 0
    return ns / 1e9


def pss_kib(pids):
    n = 0
    for p in pids:
        m = re.search(r'^Pss:\s+(\d+)', read(f'/proc/{p}/smaps_rollup'), re.M)
        n += int(m.group(1)) if m else 0
    return n


def host():
    """Ticks of all cores: idle, waiting for the disk, all."""
    v = list(map(int, read('/proc/stat').split('\n', 1)[0].split()[1:9]))
    return v[3], v[4], sum(v)


def foreign(ours):
    """CPU seconds of processes that are not ours, nor kernel threads."""
    mine, t = set(ours), 0
    mine.add(os.getpid())
    for d in os.listdir('/proc'):
        if d.isdigit() and int(d) not in mine:
            f = stat_fields(d)
            if f and f[1] != '2' and d != '2' and int(f[1]) != os.getpid():
                # with the children that ended; but orphans are children of process 1
                t += sum(map(int, f[11:13 if d == '1' else 15]))
    return t / TICK
