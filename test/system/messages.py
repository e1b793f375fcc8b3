"""Messages that real mail is made of; all with CRLF line ends."""
import base64
import email.message
import email.policy
import random


def with_attachments(seed=1):
    r = random.Random(seed)
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m['From'] = 'Ann <a@client.test>'
    m['To'] = 'user@example.test'
    m['Subject'] = 'attachments, and a \u00fcmlaut'
    m.set_content('See below.\n.\n.. two dots\n')
    for name, size in (('a.bin', 10), ('b.bin', 70000), ('c.bin', 300000)):
        m.add_attachment(r.randbytes(size), maintype='application',
                         subtype='octet-stream', filename=name)
    m.set_boundary('=_the same one each time')
    return m.as_bytes()


def eight_bit():
    return ('Subject: 8 bit\r\nMIME-Version: 1.0\r\n'
            'Content-Type: text/plain; charset=utf-8\r\n'
            'Content-Transfer-Encoding: 8bit\r\n\r\n'
            'Gr\u00fc\u00dfe aus K\u00f6ln \u2014 \u4f60\u597d\r\n').encode() \
        + bytes(range(128, 256)) + b'\r\n'


def long_lines():
    return (b'Subject: long lines\r\n\r\n' + b'a' * 998 + b'\r\n'
            + b'b' * 100000 + b'\r\n' + b'.' * 5000 + b'\r\n')


def dots():
    return (b'Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\na.\r\n..b\r\n\r\n.'
            b'\r\n\r\n. \r\n .\r\n')


def bare():
    """Nothing before the dots but the empty line."""
    return b'\r\n.\r\n'


def big(octets, seed=2):
    r = random.Random(seed)
    lines = base64.encodebytes(r.randbytes(57 * 1000)).replace(b'\n', b'\r\n')
    head = b'Subject: big\r\n\r\n'
    body = lines * (octets // len(lines) + 1)
    return head + body[:octets - len(head) - 2].rstrip(b'\r\n') + b'\r\n'


def all_small():
    return {'attachments': with_attachments(), 'eight_bit': eight_bit(),
            'long_lines': long_lines(), 'dots': dots(), 'bare': bare(),
            'empty': b''}
