#include "test/unit/core/queue/queue_fixture.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/store/queue_spool.h"
#include "test/lib/segment.h"

#define SEGMENT_OCTETS	(256 * 1024)

const char *const qf_three[3] = {"a@x.test", "b@x.test", "c@x.test"};
const char *const qf_abc[3] = { "a@x.test", "b@y.test", "c@x.test" };
const char *const qf_sections[3] = { "near.test", "far.test", "b.hop" };

size_t qf_no_memory_for;

void *__real_reallocarray(void *v, size_t n, size_t octets);
void *__wrap_reallocarray(void *v, size_t n, size_t octets);

void *
__wrap_reallocarray(void *v, size_t n, size_t octets)
{
	if (qf_no_memory_for == 0 || n != qf_no_memory_for)
		return __real_reallocarray(v, n, octets);
	errno = ENOMEM;
	return NULL;
}

static int
op_source(void *closure, unsigned int, uint64_t source,
    int fd, bool)
{
	struct qf *f = closure;

	errno = EAGAIN;
	if (f->is_deaf)
		return -1;
	cr_assert_lt(source, QF_SOURCES);
	f->nknow[source]++;
	if (f->sources[source] != -1)
		close(f->sources[source]);
	f->sources[source] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	cr_assert_neq(f->sources[source], -1);
	return 0;
}

static void
op_forget(void *closure, unsigned int, uint64_t source)
{
	struct qf *f = closure;

	cr_assert_lt(source, QF_SOURCES);
	cr_assert_neq(f->sources[source], -1);
	if (--f->nknow[source] > 0)
		return;
	close(f->sources[source]);
	f->sources[source] = -1;
}

static unsigned int
op_jobs(void *closure, unsigned int agent, const struct job *jobs,
    unsigned int n)
{
	struct qf *f = closure;
	unsigned int i;

	if (f->is_deaf)
		return 0;
	cr_assert_leq(n, JOBS_AT_ONCE);
	for (i = 0; i < n; i++) {
		cr_assert_lt(f->njobs, QF_JOBS);
		f->jobs[f->njobs].agent = agent;
		f->jobs[f->njobs++].job = jobs[i];
	}
	return n;
}

static const char *
find_section(const struct qf *f, const char *name)
{
	size_t i;

	for (i = 0; !f->has_no_sections && i < 3; i++)
		if (strcasecmp(name, qf_sections[i]) == 0)
			return qf_sections[i];
	return NULL;
}

static int
op_route(void *closure, const struct queue_addressee *to,
    struct queue_route *route_r, char *text_r)
{
	const struct qf *f = closure;
	const char *at = strchr(to->rcpt, '@');
	const char *domain = at != NULL ? at + 1 : "", *by = NULL;
	size_t len;

	if (to->section != NULL && to->section[0] != '\0') {
		by = find_section(f, to->section);
		route_r->is_other = by == NULL;
		domain = by != NULL ? by : domain;
	}
	if (strcmp(domain, "nowhere.test") == 0) {
		strlcpy(text_r, "nowhere to go", JOB_TEXT);
		errno = ENXIO;
		return -1;
	}
	route_r->transport = QF_NEAR;
	if (strcmp(domain, "far.test") == 0)
		route_r->transport = QF_FAR;
	len = strlen(domain);
	if (!f->is_hopless && len > 3 && strcmp(domain + len - 4, ".hop") == 0) {
		route_r->transport = QF_RELAY;
		strlcpy(route_r->target, f->hop != NULL ? f->hop : domain,
		    sizeof(route_r->target));
		route_r->window_first = f->hop_first;
		route_r->window_max = f->hop_max;
		route_r->max_rate = f->hop_rate;
		route_r->stream = f->stream_rate + f->stream_window > 0 ?
		    (unsigned char)domain[0] : 0;
		route_r->stream_rate = f->stream_rate;
		route_r->stream_window = f->stream_window;
	}
	if (strncmp(to->sender, "section", 7) == 0)
		route_r->section = 4711;
	if (by != NULL)
		route_r->section = QF_SECTION;
	if (strncmp(to->rcpt, "own", 3) == 0)
		route_r->times = 1;
	return 0;
}

