/* tlsbench - how many TLS handshakes a second.
 *
 *	tlsbench memory -c CERT -k KEY [-2r] [-t THREADS] [-s SECONDS]
 *	tlsbench load -p PORT [-2br] [-n SESSIONS] [-t THREADS] [-s SECONDS]
 *	tlsbench bulk -p PORT -o OCTETS [-x] [-B CHUNK]
 *
 * memory: client and server in one process, over memory BIOs, nothing else:
 * what the cores can do.  load: clients of a server on loopback that speaks
 * TLS at once; -b: it says a banner, which is waited for.  -r: each handshake
 * resumes a session.  -2: TLS 1.2.  Prints one line: handshakes a second, CPU microseconds of
 * this process for each, how many were resumed, how many failed.
 * bulk: one message of that many octets; -x: in the clear; -B: by BDAT, in chunks
 * of so many octets, of which two are on their way; -w: each waits for the reply of
 * the one before.  Prints its octets a second, from DATA or the first BDAT to
 * the reply to its end. */

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define SESSIONS_MAX	1024	/* of one thread */

static struct {
	const char	*cert, *key;
	unsigned int	 port, sessions, threads;
	unsigned long	 octets, chunk;	/* chunk 0: DATA */
	double		 seconds;
	int		 version;	/* the highest; 0: any */
	bool		 is_resuming, has_banner, is_plain, is_awaiting;
} opt = { .sessions = 32, .threads = 2, .seconds = 3 };

/* One thread and what it has done. */
struct bench {
	SSL_CTX		*client, *server;
	SSL_SESSION	*ticket;	/* to be resumed */
	double		 end;
	unsigned long	 done, resumed, failed;
};

