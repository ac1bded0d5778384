/* Section 8: reading. */
#include "harness.h"

#define SIZE 700001
static unsigned char data[SIZE], copy[SIZE + 1];

static void fill(sd_driver *driver)
{
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i * 31 + i / 253);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", data, SIZE, NULL), SD_OK);
}
/* Reads to the end in pieces; how many bytes came. */
static size_t read_all(sd_reader *reader, size_t piece)
{
    size_t total = 0, len = 0;
    do {
        size_t cap = piece < sizeof copy - total ? piece : sizeof copy - total;
        if (!CHECK_STATUS(sd_reader_read(reader, copy + total, cap, &len, NULL), SD_OK))
            break;
        if (!CHECK(len <= cap))
            break;
        total += len;
    } while (len > 0);
    return total;
}

static void pieces_of_any_size_join_to_the_file(sd_driver *driver)
{
    const size_t pieces[] = {4093, 65536, SIZE, SIZE + 1};
    fill(driver);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        sd_reader *reader = NULL;
        memset(copy, 0, sizeof copy);
        CHECK_STATUS(sd_reader_open(driver, NULL, "/d/f", 0, &reader, NULL), SD_OK);
        CHECK(read_all(reader, pieces[i]) == SIZE && memcmp(copy, data, SIZE) == 0);
        sd_reader_free(reader);
    }
}

static void an_offset_skips_and_past_the_end_is_empty(sd_driver *driver)
{
    const int64_t offsets[] = {1, SIZE - 1, SIZE, SIZE + 1, INT64_MAX};
    fill(driver);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        size_t left = offsets[i] < SIZE ? (size_t)(SIZE - offsets[i]) : 0;
        sd_reader *reader = NULL;
        CHECK_STATUS(sd_reader_open(driver, NULL, "/d/f", offsets[i], &reader, NULL),
                     SD_OK);
        CHECK(read_all(reader, 100000) == left);
        CHECK(memcmp(copy, data + SIZE - left, left) == 0);
        sd_reader_free(reader);
    }
}