static void
file_name(char *buf, uint64_t received, const char *id,
    const struct job_origin *origin)
{
	snprintf(buf, QUEUE_FILE_MAX, "%llu.%s.%u",
	    (unsigned long long)received, id, origin->rcpt);
}

static const struct queue_transport transports[] = {
	[QF_NEAR] = { "near", 2048, file_name },
	[QF_FAR] = { "far", 2, file_name },
	[QF_RELAY] = { "relay", 2048, file_name },
};

static void
op_held(void *closure, const char *login)
{
	struct qf *f = closure;

	strlcat(f->told, login, sizeof(f->told));
	strlcat(f->told, " ", sizeof(f->told));
}

/* What is to be in the report, a line for each recipient */
static int
op_report(void *closure, const struct queue_report *report, char **text_r,
    size_t *len_r, unsigned int *flags_r)
{
	const struct queue_report_rcpt *r;
	struct qf *f = closure;
	size_t i;
	FILE *out;

	if (f->has_no_reports) {
		errno = ENOMEM;
		return -1;
	}
	f->nreports++;
	if (f->reports_left > 0 && --f->reports_left == 0)
		f->has_no_reports = true;
	out = open_memstream(text_r, len_r);
	cr_assert_not_null(out);
	fprintf(out, "to=%s sender=%s envid=%s whole=%d text=%.*s\n",
	    report->to, report->sender, report->envid, report->is_whole,
	    (int)report->len, report->text);
	for (i = 0; i < report->nrcpts; i++) {
		r = &report->rcpts[i];
		cr_assert_lt(r->outcome, QUEUE_OUTCOMES);
		fprintf(out, "rcpt=%s orcpt=%s outcome=%d code=%u enhanced=%s "
		    "remote=%s text=%s until=%lld%s\n", r->rcpt, r->orcpt,
		    r->outcome, r->code, r->enhanced, r->remote, r->text,
		    (long long)r->retry_until, r->is_late ? " late" : "");
	}
	fclose(out);
	*flags_r = report->env_flags & SPOOL_ENV_SMTPUTF8;
	return 0;
}

/* Recipients at alias.test are aliases, which say themselves what they are. */
static int
op_is_alias(void *, const char *rcpt)
{
	const char *at = strchr(rcpt, '@');

	return at != NULL && strcmp(at, "@alias.test") == 0;
}

static void
expand_to(struct queue_expansion *x, size_t alias, size_t sender,
    const char *local, size_t number)
{
	char rcpt[128];
	size_t i;

	snprintf(rcpt, sizeof(rcpt), "%s%zu@x.test", local, number);
	for (i = 0; i < x->nothers; i++)
		if (strcmp(x->others[i], rcpt) == 0)
			return;
	x->rcpts = reallocarray(x->rcpts, x->nrcpts + 1, sizeof(x->rcpts[0]));
	cr_assert_not_null(x->rcpts);
	x->rcpts[x->nrcpts++] = (struct queue_expansion_rcpt){
		.rcpt = strdup(rcpt), .alias = alias, .sender = sender };
}

static int
op_expand(void *closure, struct queue_expansion *x)
{
	struct qf *f = closure;
	size_t i, j, n;
	char local[64];

	x->verdicts = calloc(x->naliases, sizeof(x->verdicts[0]));
	x->senders = calloc(2, sizeof(x->senders[0]));
	x->senders[0].address = strdup(x->sender);
	x->senders[1].address = strdup("owner@alias.test");
	x->senders[1].is_list = true;
	x->nsenders = 2;
	for (i = 0; i < x->naliases; i++) {
		strlcpy(local, x->aliases[i], sizeof(local));
		*strchr(local, '@') = '\0';
		n = 2;
		if (strcmp(local, "one") == 0) {
			n = 1;
		} else if (strcmp(local, "list") == 0) {
			x->verdicts[i].what = QUEUE_ALIAS_LIST;
		} else if (strcmp(local, "loop") == 0) {
			x->verdicts[i] = (struct queue_expansion_alias){
				QUEUE_ALIAS_FAILED, "5.4.6", "a loop" };
			continue;
		} else if (strcmp(local, "later") == 0 && f->is_later) {
			errno = ENOMEM;
			return -1;
		} else {
			x->verdicts[i].what = QUEUE_ALIAS_MANY;
			n = f->nmembers != 0 ? f->nmembers : 2;
		}
		for (j = 0; j < n; j++)
			expand_to(x, i, strcmp(local, "list") == 0, local,
			    j + 1);
	}
	return 0;
}

