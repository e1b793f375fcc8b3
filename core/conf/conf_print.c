/* Configuration: values written, see conf_print.h. */

#include "core/conf/conf_print.h"

#include <string.h>

#include "core/util/saslprep.h"

/* Does a control character of two octets, U+0080 to U+009F, begin at ${p} in a
 * text of UTF-8?  Some terminals obey them. */
static bool
is_control(const unsigned char *p)
{
	return p[0] == 0xc2 && p[1] < 0xa0;
}

/* Write ${s}, with a backslash before what double quotes do not hold if it
 * ${is_quoted}. */
static void
print(FILE *fp, const char *s, bool is_quoted)
{
	const unsigned char *p = (const unsigned char *)s;
	bool is_utf8 = saslprep_is_utf8(s, strlen(s)) != 0;

	for (; *p != '\0'; p++) {
		if (is_utf8 && is_control(p)) {
			fprintf(fp, "\\x%02x\\x%02x", p[0], p[1]);
			p++;
		} else if (*p < 32 || *p == 127 || (*p > 127 && !is_utf8))
			fprintf(fp, "\\x%02x", *p);
		else if (is_quoted && (*p == '"' || *p == '\\' ||
		    (*p == '$' && p[1] == '{')))
			fprintf(fp, "\\%c", *p);
		else
			putc(*p, fp);
	}
}

void
conf_print_plain(FILE *fp, const char *s)
{
	print(fp, s, false);
}

void
conf_print_quoted(FILE *fp, const char *s)
{
	putc('"', fp);
	print(fp, s, true);
	putc('"', fp);
}

static void
print_list(FILE *fp, const struct conf_list *l)
{
	size_t i;

	fputs("{", fp);
	for (i = 0; i < l->n; i++) {
		fputs(i == 0 ? " " : ", ", fp);
		conf_print_quoted(fp, l->v[i]);
	}
	fputs(" }", fp);
}

void
conf_print_value(FILE *fp, const void *base, const struct conf_field *f)
{
	const void *at = (const char *)base + f->offset;
	char buf[CONF_FIELD_TEXT];

	if (conf_field_is_list(f))
		print_list(fp, at);
	else if (conf_field_text(base, f, buf) != NULL)
		fputs(buf, fp);
	else
		conf_print_quoted(fp, *(char *const *)at);
}
