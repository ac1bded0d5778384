/* Section 9: writing. */
#include "harness.h"

static void check_content(sd_driver *driver, const char *path, const char *text)
{
    sd_buffer *content = NULL;
    CHECK_STATUS(sd_get_content(driver, NULL, path, &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), text);
    sd_buffer_free(content);
}
static sd_writer *open_writer(sd_driver *driver, const sd_context *ctx, uint32_t flags)
{
    sd_writer *writer = NULL;
    CHECK_STATUS(sd_writer_open(driver, ctx, "/d/f", flags, &writer, NULL), SD_OK);
    return writer;
}
static void write_text(sd_writer *writer, const char *text)
{
    CHECK_STATUS(sd_writer_write(writer, text, strlen(text), NULL), SD_OK);
}

static void what_is_committed_can_be_read(sd_driver *driver)
{
    sd_writer *writer = open_writer(driver, NULL, 0);
    CHECK(sd_writer_size(writer) == 0);
    write_text(writer, "abc");
    write_text(writer, "");
    CHECK_STATUS(sd_writer_write(writer, NULL, 0, NULL), SD_OK);
    write_text(writer, "def");
    CHECK(sd_writer_size(writer) == 6);
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    check_content(driver, "/d/f", "abcdef");
    CHECK(sd_writer_size(writer) == 6);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "abcdef");
}

static void committed_content_stays_until_the_next_commit(sd_driver *driver)
{
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "old", 3, NULL), SD_OK);
    sd_writer *writer = open_writer(driver, NULL, 0);
    write_text(writer, "new");
    check_content(driver, "/d/f", "old");
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "old");
    writer = open_writer(driver, NULL, SD_WRITER_APPEND);
    CHECK(sd_writer_size(writer) == 3);
    write_text(writer, "er");
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "newer");
}

static void an_append_goes_on_where_the_last_session_was_closed(sd_driver *driver)
{
    sd_writer *writer = open_writer(driver, NULL, 0);
    write_text(writer, "one");
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    CHECK(sd_writer_size(writer) == 3);
    sd_writer_free(writer);
    writer = open_writer(driver, NULL, SD_WRITER_APPEND);
    CHECK(sd_writer_size(writer) == 3);
    write_text(writer, "two");
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "onetwo");
}

static void an_append_to_nothing_is_refused(sd_driver *driver)
{
    sd_writer *writer = NULL;
    sd_error *err = NULL;
    CHECK_ERROR(sd_writer_open(driver, NULL, "/d/f", SD_WRITER_APPEND, &writer, &err),
                SD_ERR_PATH_NOT_FOUND);
    CHECK(writer == NULL);
}

static void a_fresh_upload_starts_over(sd_driver *driver)
{
    sd_writer *writer = open_writer(driver, NULL, 0);
    write_text(writer, "long and forgotten");
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    writer = open_writer(driver, NULL, 0);
    CHECK(sd_writer_size(writer) == 0);
    write_text(writer, "x");
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "x");
}

