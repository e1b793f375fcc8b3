#!/usr/bin/env python3
"""slowhops.py PORT SECONDS: a thousand SMTP servers, all on PORT of 127.0.0.0/8,
each of which says whatever it says after so many seconds.  At SIGTERM it writes how
many messages it has taken, on how many connections, the most connections at once,
and how many addresses have taken a message."""
import asyncio
import json
import signal
import sys


class Hops:
    def __init__(self, seconds):
        self.seconds = seconds
        self.nmessages = self.nconnections = self.nopen = self.most = 0
        self.addresses = set()

    async def say(self, w, text):
        await asyncio.sleep(self.seconds)
        w.write(text)

    async def commands(self, r, w, first):
        """Answer a group of commands at once, up to the body: was there DATA?"""
        lines, text = [first], b''
        while lines[-1][:4].upper() == b'MAIL' or lines[-1][:4].upper() == b'RCPT':
            lines.append(await r.readuntil(b'\r\n'))
        for x in lines:
            verb = x[:4].upper()
            text += {b'EHLO': b'250-slow.test\r\n250 PIPELINING\r\n',
                     b'DATA': b'354 Go ahead\r\n',
                     b'QUIT': b'221 2.0.0 Bye\r\n'}.get(verb, b'250 2.0.0 OK\r\n')
        await self.say(w, text)
        return lines[-1][:4].upper()

    async def session(self, r, w):
        await self.say(w, b'220 slow.test\r\n')
        while True:
            verb = await self.commands(r, w, await r.readuntil(b'\r\n'))
            if verb == b'QUIT':
                return
            if verb != b'DATA':
                continue
            while await r.readuntil(b'\r\n') != b'.\r\n':
                pass
            await self.say(w, b'250 2.0.0 Taken\r\n')
            self.nmessages += 1
            self.addresses.add(w.get_extra_info('sockname')[0])

    async def serve(self, r, w):
        self.nconnections += 1
        self.nopen += 1
        self.most = max(self.most, self.nopen)
        try:
            await self.session(r, w)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass                        # the last of these: the program ends
        finally:
            self.nopen -= 1
            w.close()


async def main(port, seconds):
    hops, over = Hops(seconds), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = await asyncio.start_server(hops.serve, '0.0.0.0', port,
                                        backlog=4096)
    print('ready', flush=True)
    await over.wait()
    server.close()
    print(json.dumps({'messages': hops.nmessages,
                      'connections': hops.nconnections, 'most': hops.most,
                      'addresses': len(hops.addresses)}), flush=True)


if __name__ == '__main__':
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
