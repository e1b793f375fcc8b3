/* What an installed header says of its declarations: C linkage also in C++, and
 * visible outside of the library, whose other functions are hidden. */

#ifndef CORE_API_H
#define CORE_API_H

#ifdef __cplusplus
#define MAILMILL_BEGIN	extern "C" { _Pragma("GCC visibility push(default)")
#define MAILMILL_END	_Pragma("GCC visibility pop") }
#else
#define MAILMILL_BEGIN	_Pragma("GCC visibility push(default)")
#define MAILMILL_END	_Pragma("GCC visibility pop")
#endif

#endif