static void a_cancelled_upload_is_gone_and_old_content_stays(sd_driver *driver)
{
    sd_file_info *info = NULL;
    sd_writer *writer = open_writer(driver, NULL, 0);
    write_text(writer, "x");
    CHECK_STATUS(sd_writer_cancel(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    CHECK_STATUS(sd_stat(driver, NULL, "/d/f", &info, NULL), SD_ERR_PATH_NOT_FOUND);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "old", 3, NULL), SD_OK);
    writer = open_writer(driver, NULL, 0);
    write_text(writer, "x");
    CHECK_STATUS(sd_writer_cancel(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "old");
}

static void where_a_file_cannot_be_no_upload_can(sd_driver *driver)
{
    sd_writer *writer = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "x", 1, NULL), SD_OK);
    CHECK_ERROR(sd_writer_open(driver, NULL, "/d", 0, &writer, &err), SD_ERR_IS_DIRECTORY);
    CHECK_ERROR(sd_writer_open(driver, NULL, "/d/f/g", 0, &writer, &err),
                SD_ERR_NOT_DIRECTORY);
    CHECK_ERROR(sd_writer_open(driver, NULL, "/", 0, &writer, &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_writer_open(driver, NULL, "/x", 2, &writer, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(
        sd_writer_open(driver, NULL, "/x", SD_WRITER_APPEND | 0x80000000u, &writer, &err),
        SD_ERR_INVALID_ARGUMENT);
    CHECK(writer == NULL);
}

/* The table at sd_writer. A state is reached from an open writer by these letters:
 * w a write that fails, c commit, x cancel, . close. */
static const struct {
    const char *state, *way;
    int write, commit, cancel, close;
} table[] = {
    {"open", "", 1, 1, 1, 1},
    {"broken", "w", 0, 0, 1, 1},
    {"committed", "c", 0, 0, 0, 1},
    {"cancelled", "x", 0, 0, 1, 1},
    {"closed", ".", 0, 0, 0, 1},
    {"closed twice", "..", 0, 0, 0, 1},
    {"closed after commit", "c.", 0, 0, 0, 1},
    {"closed after cancel", "x.", 0, 0, 0, 1},
    {"cancelled when broken", "wx", 0, 0, 1, 1},
    {"closed when broken", "w.", 0, 0, 0, 1},
};

static sd_status act(sd_writer *writer, char action)
{
    switch (action) {
    case 'w': return sd_writer_write(writer, "y", 1, NULL);
    case 'c': return sd_writer_commit(writer, NULL, NULL);
    case 'x': return sd_writer_cancel(writer, NULL, NULL);
    default: return sd_writer_close(writer, NULL, NULL);
    }
}

static void the_table_of_writer_states_holds(sd_driver *driver)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const int allowed[] = {table[i].write, table[i].commit, table[i].cancel,
                               table[i].close};
        for (size_t a = 0; a < 4; a++) {
            sd_context *ctx = sd_context_new(NULL);
            sd_writer *writer = open_writer(driver, ctx, 0);
            write_text(writer, "x");
            for (const char *step = table[i].way; *step; step++) {
                /* A write fails when its context has ended. */
                sd_context_set_timeout_ms(ctx, *step == 'w' ? 0 : 3600 * 1000);
                CHECK_STATUS(act(writer, *step), *step == 'w' ? SD_ERR_DEADLINE : SD_OK);
            }
            sd_context_set_timeout_ms(ctx, 3600 * 1000);
            sd_status got = act(writer, "wcx."[a]);
            if (!CHECK_STATUS(got, allowed[a] ? SD_OK : SD_ERR_INVALID_STATE))
                printf("# '%c' when %s\n", "wcx."[a], table[i].state);
            sd_writer_free(writer);
            sd_context_free(ctx);
        }
    }
}

