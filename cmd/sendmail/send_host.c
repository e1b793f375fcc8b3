/* See send_host.h. */

#include "cmd/sendmail/send_host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/mailaddr.h"

#define MAILNAME	"/etc/mailname"

void
send_host_domain(char out[SEND_HOST_MAX])
{
	FILE *fp = fopen(MAILNAME, "re");

	*out = '\0';
	if (fp != NULL) {
		if (fgets(out, SEND_HOST_MAX, fp) == NULL)
			*out = '\0';
		fclose(fp);
		out[strcspn(out, " \t\r\n")] = '\0';
	}
	if (mailaddr_domain_valid(out, strlen(out), false))
		return;
	if (gethostname(out, SEND_HOST_MAX) == -1)
		*out = '\0';
	out[SEND_HOST_MAX - 1] = '\0';
	if (!mailaddr_domain_valid(out, strlen(out), false))
		snprintf(out, SEND_HOST_MAX, "localhost");
}

void
send_host_name_of(const struct passwd *pw, char out[SEND_NAME_MAX])
{
	const char *p = pw == NULL || pw->pw_gecos == NULL ? "" : pw->pw_gecos;
	size_t n = 0;

	/* the first of the fields; & is the name of the account */
	for (; *p != '\0' && *p != ',' && n + 1 < SEND_NAME_MAX; p++) {
		if (*p != '&') {
			out[n++] = *p;
			continue;
		}
		n += strlcpy(out + n, pw->pw_name, SEND_NAME_MAX - n);
		if (n >= SEND_NAME_MAX)
			n = SEND_NAME_MAX - 1;
	}
	out[n] = '\0';
}
