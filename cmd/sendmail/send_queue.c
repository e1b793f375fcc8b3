/* See send_queue.h. */

#include "cmd/sendmail/send_queue.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail/send_drop.h"
#include "cmd/sendmail/send_pickup.h"
#include "cmd/settings/paths.h"
#include "core/lim.h"

/* mailmillctl -c conf queue action [filter] [which] */
static int
control(const struct send_args *args, const char *action, const char *filter,
    const char *which)
{
	const char *argv[8] = { args->control_program, "-c", args->conf,
		"queue", action };
	int n = 5;

	if (filter != NULL)
		argv[n++] = filter;
	if (which != NULL)
		argv[n++] = which;
	return send_drop_run(argv, -1) == 0 ? 0 : EX_UNAVAILABLE;
}

int
send_queue_list(const struct send_args *args)
{
	int status = send_drop_list(args->drop_program, args->maildrop);

	if (geteuid() == 0) {
		int queue = control(args, "list", NULL, NULL);

		return queue != 0 ? queue : status;
	}
	if (status == 0)
		fprintf(stderr, "mailmill-sendmail: these are the messages of "
		    "yours that no server has taken yet; the queue of the "
		    "server is shown to root\n");
	return status;
}

int
send_queue_run(const struct send_args *args, const char *domain)
{
	const struct send_pickup p = { args->socket, args->maildrop != NULL ?
		args->maildrop : SEND_MAILDROP, domain,
		/* the other half is for the message that is at the server then */
		LIM_MAILDROP_SECONDS / 2 };
	int status;

	if (args->interval_s > 0)
		return send_pickup_every(&p, args->interval_s);
	if (args->select == 'I')
		return control(args, "retry", NULL, args->selected);
	if (args->select != 0)
		return control(args, "retry", args->select == 'R' ?
		    "--domain" : "--sender", args->selected);
	status = send_pickup(&p);
	if (geteuid() == 0 && control(args, "retry", NULL, "all") != 0)
		return EX_UNAVAILABLE;
	return status;
}
