#include <criterion/criterion.h>
#include <string.h>

#include "cmd/mailmilld/lookup/mx_self.h"

static struct mx_self *
self_of(const char *config)
{
	struct settings *s;
	struct mx_self *self;
	char text[1024], err[SETTINGS_ERROR_MAX];
	FILE *fp;

	snprintf(text, sizeof(text), "hostname = \"mx.example.test\"\n"
	    "ESMTP_Listener {\n%s\n}\nDomain \"example.test\" { }\n", config);
	fp = fmemopen(text, strlen(text), "r");
	s = settings_load(fp, "test", NULL, 0, err, sizeof(err));
	fclose(fp);
	cr_assert_not_null(s, "%s", err);
	cr_assert_not_null(self = mx_self_new(s));
	settings_free(s);
	return self;
}

static bool
has(const struct mx_self *self, const char *text)
{
	union addr a;

	cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
	return mx_self_has_addr(self, &a);
}

Test(mx_self, our_name_in_any_case)
{
	struct mx_self *self = self_of("Listen \"127.0.0.1:25\" { }");

	cr_expect(mx_self_has_name(self, "MX.example.TEST"));
	cr_expect_not(mx_self_has_name(self, "example.test"));
	cr_assert_eq(mx_self_add_name(self, "other.example"), 0);
	cr_expect(mx_self_has_name(self, "other.example"));
	mx_self_free(self);
	cr_expect_not(mx_self_has_name(NULL, "mx.example.test"));
	cr_expect_not(has(NULL, "127.0.0.1:25"));
}

Test(mx_self, each_name_that_a_listener_has)
{
	struct mx_self *self = self_of("Listen \"127.0.0.1:25\" {\n"
	    "Banner_Hostname = \"banner.example\"\n"
	    "Peer \"192.0.2.0/24\" { Received_Hostname = \"inner.example\" }"
	    "\n}");

	cr_expect(mx_self_has_name(self, "mx.example.test"));
	cr_expect(mx_self_has_name(self, "banner.example"));
	cr_expect(mx_self_has_name(self, "inner.example"));
	cr_expect_not(mx_self_has_name(self, ""));
	mx_self_free(self);
}

Test(mx_self, an_address_with_the_port_that_is_listened_on)
{
	struct mx_self *self = self_of("Listen \"192.0.2.1:25\" { }\n"
	    "Listen \"[2001:db8::1]:2525\" { }");

	cr_expect(has(self, "192.0.2.1:25"));
	cr_expect(has(self, "[::ffff:192.0.2.1]:25"));
	cr_expect_not(has(self, "192.0.2.1:26"));
	cr_expect_not(has(self, "192.0.2.2:25"));
	cr_expect(has(self, "[2001:db8::1]:2525"));
	cr_expect_not(has(self, "[2001:db8::1]:25"));
	mx_self_free(self);
}

Test(mx_self, a_wildcard_is_all_addresses_of_the_machine)
{
	struct mx_self *self = self_of("Listen \"0.0.0.0:25\" { }");

	cr_expect(has(self, "127.0.0.1:25"));
	cr_expect(has(self, "127.1.2.3:25"), "all of 127.0.0.0/8");
	cr_expect_not(has(self, "127.0.0.1:26"));
	cr_expect_not(has(self, "192.0.2.1:25"));
	cr_expect_not(has(self, "[::1]:25"), "of its family alone");
	mx_self_free(self);
	self = self_of("Listen \":25\" { }");
	cr_expect(has(self, "127.0.0.1:25"));
	mx_self_free(self);
}
