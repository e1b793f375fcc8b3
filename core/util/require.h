/* Misuse of a documented function by the program that calls it.
 * Owns: how such a program is ended.
 * What can be tolerated is tolerated, and the manual pages say so.  What cannot,
 * since the function would go on in memory that is not its own, ends the
 * process, in release builds too.  The line that it leaves on standard error
 * names the function, as in the manual, and the rule that was broken. */

#ifndef CORE_UTIL_REQUIRE_H
#define CORE_UTIL_REQUIRE_H

/* REQUIRE(function, condition, rule): ${condition} is what ${rule} demands of
 * the caller of ${function}.  The name is given as a text, since __func__ would
 * be that of a helper, or of the symbol that a macro has made of the name. */
#define REQUIRE(function, condition, rule) \
	(__builtin_expect(!!(condition), 1) ? (void)0 : \
	    require_failed(function, rule))

/* REQUIRE_OUTSIDE(function, is_inside, call, instead): ${function} is not called
 * inside ${call}, which goes on afterwards with what ${function} ends or frees;
 * ${instead} says when to call it, or what else. */
#define REQUIRE_OUTSIDE(function, is_inside, call, instead) \
	REQUIRE(function, !(is_inside), "not inside " call ": " instead)

void require_failed(const char *function, const char *rule)
    __attribute__((noreturn, cold));

#endif
