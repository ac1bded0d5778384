/* Section 2: results and errors. */
#include "harness.h"

#include <pthread.h>

static void every_status_has_its_name(void)
{
#define NAMED(status)                                                                      \
    {                                                                                      \
        status, #status                                                                    \
    }
    static const struct {
        sd_status status;
        const char *name;
    } all[] = {
        NAMED(SD_OK),
        NAMED(SD_STOP),
        NAMED(SD_SKIP_DIR),
        NAMED(SD_EMPTY),
        NAMED(SD_ERR_DRIVER),
        NAMED(SD_ERR_INVALID_ARGUMENT),
        NAMED(SD_ERR_INVALID_STATE),
        NAMED(SD_ERR_INTERNAL),
        NAMED(SD_ERR_CANCELLED),
        NAMED(SD_ERR_DEADLINE),
        NAMED(SD_ERR_CALLBACK),
        NAMED(SD_ERR_FORKED),
        NAMED(SD_ERR_SHUTDOWN),
        NAMED(SD_ERR_STRUCT_SIZE),
        NAMED(SD_ERR_PATH_NOT_FOUND),
        NAMED(SD_ERR_INVALID_PATH),
        NAMED(SD_ERR_INVALID_OFFSET),
        NAMED(SD_ERR_UNSUPPORTED),
        NAMED(SD_ERR_INVALID_DRIVER),
        NAMED(SD_ERR_ALREADY_REGISTERED),
        NAMED(SD_ERR_INVALID_PARAMETER),
        NAMED(SD_ERR_PERMISSION),
        NAMED(SD_ERR_CONFORMANCE),
        NAMED(SD_ERR_IS_DIRECTORY),
        NAMED(SD_ERR_NOT_DIRECTORY),
        NAMED(SD_ERR_NO_SPACE),
        NAMED(SD_ERR_THROTTLED),
        NAMED(SD_ERR_UNAVAILABLE),
        NAMED(SD_ERR_CORRUPT),
        NAMED(SD_ERR_CONFLICT),
        NAMED(SD_ERR_DRIVER_DIED),
        NAMED(SD_ERR_DRIVER_VERSION),
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_TEXT(sd_status_name(all[i].status), all[i].name);
        if (all[i].status < 0) {
            sd_error *error = sd_error_new(all[i].status, "x");
            CHECK_STATUS(sd_error_code(error), all[i].status);
            sd_error_free(error);
        }
    }
}

static void a_number_that_is_no_status_is_unknown(void)
{
    const sd_status none[] = {4, 100, -11, -99, -118, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK_TEXT(sd_status_name(none[i]), "SD_UNKNOWN");
}

static void a_failure_names_driver_path_and_cause(sd_driver *driver)
{
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    char text[96];
    CHECK_STATUS(sd_stat(driver, NULL, "/none/here", &info, &err), SD_ERR_PATH_NOT_FOUND);
    CHECK_STATUS(sd_error_code(err), SD_ERR_PATH_NOT_FOUND);
    CHECK_TEXT(sd_error_driver(err), sd_driver_name(driver));
    CHECK_TEXT(sd_error_path(err), "/none/here");
    snprintf(text, sizeof text, "%s: Path not found: /none/here", sd_driver_name(driver));
    CHECK_TEXT(sd_error_message(err), text);
    snprintf(text, sizeof text,
             "{\"driver\":\"%s\",\"detail\":\"Path not found: /none/here\"}",
             sd_driver_name(driver));
    CHECK_TEXT(sd_error_json(err), text);
    CHECK(!sd_error_is_retryable(err));
    CHECK(sd_error_retry_after_ms(err) == -1);
    CHECK(sd_error_http_status(err) == 0);
    CHECK(sd_error_callback_result(err) == 0);
    CHECK_TEXT(sd_error_request_id(err), "");
    sd_error_free(err);
}

static void a_failure_about_an_offset_tells_it(sd_driver *driver)
{
    sd_reader *reader = NULL;
    sd_error *err = NULL;
    int64_t offset = 7;
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", -5, &reader, &err),
                 SD_ERR_INVALID_OFFSET);
    CHECK(sd_error_offset(err, &offset) && offset == -5);
    CHECK(strstr(sd_error_message(err), "invalid offset: -5 for path: /a") != NULL);
    sd_error_free(err);
    CHECK_STATUS(sd_delete(driver, NULL, "/a", &err), SD_ERR_PATH_NOT_FOUND);
    offset = 7;
    CHECK(!sd_error_offset(err, &offset) && offset == 7);
    sd_error_free(err);
}

static void an_error_outlives_its_driver(void)
{
    sd_driver *driver = make_driver("inmemory");
    sd_error *err = NULL;
    CHECK_STATUS(sd_delete(driver, NULL, "/a", &err), SD_ERR_PATH_NOT_FOUND);
    sd_driver_free(driver);
    CHECK_TEXT(sd_error_message(err), "inmemory: Path not found: /a");
    sd_error_free(err);
}

