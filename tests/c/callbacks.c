/* What callbacks of sections 8 to 10 may answer and do. */
#include "harness.h"

#define SIZE 1000000
static char data[SIZE];

static void fill(sd_driver *driver)
{
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", data, SIZE, NULL), SD_OK);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/g", "g", 1, NULL), SD_OK);
}

struct script {
    sd_status answer;
    size_t after, calls;
    uint64_t bytes;
};

static sd_status sink(void *user, const void *piece, size_t len)
{
    struct script *script = user;
    (void)piece;
    if (script->calls++ == script->after) {
        if (script->answer == SD_STOP)
            script->bytes += len;
        return script->answer;
    }
    script->bytes += len;
    return SD_OK;
}
static sd_status source(void *user, void *buf, size_t cap, size_t *len)
{
    struct script *script = user;
    if (script->calls++ == script->after)
        return script->answer;
    memset(buf, 's', cap);
    *len = cap;
    script->bytes += cap;
    return SD_OK;
}
static sd_status visit(void *user, const sd_file_info *info)
{
    struct script *script = user;
    (void)info;
    return script->calls++ == script->after ? script->answer : SD_OK;
}

static const sd_status bad[] = {-1, -7, -100, -12345, INT32_MIN, 3, 4, INT32_MAX};
#define BAD (sizeof bad / sizeof *bad)

static void check_callback_error(sd_error **err, sd_status answer)
{
    CHECK_STATUS(sd_error_code(*err), SD_ERR_CALLBACK);
    CHECK(sd_error_callback_result(*err) == answer);
    sd_error_free(*err);
    *err = NULL;
}

static void a_sink_that_stops_makes_a_success(sd_driver *driver)
{
    struct script script = {SD_STOP, 1, 0, 0};
    uint64_t total = 0;
    fill(driver);
    CHECK_STATUS(sd_read_stream(driver, NULL, "/d/f", 0, sink, &script, &total, NULL),
                 SD_OK);
    CHECK(script.calls == 2 && total == script.bytes && total > 0 && total < SIZE);
}

static void a_bad_answer_of_a_sink_comes_back_in_the_error(sd_driver *driver)
{
    sd_error *err = NULL;
    fill(driver);
    for (size_t i = 0; i <= BAD; i++) {
        /* SD_SKIP_DIR is for walks. */
        struct script script = {i < BAD ? bad[i] : SD_SKIP_DIR, 1, 0, 0};
        uint64_t total = 0;
        CHECK_STATUS(sd_read_stream(driver, NULL, "/d/f", 0, sink, &script, &total, &err),
                     SD_ERR_CALLBACK);
        check_callback_error(&err, script.answer);
        CHECK(script.calls == 2 && total == script.bytes && total > 0);
    }
}

static void a_source_that_fails_cancels_a_fresh_upload(sd_driver *driver)
{
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    for (size_t i = 0; i <= BAD + 1; i++) {
        struct script script = {i < BAD    ? bad[i]
                                : i == BAD ? SD_STOP
                                           : SD_SKIP_DIR,
                                2, 0, 0};
        uint64_t total = 0;
        CHECK_STATUS(
            sd_write_stream(driver, NULL, "/new", 0, source, &script, &total, &err),
            SD_ERR_CALLBACK);
        check_callback_error(&err, script.answer);
        CHECK(total == script.bytes && total > 0);
        CHECK_STATUS(sd_stat(driver, NULL, "/new", &info, NULL), SD_ERR_PATH_NOT_FOUND);
    }
}

