"""A Postfix whose programs are unpacked and not installed, with all its files in a
folder."""
import os
import shutil

# for a client of another server; further ones follow them
MASTER = '''pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
showq unix n - n - - showq
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''
MAIN = '''compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {dir}/etc
mail_owner = daemon
setgid_group = mail
default_privs = nobody
import_environment = MAIL_CONFIG={dir}/etc LD_LIBRARY_PATH={libs}
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
'''
FOLDERS = ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold',
           'incoming', 'private', 'saved', 'trace', 'maildrop', 'public', 'pid')


def libraries(root):
    """LD_LIBRARY_PATH of programs that are unpacked in root."""
    out = [f'{root}/usr/lib/postfix']
    for d in ('usr/lib', 'lib'):
        if os.path.isdir(f'{root}/{d}'):
            out += [f'{root}/{d}/{x}' for x in sorted(os.listdir(f'{root}/{d}'))
                    if '-linux-gnu' in x]
    return ':'.join(out)


def set_up(root, dir, main, master):
    """Make dir/etc, dir/data and dir/spool, for the programs in root.  main, master:
    further lines of main.cf, which hold instead of those before them, and of
    master.cf.  What the environment of the programs needs."""
    libs = libraries(root)
    for x in ('etc', 'data', *(f'spool/{x}' for x in FOLDERS)):
        os.makedirs(f'{dir}/{x}')
        if x not in ('etc', 'spool/pid'):
            shutil.chown(f'{dir}/{x}', 'daemon')
    with open(f'{dir}/etc/master.cf', 'w') as f:
        f.write(MASTER + master)
    with open(f'{dir}/etc/main.cf', 'w') as f:
        f.write(MAIN.format(dir=dir, root=root, libs=libs) + main)
    return {'MAIL_CONFIG': f'{dir}/etc', 'LD_LIBRARY_PATH': libs}
