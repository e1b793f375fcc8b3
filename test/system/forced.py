"""A system call that another process is made to make, as an attacker could who
runs code in it."""
import ctypes
import os
import platform

from harness import ROOT, Skip

ATTACH, GETREGS, SETREGS, DETACH = 16, 12, 13, 17
RAX, RDX, RSI, RDI, ORIG_RAX, RIP = 10, 12, 13, 14, 15, 16

CALLS = {'read': 0, 'mprotect': 10, 'ioctl': 16, 'socket': 41, 'clone': 56,
         'execve': 59, 'kill': 62, 'ptrace': 101, 'prctl': 157, 'openat': 257}


def forced_call(pid, name, *args):
    """Put it in the place of the call in which the process waits."""
    if platform.machine() != 'x86_64' or not ROOT:
        raise Skip('needs root and the registers of x86-64')
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                            ctypes.c_void_p]

    def ptrace(what, data=None):
        if libc.ptrace(what, pid, None, data) == -1:
            raise Skip(f'ptrace: {os.strerror(ctypes.get_errno())}')
    ptrace(ATTACH)
    os.waitpid(pid, 0x40000000)                 # __WALL
    regs = (ctypes.c_ulonglong * 27)()
    ptrace(GETREGS, ctypes.byref(regs))
    regs[RIP] -= 2                              # the instruction syscall again
    regs[RAX], regs[ORIG_RAX] = CALLS[name], 2 ** 64 - 1
    for at, value in zip((RDI, RSI, RDX), args):
        regs[at] = value % 2 ** 64
    ptrace(SETREGS, ctypes.byref(regs))
    ptrace(DETACH)
