"""What the file system costs that is measured on."""
import os
import time

FILES = 64
OCTETS = 4096
DEAR_MS = 0.5       # an ext4 with a journal (disk.sh) takes a tenth of it


def removal_ms(folder):
    """Of one small file, whose blocks are on the disk."""
    paths = [f'{folder}/removal{i}' for i in range(FILES)]
    for path in paths:
        with open(path, 'wb') as f:
            f.write(bytes(OCTETS))
    os.sync()
    began = time.monotonic()
    for path in paths:
        os.unlink(path)
    return (time.monotonic() - began) / FILES * 1000


def warnings(folder):
    """For the end of the table: one if files are dear, or none."""
    ms = removal_ms(folder)
    if ms < DEAR_MS:
        return []
    return [f'{folder}: to remove a small file takes {ms:.1f} ms (a mount with '
            '"discard" and no journal?), so this disk allows at most '
            f'{1000 / ms:.0f} messages a second that are a file each, as those of '
            '"due" and "dead" are: measure on the folder of disk.sh']
