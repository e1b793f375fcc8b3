#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/queue/queue.h"
#include "test/unit/cmd/settings/load.h"

Test(queue_times_of, each_section_has_what_it_says_and_the_rest_of_all)
{
	static struct child child;
	static struct queue_role r = { .child = &child };
	struct settings *s = load_good_settings("queue_lifetime = 3d\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"a.test\" { Retry_Interval = 5m }\n"
	    "Domain \"b.test\" { }\n"
	    "Domain \"c.test\" { retry_interval = 5m queue_lifetime = 3d }\n"
	    "Domain \"d.test\" { queue_lifetime = 1h bounce_lifetime = 2h "
	    "delay_warning = 0 max_retry_interval = 10m }\n");
	const struct queue_times *t;

	child.settings = s;
	cr_assert_eq(queue_times_open(&r), 0);
	cr_assert_eq(queue_times_open(&r), 0, "once more");
	cr_assert_eq(r.ntimes, 2);
	cr_assert_eq(queue_times_find(&r, settings_section(s, "b.test")), 0);
	cr_assert_eq(queue_times_find(&r, settings_section(s, "a.test")),
	    queue_times_find(&r, settings_section(s, "c.test")));
	t = &r.times[queue_times_find(&r, settings_section(s, "a.test")) - 1];
	cr_assert(t->retry_s == 300 && t->max_retry_s == 4 * 3600 &&
	    t->lifetime_s == 3 * 86400 && t->bounce_lifetime_s == 5 * 86400 &&
	    t->warning_s == 4 * 3600);
	t = &r.times[queue_times_find(&r, settings_section(s, "d.test")) - 1];
	cr_assert(t->retry_s == 60 && t->max_retry_s == 600 &&
	    t->lifetime_s == 3600 && t->bounce_lifetime_s == 7200 &&
	    t->warning_s == 0);
	queue_times_close(&r);
	settings_free(s);
}
