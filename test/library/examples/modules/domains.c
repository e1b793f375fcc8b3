/* A module for mailmilld that refuses senders of some domains, and of all domains
 * below them:
 *	Module "/usr/local/lib/mailmill/domains.so" {
 *		Domain = { "spam.example", "junk.example" }
 *		Reply = "5.7.1 Nobody here wants mail from there"
 *	}
 * See mailmill-module(7). */

#include <mailmill/mailmill_module.h>
#include <mailmill/validate.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char **domains, *reply;
static size_t ndomains;

/* Each setting, then the end of them. */
static int
config(const char *name, const char *value, char *why, size_t len)
{
	char **grown, *copy;

	if (name == NULL) {
		if (ndomains > 0)
			return 0;
		snprintf(why, len, "no Domain is given");
		return -1;
	}
	if (*value == '\0' || (copy = strdup(value)) == NULL) {
		snprintf(why, len, "expected a text");
		return -1;
	}
	if (strcasecmp(name, "Reply") == 0) {
		reply = copy;
		return 0;
	}
	grown = realloc(domains, (ndomains + 1) * sizeof(*grown));
	if (grown == NULL || strcasecmp(name, "Domain") != 0) {
		snprintf(why, len, "%s", grown == NULL ? "out of memory" :
		    "there is no such option; there are Domain and Reply");
		free(copy);
		return -1;
	}
	domains = grown;
	domains[ndomains++] = copy;
	return 0;
}

/* Is ${domain}, ${len} octets, ${of}, or below it? */
static int
is_in(const char *domain, size_t len, const char *of)
{
	size_t n = strlen(of);

	return len >= n && strncasecmp(domain + len - n, of, n) == 0 &&
	    (len == n || domain[len - n - 1] == '.');
}

/* At MAIL. */
static int
mailfrom(const char *str, const struct mailaddr *addr, accept_construct *ac, validate_context *vctx, void *closure)
{
	size_t i;

	(void)str, (void)ac, (void)closure;
	for (i = 0; i < ndomains; i++)
		if (is_in(addr->domain, addr->domain_len, domains[i])) {
			validate_context_set_code(vctx, 550, reply);
			return VALIDATE_DONE;
		}
	return VALIDATE_CONT;
}

static int
init(const struct mailmill_module_worker *worker, char *why, size_t len)
{
	static struct validate_module policy = { .size = sizeof(policy), .name = "domains" };

	(void)worker;
	policy.phase[VALIDATE_PHASE_MAILFROM] = mailfrom;
	if (validate_module_register(&policy) == 0)
		return 0;
	snprintf(why, len, "%s", strerror(errno));
	return -1;
}

MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, .name = "domains", .config = config, .init = init };
