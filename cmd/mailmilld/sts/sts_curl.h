/* libcurl, loaded by the one process that uses it.
 * All processes are one program.  Linked to it, libcurl and the thirty libraries
 * that it needs in turn would be in each of them: a megabyte of memory, five
 * milliseconds of each start, and code that no other process has a use for.
 * Owns: the library's functions. */

#ifndef CMD_MAILMILLD_STS_STS_CURL_H
#define CMD_MAILMILLD_STS_STS_CURL_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

#define STS_CURL_SONAME	"libcurl.so.4"

/* curl_easy_init() and so on, as sts_curl.easy_init(). */
struct sts_curl {
#define CURL_FN(name) __typeof__(curl_##name) *name;
#include "cmd/mailmilld/sts/sts_curl.def"
#undef CURL_FN
};
extern struct sts_curl sts_curl;

/* sts_curl_load(err_r, errlen): Load it, once, while files can be opened, and have it
 * set itself up.  Return 0, or -1 with a message. */
int sts_curl_load(char *err_r, size_t errlen);

/* sts_curl_lacked(): How often it has had no memory.  It says CURLE_OUT_OF_MEMORY also
 * when a line of a server's header is longer than any that it takes, 100 KiB, of which
 * CURLOPT_HEADERFUNCTION(3) learns nothing. */
uint64_t sts_curl_lacked(void);

enum sts_curl_kind { STS_CURL_FETCHES, STS_CURL_POSTS, STS_CURL_NKINDS };

/* sts_curl_multi(kind): The one handle of all transfers of that kind; NULL: ENOMEM.  It
 * is never freed: libcurl would change what SIGPIPE does, which a process that is bound
 * may not. */
CURLM *sts_curl_multi(enum sts_curl_kind kind);

#endif
