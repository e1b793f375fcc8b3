/* A libcurl that transfers nothing; see fake_curl.h. */

#include "test/unit/cmd/mailmilld/sts/fake_curl.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFERS_MAX	256

static struct fake_curl all[TRANSFERS_MAX];
static curl_multi_timer_callback set_timer;
static void *timer_data;

static CURL *
easy_init(void)
{
	unsigned int i;

	for (i = 0; i < TRANSFERS_MAX && all[i].is_used; i++)
		;
	cr_assert_lt(i, TRANSFERS_MAX);
	all[i] = (struct fake_curl){ .is_used = true };
	return (CURL *)&all[i];
}

static void
take_fields(struct fake_curl *c, const struct curl_slist *list)
{
	for (; list != NULL; list = list->next) {
		strlcat(c->fields, list->data, sizeof(c->fields));
		strlcat(c->fields, "\n", sizeof(c->fields));
	}
}

static CURLcode
easy_setopt(CURL *easy, CURLoption option, ...)
{
	struct fake_curl *c = (struct fake_curl *)easy;
	va_list ap;

	va_start(ap, option);
	switch (option) {
	case CURLOPT_URL:
		strlcpy(c->url, va_arg(ap, const char *), sizeof(c->url));
		break;
	case CURLOPT_HTTPHEADER:
		take_fields(c, va_arg(ap, const struct curl_slist *));
		break;
	case CURLOPT_POST:
		c->is_post = va_arg(ap, long) == 1;
		break;
	case CURLOPT_POSTFIELDSIZE_LARGE:
		c->size = va_arg(ap, curl_off_t);
		break;
	case CURLOPT_READFUNCTION:
		c->read = va_arg(ap, curl_read_callback);
		break;
	case CURLOPT_READDATA:
		c->readdata = va_arg(ap, void *);
		break;
	case CURLOPT_WRITEFUNCTION:
		c->write = va_arg(ap, curl_write_callback);
		break;
	case CURLOPT_WRITEDATA:
		c->writedata = va_arg(ap, void *);
		break;
	case CURLOPT_FOLLOWLOCATION:
		c->follows = va_arg(ap, long);
		break;
	case CURLOPT_TIMEOUT:
		c->seconds = va_arg(ap, long);
		break;
	case CURLOPT_SSL_VERIFYPEER:
		c->is_verified = va_arg(ap, long) == 1;
		break;
	default:
		break;
	}
	va_end(ap);
	return CURLE_OK;
}

static CURLcode
easy_getinfo(CURL *easy, CURLINFO info, ...)
{
	const struct fake_curl *c = (const struct fake_curl *)easy;
	va_list ap;

	va_start(ap, info);
	if (info == CURLINFO_RESPONSE_CODE)
		*va_arg(ap, long *) = c->status;
	else if (info == CURLINFO_STARTTRANSFER_TIME_T)
		*va_arg(ap, curl_off_t *) = c->has_begun;
	va_end(ap);
	return CURLE_OK;
}

static void
easy_cleanup(CURL *easy)
{
	((struct fake_curl *)easy)->is_used = false;
}

static CURLM *
multi_init(void)
{
	static char multi;

	return (CURLM *)(void *)&multi;
}

static CURLMcode
multi_setopt(CURLM *, CURLMoption option, ...)
{
	va_list ap;

	va_start(ap, option);
	if (option == CURLMOPT_TIMERFUNCTION)
		set_timer = va_arg(ap, curl_multi_timer_callback);
	else if (option == CURLMOPT_TIMERDATA)
		timer_data = va_arg(ap, void *);
	va_end(ap);
	return CURLM_OK;
}

static CURLMcode
multi_handle(CURLM *, CURL *)
{
	return CURLM_OK;
}

static CURLMcode
multi_socket_action(CURLM *, curl_socket_t, int, int *)
{
	return CURLM_OK;
}

static CURLMsg *
multi_info_read(CURLM *, int *left)
{
	static CURLMsg msg;
	unsigned int i;

	*left = 0;
	for (i = 0; i < TRANSFERS_MAX; i++)
		if (all[i].is_used && all[i].has_ended) {
			all[i].has_ended = false;
			msg.msg = CURLMSG_DONE;
			msg.easy_handle = (CURL *)&all[i];
			msg.data.result = all[i].code;
			return &msg;
		}
	return NULL;
}

static struct curl_slist *
slist_append(struct curl_slist *list, const char *text)
{
	struct curl_slist *one = calloc(1, sizeof(*one)), *last = list;

	cr_assert_not_null(one);
	cr_assert_not_null(one->data = strdup(text));
	while (last != NULL && last->next != NULL)
		last = last->next;
	if (last != NULL)
		last->next = one;
	return list == NULL ? one : list;
}

static void
slist_free_all(struct curl_slist *list)
{
	struct curl_slist *next;

	for (; list != NULL; list = next) {
		next = list->next;
		free(list->data);
		free(list);
	}
}

void
fake_curl_set(void)
{
	memset(all, 0, sizeof(all));
	sts_curl = (struct sts_curl){ .easy_init = easy_init,
		.easy_cleanup = easy_cleanup, .multi_init = multi_init,
		.multi_add_handle = multi_handle,
		.multi_remove_handle = multi_handle,
		.multi_socket_action = multi_socket_action,
		.multi_info_read = multi_info_read,
		.slist_append = slist_append,
		.slist_free_all = slist_free_all };
	/* they are macros, too */
	sts_curl.easy_setopt = easy_setopt;
	sts_curl.easy_getinfo = easy_getinfo;
	sts_curl.multi_setopt = multi_setopt;
}

unsigned int
fake_curl_count(void)
{
	unsigned int n = 0, i;

	for (i = 0; i < TRANSFERS_MAX; i++)
		n += all[i].is_used;
	return n;
}

struct fake_curl *
fake_curl_find(const char *url)
{
	unsigned int i;

	for (i = 0; i < TRANSFERS_MAX; i++)
		if (all[i].is_used && strcmp(all[i].url, url) == 0)
			return &all[i];
	return NULL;
}

void
fake_curl_end(struct fake_curl *c, CURLcode code, long status)
{
	c->code = code;
	c->status = status;
	c->has_ended = true;
	cr_assert_eq(set_timer(NULL, 0, timer_data), 0);
}