struct conn {
	struct bench	*bench;
	SSL		*ssl;
	int		 fd;
	bool		 is_done;	/* but for the banner */
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
fail(const char *what)
{
	fprintf(stderr, "tlsbench: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static int
keep_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct bench *b = SSL_get_app_data(ssl);

	if (b->ticket != NULL)
		SSL_SESSION_free(b->ticket);
	b->ticket = session;
	return 1;
}

static void
bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	if ((b->client = SSL_CTX_new(TLS_client_method())) == NULL)
		fail("client");
	SSL_CTX_set_max_proto_version(b->client, opt.version);
	SSL_CTX_set_session_cache_mode(b->client, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	if (opt.is_resuming)
		SSL_CTX_sess_set_new_cb(b->client, keep_ticket);
	if (opt.cert == NULL)
		return;
	if ((b->server = SSL_CTX_new(TLS_server_method())) == NULL ||
	    SSL_CTX_use_certificate_chain_file(b->server, opt.cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(b->server, opt.key,
	    SSL_FILETYPE_PEM) != 1)
		fail("server");
	SSL_CTX_set_num_tickets(b->server, 1);
}

static SSL *
client_new(struct bench *b)
{
	SSL *ssl = SSL_new(b->client);

	if (ssl == NULL)
		fail("SSL_new");
	SSL_set_app_data(ssl, b);
	SSL_set_connect_state(ssl);
	if (opt.is_resuming && b->ticket != NULL)
		SSL_set_session(ssl, b->ticket);
	return ssl;
}

static void
count(struct bench *b, SSL *ssl)
{
	b->done++;
	if (SSL_session_reused(ssl))
		b->resumed++;
}

/* --- in memory ------------------------------------------------------------ */

static void
memory_one(struct bench *b)
{
	SSL *c = client_new(b), *s = SSL_new(b->server);
	BIO *cb, *sb;
	char buf[16];
	int i, rc = 0, rs = 0;

	if (s == NULL || BIO_new_bio_pair(&cb, 0, &sb, 0) != 1)
		fail("memory");
	SSL_set_bio(c, cb, cb);
	SSL_set_bio(s, sb, sb);
	SSL_set_accept_state(s);
	for (i = 0; i < 10 && (rc != 1 || rs != 1); i++) {
		rc = SSL_do_handshake(c);
		rs = SSL_do_handshake(s);
	}
	/* the ticket comes behind the handshake */
	(void)SSL_read(c, buf, sizeof(buf));
	if (rc == 1 && rs == 1)
		count(b, c);
	else
		b->failed++;
	SSL_shutdown(c);
	SSL_shutdown(s);
	SSL_free(c);
	SSL_free(s);
}

static void *
memory_thread(void *closure)
{
	struct bench *b = closure;

	while (now() < b->end)
		memory_one(b);
	return NULL;
}

/* --- against a server ----------------------------------------------------- */

static void
conn_open(struct conn *c, int epfd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.ptr = c };
	int one = 1;

	c->is_done = false;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd == -1)
		fail("socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 &&
	    errno != EINPROGRESS)
		fail("connect");
	c->ssl = client_new(c->bench);
	SSL_set_fd(c->ssl, c->fd);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		fail("epoll");
}

/* Closed without a word, and with a reset: no port has to wait. */
static void
conn_close(struct conn *c)
{
	const struct linger reset = { .l_onoff = 1 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	SSL_set_quiet_shutdown(c->ssl, 1);
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
}

/* Return true when it is over, well or not. */
static bool
conn_step(struct conn *c)
{
	char buf[512];
	int rc;

	ERR_clear_error();
	if (!c->is_done) {
		rc = SSL_do_handshake(c->ssl);
		if (rc == 1) {
			c->is_done = true;
			if (!opt.has_banner && !opt.is_resuming) {
				count(c->bench, c->ssl);
				return true;
			}
		}
	} else
		rc = 1;
	if (rc == 1) {
		rc = SSL_read(c->ssl, buf, sizeof(buf));
		if (rc > 0) {
			count(c->bench, c->ssl);
			return true;
		}
	}
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return false;
	default:
		c->bench->failed++;
		return true;
	}
}

static void *
load_thread(void *closure)
{
	static __thread struct conn conns[SESSIONS_MAX];
	struct epoll_event ev[256];
	struct bench *b = closure;
	int epfd = epoll_create1(EPOLL_CLOEXEC), i, n;
	unsigned int k;

	for (k = 0; k < opt.sessions; k++) {
		conns[k].bench = b;
		conn_open(&conns[k], epfd);
	}
	while (now() < b->end) {
		n = epoll_wait(epfd, ev, 256, 100);
		for (i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (!conn_step(c))
				continue;
			conn_close(c);
			conn_open(c, epfd);
		}
	}
	for (k = 0; k < opt.sessions; k++)
		conn_close(&conns[k]);
	close(epfd);
	return NULL;
}

/* --- one large message ---------------------------------------------------- */

struct smtp {
	SSL	*ssl;		/* NULL: in the clear */
	int	 fd;
	size_t	 len;		/* of replies that were not heard yet */
	char	 in[4096];
};

static void
say(struct smtp *s, const char *p, size_t len)
{
	while (len > 0) {
		int n = s->ssl != NULL ? SSL_write(s->ssl, p, (int)len) :
		    (int)send(s->fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			fail("the server has closed");
		p += n;
		len -= (size_t)n;
	}
}

/* Return the length of the first reply in ${s->in}, and the first digit of its code;
 * 0: not all of it is there. */
static size_t
reply_octets(const struct smtp *s, char *code_r)
{
	const char *line = s->in, *nl;

	while ((nl = memchr(line, '\n', s->len - (size_t)(line - s->in))) !=
	    NULL) {
		*code_r = line[0];
		if (nl - line < 4 || line[3] != '-')
			return ((size_t)(nl + 1 - s->in));
		line = nl + 1;
	}
	return (0);
}

/* One reply, whose code begins with ${want}. */
static void
hear(struct smtp *s, char want)
{
	char code;
	size_t used;
	int n;

	while ((used = reply_octets(s, &code)) == 0) {
		n = s->ssl != NULL ? SSL_read(s->ssl, s->in + s->len,
		    (int)(sizeof(s->in) - s->len)) :
		    (int)recv(s->fd, s->in + s->len, sizeof(s->in) - s->len, 0);
		if (n <= 0)
			fail("the server has closed");
		s->len += (size_t)n;
	}
	if (code != want) {
		fprintf(stderr, "tlsbench: %.*s", (int)used, s->in);
		exit(1);
	}
	s->len -= used;
	memmove(s->in, s->in + used, s->len);
}

static void
smtp_open(struct smtp *s, struct bench *b)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)opt.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	s->ssl = NULL;
	s->len = 0;
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd == -1 ||
	    connect(s->fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		fail("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (opt.is_plain)
		return;
	s->ssl = client_new(b);
	SSL_set_fd(s->ssl, s->fd);
	if (SSL_do_handshake(s->ssl) != 1)
		fail("handshake");
}

static char block[65520];	/* of the message */

static void
say_blocks(struct smtp *s, unsigned long left)
{
	size_t n;

	for (; left > 0; left -= n) {
		n = left < sizeof(block) ? left : sizeof(block);
		say(s, block, n);
	}
}

static void
by_data(struct smtp *s)
{
	say(s, "DATA\r\n", 6);
	hear(s, '3');
	say_blocks(s, opt.octets);
	say(s, "\r\n.\r\n", 5);
	hear(s, '2');
}

/* The command and what comes behind it are written together. */
static void
say_chunk(struct smtp *s, unsigned long n, bool is_last)
{
	static char first[64 + sizeof(block)];
	size_t len, more = n < sizeof(block) ? n : sizeof(block);

	len = (size_t)snprintf(first, sizeof(first), "BDAT %lu%s\r\n", n,
	    is_last ? " LAST" : "");
	memcpy(first + len, block, more);
	say(s, first, len + more);
	say_blocks(s, n - more);
}

static void
by_bdat(struct smtp *s)
{
	unsigned long left, n;

	for (left = opt.octets; left > 0; left -= n) {
		n = left < opt.chunk ? left : opt.chunk;
		say_chunk(s, n, n == left);
		/* RFC 3030 4.2: the replies of chunks may be awaited later.  As
		 * Exim, send the next one meanwhile, and no more */
		if (opt.is_awaiting || left < opt.octets)
			hear(s, '2');
	}
	if (!opt.is_awaiting)
		hear(s, '2');
}

static void
bulk(void)
{
	static const char *const commands[] = { "EHLO client.test\r\n",
		"MAIL FROM:<a@client.test>\r\n",
		"RCPT TO:<user@example.test>\r\n" };
	struct bench b;
	struct smtp s;
	double start;
	size_t i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = "x\r\n"[i % 78 < 76 ? 0 : i % 78 - 75];
	bench_init(&b);
	smtp_open(&s, &b);
	hear(&s, '2');
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		say(&s, commands[i], strlen(commands[i]));
		hear(&s, '2');
	}
	start = now();
	if (opt.chunk > 0)
		by_bdat(&s);
	else
		by_data(&s);
	printf("%.0f\n", (double)opt.octets / (now() - start));
}

/* -------------------------------------------------------------------------- */

static void
usage(void)
{
	fprintf(stderr, "usage: tlsbench memory -c CERT -k KEY [-r] "
	    "[-t THREADS] [-s SECONDS]\n"
	    "       tlsbench load -p PORT [-2br] [-n SESSIONS] "
	    "[-t THREADS] [-s SECONDS]\n"
	    "       tlsbench bulk -p PORT -o OCTETS [-x] [-B CHUNK [-w]]\n");
	exit(2);
}

static void
parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "2bB:c:k:n:o:p:rs:t:wx")) != -1)
		switch (c) {
		case '2':
			opt.version = TLS1_2_VERSION;
			break;
		case 'b':
			opt.has_banner = true;
			break;
		case 'B':
			opt.chunk = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			opt.cert = optarg;
			break;
		case 'k':
			opt.key = optarg;
			break;
		case 'n':
			opt.sessions = (unsigned int)atoi(optarg);
			break;
		case 'o':
			opt.octets = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			opt.port = (unsigned int)atoi(optarg);
			break;
		case 'r':
			opt.is_resuming = true;
			break;
		case 's':
			opt.seconds = atof(optarg);
			break;
		case 't':
			opt.threads = (unsigned int)atoi(optarg);
			break;
		case 'w':
			opt.is_awaiting = true;
			break;
		case 'x':
			opt.is_plain = true;
			break;
		default:
			usage();
		}
	if (opt.sessions == 0 || opt.sessions > SESSIONS_MAX ||
	    opt.threads == 0 || opt.threads > 64 || opt.seconds > 600)
		usage();
}

