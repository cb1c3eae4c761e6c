/* The Swift runtime inside the library looks for SWIFT_* variables when it is opened: some make it print, SWIFT_BACKTRACE installs
 * signal handlers. They are meant for Swift programs, not for a host that happens to be one too, and the header promises that
 * the library does none of this. So inside the library the environment is empty: the linker sends its getenv and environ here
 * (see Package.swift). The host's own, and those of other libraries, are as they were. */
#include <stddef.h>

char *__wrap_getenv(const char *name);
char *__wrap_getenv(const char *name) {
    (void)name;
    return NULL;
}

static char *none[] = {NULL};
extern char **__wrap_environ;
char **__wrap_environ = none;
