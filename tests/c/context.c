/* Section 5: contexts. */
#include "harness.h"

#include <pthread.h>
#include <time.h>

static void sleep_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void null_and_a_new_context_have_no_limit(void)
{
    sd_context *ctx = sd_context_new(NULL);
    CHECK_STATUS(sd_context_status(NULL), SD_OK);
    CHECK(sd_context_remaining_ms(NULL) == -1);
    CHECK_STATUS(sd_context_status(ctx), SD_OK);
    CHECK(sd_context_remaining_ms(ctx) == -1);
    sd_context_free(ctx);
}

static void a_cancelled_context_ends_its_calls(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    sd_context_cancel(ctx);
    sd_context_cancel(ctx);
    CHECK_STATUS(sd_context_status(ctx), SD_ERR_CANCELLED);
    CHECK(sd_context_remaining_ms(ctx) == 0);
    CHECK_ERROR(sd_stat(driver, ctx, "/", &info, &err), SD_ERR_CANCELLED);
    CHECK_STATUS(sd_stat(driver, NULL, "/", &info, &err), SD_OK);
    sd_file_info_free(info);
    sd_context_free(ctx);
}

static void a_timeout_passes_and_may_be_set_anew(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    sd_context_set_timeout_ms(ctx, 0);
    CHECK_STATUS(sd_context_status(ctx), SD_ERR_DEADLINE);
    CHECK(sd_context_remaining_ms(ctx) == 0);
    CHECK_ERROR(sd_stat(driver, ctx, "/", &info, &err), SD_ERR_DEADLINE);
    sd_context_set_timeout_ms(ctx, 3600 * 1000);
    CHECK(sd_context_remaining_ms(ctx) > 3500 * 1000);
    CHECK(sd_context_remaining_ms(ctx) <= 3600 * 1000);
    CHECK_STATUS(sd_stat(driver, ctx, "/", &info, &err), SD_OK);
    sd_file_info_free(info);
    sd_context_free(ctx);
}

static void nothing_remains_only_when_it_has_ended(void)
{
    int honest = 1;
    for (int i = 0; i < 20; i++) {
        sd_context *ctx = sd_context_new(NULL);
        sd_context_set_timeout_ms(ctx, 3);
        for (;;) {
            int64_t left = sd_context_remaining_ms(ctx);
            if (left == 0)
                break;
            honest &= left > 0 && left <= 3;
        }
        honest &= sd_context_status(ctx) == SD_ERR_DEADLINE;
        sd_context_free(ctx);
    }
    CHECK(honest);
}

static void an_endless_timeout_is_no_limit(void)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_context_set_timeout_ms(ctx, UINT64_MAX);
    CHECK_STATUS(sd_context_status(ctx), SD_OK);
    sd_context_free(ctx);
}

static void the_first_of_timeout_and_deadline_counts(void)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_context_set_timeout_ms(ctx, 3600 * 1000);
    sd_context_set_deadline_ns(ctx, ((int64_t)time(NULL) + 60) * 1000000000);
    CHECK(sd_context_remaining_ms(ctx) <= 60 * 1000);
    CHECK(sd_context_remaining_ms(ctx) > 30 * 1000);
    sd_context_set_deadline_ns(ctx, 1);
    CHECK_STATUS(sd_context_status(ctx), SD_ERR_DEADLINE);
    sd_context_set_deadline_ns(ctx, INT64_MIN);
    CHECK_STATUS(sd_context_status(ctx), SD_ERR_DEADLINE);
    sd_context_free(ctx);
}

static void a_child_ends_with_its_parent_but_not_the_other_way(void)
{
    sd_context *parent = sd_context_new(NULL);
    sd_context *child = sd_context_new(parent), *other = sd_context_new(parent);
    sd_context_cancel(child);
    CHECK_STATUS(sd_context_status(parent), SD_OK);
    CHECK_STATUS(sd_context_status(other), SD_OK);
    sd_context_set_timeout_ms(parent, 0);
    CHECK_STATUS(sd_context_status(other), SD_ERR_DEADLINE);
    sd_context_free(parent);
    CHECK_STATUS(sd_context_status(other), SD_ERR_DEADLINE);
    sd_context_free(child);
    sd_context_free(other);
}

static void freeing_a_context_does_not_cancel_what_it_opened(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_reader *reader = NULL;
    char buf[4];
    size_t len = 0;
    CHECK_STATUS(sd_put_content(driver, ctx, "/a", "abc", 3, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, ctx, "/a", 0, &reader, NULL), SD_OK);
    sd_context_free(ctx);
    CHECK_STATUS(sd_reader_read(reader, buf, sizeof buf, &len, NULL), SD_OK);
    CHECK(len == 3);
    sd_reader_free(reader);
}

static void a_chain_of_very_many_contexts_can_be_freed(void)
{
    sd_context *last = sd_context_new(NULL);
    for (int i = 0; i < 300000; i++) {
        sd_context *next = sd_context_new(last);
        sd_context_free(last);
        last = next;
    }
    CHECK_STATUS(sd_context_status(last), SD_OK);
    sd_context_free(last);
}

static void *cancel_later(void *ctx)
{
    sleep_ms(20);
    sd_context_cancel(ctx);
    return NULL;
}

static void another_thread_may_cancel(void)
{
    pthread_t thread;
    sd_context *parent = sd_context_new(NULL);
    sd_context *ctx = sd_context_new(parent);
    CHECK(pthread_create(&thread, NULL, cancel_later, parent) == 0);
    while (sd_context_status(ctx) == SD_OK)
        sleep_ms(1);
    CHECK_STATUS(sd_context_status(ctx), SD_ERR_CANCELLED);
    pthread_join(thread, NULL);
    sd_context_free(parent);
    sd_context_free(ctx);
}

static void a_field_needs_key_and_value(void)
{
    sd_context *ctx = sd_context_new(NULL);
    CHECK_STATUS(sd_context_set_field(ctx, "k", "v"), SD_OK);
    CHECK_STATUS(sd_context_set_field(ctx, NULL, "v"), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_context_set_field(ctx, "k", NULL), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_context_set_field(ctx, "\xff", "v"), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_context_set_field(NULL, "k", "v"), SD_ERR_INVALID_ARGUMENT);
    sd_context_free(ctx);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(null_and_a_new_context_have_no_limit);
    RUN_ON_EACH(a_cancelled_context_ends_its_calls);
    RUN_ON_EACH(a_timeout_passes_and_may_be_set_anew);
    RUN(nothing_remains_only_when_it_has_ended);
    RUN(an_endless_timeout_is_no_limit);
    RUN(the_first_of_timeout_and_deadline_counts);
    RUN(a_child_ends_with_its_parent_but_not_the_other_way);
    RUN_ON_EACH(freeing_a_context_does_not_cancel_what_it_opened);
    RUN(a_chain_of_very_many_contexts_can_be_freed);
    RUN(another_thread_may_cancel);
    RUN(a_field_needs_key_and_value);
    return end_tests();
}