static void
op_expand_free(struct queue_expansion *x)
{
	while (x->nrcpts > 0)
		free(x->rcpts[--x->nrcpts].rcpt);
	while (x->nsenders > 0)
		free(x->senders[--x->nsenders].address);
	free(x->rcpts);
	free(x->senders);
	free(x->verdicts);
}

static const char *
op_section(void *closure, const char *name, const char **why_r)
{
	*why_r = "there is no such section";
	return find_section(closure, name);
}

static const struct queue_ops ops = {
	.route = op_route,
	.section = op_section,
	.is_alias = op_is_alias,
	.expand = op_expand,
	.expand_free = op_expand_free,
	.source = op_source,
	.forget = op_forget,
	.jobs = op_jobs,
	.held = op_held,
	.report = op_report
};

void
qf_init(struct qf *f)
{
	char path[96];
	size_t i;

	memset(f, 0, sizeof(*f));
	strlcpy(f->path, "/tmp/queue-test.XXXXXX", sizeof(f->path));
	cr_assert_not_null(mkdtemp(f->path));
	snprintf(path, sizeof(path), "%s/incoming", f->path);
	cr_assert_eq(mkdir(path, 0700), 0);
	f->incoming = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->jobs = calloc(QF_JOBS, sizeof(f->jobs[0]));
	cr_assert_not_null(f->jobs);
	for (i = 0; i < QF_SOURCES; i++)
		f->sources[i] = -1;
	f->now.tv_sec = 1700000000;
	f->ms = 4711;
	f->config.store = &queue_spool_ops;
	f->config.folder = f->path;
	f->config.queue_dirfd = f->folder;
	f->config.incoming_dirfd = f->incoming;
	/* tests that fill it need not have so many messages */
	f->config.max_messages = 8192;
	f->config.retry_s = 60;
	f->config.max_retry_s = 400;
	f->config.lifetime_s = f->config.bounce_lifetime_s = 400 * 86400;
	f->config.return_octets = 1000;
	f->config.has_priorities = true;
	f->config.is_synced = true;
	f->config.transports = transports;
	f->config.ntransports = QF_TRANSPORTS;
}

void
qf_open(struct qf *f)
{
	f->q = queue_open(&f->config, &ops, f, &f->now, f->ms);
	cr_assert_not_null(f->q);
	queue_writer_add(f->q, QF_WRITER);
	cr_assert_eq(queue_agent_add(f->q, QF_NEAR, &f->agent), 0);
}

void
qf_close(struct qf *f)
{
	size_t i;

	queue_close(f->q);
	f->q = NULL;
	f->njobs = 0;
	for (i = 0; i < QF_SOURCES; i++) {
		if (f->sources[i] != -1)
			close(f->sources[i]);
		f->sources[i] = -1;
		f->nknow[i] = 0;
	}
}

void
qf_free(struct qf *f)
{
	char cmd[128];

	qf_close(f);
	close(f->incoming);
	close(f->folder);
	free(f->jobs);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->path);
	cr_assert_eq(system(cmd), 0);
}

void
qf_segment(struct qf *f, struct qf_segment *s, uint64_t n)
{
	memset(s, 0, sizeof(*s));
	cr_assert_eq(segment_create(f->incoming, QF_SEGMENT(n),
	    SEGMENT_OCTETS, false, &s->file), 0);
	s->end = SPOOL_PAGE;
}

