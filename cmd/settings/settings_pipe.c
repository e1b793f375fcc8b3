/* Settings: the program of a Domain section with Delivery = "pipe".
 * Owns: the checks of Command beside the other settings, the list of the accounts
 * that programs have. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/settings/pipe_args.h"
#include "cmd/settings/settings_int.h"

static const char *const names[NSETTINGS_PIPE_HEADERS] = {
	SETTINGS_PIPE_HEADERS
};

static int
refuse_command(struct conf *c, const struct settings_domain *d,
    const char *value, const char *expected)
{
	return conf_error_value(c, &d->command_at, "Command", value, expected);
}

/* No shell finds the program, and no client chooses it. */
static int
check_command(struct conf *c, const struct settings_domain *d)
{
	const struct conf_list *list = &d->command;
	char found[32];
	const char *why;
	size_t i, octets = 0;

	if (list->n == 0)
		return conf_error(c, &d->at, "option 'Command': Domain \"%s\" "
		    "has Delivery = \"pipe\", but no Command: write the program "
		    "and its arguments, such as Command = { \"/usr/bin/procmail\", "
		    "\"-a\", '${extension}' }", d->name);
	if (list->v[0][0] != '/' || pipe_args_has_macro(list->v[0]))
		return refuse_command(c, d, list->v[0], "the absolute path "
		    "of the program first");
	for (i = 0; i < list->n; i++) {
		octets += strlen(list->v[i]) + 1;
		if (pipe_args_check(list->v[i], &why) == -1)
			return refuse_command(c, d, list->v[i], why);
	}
	if (list->n <= PIPE_ARGS_MAX && octets <= PIPE_ARGS_OCTETS)
		return 0;
	snprintf(found, sizeof(found), "%zu of them", list->n);
	return refuse_command(c, d, found,
	    "at most 64 arguments, and 4096 octets in all");
}

static int
check_headers(struct conf *c, const struct settings_domain *d)
{
	const struct conf_list *list = &d->pipe_headers;
	size_t i, j;

	for (i = 0; i < list->n; i++) {
		for (j = 0; j < NSETTINGS_PIPE_HEADERS; j++)
			if (strcasecmp(list->v[i], names[j]) == 0)
				break;
		if (j == NSETTINGS_PIPE_HEADERS &&
		    (list->n > 1 || strcasecmp(list->v[i], "none") != 0))
			return conf_error_value(c, &d->pipe_headers_at,
			    "Pipe_Headers", list->v[i], "some of Return-Path, "
			    "Delivered-To, X-Original-To and From, or none "
			    "alone");
	}
	if (d->pipe_recipients > 1 &&
	    (settings_pipe_has(d, SETTINGS_PIPE_DELIVERED_TO) ||
	    settings_pipe_has(d, SETTINGS_PIPE_X_ORIGINAL_TO)))
		return conf_error_value(c, &d->pipe_headers_at,
		    "Pipe_Headers", "Delivered-To or X-Original-To",
		    "neither of them unless Pipe_Recipients is 1, since they "
		    "name one recipient");
	return 0;
}

bool
settings_pipe_has(const struct settings_domain *d,
    enum settings_pipe_header which)
{
	size_t i;

	for (i = 0; i < d->pipe_headers.n; i++)
		if (strcasecmp(d->pipe_headers.v[i], names[which]) == 0)
			return true;
	return false;
}

/* Find the account of ${d} in the list, or add it. */
static int
add_account(struct conf *c, struct settings *s, struct settings_domain *d)
{
	struct settings_pipe_account *a;
	unsigned int i;

	if (*d->pipe_user == '\0')
		return conf_error(c, &d->at, "option 'Pipe_User': Domain \"%s\" "
		    "has Delivery = \"pipe\", but no Pipe_User: write the "
		    "account that its program is to have", d->name);
	/* the account that is called otherwise is found at the start */
	if (strcmp(d->pipe_user, "root") == 0)
		return conf_error_value(c, &d->pipe_user_at, "Pipe_User",
		    d->pipe_user, "an account other than root");
	for (i = 0; i < s->npipe_accounts; i++) {
		a = &s->pipe_accounts[i];
		if (strcmp(a->user, d->pipe_user) == 0 &&
		    strcmp(a->group, d->pipe_group) == 0)
			break;
	}
	if (i == SETTINGS_PIPE_ACCOUNTS_MAX)
		return conf_error_value(c, &d->pipe_user_at, "Pipe_User",
		    d->pipe_user, "at most 8 different accounts in all Domain "
		    "sections");
	d->pipe_account = i;
	if (i < s->npipe_accounts)
		return 0;
	s->pipe_accounts[s->npipe_accounts++] =
	    (struct settings_pipe_account){ .user = d->pipe_user,
		.group = d->pipe_group, .at = d->at };
	return 0;
}

int
settings_pipe_check(struct conf *c, struct settings *s)
{
	struct settings_domain *d;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (!settings_is_piped(d)) {
			if (d->command.n == 0)
				continue;
			return conf_error(c, &d->command_at, "option "
			    "'Command': only together with Delivery = "
			    "\"pipe\"");
		}
		if (check_command(c, d) == -1 || check_headers(c, d) == -1 ||
		    add_account(c, s, d) == -1)
			return -1;
	}
	return 0;
}
