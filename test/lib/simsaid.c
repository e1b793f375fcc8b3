/* What parameters have said, as one line: see simsaid.h. */

#include "test/lib/simsaid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
	FILE	*fp;
	bool	 has_any;
};

static void
put(struct words *w, const char *key, const char *value)
{
	if (value == NULL)
		return;
	fprintf(w->fp, "%s%s%s", w->has_any ? " " : "", key, value);
	w->has_any = true;
}

static void
put_flags(struct words *w, unsigned int flags)
{
	static const struct { unsigned int flag; const char *word; } words[] = {
		{ SPOOL_ENV_8BITMIME, "8bitmime" },
		{ SPOOL_ENV_BINARYMIME, "binarymime" },
		{ SPOOL_ENV_SMTPUTF8, "smtputf8" },
		{ SPOOL_ENV_REQUIRETLS, "requiretls" },
		{ SPOOL_ENV_TLS_OPTIONAL, "tls-optional" },
		{ SPOOL_ENV_RET_FULL, "ret=full" },
		{ SPOOL_ENV_RET_HDRS, "ret=hdrs" },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (flags & words[i].flag)
			put(w, words[i].word, "");
}

static void
put_times(struct words *w, const struct spool_envelope *env)
{
	char buf[64];

	if (env->hold_until != 0) {
		snprintf(buf, sizeof(buf), "%" PRId64,
		    env->hold_until - env->received.tv_sec);
		put(w, "hold=", buf);
	}
	if (env->deliver_by != 0) {
		snprintf(buf, sizeof(buf), "%" PRId64 ";%c%s",
		    env->deliver_by - env->received.tv_sec,
		    env->flags & SPOOL_ENV_BY_RETURN ? 'R' : 'N',
		    env->flags & SPOOL_ENV_BY_TRACE ? "T" : "");
		put(w, "by=", buf);
	}
	if (env->priority != 0) {
		snprintf(buf, sizeof(buf), "%d", env->priority);
		put(w, "priority=", buf);
	}
}

static void
put_rcpt(struct words *w, const struct spool_envelope *env, size_t i)
{
	static const char *const names[] = { "never", "success", "failure",
		"delay" };
	const char *orcpt = env->orcpts == NULL ? NULL : env->orcpts[i];
	unsigned int notify = env->notify == NULL ? 0 : env->notify[i], k;
	char buf[64] = "";

	if (notify == 0 && orcpt == NULL)
		return;
	put(w, env->rcpts[i], "");
	for (k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		if (notify & 1U << k) {
			if (buf[0] != '\0')
				strlcat(buf, ",", sizeof(buf));
			strlcat(buf, names[k], sizeof(buf));
		}
	put(w, "notify=", buf[0] == '\0' ? NULL : buf);
	put(w, "orcpt=", orcpt);
}

char *
simsaid(const struct spool_envelope *env)
{
	struct words w = { .has_any = false };
	char *text = NULL;
	size_t len, i;

	if ((w.fp = open_memstream(&text, &len)) == NULL)
		abort();
	put_flags(&w, env->flags);
	put(&w, "envid=", env->envid);
	put(&w, "solicit=", env->solicit);
	put_times(&w, env);
	for (i = 0; i < env->nrcpts; i++)
		put_rcpt(&w, env, i);
	if (fclose(w.fp) != 0)
		abort();
	return text;
}