static uint64_t
append(struct qf_segment *s, struct spool_record *r,
    const struct spool_envelope *env, const char *body)
{
	size_t inline_octets = body == NULL ? 0 : (size_t)r->body_octets;
	size_t len = spool_envelope_octets(env);
	uint64_t octets, offset = s->end;
	unsigned char mark[SPOOL_RECORD_HEADER];
	char *buf;

	cr_assert_neq(len, 0);
	octets = spool_record_octets(len, inline_octets);
	cr_assert_leq(offset + octets, s->file.header.size_octets);
	buf = calloc(1, octets);
	cr_assert_not_null(buf);
	r->offset = offset;
	r->seq = ++s->seq;
	r->envelope_octets = (uint32_t)len;
	spool_envelope_encode(env, buf + SPOOL_RECORD_HEADER);
	r->envelope_sum = spool_sum(buf + SPOOL_RECORD_HEADER, len);
	if (body != NULL) {
		r->body_sum = spool_sum(body, inline_octets);
		memcpy(buf + SPOOL_RECORD_HEADER + len, body, inline_octets);
	}
	spool_record_encode(r, s->file.header.nonce, (unsigned char *)buf);
	cr_assert_eq(pwrite(s->file.fd, buf, octets, (off_t)offset),
	    (ssize_t)octets);
	free(buf);
	s->end += octets;
	if (s->end + SPOOL_RECORD_HEADER <= s->file.header.size_octets) {
		spool_end_encode(s->end, s->seq + 1, s->file.header.nonce,
		    mark);
		cr_assert_eq(pwrite(s->file.fd, mark, sizeof(mark),
		    (off_t)s->end), (ssize_t)sizeof(mark));
	}
	return offset;
}

uint64_t
qf_append(struct qf_segment *s, uint64_t id, const char *sender,
    const char *const *rcpts, size_t nrcpts, const char *body)
{
	struct spool_record r = { .id = id, .received_us = id >> 12,
		.body_octets = strlen(body) };
	struct spool_envelope env = { .sender = sender, .rcpts = rcpts,
		.nrcpts = nrcpts, .session = "s1", .client = "192.0.2.1",
		.helo = "client.test", .flags = s->env_flags };

	return append(s, &r, &env, body);
}

uint64_t
qf_append_said(struct qf_segment *s, uint64_t id,
    const struct spool_envelope *said)
{
	static const char body[] = "Subject: x\r\n\r\nhello\r\n";
	struct spool_record r = { .id = id, .received_us = id >> 12,
		.body_octets = strlen(body) };
	struct spool_envelope env = *said;

	env.sender = "a@b.test";
	if (env.rcpts == NULL) {
		env.rcpts = qf_three;
		env.nrcpts = 3;
	}
	env.session = "s1";
	env.client = "192.0.2.1";
	env.helo = "client.test";
	return append(s, &r, &env, body);
}

uint64_t
qf_mail(struct qf_segment *s, uint64_t id)
{
	static const char *const rcpts[] = { "joe@example.test" };

	return qf_append(s, id, "a@b.test", rcpts, 1,
	    "Subject: x\r\n\r\nhello\r\n");
}

uint64_t
qf_large(struct qf *f, struct qf_segment *s, uint64_t id, const char *body,
    size_t octets)
{
	return qf_large_to(f, s, id, "joe@example.test", body, octets);
}

uint64_t
qf_large_to(struct qf *f, struct qf_segment *s, uint64_t id, const char *rcpt,
    const char *body, size_t octets)
{
	const char *const rcpts[] = { rcpt };
	struct spool_record r = { .id = id, .received_us = id >> 12,
		.body_octets = octets, .flags = SPOOL_RECORD_LARGE,
		.body_sum = spool_sum(body, octets) };
	struct spool_envelope env = { .sender = "a@b.test", .rcpts = rcpts,
		.nrcpts = 1, .session = "s1", .client = "192.0.2.1",
		.helo = "client.test" };
	char name[SPOOL_NAME];
	int fd;

	spool_body_name(id, name);
	fd = openat(f->incoming, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, body, octets), (ssize_t)octets);
	close(fd);
	return append(s, &r, &env, NULL);
}

