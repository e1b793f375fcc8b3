"""TLS with clients that others wrote: OpenSSL, GnuTLS, NSS, Java and more."""
import os
import re
import shutil
import signal
import smtplib
import subprocess

from harness import SLOW, Client, Server, Skip, text_message, wait_for
from keys import context, handshake, make_pair, openssl
from test_auth import nodemailer
from test_auth_mechs import Tls, ours
from test_keys import V2, V3, server

PAIRS = ('ec', 'rsa', 'ed')


def tool(name, *more):
    """The path of a program that has several names."""
    for n in (name, *more):
        if shutil.which(n):
            return n
    raise Skip(f'no {name}')


def run(*cmd, data=None, want=0, env=None, timeout=60):
    tool(cmd[0])
    p = subprocess.run(cmd, input=data, capture_output=True, env=env,
                       timeout=timeout * SLOW)
    assert want is None or p.returncode == want, (
        cmd, p.returncode, p.stdout[-900:], p.stderr[-900:])
    return p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')


# ------------------------------------------------------------------ OpenSSL
def s_client(port, *args, want=0, starttls=False):
    """Connects and says QUIT; what it prints."""
    at = ('-starttls', 'smtp', '-name', 'client.test') if starttls else ()
    out, err = run('openssl', 's_client', '-connect', f'127.0.0.1:{port}',
                   '-ign_eof', *at, *args, data=b'QUIT\r\n', want=None)
    done = '221 2.0.0' in out
    assert done == (want == 0), (args, out[-1500:], err[-600:])
    return out + err