static void a_source_that_fails_leaves_an_append_resumable(sd_driver *driver)
{
    struct script script = {-1, 1, 0, 0};
    sd_writer *writer = NULL;
    uint64_t total = 0;
    CHECK_STATUS(sd_writer_open(driver, NULL, "/u", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(writer, "abc", 3, NULL), SD_OK);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    CHECK_STATUS(sd_write_stream(driver, NULL, "/u", SD_WRITER_APPEND, source, &script,
                                 &total, NULL),
                 SD_ERR_CALLBACK);
    CHECK(total == script.bytes && total > 0);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/u", SD_WRITER_APPEND, &writer, NULL),
                 SD_OK);
    CHECK(sd_writer_size(writer) == 3 + total);
    CHECK_STATUS(sd_writer_cancel(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
}

static sd_status too_long(void *user, void *buf, size_t cap, size_t *len)
{
    (void)buf;
    *len = *(int *)user ? SIZE_MAX : cap + 1;
    return SD_OK;
}

static void a_source_cannot_give_more_than_there_is_room_for(sd_driver *driver)
{
    sd_error *err = NULL;
    for (int huge = 0; huge < 2; huge++) {
        uint64_t total = 9;
        CHECK_ERROR(sd_write_stream(driver, NULL, "/new", 0, too_long, &huge, &total, &err),
                    SD_ERR_CALLBACK);
        CHECK(total == 0);
    }
}

static sd_status says_nothing(void *user, void *buf, size_t cap, size_t *len)
{
    (void)buf;
    return *(int *)user = *len == 0 && cap > 0, SD_OK;
}

static void a_source_that_says_nothing_has_ended(sd_driver *driver)
{
    int asked = 0;
    uint64_t total = 9;
    CHECK_STATUS(sd_write_stream(driver, NULL, "/e", 0, says_nothing, &asked, &total, NULL),
                 SD_OK);
    CHECK(asked && total == 0);
}

static void a_bad_answer_in_a_walk_comes_back_in_the_error(sd_driver *driver)
{
    sd_error *err = NULL;
    fill(driver);
    for (size_t i = 0; i < BAD; i++) {
        struct script script = {bad[i], 1, 0, 0};
        CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, visit, &script, &err),
                     SD_ERR_CALLBACK);
        check_callback_error(&err, script.answer);
        CHECK(script.calls == 2);
    }
}

struct nested {
    sd_driver *driver;
    int calls;
    sd_status worst;
};

static sd_status note(struct nested *nested, sd_status status)
{
    nested->calls++;
    if (status != SD_OK)
        nested->worst = status;
    return SD_OK;
}
static sd_status nested_sink(void *user, const void *piece, size_t len)
{
    struct nested *nested = user;
    return note(nested, sd_put_content(nested->driver, NULL, "/copy", piece, len, NULL));
}
static sd_status nested_source(void *user, void *buf, size_t cap, size_t *len)
{
    struct nested *nested = user;
    sd_buffer *content = NULL;
    sd_status status = sd_get_content(nested->driver, NULL, "/d/g", &content, NULL);
    *len = nested->calls == 0 && cap > 0 ? sd_buffer_len(content) : 0;
    memcpy(buf, sd_buffer_data(content), *len);
    sd_buffer_free(content);
    return note(nested, status);
}
static sd_status nested_visit(void *user, const sd_file_info *info)
{
    struct nested *nested = user;
    sd_file_info *same = NULL;
    sd_status status = sd_stat(nested->driver, NULL, info->path, &same, NULL);
    if (status == SD_OK && same->size != info->size)
        status = SD_ERR_CONFLICT;
    sd_file_info_free(same);
    return note(nested, status);
}

static void callbacks_may_call_the_library(sd_driver *driver)
{
    struct nested nested = {driver, 0, SD_OK};
    fill(driver);
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, nested_visit, &nested, NULL), SD_OK);
    CHECK(nested.calls == 3);
    CHECK_STATUS(sd_read_stream(driver, NULL, "/d/f", 0, nested_sink, &nested, NULL, NULL),
                 SD_OK);
    nested.calls = 0;
    CHECK_STATUS(
        sd_write_stream(driver, NULL, "/up", 0, nested_source, &nested, NULL, NULL), SD_OK);
    CHECK(nested.calls == 2);
    CHECK_STATUS(nested.worst, SD_OK);
}

