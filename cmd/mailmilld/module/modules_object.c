/* A shared object that is to be a module: loaded, and its struct found in it.
 * Nothing of the struct is believed before it has been checked; but the object
 * may have constructors, which dlopen(3) calls. */

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/module/modules_int.h"
#include "core/lim.h"

#define NAME		"mailmill_module"
#define LIBRARY		"libmailmill.so.0"
#define NAME_MAX_OCTETS	32
/* what the first version had */
#define SIZE_MIN	sizeof(struct mailmill_module)

/* Where ${map} lies in memory. */
struct place {
	const struct link_map	*map;
	uintptr_t		 begin, end;
};

static int
find_place(struct dl_phdr_info *info, size_t, void *closure)
{
	struct place *p = closure;
	uintptr_t begin, end;
	int i;

	if (info->dlpi_addr != p->map->l_addr)
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		end = begin + info->dlpi_phdr[i].p_memsz;
		if (p->begin == 0 || begin < p->begin)
			p->begin = begin;
		if (end > p->end)
			p->end = end;
	}
	return 1;
}

/* Is there a library in the process that has the same functions, and a state of
 * its own? */
static bool
has_second_copy(void)
{
	void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_NOLOAD);

	if (handle != NULL)
		dlclose(handle);
	return handle != NULL;
}

static bool
is_name(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (i == NAME_MAX_OCTETS || (!isalnum((unsigned char)name[i]) &&
		    name[i] != '-' && name[i] != '_'))
			return false;
	return i > 0;
}

/* Has the struct, of ${size} octets, members that we do not know, and are they
 * set?  Then it was written for a later version. */
static bool
has_more(const void *found, size_t size)
{
	const char *octets = found;
	size_t i;

	for (i = sizeof(struct mailmill_module); i < size; i++)
		if (octets[i] != 0)
			return true;
	return false;
}

/* The object's own symbol, of ${room} octets. */
static int
check_struct(struct module *m, const struct mailmill_module *found,
    size_t room, char *err_r, size_t errlen)
{
	const size_t head = offsetof(struct mailmill_module, name);

	if (room < head || found->magic != MAILMILL_MODULE_MAGIC)
		snprintf(err_r, errlen, NAME " has not the magic number of a "
		    "module: begin it with MAILMILL_MODULE_HEAD");
	else if (found->abi != MAILMILL_MODULE_ABI)
		snprintf(err_r, errlen, NAME " is for version %u of the "
		    "interface, this server has %u: compile it with the "
		    "headers of this server", found->abi, MAILMILL_MODULE_ABI);
	else if (found->size < SIZE_MIN || found->size > room)
		snprintf(err_r, errlen, NAME " says that it has %zu octets, but "
		    "has %zu, and a module at least %zu", found->size, room,
		    SIZE_MIN);
	else if (has_more(found, found->size))
		snprintf(err_r, errlen, NAME " has %zu octets and needs more "
		    "than this server knows (%zu): it is for a later version",
		    found->size, sizeof(*found));
	else if (found->name == NULL || !is_name(found->name))
		snprintf(err_r, errlen, NAME ".name is not 1 to %d letters, "
		    "digits, '-' or '_'", NAME_MAX_OCTETS);
	else if (found->job_threads > LIM_JOB_THREADS)
		snprintf(err_r, errlen, NAME ".job_threads is %u, more than %d",
		    found->job_threads, LIM_JOB_THREADS);
	else {
		memcpy(&m->is, found, sizeof(m->is));
		return 0;
	}
	return -1;
}

/* The last thing that dlopen(3) or dlsym(3) has said, without the path, which the
 * message has. */
static int
say_dlerror(const char *real, char *err_r, size_t errlen)
{
	const char *why = dlerror();
	size_t len = strlen(real);

	if (why == NULL)
		why = "it cannot be loaded";
	if (strncmp(why, real, len) == 0 && strncmp(why + len, ": ", 2) == 0)
		why += len + 2;
	snprintf(err_r, errlen, "%s", why);
	return -1;
}

/* What has been loaded with ${map}, which is behind it in the list: may that code
 * run here?  Its constructors have run, which is why no process that loads modules
 * can become root. */
static int
check_needed(const struct link_map *map, uid_t owner, char *err_r,
    size_t errlen)
{
	char path[PATH_MAX], why[MODULES_ERROR_MAX / 4];

	for (map = map->l_next; map != NULL; map = map->l_next) {
		if (modules_file_check(map->l_name, owner, path, why,
		    sizeof(why)) == 0)
			continue;
		snprintf(err_r, errlen, "it needs another object: %s", why);
		return -1;
	}
	return 0;
}

int
modules_object_find(struct module *m, const char *real, uid_t owner,
    char *err_r, size_t errlen)
{
	const ElfW(Sym) *sym = NULL;
	struct place place = { 0 };
	void *found, *entry = NULL;
	struct link_map *map;
	Dl_info info;

	/* all that it needs now: later no code can be mapped */
	if ((m->handle = dlopen(real, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return say_dlerror(real, err_r, errlen);
	if (has_second_copy()) {
		snprintf(err_r, errlen, "it is linked with " LIBRARY ", which "
		    "would be a second library beside the server's own: link "
		    "it without -lmailmill");
		return -1;
	}
	if (dlinfo(m->handle, RTLD_DI_LINKMAP, &map) == -1)
		return say_dlerror(real, err_r, errlen);
	if (check_needed(map, owner, err_r, errlen) == -1)
		return -1;
	place.map = map;
	(void)dl_iterate_phdr(find_place, &place);
	m->begin = place.begin;
	m->end = place.end;
	if ((found = dlsym(m->handle, NAME)) == NULL ||
	    (uintptr_t)found < m->begin || (uintptr_t)found >= m->end ||
	    dladdr1(found, &info, &entry, RTLD_DL_SYMENT) == 0 ||
	    (sym = entry) == NULL ||
	    ELF64_ST_TYPE(sym->st_info) != STT_OBJECT) {
		snprintf(err_r, errlen, "it has no struct " NAME ": it is not a "
		    "module of mailmilld");
		return -1;
	}
	return check_struct(m, found, sym->st_size, err_r, errlen);
}
