/* What every target promises itself: checks that end the program, and a list of the
 * functions that were called. */
#ifndef CHECKS_H
#define CHECKS_H
#define _GNU_SOURCE
#include <storagedriver.h>

#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMISE(condition)                                                                 \
    ((condition)                                                                           \
         ? (void)0                                                                         \
         : (fprintf(stderr, "broken: %s:%d: %s\n", __FILE__, __LINE__, #condition),        \
            abort()))
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- which functions were called ---- */

struct site {
    const char *function;
    unsigned long calls;
};
extern struct site __start_called[], __stop_called[];

/* Every call of the library by a target goes through this one. */
#define CALL(function, ...)                                                                \
    ({                                                                                     \
        static struct site site_                                                           \
            __attribute__((section("called"), used)) = {#function, 0};                     \
        __atomic_add_fetch(&site_.calls, 1, __ATOMIC_RELAXED);                             \
        function(__VA_ARGS__);                                                             \
    })

/* At the end their names go to the file that FUZZ_CALLED names. */
static void write_called(void)
{
    FILE *file = fopen(getenv("FUZZ_CALLED"), "a");
    if (!file)
        return;
    for (struct site *s = __start_called; s < __stop_called; s++)
        if (s->calls)
            fprintf(file, "%s\n", s->function);
    fclose(file);
}
static void end_threads(void)
{
    PROMISE(sd_runtime_shutdown(60000, NULL) == SD_OK);
}
static void prepare(void)
{
    if (getenv("FUZZ_CALLED"))
        atexit(write_called);
    atexit(end_threads); /* before the last look for leaks */
}
/* Every so many runs, or after each one if FUZZ_LEAKS is set, nothing may be left. The
 * library's threads are ended first: the leak checker, which the fuzzer would ask after
 * a run, does not see what threads hold that are just starting. */
static void check_leaks(void)
{
    static unsigned runs;
    if (++runs % 256 && !getenv("FUZZ_LEAKS"))
        return;
    end_threads();
    if (__lsan_do_recoverable_leak_check()) {
        fprintf(stderr, "one of the last 256 inputs; FUZZ_LEAKS=1 tells which\n");
        abort();
    }
}

#define UNTOUCHED ((void *)0x5a5a5a5a5a5a5a5a) /* an output before the call */

/* ---- texts and errors ---- */

static void check_text(const char *text)
{
    PROMISE(text != NULL);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p < 0x80       ? 0
                   : *p >> 5 == 6  ? 1
                   : *p >> 4 == 14 ? 2
                   : *p >> 3 == 30 ? 3
                                   : -1;
        PROMISE(more >= 0);
        for (p++; more > 0; more--, p++)
            PROMISE(*p >> 6 == 2);
    }
}
static void check_error(const sd_error *error)
{
    int64_t offset = 77;
    check_text(CALL(sd_error_message, error));
    PROMISE(strpbrk(sd_error_message(error), "\n\r") == NULL);
    check_text(CALL(sd_error_driver, error));
    check_text(CALL(sd_error_path, error));
    check_text(CALL(sd_error_request_id, error));
    check_text(CALL(sd_error_json, error));
    PROMISE(sd_error_json(error)[0] == '{');
    PROMISE(CALL(sd_error_offset, error, &offset) || offset == 77);
    PROMISE(CALL(sd_error_retry_after_ms, error) >= -1);
    PROMISE(CALL(sd_error_callback_result, error) == 0 ||
            CALL(sd_error_code, error) == SD_ERR_CALLBACK);
    CALL(sd_error_http_status, error);
    CALL(sd_error_is_retryable, error);
}

#endif
