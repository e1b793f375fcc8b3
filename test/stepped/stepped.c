/* mailmilld whose wall clock a test can set, for all of its processes at once.
 * The file "clock" beside the program holds by how many seconds it is ahead: an
 * int64_t of this machine, which the test changes in place.  Each process maps it
 * when it starts, while it still may.
 * Owns: what the objects of mailmilld call to read the wall clock.  Libraries
 * still see the system's, and so do the times of files. */

#include <sys/mman.h>
#include <sys/time.h>

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t *ahead;	/* NULL: there is no such file */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);
int __real_gettimeofday(struct timeval *tv, void *tz);
int __wrap_gettimeofday(struct timeval *tv, void *tz);

static void __attribute__((constructor))
map_clock(void)
{
	char path[PATH_MAX + 8], *slash;
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	void *map;
	int fd;

	if (n <= 0)
		return;
	path[n] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return;
	strcpy(slash, "/clock");
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	map = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		ahead = map;
}

static time_t
seconds_ahead(void)
{
	return ahead == NULL ? 0 :
	    (time_t)__atomic_load_n(ahead, __ATOMIC_RELAXED);
}

int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = __real_clock_gettime(id, ts);

	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += seconds_ahead();
	return rc;
}

time_t
__wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + seconds_ahead();

	if (t != NULL)
		*t = now;
	return now;
}

int
__wrap_gettimeofday(struct timeval *tv, void *tz)
{
	int rc = __real_gettimeofday(tv, tz);

	if (rc == 0 && tv != NULL)
		tv->tv_sec += seconds_ahead();
	return rc;
}