static void the_end_stays_the_end(sd_driver *driver)
{
    sd_reader *reader = NULL;
    size_t len = 9;
    CHECK_STATUS(sd_put_content(driver, NULL, "/e", NULL, 0, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/e", 0, &reader, NULL), SD_OK);
    for (int i = 0; i < 3; i++, len = 9) {
        CHECK_STATUS(sd_reader_read(reader, copy, 1, &len, NULL), SD_OK);
        CHECK(len == 0);
    }
    sd_reader_free(reader);
}

static void room_for_nothing_is_refused_and_moves_nothing(sd_driver *driver)
{
    sd_reader *reader = NULL;
    sd_error *err = NULL;
    size_t len = 9;
    fill(driver);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/d/f", 0, &reader, NULL), SD_OK);
    CHECK_ERROR(sd_reader_read(reader, copy, 0, &len, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_reader_read(reader, NULL, 0, &len, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK(len == 9);
    CHECK(read_all(reader, SIZE) == SIZE && memcmp(copy, data, SIZE) == 0);
    sd_reader_free(reader);
}

static void what_cannot_be_read_is_refused_at_the_opening(sd_driver *driver)
{
    sd_reader *reader = NULL;
    sd_error *err = NULL;
    fill(driver);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/none", 0, &reader, &err),
                SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/d", 0, &reader, &err), SD_ERR_IS_DIRECTORY);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/", 0, &reader, &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/d/f", -1, &reader, &err),
                SD_ERR_INVALID_OFFSET);
    CHECK_ERROR(sd_reader_open(driver, NULL, "bad", -1, &reader, &err),
                SD_ERR_INVALID_OFFSET);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/none", INT64_MIN, &reader, &err),
                SD_ERR_INVALID_OFFSET);
    CHECK(reader == NULL);
}

static void a_reader_keeps_its_content_when_the_path_changes(sd_driver *driver)
{
    sd_reader *reader = NULL;
    size_t len = 0;
    fill(driver);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/d/f", 0, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_reader_read(reader, copy, 10, &len, NULL), SD_OK);
    CHECK(len == 10);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "other", 5, NULL), SD_OK);
    CHECK_STATUS(sd_delete(driver, NULL, "/d", NULL), SD_OK);
    CHECK(read_all(reader, SIZE) == SIZE - 10 && memcmp(copy, data + 10, SIZE - 10) == 0);
    sd_reader_free(reader);
}

static void a_read_obeys_the_opening_context_and_can_be_tried_again(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_reader *reader = NULL;
    sd_error *err = NULL;
    size_t len = 9;
    fill(driver);
    CHECK_STATUS(sd_reader_open(driver, ctx, "/d/f", 0, &reader, NULL), SD_OK);
    sd_context_set_timeout_ms(ctx, 0);
    CHECK_ERROR(sd_reader_read(reader, copy, 10, &len, &err), SD_ERR_DEADLINE);
    CHECK(len == 9);
    sd_context_set_timeout_ms(ctx, 3600 * 1000);
    CHECK(read_all(reader, SIZE) == SIZE && memcmp(copy, data, SIZE) == 0);
    sd_reader_free(reader);
    sd_context_free(ctx);
}

struct seen {
    size_t total, calls;
    sd_status answer;
    size_t after;
    int empty;
};

static sd_status sink(void *user, const void *piece, size_t len)
{
    struct seen *seen = user;
    seen->empty |= len == 0;
    memcpy(copy + seen->total, piece, len);
    seen->total += len;
    return ++seen->calls > seen->after ? seen->answer : SD_OK;
}

static void a_stream_hands_over_every_byte_once_and_in_order(sd_driver *driver)
{
    struct seen seen = {0, 0, SD_OK, 0, 0};
    uint64_t total = 9;
    fill(driver);
    CHECK_STATUS(sd_read_stream(driver, NULL, "/d/f", 3, sink, &seen, &total, NULL), SD_OK);
    CHECK(total == SIZE - 3 && seen.total == SIZE - 3 && !seen.empty);
    CHECK(memcmp(copy, data + 3, SIZE - 3) == 0);
}

static void a_stream_past_the_end_never_calls(sd_driver *driver)
{
    struct seen seen = {0, 0, SD_ERR_DRIVER, 0, 0};
    uint64_t total = 9;
    fill(driver);
    CHECK_STATUS(sd_read_stream(driver, NULL, "/d/f", SIZE, sink, &seen, &total, NULL),
                 SD_OK);
    CHECK(total == 0 && seen.calls == 0);
}

static void a_stream_of_nothing_there_tells_a_total_of_0(sd_driver *driver)
{
    struct seen seen = {0, 0, SD_OK, 0, 0};
    sd_error *err = NULL;
    uint64_t total = 9;
    CHECK_ERROR(sd_read_stream(driver, NULL, "/none", 0, sink, &seen, &total, &err),
                SD_ERR_PATH_NOT_FOUND);
    CHECK(total == 0 && seen.calls == 0);
    total = 9;
    CHECK_ERROR(sd_read_stream(driver, NULL, "/none", -1, sink, &seen, &total, &err),
                SD_ERR_INVALID_OFFSET);
    CHECK(total == 0);
    total = 9;
    CHECK_ERROR(sd_read_stream(NULL, NULL, "/none", 0, sink, &seen, &total, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK(total == 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(pieces_of_any_size_join_to_the_file);
    RUN_ON_EACH(an_offset_skips_and_past_the_end_is_empty);
    RUN_ON_EACH(the_end_stays_the_end);
    RUN_ON_EACH(room_for_nothing_is_refused_and_moves_nothing);
    RUN_ON_EACH(what_cannot_be_read_is_refused_at_the_opening);
    RUN_ON_EACH(a_reader_keeps_its_content_when_the_path_changes);
    RUN_ON_EACH(a_read_obeys_the_opening_context_and_can_be_tried_again);
    RUN_ON_EACH(a_stream_hands_over_every_byte_once_and_in_order);
    RUN_ON_EACH(a_stream_past_the_end_never_calls);
    RUN_ON_EACH(a_stream_of_nothing_there_tells_a_total_of_0);
    return end_tests();
}