void
qf_committed(struct qf *f, const struct qf_segment *s, bool is_sealed)
{
	queue_committed(f->q, QF_WRITER, s->file.header.segment,
	    s->file.header.generation, s->end, is_sealed);
}

static void
wait_ms(struct qf *f, int ms)
{
	f->ms += ms;
	f->now.tv_usec += ms % 1000 * 1000;
	f->now.tv_sec += ms / 1000 + f->now.tv_usec / 1000000;
	f->now.tv_usec %= 1000000;
}

void
qf_pass(struct qf *f, int ms)
{
	int due;

	/* as the queue process does: whenever a pass is due, and at the end */
	for (;;) {
		due = queue_pass(f->q, &f->now, f->ms);
		cr_assert_geq(due, 0);
		if (due >= ms)
			break;
		due = due == 0 ? 1 : due;
		ms -= due;
		wait_ms(f, due);
	}
	wait_ms(f, ms);
	queue_pass(f->q, &f->now, f->ms);
}

enum job_text { JOB_RCPT, JOB_BODY, JOB_SAID };

static void
said_text(const struct spool_envelope_view *env, uint32_t rcpt, char *buf,
    size_t len)
{
	struct spool_envelope_rcpt said;
	const char *cursor = NULL;

	spool_envelope_said(env, rcpt, &cursor, &said);
	snprintf(buf, len, "%s %u %s %s %x", env->sender, said.notify,
	    said.orcpt != NULL ? said.orcpt : "-",
	    env->envid != NULL ? env->envid : "-", env->flags);
}

/* Read the record of job number ${i}, of which one of the texts is put into ${buf}. */
static void
read_job(struct qf *f, size_t i, enum job_text what, char *buf, size_t len)
{
	struct spool_readbuf *rb = spool_readbuf_new();
	struct spool_damage damage;
	struct spool_reader *r;
	struct spool_view view;

	cr_assert_lt(i, f->njobs);
	r = spool_reader_new(f->sources[f->jobs[i].job.source], rb, 0);
	cr_assert_not_null(r);
	cr_assert_eq(spool_reader_at(r, f->jobs[i].job.offset, &view,
	    &damage), 1);
	cr_assert(what != JOB_BODY || view.body != NULL);
	if (what == JOB_SAID)
		said_text(&view.envelope, f->jobs[i].job.origin.rcpt, buf, len);
	else if (what == JOB_BODY)
		snprintf(buf, len, "%.*s", (int)view.record.body_octets,
		    view.body);
	else
		strlcpy(buf, spool_envelope_rcpt(&view.envelope,
		    f->jobs[i].job.origin.rcpt), len);
	spool_reader_free(r);
	spool_readbuf_free(rb);
}

void
qf_rcpt(struct qf *f, size_t i, char *buf, size_t len)
{
	read_job(f, i, JOB_RCPT, buf, len);
}

void
qf_text(struct qf *f, size_t i, char *buf, size_t len)
{
	read_job(f, i, JOB_BODY, buf, len);
}

void
qf_said(struct qf *f, size_t i, char *buf, size_t len)
{
	read_job(f, i, JOB_SAID, buf, len);
}

void
qf_done_with(struct qf *f, unsigned int agent, uint64_t job, int errnum,
    unsigned int flags)
{
	const struct job_result result = { .job = job, .errnum = errnum,
		.flags = flags };

	queue_done(f->q, agent, &result, &f->now);
}

void
qf_done(struct qf *f, unsigned int agent, uint64_t job, int errnum)
{
	qf_done_with(f, agent, job, errnum, 0);
}

void
qf_finish(struct qf *f, int errnum)
{
	struct job_error error = { .text = "because of the test" };
	size_t i, n = f->njobs;

	for (i = 0; i < n; i++) {
		error.job = f->jobs[i].job.job;
		if (errnum != 0)
			queue_error(f->q, f->jobs[i].agent, &error);
		qf_done(f, f->jobs[i].agent, f->jobs[i].job.job, errnum);
	}
	f->njobs = 0;
}