static void a_refused_call_changes_nothing(sd_driver *driver)
{
    sd_writer *writer = open_writer(driver, NULL, 0);
    sd_error *err = NULL;
    write_text(writer, "abc");
    CHECK_ERROR(sd_writer_write(writer, NULL, 1, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_writer_write(writer, "x", SIZE_MAX, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_writer_commit(writer, (const sd_context *)writer, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK(sd_writer_size(writer) == 3);
    write_text(writer, "def");
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    CHECK_ERROR(sd_writer_write(writer, "x", 1, &err), SD_ERR_INVALID_STATE);
    CHECK(sd_writer_size(writer) == 6);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "abcdef");
}

static void commit_cancel_and_close_may_be_repeated_after_a_failure(sd_driver *driver)
{
    const char last[] = "cx.";
    sd_context *ended = sd_context_new(NULL);
    sd_context_cancel(ended);
    for (int i = 0; i < 3; i++) {
        sd_writer *writer = open_writer(driver, NULL, 0);
        write_text(writer, "abc");
        CHECK_STATUS(sd_writer_commit(writer, ended, NULL), SD_ERR_CANCELLED);
        CHECK_STATUS(sd_writer_cancel(writer, ended, NULL), SD_ERR_CANCELLED);
        CHECK_STATUS(sd_writer_close(writer, ended, NULL), SD_ERR_CANCELLED);
        CHECK(sd_writer_size(writer) == 3);
        CHECK_STATUS(act(writer, last[i]), SD_OK);
        sd_writer_free(writer);
        if (last[i] == 'c')
            check_content(driver, "/d/f", "abc");
    }
    sd_context_free(ended);
}

static void finishing_does_not_obey_the_opening_context(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_writer *writer = open_writer(driver, ctx, 0);
    sd_error *err = NULL;
    write_text(writer, "abc");
    sd_context_cancel(ctx);
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "abc");
    CHECK_ERROR(sd_writer_open(driver, ctx, "/d/g", 0, &writer, &err), SD_ERR_CANCELLED);
    sd_context_free(ctx);
}

static void a_broken_upload_that_is_closed_can_be_resumed(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_writer *writer = open_writer(driver, ctx, 0);
    write_text(writer, "abc");
    sd_context_cancel(ctx);
    CHECK_STATUS(sd_writer_write(writer, "lost", 4, NULL), SD_ERR_CANCELLED);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    uint64_t size = sd_writer_size(writer);
    sd_writer_free(writer);
    sd_context_free(ctx);
    writer = open_writer(driver, NULL, SD_WRITER_APPEND);
    CHECK(sd_writer_size(writer) == size && size == 3);
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    check_content(driver, "/d/f", "abc");
}

static sd_status one_megabyte(void *user, void *buf, size_t cap, size_t *len)
{
    size_t *left = user;
    *len = *left < cap ? *left : cap;
    memset(buf, 'm', *len);
    *left -= *len;
    return SD_OK;
}

static void a_stream_is_written_and_committed(sd_driver *driver)
{
    size_t left = 1 << 20;
    uint64_t total = 9;
    sd_file_info *info = NULL;
    CHECK_STATUS(sd_write_stream(driver, NULL, "/s", 0, one_megabyte, &left, &total, NULL),
                 SD_OK);
    CHECK(total == 1 << 20);
    left = 5;
    CHECK_STATUS(sd_write_stream(driver, NULL, "/s", SD_WRITER_APPEND, one_megabyte, &left,
                                 &total, NULL),
                 SD_OK);
    CHECK(total == 5);
    CHECK_STATUS(sd_stat(driver, NULL, "/s", &info, NULL), SD_OK);
    CHECK(info->size == (1 << 20) + 5);
    sd_file_info_free(info);
    CHECK_STATUS(sd_write_stream(driver, NULL, "/e", 0, one_megabyte, &left, NULL, NULL),
                 SD_OK);
    check_content(driver, "/e", "");
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(what_is_committed_can_be_read);
    RUN_ON_EACH(committed_content_stays_until_the_next_commit);
    RUN_ON_EACH(an_append_goes_on_where_the_last_session_was_closed);
    RUN_ON_EACH(an_append_to_nothing_is_refused);
    RUN_ON_EACH(a_fresh_upload_starts_over);
    RUN_ON_EACH(a_cancelled_upload_is_gone_and_old_content_stays);
    RUN_ON_EACH(where_a_file_cannot_be_no_upload_can);
    RUN_ON_EACH(the_table_of_writer_states_holds);
    RUN_ON_EACH(a_refused_call_changes_nothing);
    RUN_ON_EACH(commit_cancel_and_close_may_be_repeated_after_a_failure);
    RUN_ON_EACH(finishing_does_not_obey_the_opening_context);
    RUN_ON_EACH(a_broken_upload_that_is_closed_can_be_resumed);
    RUN_ON_EACH(a_stream_is_written_and_committed);
    return end_tests();
}