/* Not allowed, and yet it should not be what brings a host down. */
struct doomed {
    sd_driver *driver;
    sd_context *ctx;
};

static void free_both(struct doomed *doomed)
{
    sd_driver_free(doomed->driver);
    sd_context_free(doomed->ctx);
    doomed->driver = NULL;
    doomed->ctx = NULL;
}
static sd_status freeing_sink(void *user, const void *piece, size_t len)
{
    (void)piece, (void)len;
    return free_both(user), SD_OK;
}
static sd_status freeing_source(void *user, void *buf, size_t cap, size_t *len)
{
    struct doomed *doomed = user;
    *len = doomed->driver != NULL && cap > 0;
    memset(buf, 'x', *len);
    return free_both(doomed), SD_OK;
}
static sd_status freeing_visit(void *user, const sd_file_info *info)
{
    (void)info;
    return free_both(user), SD_OK;
}

static void a_callback_that_frees_driver_and_context_does_no_harm(sd_driver *driver)
{
    struct doomed doomed;
    fill(driver);
#define DOOM() (doomed.driver = sd_driver_ref(driver), doomed.ctx = sd_context_new(NULL))
    DOOM();
    CHECK_STATUS(sd_read_stream(doomed.driver, doomed.ctx, "/d/f", 0, freeing_sink, &doomed,
                                NULL, NULL),
                 SD_OK);
    DOOM();
    CHECK_STATUS(sd_write_stream(doomed.driver, doomed.ctx, "/up", 0, freeing_source,
                                 &doomed, NULL, NULL),
                 SD_OK);
    DOOM();
    CHECK_STATUS(
        sd_walk(doomed.driver, doomed.ctx, "/", NULL, freeing_visit, &doomed, NULL), SD_OK);
}

static sd_status cancelling_sink(void *ctx, const void *piece, size_t len)
{
    (void)piece, (void)len;
    return sd_context_cancel(ctx), SD_OK;
}
static sd_status cancelling_source(void *ctx, void *buf, size_t cap, size_t *len)
{
    memset(buf, 'x', *len = cap);
    return sd_context_cancel(ctx), SD_OK;
}

static void a_callback_may_cancel_its_own_call(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL), *other = sd_context_new(NULL);
    sd_file_info *info = NULL;
    uint64_t total = 0;
    fill(driver);
    CHECK_STATUS(sd_read_stream(driver, ctx, "/d/f", 0, cancelling_sink, ctx, &total, NULL),
                 SD_ERR_CANCELLED);
    CHECK(total > 0 && total < SIZE);
    CHECK_STATUS(
        sd_write_stream(driver, other, "/new", 0, cancelling_source, other, &total, NULL),
        SD_ERR_CANCELLED);
    CHECK(total == 0);
    CHECK_STATUS(sd_stat(driver, NULL, "/new", &info, NULL), SD_ERR_PATH_NOT_FOUND);
    sd_context_free(ctx);
    sd_context_free(other);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(a_sink_that_stops_makes_a_success);
    RUN_ON_EACH(a_bad_answer_of_a_sink_comes_back_in_the_error);
    RUN_ON_EACH(a_source_that_fails_cancels_a_fresh_upload);
    RUN_ON_EACH(a_source_that_fails_leaves_an_append_resumable);
    RUN_ON_EACH(a_source_cannot_give_more_than_there_is_room_for);
    RUN_ON_EACH(a_source_that_says_nothing_has_ended);
    RUN_ON_EACH(a_bad_answer_in_a_walk_comes_back_in_the_error);
    RUN_ON_EACH(callbacks_may_call_the_library);
    RUN_ON_EACH(a_callback_that_frees_driver_and_context_does_no_harm);
    RUN_ON_EACH(a_callback_may_cancel_its_own_call);
    return end_tests();
}
