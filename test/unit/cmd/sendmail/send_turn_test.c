#include "cmd/sendmail/send_turn.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct send_turn t;
static const char *in;
static size_t piece;

/* The program has said all of ${script}, and reads nothing before its end. */
static void
begin(const char *script, size_t octets)
{
	memset(&t, 0, sizeof(t));
	in = script;
	piece = octets;
}

/* The server says ${reply}, an octet at a time, and gets ${want}. */
static void
turn(const char *reply, const char *want)
{
	char out[512];
	size_t len, used, n, got = 0;

	for (; *reply != '\0'; reply++)
		send_turn_reply(&t, reply, 1);
	do {
		len = strlen(in) < piece ? strlen(in) : piece;
		used = send_turn_input(&t, in, len, out + got, &n);
		cr_assert(used <= len && n <= 2 * len);
		got += n;
		in += used;
	} while (len > 0 && used == len);
	cr_expect(got == strlen(want) && memcmp(out, want, got) == 0,
	    "in pieces of %zu: \"%.*s\" instead of \"%s\"", piece, (int)got,
	    out, want);
}

/* RFC 5321 4.1.1.1, RFC 2920 3.1: what the server would refuse in one group */
Test(send_turn, a_script_has_a_reply_to_each_command)
{
	for (size_t n = 1; n < 200; n++) {
		begin("EHLO x\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\n"
		    "DATA\nSubject: x\n\n..\n.x\nx.\n.\nQUIT\n", n);
		turn("", "");
		turn("220 mx.x.test\r\n", "EHLO x\r\n");
		turn("250-mx.x.test\r\n250-SIZE", "");
		turn("\r\n250 DSN\r\n", "MAIL FROM:<a@x.test>\r\n");
		turn("250\r\n", "RCPT TO:<b@x.test>\r\n");
		turn("250 OK\r\n", "DATA\r\n");
		turn("354 go on\r\n",
		    "Subject: x\r\n\r\n..\r\n.x\r\nx.\r\n.\r\n");
		turn("250 OK\r\n", "QUIT\r\n");
		turn("221 bye\r\n", "");
		cr_expect_eq(*in, '\0');
	}
}

Test(send_turn, a_message_may_be_empty)
{
	begin("DATA\n.\nDATA\n.\r\n.", 100);
	turn("220 x\n", "DATA\r\n");
	turn("354 x\n", ".\r\n");
	turn("250 x\n", "DATA\r\n");
	turn("354 x\n", ".\r\n");
	turn("250 x\n", ".");
}

/* A program that speaks SMTP with CRLF looks for dots behind CRLF: what somebody else
 * has written is no end, and no command. */
Test(send_turn, text_behind_crlf_ends_with_crlf)
{
	static const char text[] = "a\n.\nb\n.\r\nc\r\n.\nd\r.\r\ne\r\n..\r\n"
	    "\r\n.\rf\r\n.\r\n";
	char script[128];

	for (size_t n = 1; n < 60; n++) {
		snprintf(script, sizeof(script), "NOOP\nDATA\r\n%sQUIT\n", text);
		begin(script, n);
		turn("220 x\r\n", "NOOP\r\n");
		turn("250 x\r\n", "DATA\r\n");
		turn("354 x\r\n", text);
		turn("250 x\r\n", "QUIT\r\n");
	}
}

/* A refused DATA is followed by commands, as far as they are some. */
Test(send_turn, text_is_text_if_the_server_says_354)
{
	begin("DATA\nSubject: x\n\n.\nRSET\n", 3);
	turn("220 x\r\n", "DATA\r\n");
	turn("503 x\r\n", "Subject: x\r\n");
	turn("500 x\r\n", "\r\n");
	turn("500 x\r\n", ".\r\n");
	turn("500 x\r\n", "RSET\r\n");
}

/* RFC 3030 2: octets as they are, and one reply to them with their command */
Test(send_turn, a_chunk_has_its_octets)
{
	for (size_t n = 1; n < 40; n++) {
		begin("bdat 7\r\na\n\n.\nb\nBDAT 0 LAST\nBDAT 3\nabcNOOP\n", n);
		turn("220 x\r\n", "bdat 7\r\na\n\n.\nb\n");
		turn("250 x\r\n", "BDAT 0 LAST\r\n");
		turn("250 x\r\n", "BDAT 3\r\nabc");
		turn("503 x\r\n", "NOOP\r\n");
	}
}

/* Whether it is answered when it has begun, or at its end */
Test(send_turn, a_reply_before_the_end_is_not_waited_for_twice)
{
	begin("BDAT 3\r\nab", 100);
	turn("220 x\r\n", "BDAT 3\r\nab");
	in = "cNOOP\n";
	turn("503 x\r\n", "cNOOP\r\n");
	begin("DATA\r\na\r\n", 100);
	turn("220 x\r\n", "DATA\r\n");
	turn("354 x\r\n", "a\r\n");
	in = ".\r\nNOOP\n";
	turn("552 x\r\n", ".\r\nNOOP\r\n");
	turn("250 x\r\n", "");
}

Test(send_turn, tls_is_octets)
{
	begin("STARTTLS\r\nSTARTTLS\r\n\x16\n\n.\n", 100);
	turn("220 x\r\n", "STARTTLS\r\n");
	turn("454 x\r\n", "STARTTLS\r\n");
	turn("220 x\r\n", "\x16\n\n.\n");
}
