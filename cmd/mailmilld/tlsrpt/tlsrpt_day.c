/* From the counts of a day to their report; see tlsrpt_day.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_day.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"

#define DAY_S		86400
#define MX		"mx: "		/* of a line of MTA-STS */

struct row {
	struct deferred_tls t;		/* its texts are in ... */
	char		*octets;	/* ... here */
};

struct tlsrpt_day {
	struct row	*rows;
	size_t		 n, room;
	bool		 has_failed;
};

/* What a report points to while it is made */
struct making {
	struct tlsrpt_policy *policies;
	size_t		 npolicies;
	struct tlsrpt_failure *details;	/* of all policies */
	size_t		 ndetails;
	char		*octets;	/* the lines of all policies, each ended */
	const char	**lines, **mx;
	size_t		 nlines, nmx;
};

struct tlsrpt_day *
tlsrpt_day_new(void)
{
	return calloc(1, sizeof(struct tlsrpt_day));
}

void
tlsrpt_day_free(struct tlsrpt_day *day)
{
	size_t i;

	if (day == NULL)
		return;
	for (i = 0; i < day->n; i++)
		free(day->rows[i].octets);
	free(day->rows);
	free(day);
}

/* --- counts --------------------------------------------------------------- */

static bool
copy_row(const struct deferred_tls *t, struct row *row)
{
	const char **const texts[] = { &row->t.domain, &row->t.policy_type,
		&row->t.policy_domain, &row->t.policy, &row->t.result,
		&row->t.mx_host, &row->t.sending_ip, &row->t.receiving_ip,
		&row->t.reason };
	size_t i, len = 0, n = sizeof(texts) / sizeof(texts[0]);
	char *p;

	row->t = *t;
	for (i = 0; i < n; i++)
		len += strlen(*texts[i]) + 1;
	if ((p = row->octets = malloc(len)) == NULL)
		return false;
	for (i = 0; i < n; i++) {
		len = strlen(*texts[i]) + 1;
		*texts[i] = memcpy(p, *texts[i], len);
		p += len;
	}
	return true;
}

int
tlsrpt_day_add(void *closure, const struct deferred_tls *t)
{
	struct tlsrpt_day *day = closure;
	struct row *rows;

	if (tlsrpt_type_of(t->policy_type) == TLSRPT_NTYPES)
		return 0;
	rows = array_fit(day->rows, &day->room, day->n + 1, sizeof(*rows));
	if (rows != NULL)
		day->rows = rows;
	if (rows == NULL || !copy_row(t, &rows[day->n])) {
		day->has_failed = true;
		errno = ENOMEM;
		return -1;
	}
	day->n++;
	return 0;
}

/* --- their report ----------------------------------------------------------- */

static bool
is_same_policy(const struct deferred_tls *a, const struct deferred_tls *b)
{
	return strcmp(a->policy_type, b->policy_type) == 0 &&
	    strcmp(a->policy_domain, b->policy_domain) == 0 &&
	    strcmp(a->policy, b->policy) == 0;
}

/* Octets and lines of the policies of all rows, at most */
static void
measure(const struct tlsrpt_day *day, size_t *octets_r, size_t *lines_r)
{
	const char *s;
	size_t i;

	*octets_r = *lines_r = 1;
	for (i = 0; i < day->n; i++) {
		*octets_r += strlen(day->rows[i].t.policy) + 1;
		for (s = day->rows[i].t.policy; s != NULL; (*lines_r)++)
			if ((s = strchr(s, '\n')) != NULL)
				s++;
	}
}

static void
free_making(struct making *m)
{
	free(m->policies);
	free(m->details);
	free(m->octets);
	free(m->lines);
	free(m->mx);
}

static bool
make_room(struct making *m, const struct tlsrpt_day *day)
{
	size_t octets, lines;

	measure(day, &octets, &lines);
	m->policies = calloc(day->n, sizeof(*m->policies));
	m->details = calloc(day->n, sizeof(*m->details));
	m->octets = malloc(octets);
	m->lines = calloc(lines, sizeof(*m->lines));
	m->mx = calloc(lines, sizeof(*m->mx));
	return m->policies != NULL && m->details != NULL &&
	    m->octets != NULL && m->lines != NULL && m->mx != NULL;
}

/* RFC 8460 4.4, 4.5: the lines of the policy, and the hosts among them.  Return
 * where the next policy's octets go. */
static char *
set_lines(struct making *m, struct tlsrpt_policy *p, const char *policy,
    char *octets)
{
	char *end = stpcpy(octets, policy) + 1, *line = octets;

	p->strings = m->lines + m->nlines;
	p->mx_hosts = m->mx + m->nmx;
	while ((line = strsep(&octets, "\n")) != NULL) {
		if (*line == '\0')
			continue;
		m->lines[m->nlines++] = line;
		p->nstrings++;
		if (p->type != TLSRPT_STS ||
		    strncmp(line, MX, strlen(MX)) != 0)
			continue;
		m->mx[m->nmx++] = line + strlen(MX);
		p->nmx_hosts++;
	}
	return end;
}

static void
add_detail(struct making *m, struct tlsrpt_policy *p,
    const struct deferred_tls *t)
{
	p->failures += t->sessions;
	m->details[m->ndetails++] = (struct tlsrpt_failure){
		.result = t->result, .sending_ip = t->sending_ip,
		.mx_host = t->mx_host, .mx_helo = "",
		.receiving_ip = t->receiving_ip, .info = "",
		.reason = t->reason, .n = t->sessions };
	p->ndetails++;
}

static void
make(struct making *m, const struct tlsrpt_day *day)
{
	char *octets = m->octets;
	struct tlsrpt_policy *p = NULL;
	const struct deferred_tls *t;
	size_t i;

	for (i = 0; i < day->n; i++) {
		t = &day->rows[i].t;
		if (i == 0 || !is_same_policy(t, &day->rows[i - 1].t)) {
			p = &m->policies[m->npolicies++];
			p->type = tlsrpt_type_of(t->policy_type);
			p->domain = *t->policy_domain != '\0' ?
			    t->policy_domain : t->domain;
			p->details = m->details + m->ndetails;
			octets = set_lines(m, p, t->policy, octets);
		}
		if (*t->result == '\0')
			p->successes += t->sessions;
		else
			add_detail(m, p, t);
	}
}

char *
tlsrpt_day_json(const struct tlsrpt_day *day,
    const struct tlsrpt_report *about)
{
	struct tlsrpt_report r = *about;
	struct making m = { .npolicies = 0 };
	char *json = NULL;

	if (day->has_failed || day->n == 0) {
		errno = day->has_failed ? ENOMEM : ENOENT;
		return NULL;
	}
	if (make_room(&m, day)) {
		make(&m, day);
		r.policies = m.policies;
		r.npolicies = m.npolicies;
		r.start = day->rows[0].t.day;
		r.end = r.start + DAY_S - 1;
		json = tlsrpt_report_json(&r);
	}
	free_making(&m);
	if (json == NULL)
		errno = ENOMEM;
	return json;
}