int
main(int argc, char **argv)
{
	void *(*run)(void *);
	struct bench benches[64], all = { 0 };
	pthread_t threads[64];
	struct rusage ru;
	double start, took, cpu;
	unsigned int i;

	if (argc < 2)
		usage();
	parse(argc - 1, argv + 1);
	if (strcmp(argv[1], "bulk") == 0 && opt.port != 0) {
		bulk();
		return 0;
	}
	if (strcmp(argv[1], "memory") == 0 && opt.cert != NULL &&
	    opt.key != NULL)
		run = memory_thread;
	else if (strcmp(argv[1], "load") == 0 && opt.port != 0)
		run = load_thread;
	else
		usage();
	for (i = 0; i < opt.threads; i++)
		bench_init(&benches[i]);
	start = now();
	for (i = 0; i < opt.threads; i++) {
		benches[i].end = start + opt.seconds;
		if (pthread_create(&threads[i], NULL, run, &benches[i]) != 0)
			fail("thread");
	}
	for (i = 0; i < opt.threads; i++) {
		pthread_join(threads[i], NULL);
		all.done += benches[i].done;
		all.resumed += benches[i].resumed;
		all.failed += benches[i].failed;
	}
	took = now() - start;
	getrusage(RUSAGE_SELF, &ru);
	cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("%.1f %.1f %lu %lu\n", (double)all.done / took,
	    all.done == 0 ? 0 : cpu * 1e6 / (double)all.done, all.resumed,
	    all.failed);
	return 0;
}
