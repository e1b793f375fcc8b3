#include "cmd/sendmail/send_envelope.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool.h"

#define HEAD	SEND_ENVELOPE_HEAD "\n"

static ssize_t
read_text(const char *s, struct send_envelope *env)
{
	size_t len = strlen(s);
	char *copy = malloc(len + 1);	/* so that a checker sees the end */
	ssize_t n;

	memcpy(copy, s, len);
	*env = (struct send_envelope){ .flags = 0 };
	n = send_envelope_read(copy, len, env);
	free(copy);
	return n;
}

Test(send_envelope, what_is_written_is_read)
{
	struct send_envelope env = { .sender = "a@x.test", .envid = "id=1",
		.flags = SPOOL_ENV_8BITMIME | SPOOL_ENV_RET_HDRS,
		.notify = SPOOL_NOTIFY_FAILURE }, again = { .flags = 0 };
	char *text, *text_again;
	size_t len, len_again;
	FILE *out = open_memstream(&text, &len);

	send_list_add(&env.rcpts, "b@x.test");
	send_list_add(&env.rcpts, "\"c d\"@[192.0.2.1]");
	send_envelope_write(&env, out);
	fputs("Subject: x\r\n", out);
	fclose(out);
	cr_assert_eq(send_envelope_read(text, len, &again),
	    (ssize_t)len - 12);
	out = open_memstream(&text_again, &len_again);
	send_envelope_write(&again, out);
	fclose(out);
	cr_expect(len_again == len - 12 && memcmp(text, text_again,
	    len_again) == 0);
	free(text);
	free(text_again);
	send_envelope_free(&env);
	send_envelope_free(&again);
}

Test(send_envelope, what_nobody_here_has_written_is_none)
{
	static const char *const bad[] = {
		"", "\n", "S\n", HEAD, HEAD "\n", HEAD "Sa@b\n\n",
		HEAD "Sa@b\nRc@d\n", HEAD "Sa@b\nRc@d", HEAD "Sa\nRc@d\n\n",
		HEAD "Sa@b\nRc@D.test\n\n", HEAD "Sa@b\nR\n\n",
		HEAD "Sa@b\nRc@d>\n\n", HEAD "Sa@b\nR<c@d>\n\n",
		HEAD "Sa@b\nRc@d\r\n\n", HEAD "Sa@b\nRc d@e\n\n",
		HEAD "Sa@b\nF4096\nRc@d\n\n", HEAD "Sa@b\nF\nRc@d\n\n",
		HEAD "Sa@b\nF99999999999\nRc@d\n\n", HEAD "Sa@b\nF-1\nRc@d\n\n",
		HEAD "Sa@b\nN255\nRc@d\n\n", HEAD "Sa@b\nE\nRc@d\n\n",
		HEAD "Sa@b\nEx y\nRc@d\n\n", HEAD "Sa@b\nXx\nRc@d\n\n",
		HEAD "Sa@b\nRc@d\nR\x01@d\n\n"
	};
	struct send_envelope env;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(read_text(bad[i], &env), -1, "%zu: %s", i, bad[i]);
		cr_expect_eq(errno, EBADMSG);
		cr_expect_null(env.rcpts.v);
	}
	cr_expect_gt(read_text(HEAD "S\nRc@d\n\nx", &env), 0);
	send_envelope_free(&env);
}
