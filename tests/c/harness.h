/* What the C tests share; included first. Tests of a driver run on every kind that the
 * library has, or on those that the command line names. */
#ifndef HARNESS_H
#define HARNESS_H
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <storagedriver.h>

static int tests_run, tests_failed, test_is_bad;
static char **kinds_wanted;
static char driver_root[64];

#define CHECK(cond)           check((cond) ? 1 : 0, #cond, __FILE__, __LINE__)
#define CHECK_TEXT(got, want) check_text((got), (want), #got, __FILE__, __LINE__)
#define CHECK_STATUS(got, want)                                                            \
    check_text(sd_status_name(got), sd_status_name(want), #got, __FILE__, __LINE__)
/* The call failed so, and its error, freed here, says the same. */
#define CHECK_ERROR(call, want)                                                            \
    (CHECK_STATUS(call, want), CHECK_STATUS(sd_error_code(err), want), sd_error_free(err), \
     err = NULL)
#define RUN(test)         (test(), end_test(#test, ""))
#define RUN_ON_EACH(test) run_on_each(#test, test)
#define begin_tests(argv) (kinds_wanted = (argv) + 1)

static inline int check(int good, const char *what, const char *file, int line)
{
    if (!good)
        printf("# %s:%d: %s\n", file, line, what);
    test_is_bad |= !good;
    return good;
}
static inline int check_text(const char *got, const char *want, const char *what,
                             const char *file, int line)
{
    int same = got && strcmp(got, want) == 0;
    if (!same)
        printf("# got \"%s\", not \"%s\"\n", got ? got : "(null)", want);
    return check(same, what, file, line);
}
static inline void end_test(const char *name, const char *kind)
{
    printf("%sok %d - ", test_is_bad ? "not " : "", ++tests_run);
    for (; *name; name++)
        putchar(*name == '_' ? ' ' : *name);
    printf("%s%s\n", *kind ? ", " : "", kind);
    fflush(stdout);
    tests_failed += test_is_bad;
    test_is_bad = 0;
}
static inline int remove_one(const char *path, const struct stat *s, int type,
                             struct FTW *ftw)
{
    (void)s, (void)type, (void)ftw;
    return remove(path);
}
static inline void remove_files(void)
{
    if (*driver_root)
        nftw(driver_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *driver_root = '\0';
}
/* A driver on an empty store. One at a time has files. */
static inline sd_driver *make_driver(const char *kind)
{
    sd_driver *driver = NULL;
    sd_params *params = sd_params_new();
    if (strcmp(kind, "filesystem") == 0) {
        strcpy(driver_root, "/tmp/sd-test-XXXXXX");
        CHECK(mkdtemp(driver_root) != NULL);
        sd_params_set_string(params, "rootdirectory", driver_root);
    }
    CHECK_STATUS(sd_factory_create(kind, NULL, params, &driver, NULL), SD_OK);
    sd_params_free(params);
    return driver;
}
static inline void run_on_each(const char *name, void (*test)(sd_driver *driver))
{
    const char *both[] = {"inmemory", "filesystem", NULL};
    const char *const *kind = *kinds_wanted ? (const char *const *)kinds_wanted : both;
    for (; *kind; kind++) {
        if (!*kinds_wanted && !strstr(sd_features(), *kind))
            continue;
        sd_driver *driver = make_driver(*kind);
        test(driver);
        sd_driver_free(driver);
        remove_files();
        end_test(name, *kind);
    }
}
static inline int end_tests(void)
{
    printf("1..%d\n", tests_run);
    return tests_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