static void a_driver_in_c_can_say_all_that_an_error_has(void)
{
    int64_t offset = 0;
    sd_error *error = sd_error_new(SD_ERR_THROTTLED, "slow down");
    CHECK(sd_error_is_retryable(error));
    CHECK_TEXT(sd_error_message(error), "slow down");
    sd_error_set_path(error, "/a");
    sd_error_set_offset(error, INT64_MAX);
    sd_error_set_http_status(error, 429);
    sd_error_set_retry_after_ms(error, 1500);
    sd_error_set_request_id(error, "r-1");
    CHECK_STATUS(sd_error_code(error), SD_ERR_THROTTLED);
    CHECK_TEXT(sd_error_message(error), "slow down: /a");
    CHECK_TEXT(sd_error_path(error), "/a");
    CHECK(sd_error_offset(error, &offset) && offset == INT64_MAX);
    CHECK(sd_error_http_status(error) == 429);
    CHECK(sd_error_retry_after_ms(error) == 1500);
    CHECK_TEXT(sd_error_request_id(error), "r-1");
    sd_error_set_path(error, sd_error_path(error));
    CHECK_TEXT(sd_error_path(error), "/a");
    sd_error_free(error);
}

static void a_negative_wait_is_ignored(void)
{
    sd_error *error = sd_error_new(SD_ERR_UNAVAILABLE, NULL);
    CHECK_TEXT(sd_error_message(error), "");
    sd_error_set_retry_after_ms(error, -1);
    CHECK(sd_error_retry_after_ms(error) == -1);
    sd_error_set_retry_after_ms(error, 0);
    CHECK(sd_error_retry_after_ms(error) == 0);
    sd_error_set_retry_after_ms(error, INT64_MAX);
    CHECK(sd_error_retry_after_ms(error) == INT64_MAX);
    sd_error_free(error);
}

static void a_code_that_is_none_becomes_a_driver_failure(void)
{
    const sd_status none[] = {SD_OK, SD_STOP, 4, -11, -1000, INT32_MIN};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        sd_error *error = sd_error_new(none[i], "m");
        CHECK_STATUS(sd_error_code(error), SD_ERR_DRIVER);
        sd_error_free(error);
    }
}

static void a_message_that_is_not_utf8_makes_no_error_object(void)
{
    CHECK(sd_error_new(SD_ERR_DRIVER, "\xff") == NULL);
}

static void a_message_is_one_line_whatever_was_asked(void)
{
    sd_driver *driver = make_driver("inmemory");
    sd_driver *other = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_delete(driver, NULL, "/a\nb\r\x1b[31m", &err), SD_ERR_INVALID_PATH);
    CHECK(strpbrk(sd_error_message(err), "\n\r\x1b") == NULL);
    CHECK_TEXT(sd_error_path(err), "/a\nb\r\x1b[31m");
    sd_error_free(err);
    CHECK_STATUS(sd_factory_create("x\ny", NULL, NULL, &other, &err),
                 SD_ERR_INVALID_DRIVER);
    CHECK(strpbrk(sd_error_message(err), "\n") == NULL);
    sd_error_free(err);
    sd_driver_free(driver);
}

static void *free_it(void *error)
{
    const char *message = sd_error_message(error);
    void *same = strcmp(message, "m: /p") == 0 ? error : NULL;
    sd_error_free(error);
    return same;
}

static void an_error_may_be_read_and_freed_on_another_thread(void)
{
    pthread_t thread;
    void *same = NULL;
    sd_error *error = sd_error_new(SD_ERR_CORRUPT, "m");
    sd_error_set_path(error, "/p");
    CHECK(pthread_create(&thread, NULL, free_it, error) == 0);
    pthread_join(thread, &same);
    CHECK(same == error);
}

static void json_escapes_what_must_be_escaped(void)
{
    sd_error *error = sd_error_new(SD_ERR_DRIVER, "a \"quote\"\\");
    CHECK_TEXT(sd_error_json(error),
               "{\"driver\":\"\",\"detail\":\"a \\\"quote\\\"\\\\\"}");
    sd_error_free(error);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(every_status_has_its_name);
    RUN(a_number_that_is_no_status_is_unknown);
    RUN_ON_EACH(a_failure_names_driver_path_and_cause);
    RUN_ON_EACH(a_failure_about_an_offset_tells_it);
    RUN(an_error_outlives_its_driver);
    RUN(a_driver_in_c_can_say_all_that_an_error_has);
    RUN(a_negative_wait_is_ignored);
    RUN(a_code_that_is_none_becomes_a_driver_failure);
    RUN(a_message_that_is_not_utf8_makes_no_error_object);
    RUN(a_message_is_one_line_whatever_was_asked);
    RUN(an_error_may_be_read_and_freed_on_another_thread);
    RUN(json_escapes_what_must_be_escaped);
    return end_tests();
}
