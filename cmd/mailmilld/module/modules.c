/* Modules from the configuration into the process: see modules.h. */

#include "cmd/mailmilld/module/modules.h"

#include <sys/stat.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/module/modules_int.h"
#include "core/ec_thread_pool.h"
#include "core/jobs/thread_pool.h"
#include "core/process/log.h"

int
modules_say(char *err_r, size_t errlen, const struct conf_at *at,
    const char *fmt, ...)
{
	char where[CONF_AT_MAX];
	va_list ap;
	int n;

	n = snprintf(err_r, errlen, "%s: option 'Module': ", conf_at_text(at,
	    where, sizeof(where)));
	if (n >= 0 && (size_t)n < errlen) {
		va_start(ap, fmt);
		vsnprintf(err_r + n, errlen - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -1;
}

static void
module_log(const struct mailmill_module_worker *worker, const char *fmt, ...)
{
	const struct module *m = (const struct module *)worker;
	char text[LOG_VALUE_MAX];
	va_list ap;

	if (worker->is_check)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_event(LOG_LEVEL_NOTICE, "module", "module=%s text=%s", m->is.name,
	    text);
}

/* --- what modules do while files can be opened ---------------------------- */

/* Threads of this process; 0: not known. */
static nlink_t
count_threads(void)
{
	struct stat st;

	/* one folder for each, beside those that all folders have */
	return stat("/proc/self/task", &st) == 0 ? st.st_nlink : 0;
}

/* One setting, or with NULL the end of them.  Return 0, or -1 with a
 * message. */
static int
configure(struct module *m, const struct settings_module_key *key,
    char *err_r, size_t errlen)
{
	const struct conf_at *at = key != NULL ? &key->at : &m->section->at;
	char why[256] = "";

	if (m->is.config == NULL) {
		if (key == NULL)
			return 0;
		return modules_say(err_r, errlen, at, "module %s takes no "
		    "options, found '%.100s'", m->is.name, key->name);
	}
	if ((key == NULL ? m->is.config(NULL, NULL, why, sizeof(why)) :
	    m->is.config(key->name, key->value, why, sizeof(why))) == 0)
		return 0;
	why[sizeof(why) - 1] = '\0';
	if (*why == '\0')
		strlcpy(why, "it is not accepted", sizeof(why));
	return key == NULL ? modules_say(err_r, errlen, at, "module %s: %s",
	    m->is.name, why) : modules_say(err_r, errlen, at, "module %s, "
	    "option '%.100s': %s", m->is.name, key->name, why);
}

static int
configure_all(struct module *m, char *err_r, size_t errlen)
{
	size_t i;

	for (i = 0; i < m->section->nkeys; i++)
		if (configure(m, &m->section->keys[i], err_r, errlen) == -1)
			return -1;
	return configure(m, NULL, err_r, errlen);
}

/* Is it loaded for another section already, by another path? */
static const struct module *
same_as(const struct modules *all, const struct module *m)
{
	const struct module *other;

	for (other = all->v; other < m; other++)
		if (other->handle == m->handle ||
		    strcmp(other->is.name, m->is.name) == 0)
			return other;
	return NULL;
}

static int
load(const struct modules *all, struct module *m, const char *real,
    uid_t owner, char *err_r, size_t errlen)
{
	const struct module *other;
	nlink_t nthreads = count_threads();
	char why[MODULES_ERROR_MAX / 2], seen[CONF_AT_MAX];
	const struct conf_at *at = &m->section->at;

	if (modules_object_find(m, real, owner, why, sizeof(why)) == -1)
		return modules_say(err_r, errlen, at, "%s: %s", real, why);
	if ((other = same_as(all, m)) != NULL)
		return modules_say(err_r, errlen, at, "%s: module %s is loaded "
		    "already, in %s", real, m->is.name, conf_at_seen(
		    &other->section->at, at, seen, sizeof(seen)));
	if (configure_all(m, err_r, errlen) == -1)
		return -1;
	/* it would not be bound as the others are (Landlock) */
	if (count_threads() != nthreads)
		return modules_say(err_r, errlen, at, "module %s has started a "
		    "thread before init()", m->is.name);
	return 0;
}

/* Load it, if nobody else can have changed the file. */
static int
check_and_load(const struct modules *all, struct module *m, uid_t owner,
    char *err_r, size_t errlen)
{
	char real[PATH_MAX], why[MODULES_ERROR_MAX / 2];
	int rc;

	if (modules_file_check(m->section->path, owner, real, why,
	    sizeof(why)) == -1)
		return modules_say(err_r, errlen, &m->section->at, "%s", why);
	modules_calling(m->section);
	rc = load(all, m, real, owner, err_r, errlen);
	modules_calling(NULL);
	return rc;
}

int
modules_load(const struct settings *s, uid_t owner, struct modules *m_r,
    char *err_r, size_t errlen)
{
	struct module *m;

	if (s->nmodules == 0)
		return 0;
	if ((m_r->v = calloc(s->nmodules, sizeof(*m_r->v))) == NULL)
		return modules_say(err_r, errlen, &s->modules[0].at,
		    "out of memory");
	while (m_r->n < s->nmodules) {
		m = &m_r->v[m_r->n];
		m->section = &s->modules[m_r->n++];
		if (check_and_load(m_r, m, owner, err_r, errlen) == -1)
			return -1;
	}
	return 0;
}

/* --- afterwards ----------------------------------------------------------- */

static int
init(struct module *m, char *err_r, size_t errlen)
{
	char why[256] = "";
	int rc;

	if (m->is.init == NULL)
		return 0;
	modules_calling(m->section);
	rc = m->is.init(&m->worker, why, sizeof(why));
	modules_calling(NULL);
	if (rc == 0)
		return 0;
	why[sizeof(why) - 1] = '\0';
	return modules_say(err_r, errlen, &m->section->at, "module %s: init(): "
	    "%s", m->is.name, *why != '\0' ? why : "it has failed");
}

int
modules_init(struct modules *m, unsigned int number, unsigned int nworkers,
    bool is_check, char *err_r, size_t errlen)
{
	unsigned int threads = 0;
	struct module *at;
	int error;

	if (m->n == 0)
		return 0;
	for (at = m->v; at < m->v + m->n; at++) {
		at->worker = (struct mailmill_module_worker){
			.size = sizeof(at->worker), .number = number,
			.nworkers = nworkers, .is_check = is_check,
			.log = module_log };
		if (init(at, err_r, errlen) == -1)
			return -1;
		at->is_begun = true;
		if (at->is.job_threads > threads)
			threads = at->is.job_threads;
	}
	if ((error = thread_pool_fix(threads)) == 0)
		return 0;
	return modules_say(err_r, errlen, &m->v[0].section->at, "%u threads for "
	    "jobs cannot be started: %s", threads, strerror(error));
}

void
modules_fini(struct modules *m)
{
	size_t i;

	if (m->n == 0)
		return;
	mailmill_thread_pool_shutdown();
	for (i = m->n; i-- > 0; )
		if (m->v[i].is_begun && m->v[i].is.fini != NULL) {
			modules_calling(m->v[i].section);
			m->v[i].is.fini();
			modules_calling(NULL);
		}
	/* their code stays: what they have registered points to it */
	free(m->v);
	m->v = NULL;
	m->n = 0;
}
