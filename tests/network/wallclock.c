/* Preloaded into a program: its wall clock is ahead by the seconds in the file $WALL_CLOCK_AHEAD.
 *
 * The file is read at each call, so the clock jumps when the file is replaced. Other clocks and all
 * waiting are left alone. libfaketime would do, but until 0.9.10 (Debian 12) its clock_nanosleep
 * fails with EINVAL where the monotonic clock stays right, and with it each time.sleep of Python
 * 3.11: https://github.com/wolfcw/libfaketime/issues/426 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_function)(clockid_t, struct timespec *);

static long ahead(void) {
    const char *path = getenv("WALL_CLOCK_AHEAD");
    int before = errno;
    char text[32] = "";
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(file);
    }
    errno = before;
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static clock_function real;
    if (!real)
        real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return code;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
