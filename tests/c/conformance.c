/* Section 14: conformance. */
#include "harness.h"

#include <pthread.h>

struct tally {
    size_t cases, failed;
    char last[128];
};

static void on_case(void *user, const char *name, sd_status status, const char *detail)
{
    struct tally *tally = user;
    tally->cases++;
    tally->failed += status == SD_ERR_CONFORMANCE;
    snprintf(tally->last, sizeof tally->last, "%s", name);
    if (status < 0)
        printf("# %s: %s: %s\n", name, sd_status_name(status), detail ? detail : "");
}
static sd_conformance_options small(struct tally *tally)
{
    sd_conformance_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.max_object_size = 1 << 20;
    options.on_case = on_case;
    options.user = tally;
    return options;
}

static void a_driver_of_ours_conforms_and_keeps_what_was_there(sd_driver *driver)
{
    struct tally tally = {0, 0, ""};
    sd_conformance_options options = small(&tally);
    sd_buffer *report = NULL, *content = NULL;
    sd_names *names = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_put_content(driver, NULL, "/mine", "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_conformance_run(driver, NULL, &options, &report, &err), SD_OK);
    CHECK(tally.cases > 200 && tally.failed == 0);
    CHECK(report && sd_buffer_data(report)[0] == '{');
    CHECK(strstr((const char *)sd_buffer_data(report), "\"failed\":0") != NULL);
    sd_buffer_free(report);
    CHECK(err == NULL);
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    CHECK(sd_names_count(names) == 1);
    sd_names_free(names);
    CHECK_STATUS(sd_get_content(driver, NULL, "/mine", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "x");
    sd_buffer_free(content);
}

static void a_filter_picks_cases(sd_driver *driver)
{
    struct tally some = {0, 0, ""}, one = {0, 0, ""}, none = {0, 0, ""};
    sd_conformance_options options = small(&some);
    sd_buffer *report = NULL;
    options.filter = "errors/*";
    CHECK_STATUS(sd_conformance_run(driver, NULL, &options, NULL, NULL), SD_OK);
    CHECK(some.cases > 1 && strncmp(some.last, "errors/", 7) == 0);
    options.user = &one;
    options.filter = some.last;
    CHECK_STATUS(sd_conformance_run(driver, NULL, &options, &report, NULL), SD_OK);
    sd_buffer_free(report);
    CHECK(one.cases == 1);
    CHECK_TEXT(one.last, some.last);
    options.user = &none;
    options.filter = "no such case";
    report = NULL;
    CHECK_STATUS(sd_conformance_run(driver, NULL, &options, &report, NULL),
                 SD_ERR_INVALID_ARGUMENT);
    CHECK(none.cases == 0 && report == NULL);
}

static void options_are_checked_as_everywhere(sd_driver *driver)
{
    struct tally tally = {0, 0, ""};
    sd_conformance_options options = small(&tally);
    struct {
        sd_conformance_options known;
        char tail[64];
    } newer;
    sd_buffer *report = NULL;
    sd_error *err = NULL;
    sd_context *ctx = sd_context_new(NULL);
    options.flags = 0x80000000u;
    CHECK_ERROR(sd_conformance_run(driver, NULL, &options, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    options.flags = 0;
    options.struct_size = 0;
    CHECK_ERROR(sd_conformance_run(driver, NULL, &options, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    memset(&newer, 0, sizeof newer);
    newer.known = small(&tally);
    newer.known.struct_size = sizeof newer;
    newer.tail[63] = 1;
    CHECK_ERROR(sd_conformance_run(driver, NULL, &newer.known, &report, &err),
                SD_ERR_STRUCT_SIZE);
    newer.tail[63] = 0;
    newer.known.struct_size = SIZE_MAX;
    CHECK_ERROR(sd_conformance_run(driver, NULL, &newer.known, &report, &err),
                SD_ERR_STRUCT_SIZE);
    options = small(&tally);
    options.filter = "\xff";
    CHECK_ERROR(sd_conformance_run(driver, NULL, &options, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    options.filter = "[";
    CHECK_ERROR(sd_conformance_run(driver, NULL, &options, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_conformance_run(NULL, NULL, NULL, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_conformance_run((sd_driver *)ctx, NULL, NULL, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_conformance_run(driver, (sd_context *)driver, NULL, &report, &err),
                SD_ERR_INVALID_ARGUMENT);
    sd_context_free(ctx);
    CHECK(tally.cases == 0 && report == NULL);
}

static void a_cancelled_run_ends(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    struct tally tally = {0, 0, ""};
    sd_conformance_options options = small(&tally);
    sd_buffer *report = NULL;
    sd_context_cancel(ctx);
    options.on_case = NULL;
    CHECK_STATUS(sd_conformance_run(driver, ctx, &options, &report, NULL),
                 SD_ERR_CANCELLED);
    CHECK(report == NULL);
    sd_buffer_free(report);
    sd_context_free(ctx);
}

static void *run_all(void *unused)
{
    RUN_ON_EACH(a_driver_of_ours_conforms_and_keeps_what_was_there);
    RUN_ON_EACH(a_filter_picks_cases);
    RUN_ON_EACH(options_are_checked_as_everywhere);
    RUN_ON_EACH(a_cancelled_run_ends);
    return unused;
}

/* On a thread that ends: Rust's standard library gives each thread that starts others
 * a few bytes, which it takes back at the thread's end, but not at the process's. */
int main(int argc, char **argv)
{
    pthread_t thread;
    (void)argc;
    begin_tests(argv);
    CHECK(!pthread_create(&thread, NULL, run_all, NULL));
    pthread_join(thread, NULL);
    return end_tests();
}