def test_openssl_versions_ciphers_groups_and_signatures(d):
    wanted = [
        # options, what the output contains
        (('-tls1_2',), 'New, TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM'),
        (('-tls1_3',), 'New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384'),
        (('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'),
         'a:PKEY: rsaEncryption'),
        (('-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
         'a:PKEY: id-ecPublicKey'),
        (('-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'),
         'Cipher is TLS_CHACHA20_POLY1305_SHA256'),
        (('-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256'),
         'Cipher is TLS_AES_128_GCM_SHA256'),
        (('-groups', 'P-256'), 'prime256v1, 256 bits'),
        (('-groups', 'P-384'), 'secp384r1, 384 bits'),
        (('-groups', 'P-521'), 'secp521r1, 521 bits'),
        (('-groups', 'X25519'), 'X25519, 253 bits'),
        # the server does not have its first group: a HelloRetryRequest
        (('-groups', 'X448:P-384'), 'secp384r1, 384 bits'),
        (('-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha512'),
         'Peer signature type: RSA-PSS'),
        (('-tls1_2', '-sigalgs', 'RSA+SHA256'), 'Peer signature type: RSA'),
        (('-sigalgs', 'ECDSA+SHA256'), 'Peer signature type: ECDSA'),
        (('-tls1_2', '-sigalgs', 'ed25519'), 'Peer signature type: ed25519'),
        (('-tls1_3', '-sigalgs', 'ed25519'), 'Peer signature type: ed25519'),
        (('-bugs', '-no_ticket'), 'New, TLSv1.3'),
        (('-tls1_2',), 'Extended master secret: yes'),
        (('-comp', '-tls1_2'), 'Compression: NONE'),
        (('-alpn', 'h2,http/1.1'), 'No ALPN negotiated'),
        (('-max_send_frag', '512', '-split_send_frag', '512'), 'New, TLSv1.3'),
        (('-noservername',), 'New, TLSv1.3'),
        (('-servername', 'mx.example.test'), 'New, TLSv1.3'),
        (('-servername', 'nobody.test'), 'CN = mx.example.test'),
        (('-status',), 'OCSP response: no response sent'),
        (('-keymatexport', 'EXPORTER-Channel-Binding', '-keymatexportlen',
          '32'), 'Keying material:'),
    ]
    refused = [
        ('-tls1', '-cipher', 'ALL:@SECLEVEL=0'),
        ('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'),
        ('-tls1_2', '-cipher', 'AES128-GCM-SHA256'),
        ('-tls1_2', '-cipher', 'DHE-RSA-AES256-GCM-SHA384'),
        ('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-SHA'),
        ('-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0'),
        ('-groups', 'X448'), ('-groups', 'ffdhe2048'),
        ('-tls1_2', '-sigalgs', 'RSA+SHA1', '-cipher', 'ALL:@SECLEVEL=0'),
        ('-psk', '0123456789abcdef', '-tls1_2', '-cipher', 'PSK'),
    ]
    with server(d, PAIRS) as s:
        for i, (args, seen) in enumerate(wanted):
            out = s_client(*((s.port, *args) if i % 2 else
                             (s.tls_port, *args)), starttls=i % 2)
            assert seen in out, (args, seen, out[:3000])
        c = s.stats()
        assert c['tls_handshakes_full'] == len(wanted), c
        assert c['tls_handshakes_failed'] == 0, c
        for i, args in enumerate(refused):
            out = s_client((s.port, s.tls_port)[i % 2], *args, want=1,
                           starttls=not i % 2)
            assert 'alert' in out, (args, out)
        c = s.stats()
        assert c['tls_handshakes_full'] == len(wanted), c
        assert c['tls_failed_protocol'] == len(refused), c
        assert c['tls_handshakes_failed'] == len(refused), c


def test_openssl_resumes_at_whatever_worker(d):
    with server(d, PAIRS, workers=3) as s:
        for n, version in enumerate(('-tls1_2', '-tls1_3'), 1):
            ticket = f'{d}/ticket{version}'
            out = s_client(s.tls_port, version, '-sess_out', ticket)
            assert 'New, TLS' in out
            for i in range(6):
                # the other sessions keep one worker busy, so that another gets this one
                with Client(s.port), handshake(s.tls_port):
                    out = s_client((s.tls_port, s.port)[i % 2], version,
                                   '-sess_in', ticket, starttls=i % 2)
                assert 'Reused, TLS' in out, (version, out[:2000])
            c = s.stats()
            assert c['tls_handshakes_resumed'] == 6 * n, c
        before = c['tls_handshakes_full']
        s.signal(signal.SIGHUP)
        wait_for('the reload', lambda: s.stats()['reloads'] == 1)
        s_client(s.tls_port, '-tls1_3', '-sess_in', ticket)
        c = s.stats()
        assert c['tls_handshakes_resumed'] == 13, c
        assert c['tls_handshakes_full'] == before, c


def test_openssl_reconnects(d):
    with server(d, PAIRS) as s:
        p = subprocess.run(
            ['openssl', 's_client', '-connect', f'127.0.0.1:{s.tls_port}',
             '-tls1_2', '-reconnect'], input=b'QUIT\r\n', capture_output=True,
            timeout=60 * SLOW)
        out = p.stdout.decode(errors='replace')
        assert out.count('Reused, TLSv1.2') == 5, out[-3000:]
        wait_for('all of them', lambda: (
            c := s.stats())['tls_handshakes_resumed'] == 5
            and c['tls_handshakes_full'] == 1)


def interactive(port, *args):
    return subprocess.Popen(
        ['openssl', 's_client', '-connect', f'127.0.0.1:{port}', *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def test_openssl_may_not_renegotiate(d):
    with server(d, PAIRS) as s:
        for port, more in (s.tls_port, ()), (s.port, ('-starttls', 'smtp')):
            p = interactive(port, '-tls1_2', *more)
            try:
                seen = b''
                while b'\n220 ' not in seen and b'\n250 ' not in seen:
                    line = p.stdout.readline()
                    assert line, seen
                    seen += line
                # a line that is R is its command to renegotiate
                out = p.communicate(b'R\n', timeout=60 * SLOW)[0]
            finally:
                p.kill()
                p.wait()
            assert b'RENEGOTIATING' in out, out
            assert b'no renegotiation' in out, out
        with handshake(s.tls_port):
            assert s.stats()['tls_handshakes_full'] == 3


# ------------------------------------------------------------------ others
def sends(s, cmd, data=None):
    """Runs it; what it sent has come over TLS, and says so."""
    n = len(s.delivered())
    run(*cmd, data=data)
    got = s.wait_mail(n + 1)
    fields = [re.search(rb'Received: (?:.*\r\n(?=[ \t]))*.*\r\n', m).group()
              for m in got]
    for f in fields:
        text = b' '.join(f.split()).decode()
        assert re.search(r'with ESMTPS\b', text), text
        assert re.search(r'TLSv1\.[23]', text), text
        assert re.search(r'TLS_AES|ECDHE', text), text


def message(d):
    with open(f'{d}/message', 'wb') as f:
        f.write(text_message())
    return f'{d}/message'


def test_swaks_curl_and_msmtp_send(d):
    m = message(d)
    who = ('--from', 'a@client.test', '--to', 'user@example.test')
    with server(d, PAIRS) as s:
        for port, opt in (s.port, '-tls'), (s.tls_port, '-tlsc'):
            if shutil.which('swaks'):
                sends(s, ['swaks', '-s', f'127.0.0.1:{port}', opt, *who])
                sends(s, ['swaks', '-s', f'127.0.0.1:{port}', opt, *who,
                          '--tls-protocol', 'tlsv1_2', '--tls-sni',
                          'mx.example.test', '--tls-ca-path', f'{d}/ec.crt'])
            if shutil.which('curl'):
                scheme = 'smtps' if opt == '-tlsc' else 'smtp'
                sends(s, ['curl', '-sS', '-k', '--ssl-reqd',
                          f'{scheme}://127.0.0.1:{port}/client.test',
                          '--mail-from', 'a@client.test', '--mail-rcpt',
                          'user@example.test', '-T', m])
            if shutil.which('msmtp'):
                sends(s, ['msmtp', '--file=/dev/null', '--host=127.0.0.1',
                          f'--port={port}', '--tls=on',
                          '--tls-certcheck=off', '--tls-starttls='
                          + ('off' if opt == '-tlsc' else 'on'),
                          '--from=a@client.test', 'user@example.test'],
                      data=b'Subject: x\n\nx\n')
        c = s.stats()
        assert c['tls_handshakes_failed'] == 0, c


def test_smtplib_sends(d):
    with server(d, PAIRS) as s:
        for version in V2, V3:
            host = '127.0.0.1', s.port
            with smtplib.SMTP(*host, timeout=30 * SLOW) as c:
                c.ehlo()
                assert c.has_extn('starttls')
                c.starttls(context=context(version))
                c.ehlo()
                assert not c.has_extn('starttls')
                c.sendmail('a@client.test', 'user@example.test',
                           text_message())
            with smtplib.SMTP_SSL('127.0.0.1', s.tls_port,
                                  context=context(version)) as c:
                c.sendmail('a@client.test', 'user@example.test',
                           text_message())
        got = s.wait_mail(4)
        for v, cipher in ((b'TLSv1.2', b'ECDHE-ECDSA-AES256-GCM-SHA384'),
                          (b'TLSv1.3', b'TLS_AES_256_GCM_SHA384')):
            assert sum(v in m and cipher in m for m in got) == 2, got[0]
        for line in re.findall(r'.*event=accepted .*', s.log()):
            assert re.search(r' tls=TLSv1\.[23] cipher=\S+', line), line


def gnutls(s, priority, *more, starttls=False, want=0):
    at = ('--starttls-proto=smtp',) if starttls else ()
    p = subprocess.Popen(
        ['gnutls-cli', '--insecure', '--sni-hostname', 'mx.example.test',
         '--priority', priority, *at, *more, '-p',
         str(s.port if starttls else s.tls_port), '127.0.0.1'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    out = p.communicate(b'QUIT\r\n', timeout=60 * SLOW)[0].decode(
        errors='replace')
    assert (p.returncode == 0) == (want == 0), (priority, more, out)
    return out


def test_gnutls_cli(d):
    tool('gnutls-cli')
    v2, v3 = 'NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3'
    wanted = [
        ('NORMAL', '(TLS1.3-X.509)'), (v2, '(TLS1.2-X.509)'),
        (v3, '(TLS1.3-X.509)'), ('SECURE256', 'AES-256-GCM'),
        (v3 + ':-GROUP-ALL:+GROUP-SECP521R1', 'SECP521R1'),
        (v3 + ':-GROUP-ALL:+GROUP-X25519', 'X25519'),
        (v3 + ':-CIPHER-ALL:+CHACHA20-POLY1305', 'CHACHA20-POLY1305'),
        (v2 + ':-KX-ALL:+ECDHE-RSA', 'ECDHE'),
        (v3 + ':-SIGN-ALL:+SIGN-EDDSA-ED25519', 'EdDSA-Ed25519'),
        (v3 + ':-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA384', 'RSA-PSS-RSAE-SHA384'),
        (v3 + ':-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256', 'ECDSA'),
    ]
    with server(d, PAIRS) as s:
        for i, (priority, seen) in enumerate(wanted):
            out = gnutls(s, priority, starttls=i % 2)
            assert seen in out, (priority, seen, out)
        for starttls in False, True:
            # it connects once more with what it got
            out = gnutls(s, v2, '--resume', starttls=starttls)
            assert 'This is a resumed session' in out, out
        for priority in (
                'NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_SIGN_WITH_SHA1',
                v2 + ':-KX-ALL:+RSA', v2 + ':-KX-ALL:+DHE-RSA',
                v2 + ':-CIPHER-ALL:+AES-128-CBC'):
            gnutls(s, priority, want=1)


def test_nss(d):
    tool('tstclnt')
    with server(d, PAIRS) as s:
        # -b: no authorities of the system, -o: continue nevertheless
        for more in (('-V', 'tls1.2:tls1.2'), ('-V', 'tls1.3:tls1.3'),
                     ('-I', 'P384'), ('-I', 'x25519'),
                     ('-J', 'rsa_pss_rsae_sha256'),
                     ('-J', 'ecdsa_secp256r1_sha256'), ('-G',), ('-u', '-T')):
            run('tstclnt', '-h', '127.0.0.1', '-p', str(s.tls_port), '-D',
                '-o', '-Q', '-a', 'mx.example.test', *more, data=b'')
        c = wait_for('what it did', lambda: (
            c := s.stats())['tls_handshakes_full'] >= 8 and c)
        assert c['tls_handshakes_failed'] == 0, c
        run('tstclnt', '-h', '127.0.0.1', '-p', str(s.tls_port), '-D', '-o',
            '-Q', '-I', 'FF2048', data=b'', want=None)
        wait_for('its failure', lambda: s.stats()['tls_failed_protocol'] == 1)


JAVA = r'''
import java.io.*;
import java.net.*;
import java.security.cert.X509Certificate;
import javax.net.ssl.*;

public class Send {
    static class All extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] c, String a) { }
        public void checkServerTrusted(X509Certificate[] c, String a) { }
        public void checkClientTrusted(X509Certificate[] c, String a,
            Socket s) { }
        public void checkServerTrusted(X509Certificate[] c, String a,
            Socket s) { }
        public void checkClientTrusted(X509Certificate[] c, String a,
            SSLEngine e) { }
        public void checkServerTrusted(X509Certificate[] c, String a,
            SSLEngine e) { }
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    static BufferedReader in;
    static Writer out;

    static void on(Socket s) throws IOException {
        in = new BufferedReader(new InputStreamReader(s.getInputStream()));
        out = new OutputStreamWriter(s.getOutputStream());
    }

    static void want(String code) throws IOException {
        String line;
        do {
            line = in.readLine();
        } while (line != null && line.length() > 3 && line.charAt(3) == '-');
        if (line == null || !line.startsWith(code))
            throw new IOException(line + " instead of " + code);
    }

    static void say(String text, String code) throws IOException {
        out.write(text + "\r\n");
        out.flush();
        want(code);
    }

    static void one(SSLContext ctx, int port, boolean starttls,
        String version) throws IOException {
        Socket raw = new Socket("127.0.0.1", port);
        if (starttls) {
            on(raw);
            want("220");
            say("EHLO client.test", "250");
            say("STARTTLS", "220");
        }
        SSLSocket s = (SSLSocket)ctx.getSocketFactory().createSocket(raw,
            "mx.example.test", port, true);
        s.setEnabledProtocols(new String[] { version });
        s.startHandshake();
        on(s);
        if (!starttls)
            want("220");
        say("EHLO client.test", "250");
        say("MAIL FROM:<a@client.test>", "250");
        say("RCPT TO:<user@example.test>", "250");
        say("DATA", "354");
        say("Subject: x\r\n\r\nx\r\n.", "250");
        say("QUIT", "221");
        System.out.println(s.getSession().getProtocol() + " " +
            s.getSession().getCipherSuite());
        s.close();
    }

    public static void main(String[] a) throws Exception {
        SSLContext ctx = SSLContext.getInstance("TLS");
        ctx.init(null, new TrustManager[] { new All() }, null);
        for (String version : new String[] { "TLSv1.2", "TLSv1.3" })
            for (int i = 0; i < 2; i++) {
                one(ctx, Integer.parseInt(a[0]), true, version);
                one(ctx, Integer.parseInt(a[1]), false, version);
            }
    }
}
'''


def test_java(d):
    tool('java')
    with open(f'{d}/Send.java', 'w') as f:
        f.write(JAVA)
    with server(d, PAIRS) as s:
        out = run('java', '-Xmx128m', f'{d}/Send.java', str(s.port),
                  str(s.tls_port))[0]
        assert len(out.split('\n')) == 9, out
        got = s.wait_mail(8)
        assert sum(b'TLSv1.3' in m for m in got) == 4
        c = s.stats()
        assert c['tls_handshakes_failed'] == 0, c
        assert c['tls_handshakes_full'] + c['tls_handshakes_resumed'] == 8, c
        # the second connection to a port has a ticket
        assert c['tls_handshakes_resumed'] >= 2, c


# ------------------------------------------------------------------ with a CA
def ca_server(d, listener='', **kw):
    """An authority that clients and the server check certificates with."""
    tls = Tls(d)
    s = Server(d, listener=tls.conf + listener, **kw)
    ours(s, *tls.files)
    return tls, s


def test_client_certificates(d):
    for mode, none, stranger in (('optional', 0, 0), ('require', 1, 1),
                                 ('none', 0, 0)):
        sub = f'{d}/{mode}'
        os.mkdir(sub)
        os.chmod(sub, 0o755)
        tls, server_ = ca_server(sub, f'TLS_Verify_Mode = "{mode}"')
        with server_ as s:
            def client(pair, want, *more):
                cert = ('-cert', pair[0], '-key', pair[1]) if pair else ()
                return s_client(s.port, *cert, *more, '-CAfile', tls.ca,
                                '-verify_return_error', '-verify_hostname',
                                'mx.example.test', want=want, starttls=True)
            for version in '-tls1_2', '-tls1_3':
                out = client(tls.client, 0, version)
                assert 'Verify return code: 0 (ok)' in out, out
                assert ('Acceptable client certificate CA names' in out) == (
                    mode != 'none'), out
                client(None, none, version)
                client(tls.stranger, 0, version)    # of the same authority
            # of another authority
            crt, key = make_pair(sub, 'other')
            client((crt, key), stranger)
            c = s.stats()
            assert c['tls_failed_verify'] == 3 * (mode == 'require'), c
            assert c['tls_handshakes_failed'] == c['tls_failed_verify'], c


def test_the_name_of_a_client_in_received(d):
    tls, server_ = ca_server(d)
    with server_ as s:
        with smtplib.SMTP('127.0.0.1', s.port) as c:
            c.starttls(context=tls.context(tls.client))
            c.sendmail('a@client.test', 'user@example.test', text_message())
        got, = s.wait_mail(1)
        trace = got[:got.index(b'Subject')]
        assert (b'\t(TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits, client '
                b'user@example.test)\r\n') in trace, trace
        assert b'with ESMTPS id' in trace, trace


def ocsp_response(tls):
    """An OCSP response: the server's certificate is good."""
    d = tls.dir
    serial = openssl('x509', '-in', tls.server[0], '-noout',
                     '-serial').decode().strip().partition('=')[2]
    with open(f'{d}/index.txt', 'w') as f:
        f.write(f'V\t391231235959Z\t\t{serial}\tunknown\t'
                '/CN=mx.example.test\n')
    openssl('ocsp', '-index', f'{d}/index.txt', '-rsigner', tls.ca, '-rkey',
            f'{d}/ca.key', '-CA', tls.ca, '-issuer', tls.ca, '-cert',
            tls.server[0], '-ndays', '7', '-respout', f'{d}/ocsp.der')
    return f'{d}/ocsp.der'


def test_ocsp_stapling(d):
    tls, s = ca_server(d, f'TLS_OCSP_Response = "{d}/ocsp.der"')
    os.chmod(ocsp_response(tls), 0o644)
    with s:
        for version in '-tls1_2', '-tls1_3':
            out = s_client(s.port, '-status', version, '-CAfile', tls.ca,
                           starttls=True)
            assert 'OCSP Response Status: successful' in out, out[:3000]
            assert 'Cert Status: good' in out, out[:3000]
        if shutil.which('gnutls-cli'):
            p = subprocess.run(
                ['gnutls-cli', '--starttls-proto=smtp',
                 f'--x509cafile={tls.ca}', '--verify-hostname=localhost',
                 '-p', str(s.port), '127.0.0.1'], input=b'QUIT\r\n', capture_output=True,
                timeout=60 * SLOW)
            out = p.stdout.decode(errors='replace')
            assert p.returncode == 0, out + p.stderr.decode()
            assert 'Options: ' in out and 'OCSP' in out, out


def test_nodemailer(d):
    path = nodemailer()
    with open(f'{d}/send.js', 'w') as f:
        f.write("""const [path, port, secure, version] = process.argv.slice(2);
const t = require(path).createTransport({ host: '127.0.0.1', port: +port,
    secure: secure === '1', requireTLS: true, tls: { rejectUnauthorized: false,
    servername: 'mx.example.test', minVersion: version,
    maxVersion: version } });
t.sendMail({ from: 'a@client.test', to: 'user@example.test', subject: 'x',
    text: 'hello' }).then(() => process.exit(0),
    e => { console.log(e); process.exit(1); });
""")
    with server(d, PAIRS) as s:
        for version in 'TLSv1.2', 'TLSv1.3':
            sends(s, ['node', f'{d}/send.js', path, str(s.port), '0', version])
            sends(s, ['node', f'{d}/send.js', path, str(s.tls_port), '1',
                      version])