char *
qf_ask(struct qf *f, const char *request)
{
	struct queue_answer *a = queue_control(f->q, request, strlen(request));
	char *answer = strdup("");
	const char *piece;
	size_t len, total = 0;

	cr_assert_not_null(a);
	while (queue_answer_next(a, &f->now, &piece, &len) == 1) {
		answer = realloc(answer, total + len + 1);
		cr_assert_not_null(answer);
		if (len > 0)
			memcpy(answer + total, piece, len);
		total += len;
		answer[total] = '\0';
	}
	queue_answer_free(a);
	return answer;
}

const char *
qf_asked(struct qf *f, const char *action, const char *rest)
{
	static char text[4096];
	char request[512], *answer;

	snprintf(request, sizeof(request), "{\"command\":\"queue\","
	    "\"action\":\"%s\"%s%s}", action, *rest == '\0' ? "" : ",", rest);
	answer = qf_ask(f, request);
	strlcpy(text, answer, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	free(answer);
	return text;
}

const char *
qf_states(struct qf *f, const char *filter)
{
	static char text[4096];
	char request[512], *answer;
	json_t *json, *m, *r;
	size_t i, k, len = 0;
	const char *name;
	uint64_t id;

	snprintf(request, sizeof(request), "{\"action\":\"list\"%s%s}",
	    *filter == '\0' ? "" : ",\"filter\":", filter);
	answer = qf_ask(f, request);
	json = json_loads(answer, 0, NULL);
	cr_assert_not_null(json_object_get(json, "messages"), "%s", answer);
	text[0] = '\0';
	json_array_foreach(json_object_get(json, "messages"), i, m)
		json_array_foreach(json_object_get(m, "recipients"), k, r) {
			name = json_string_value(json_object_get(m, "id"));
			cr_assert_eq(spool_id_parse(name, strlen(name), &id),
			    0);
			len += (size_t)snprintf(text + len, sizeof(text) - len,
			    "%d:%s=%s ", (int)((id >> 12) - (QF_ID(0) >> 12)),
			    json_string_value(json_object_get(r, "recipient")),
			    json_string_value(json_object_get(r, "state")));
		}
	json_decref(json);
	free(answer);
	return text;
}

void
qf_three_places(struct qf *f, struct qf_segment *s)
{
	qf_segment(f, s, 1);
	qf_append(s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(f, s, false);
	qf_pass(f, 0);
	qf_finish(f, EACCES);
	qf_pass(f, 0);
	f->is_deaf = true;
	qf_append(s, QF_ID(2), "two@s.test", qf_abc, 3, "longer body\r\n");
	qf_committed(f, s, false);
	qf_pass(f, 0);
	qf_append(s, QF_ID(3), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(f, s, true);
}

void
qf_restart(struct qf *f, struct qf_segment *s)
{
	qf_close(f);
	spool_segment_close(&s->file);
	f->is_deaf = false;
	qf_open(f);
}

json_t *
qf_list(struct qf *f)
{
	char *answer = qf_ask(f, "{\"action\":\"list\"}");
	json_t *json = json_loads(answer, 0, NULL);

	cr_assert_not_null(json, "%s", answer);
	free(answer);
	return json;
}

size_t
qf_listed(struct qf *f)
{
	json_t *json = qf_list(f);
	size_t n = json_array_size(json_object_get(json, "messages"));

	json_decref(json);
	return n;
}

bool
qf_exists(struct qf *, int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, 0) == 0;
}

struct count {
	enum spool_entry kind;
	unsigned int n;
};

static int
count_one(void *closure, enum spool_entry kind, uint64_t, const char *)
{
	struct count *c = closure;

	if (kind == c->kind)
		c->n++;
	return 0;
}

unsigned int
qf_count(struct qf *f, enum spool_entry kind)
{
	struct count c = { .kind = kind };

	cr_assert_eq(spool_scan(f->incoming, count_one, &c), 0);
	return c.n;
}
