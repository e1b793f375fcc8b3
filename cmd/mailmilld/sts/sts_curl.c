/* libcurl; see sts_curl.h. */

#include "cmd/mailmilld/sts/sts_curl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sts_curl sts_curl;
static uint64_t lacked;

static const struct {
	const char	*name;
	size_t		 offset;
} functions[] = {
#define CURL_FN(name) { "curl_" #name, offsetof(struct sts_curl, name) },
#include "cmd/mailmilld/sts/sts_curl.def"
#undef CURL_FN
};

/* --- its memory ------------------------------------------------------------- */

static void *
note(void *p, size_t size)
{
	lacked += p == NULL && size > 0;
	return p;
}

static void *
take(size_t size)
{
	return note(malloc(size), size);
}

static void *
take_zeroed(size_t n, size_t size)
{
	return note(calloc(n, size), n * size);
}

static void *
change(void *p, size_t size)
{
	return note(realloc(p, size), size);
}

static char *
copy(const char *s)
{
	return note(strdup(s), 1);
}

uint64_t
sts_curl_lacked(void)
{
	return lacked;
}

/* --- the library ------------------------------------------------------------ */

/* It stays loaded: its libraries have functions that are called at exit. */
int
sts_curl_load(char *err_r, size_t errlen)
{
	static void *library;
	void *f;
	size_t i;

	if (library != NULL)
		return 0;
	if ((library = dlopen(STS_CURL_SONAME, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		snprintf(err_r, errlen, "%s: install the Debian package "
		    "libcurl4", dlerror());
		return -1;
	}
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if ((f = dlsym(library, functions[i].name)) == NULL) {
			snprintf(err_r, errlen, "%s", dlerror());
			return -1;
		}
		memcpy((char *)&sts_curl + functions[i].offset, &f, sizeof(f));
	}
	if (sts_curl.global_init_mem(CURL_GLOBAL_DEFAULT, take, free, change,
	    copy, take_zeroed) != CURLE_OK) {
		snprintf(err_r, errlen, "%s cannot be set up", STS_CURL_SONAME);
		return -1;
	}
	return 0;
}

CURLM *
sts_curl_multi(enum sts_curl_kind kind)
{
	static CURLM *multi[STS_CURL_NKINDS];

	if (multi[kind] == NULL)
		multi[kind] = sts_curl.multi_init();
	return multi[kind];
}
