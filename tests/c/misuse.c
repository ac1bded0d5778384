/* Every exported function that takes a pointer, called as it must not be: NULL, a
 * live handle of another type, text that is not UTF-8, lengths beyond memory,
 * structs of strange sizes, unknown flags. Each answers a code or its neutral
 * value, writes no output, and works with and without `err`. */
#include "harness.h"

static sd_error *err, **err_out;
/* What a refused call must not write. */
static struct {
    sd_driver *driver;
    sd_params *params;
    sd_names *names;
    sd_buffer *buffer;
    sd_file_info *info;
    sd_reader *reader;
    sd_writer *writer;
    sd_walker *walker;
    sd_cq *cq;
    sd_completion *completion;
    size_t len;
    int64_t i64;
    int32_t i32;
    double f64;
} out, untouched;

/* One live handle of each type. */
static sd_driver *driver;
static sd_params *params;
static sd_names *names;
static sd_buffer *buffer;
static sd_error *error;
static sd_context *ctx;
static sd_reader *reader;
static sd_writer *writer;
static sd_walker *walker;
static sd_file_info *info;
static sd_cq *cq;
static sd_completion *completion;
#define TYPES 12
static void *handles[TYPES];

static void make_handles(void)
{
    memset(&untouched, 0xa5, sizeof untouched);
    handles[0] = driver = make_driver("inmemory");
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "content", 7, NULL), SD_OK);
    handles[1] = params = sd_params_new();
    CHECK_STATUS(sd_params_set_string(params, "k", "v"), SD_OK);
    handles[2] = names = sd_names_new();
    CHECK_STATUS(sd_names_push(names, "n"), SD_OK);
    handles[3] = buffer = sd_buffer_new("b", 1);
    handles[4] = error = sd_error_new(SD_ERR_CORRUPT, "e");
    handles[5] = ctx = sd_context_new(NULL);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/d/f", 0, &reader, NULL), SD_OK);
    handles[6] = reader;
    CHECK_STATUS(sd_writer_open(driver, NULL, "/d/w", 0, &writer, NULL), SD_OK);
    handles[7] = writer;
    CHECK_STATUS(sd_walker_open(driver, NULL, "/", NULL, &walker, NULL), SD_OK);
    handles[8] = walker;
    handles[9] = info = sd_file_info_new("/i", 1, 2, 0);
    CHECK_STATUS(sd_cq_new(&cq, NULL), SD_OK);
    handles[10] = cq;
    CHECK_STATUS(sd_submit_get_content(cq, 5, driver, NULL, "/d/f", NULL), SD_OK);
    CHECK_STATUS(sd_cq_next(cq, -1, &completion, NULL), SD_OK);
    handles[11] = completion;
}
static void free_handles(void)
{
    sd_driver_free(driver);
    sd_params_free(params);
    sd_names_free(names);
    sd_buffer_free(buffer);
    sd_error_free(error);
    sd_context_free(ctx);
    sd_reader_free(reader);
    sd_writer_free(writer);
    sd_walker_free(walker);
    sd_file_info_free(info);
    sd_cq_free(cq);
    sd_completion_free(completion);
}

#define IS_UNTOUCHED() CHECK(memcmp(&out, &untouched, sizeof out) == 0)
/* `call` has `err_out` where its error goes. */
#define REFUSED_AS(code, call)                                                             \
    do {                                                                                   \
        memcpy(&out, &untouched, sizeof out);                                              \
        err_out = &err;                                                                    \
        CHECK_ERROR(call, code);                                                           \
        err_out = NULL;                                                                    \
        CHECK_STATUS(call, code);                                                          \
        IS_UNTOUCHED();                                                                    \
    } while (0)
#define REFUSED(call)  REFUSED_AS(SD_ERR_INVALID_ARGUMENT, call)
#define BAD_PATH(call) REFUSED_AS(SD_ERR_INVALID_PATH, call)
/* `call` has no `err`. */
#define REFUSED_PLAINLY(call) CHECK_STATUS(call, SD_ERR_INVALID_ARGUMENT)
/* `value` is of a call that cannot report. */
#define NEUTRAL(value)                                                                     \
    do {                                                                                   \
        memcpy(&out, &untouched, sizeof out);                                              \
        CHECK(value);                                                                      \
        IS_UNTOUCHED();                                                                    \
    } while (0)
/* `h` is NULL at first and then each live handle but `own`. */
#define EACH_WRONG(own)                                                                    \
    for (int w = -1; w < TYPES; w++)                                                       \
        for (void *h = w < 0 ? NULL : handles[w], *once = &out;                            \
             once && h != (void *)(own); once = NULL)
/* `h` is each live handle but a context: NULL is fine for one. */
#define EACH_WRONG_CONTEXT() EACH_WRONG(ctx) if (h)

static sd_status sink(void *user, const void *data, size_t len)
{
    (void)user, (void)data, (void)len;
    return SD_OK;
}
static sd_status source(void *user, void *buf, size_t cap, size_t *len)
{
    (void)user, (void)buf, (void)cap;
    *len = 0;
    return SD_OK;
}
static sd_status visit(void *user, const sd_file_info *seen)
{
    (void)user, (void)seen;
    return SD_OK;
}

static void errors_refuse_null_and_other_handles(void)
{
    EACH_WRONG(error)
    {
        NEUTRAL(sd_error_code(h) == SD_ERR_INVALID_ARGUMENT);
        NEUTRAL(*sd_error_message(h) == '\0');
        NEUTRAL(*sd_error_driver(h) == '\0');
        NEUTRAL(*sd_error_path(h) == '\0');
        NEUTRAL(!sd_error_offset(h, &out.i64));
        NEUTRAL(sd_error_http_status(h) == 0);
        NEUTRAL(sd_error_callback_result(h) == 0);
        NEUTRAL(!sd_error_is_retryable(h));
        NEUTRAL(sd_error_retry_after_ms(h) == -1);
        NEUTRAL(*sd_error_request_id(h) == '\0');
        NEUTRAL(*sd_error_json(h) == '\0');
        sd_error_set_path(h, "/x");
        sd_error_set_offset(h, 1);
        sd_error_set_http_status(h, 1);
        sd_error_set_retry_after_ms(h, 1);
        sd_error_set_request_id(h, "x");
    }
    sd_error_set_offset(error, 3);
    CHECK(!sd_error_offset(error, NULL));
    sd_error_set_path(error, NULL);
    sd_error_set_path(error, "\xff");
    sd_error_set_request_id(error, NULL);
    sd_error_set_request_id(error, "\xff");
    CHECK_TEXT(sd_error_path(error), "");
    CHECK_TEXT(sd_error_request_id(error), "");
    CHECK(sd_error_new(SD_ERR_DRIVER, "\xff") == NULL);
}

static void values_refuse_null_and_other_handles(void)
{
    EACH_WRONG(buffer)
    {
        NEUTRAL(sd_buffer_data(h) == NULL);
        NEUTRAL(sd_buffer_len(h) == 0);
    }
    EACH_WRONG(names)
    {
        NEUTRAL(sd_names_count(h) == 0);
        NEUTRAL(sd_names_get(h, 0) == NULL);
        REFUSED_PLAINLY(sd_names_push(h, "x"));
    }
    REFUSED_PLAINLY(sd_names_push(names, NULL));
    REFUSED_PLAINLY(sd_names_push(names, "\xff"));
    CHECK(sd_names_count(names) == 1);
    CHECK(sd_buffer_new(NULL, 1) == NULL);
    CHECK(sd_buffer_new("x", SIZE_MAX) == NULL);
    CHECK(sd_file_info_new(NULL, 0, 0, 0) == NULL);
    CHECK(sd_file_info_new("\xff", 0, 0, 0) == NULL);
    CHECK(sd_file_info_new("/", 0, 0, ~SD_INFO_DIR) == NULL);
}

static void parameters_refuse_null_and_other_handles(void)
{
    EACH_WRONG(params)
    {
        REFUSED_PLAINLY(sd_params_set_string(h, "k", "v"));
        REFUSED_PLAINLY(sd_params_set_int(h, "k", 1));
        REFUSED_PLAINLY(sd_params_set_float(h, "k", 1));
        REFUSED_PLAINLY(sd_params_set_bool(h, "k", 1));
        REFUSED(sd_params_set_json(h, "k", "1", err_out));
        NEUTRAL(sd_params_get_string(h, "k") == NULL);
        NEUTRAL(!sd_params_get_int(h, "k", &out.i64));
        NEUTRAL(!sd_params_get_bool(h, "k", &out.i32));
        NEUTRAL(!sd_params_get_float(h, "k", &out.f64));
        NEUTRAL(sd_params_get_json(h, "k") == NULL);
        NEUTRAL(sd_params_count(h) == 0);
        NEUTRAL(sd_params_key(h, 0) == NULL);
        NEUTRAL(sd_params_to_json(h) == NULL);
    }
    const char *const keys[] = {NULL, "\xff"};
    for (int i = 0; i < 2; i++) {
        REFUSED_PLAINLY(sd_params_set_string(params, keys[i], "v"));
        REFUSED_PLAINLY(sd_params_set_string(params, "k", keys[i]));
        REFUSED_PLAINLY(sd_params_set_int(params, keys[i], 1));
        REFUSED_PLAINLY(sd_params_set_float(params, keys[i], 1));
        REFUSED_PLAINLY(sd_params_set_bool(params, keys[i], 1));
        REFUSED(sd_params_set_json(params, keys[i], "1", err_out));
        REFUSED(sd_params_set_json(params, "k", keys[i], err_out));
        REFUSED(sd_params_from_json(keys[i], &out.params, err_out));
        NEUTRAL(sd_params_get_string(params, keys[i]) == NULL);
        NEUTRAL(!sd_params_get_int(params, keys[i], &out.i64));
        NEUTRAL(!sd_params_get_bool(params, keys[i], &out.i32));
        NEUTRAL(!sd_params_get_float(params, keys[i], &out.f64));
        NEUTRAL(sd_params_get_json(params, keys[i]) == NULL);
    }
    REFUSED(sd_params_from_json("{}", NULL, err_out));
    sd_params_set_int(params, "n", 1);
    sd_params_set_bool(params, "b", 1);
    CHECK(!sd_params_get_int(params, "n", NULL));
    CHECK(!sd_params_get_float(params, "n", NULL));
    CHECK(!sd_params_get_bool(params, "b", NULL));
    CHECK_TEXT(sd_params_get_string(params, "k"), "v");
    CHECK(sd_params_count(params) == 3);
}

static void contexts_refuse_other_handles(void)
{
    EACH_WRONG(ctx)
    {
        sd_context_set_timeout_ms(h, 0);
        sd_context_set_deadline_ns(h, 0);
        sd_context_cancel(h);
        REFUSED_PLAINLY(sd_context_set_field(h, "k", "v"));
        if (!h)
            continue;
        CHECK(sd_context_new(h) == NULL);
        REFUSED_PLAINLY(sd_context_status(h));
        CHECK(sd_context_remaining_ms(h) == 0);
    }
    REFUSED_PLAINLY(sd_context_set_field(ctx, NULL, "v"));
    REFUSED_PLAINLY(sd_context_set_field(ctx, "k", NULL));
    REFUSED_PLAINLY(sd_context_set_field(ctx, "\xff", "v"));
    REFUSED_PLAINLY(sd_context_set_field(ctx, "k", "\xff"));
    CHECK_STATUS(sd_context_status(ctx), SD_OK);
}

static void the_factory_refuses_null_and_other_handles(void)
{
    REFUSED(sd_factory_create(NULL, NULL, NULL, &out.driver, err_out));
    REFUSED(sd_factory_create("\xff", NULL, NULL, &out.driver, err_out));
    REFUSED(sd_factory_create("inmemory", NULL, NULL, NULL, err_out));
    EACH_WRONG_CONTEXT()
    REFUSED(sd_factory_create("inmemory", h, NULL, &out.driver, err_out));
    EACH_WRONG(params)
    if (h)
        REFUSED(sd_factory_create("inmemory", NULL, h, &out.driver, err_out));
    REFUSED(sd_factory_names(NULL, err_out));
    REFUSED(sd_driver_wrap(driver, NULL, NULL, &out.driver, err_out));
    REFUSED(sd_driver_wrap(driver, "\xff", NULL, &out.driver, err_out));
    REFUSED(sd_driver_wrap(driver, "rewrite", NULL, NULL, err_out));
    EACH_WRONG(params)
    if (h)
        REFUSED(sd_driver_wrap(driver, "rewrite", h, &out.driver, err_out));
    EACH_WRONG(driver)
    {
        REFUSED(sd_driver_wrap(h, "rewrite", NULL, &out.driver, err_out));
        NEUTRAL(sd_driver_ref(h) == NULL);
        NEUTRAL(*sd_driver_name(h) == '\0');
    }
}

static void operations_refuse_null_and_other_handles(void)
{
    EACH_WRONG(driver)
    {
        REFUSED(sd_get_content(h, NULL, "/d/f", &out.buffer, err_out));
        REFUSED(sd_put_content(h, NULL, "/d/f", "x", 1, err_out));
        REFUSED(sd_stat(h, NULL, "/d/f", &out.info, err_out));
        REFUSED(sd_list(h, NULL, "/d", &out.names, err_out));
        REFUSED(sd_list_page(h, NULL, "/d", NULL, 0, &out.names, err_out));
        REFUSED(sd_move(h, NULL, "/d/f", "/d/g", err_out));
        REFUSED(sd_delete(h, NULL, "/d/f", err_out));
        REFUSED(sd_redirect_url(h, NULL, "/d/f", NULL, &out.buffer, err_out));
    }
    EACH_WRONG_CONTEXT()
    {
        REFUSED(sd_get_content(driver, h, "/d/f", &out.buffer, err_out));
        REFUSED(sd_put_content(driver, h, "/d/f", "x", 1, err_out));
        REFUSED(sd_stat(driver, h, "/d/f", &out.info, err_out));
        REFUSED(sd_list(driver, h, "/d", &out.names, err_out));
        REFUSED(sd_list_page(driver, h, "/d", NULL, 0, &out.names, err_out));
        REFUSED(sd_move(driver, h, "/d/f", "/d/g", err_out));
        REFUSED(sd_delete(driver, h, "/d/f", err_out));
        REFUSED(sd_redirect_url(driver, h, "/d/f", NULL, &out.buffer, err_out));
    }
    REFUSED(sd_get_content(driver, NULL, "/d/f", NULL, err_out));
    REFUSED(sd_stat(driver, NULL, "/d/f", NULL, err_out));
    REFUSED(sd_list(driver, NULL, "/d", NULL, err_out));
    REFUSED(sd_list_page(driver, NULL, "/d", NULL, 0, NULL, err_out));
    REFUSED(sd_redirect_url(driver, NULL, "/d/f", NULL, NULL, err_out));
}

static void operations_refuse_bad_paths_and_bytes(void)
{
    REFUSED(sd_get_content(driver, NULL, NULL, &out.buffer, err_out));
    REFUSED(sd_put_content(driver, NULL, NULL, "x", 1, err_out));
    REFUSED(sd_stat(driver, NULL, NULL, &out.info, err_out));
    REFUSED(sd_list(driver, NULL, NULL, &out.names, err_out));
    REFUSED(sd_list_page(driver, NULL, NULL, NULL, 0, &out.names, err_out));
    REFUSED(sd_move(driver, NULL, NULL, "/d/g", err_out));
    REFUSED(sd_move(driver, NULL, "/d/f", NULL, err_out));
    REFUSED(sd_delete(driver, NULL, NULL, err_out));
    REFUSED(sd_redirect_url(driver, NULL, NULL, NULL, &out.buffer, err_out));
    REFUSED(sd_check_path(NULL, err_out));
    BAD_PATH(sd_get_content(driver, NULL, "/\xff", &out.buffer, err_out));
    BAD_PATH(sd_put_content(driver, NULL, "/\xff", "x", 1, err_out));
    BAD_PATH(sd_stat(driver, NULL, "/\xff", &out.info, err_out));
    BAD_PATH(sd_list(driver, NULL, "/\xff", &out.names, err_out));
    BAD_PATH(sd_list_page(driver, NULL, "/\xff", NULL, 0, &out.names, err_out));
    BAD_PATH(sd_list_page(driver, NULL, "/d", "/\xff", 0, &out.names, err_out));
    BAD_PATH(sd_move(driver, NULL, "/\xff", "/d/g", err_out));
    BAD_PATH(sd_move(driver, NULL, "/d/f", "/\xff", err_out));
    BAD_PATH(sd_delete(driver, NULL, "/\xff", err_out));
    BAD_PATH(sd_redirect_url(driver, NULL, "/\xff", NULL, &out.buffer, err_out));
    BAD_PATH(sd_check_path("/\xff", err_out));
    REFUSED(sd_put_content(driver, NULL, "/d/f", NULL, 1, err_out));
    REFUSED(sd_put_content(driver, NULL, "/d/f", "x", SIZE_MAX, err_out));
    REFUSED(sd_put_content(driver, NULL, "/d/f", "x", SIZE_MAX / 2 + 1, err_out));
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/empty", NULL, 0, NULL), SD_OK);
}

static void reading_refuses_what_it_must(void)
{
    char buf[8] = "";
    EACH_WRONG(driver)
    {
        REFUSED(sd_reader_open(h, NULL, "/d/f", 0, &out.reader, err_out));
        REFUSED(sd_read_stream(h, NULL, "/d/f", 0, sink, NULL, NULL, err_out));
    }
    EACH_WRONG_CONTEXT()
    {
        REFUSED(sd_reader_open(driver, h, "/d/f", 0, &out.reader, err_out));
        REFUSED(sd_read_stream(driver, h, "/d/f", 0, sink, NULL, NULL, err_out));
    }
    EACH_WRONG(reader) REFUSED(sd_reader_read(h, buf, 1, &out.len, err_out));
    REFUSED(sd_reader_open(driver, NULL, NULL, 0, &out.reader, err_out));
    REFUSED(sd_reader_open(driver, NULL, "/d/f", 0, NULL, err_out));
    BAD_PATH(sd_reader_open(driver, NULL, "/\xff", 0, &out.reader, err_out));
    REFUSED(sd_read_stream(driver, NULL, NULL, 0, sink, NULL, NULL, err_out));
    REFUSED(sd_read_stream(driver, NULL, "/d/f", 0, NULL, NULL, NULL, err_out));
    BAD_PATH(sd_read_stream(driver, NULL, "/\xff", 0, sink, NULL, NULL, err_out));
    REFUSED(sd_reader_read(reader, NULL, 1, &out.len, err_out));
    REFUSED(sd_reader_read(reader, NULL, 0, &out.len, err_out));
    REFUSED(sd_reader_read(reader, buf, 1, NULL, err_out));
    REFUSED(sd_reader_read(reader, buf, SIZE_MAX, &out.len, err_out));
    REFUSED(sd_reader_read(reader, buf, SIZE_MAX / 2 + 1, &out.len, err_out));
    CHECK_TEXT(buf, "");
}

static void writing_refuses_what_it_must(void)
{
    EACH_WRONG(driver)
    {
        REFUSED(sd_writer_open(h, NULL, "/d/f", 0, &out.writer, err_out));
        REFUSED(sd_write_stream(h, NULL, "/d/f", 0, source, NULL, NULL, err_out));
    }
    EACH_WRONG_CONTEXT()
    {
        REFUSED(sd_writer_open(driver, h, "/d/f", 0, &out.writer, err_out));
        REFUSED(sd_write_stream(driver, h, "/d/f", 0, source, NULL, NULL, err_out));
        REFUSED(sd_writer_commit(writer, h, err_out));
        REFUSED(sd_writer_cancel(writer, h, err_out));
        REFUSED(sd_writer_close(writer, h, err_out));
    }
    EACH_WRONG(writer)
    {
        REFUSED(sd_writer_write(h, "x", 1, err_out));
        REFUSED(sd_writer_commit(h, NULL, err_out));
        REFUSED(sd_writer_cancel(h, NULL, err_out));
        REFUSED(sd_writer_close(h, NULL, err_out));
        NEUTRAL(sd_writer_size(h) == 0);
    }
    REFUSED(sd_writer_open(driver, NULL, NULL, 0, &out.writer, err_out));
    REFUSED(sd_writer_open(driver, NULL, "/d/f", 0, NULL, err_out));
    BAD_PATH(sd_writer_open(driver, NULL, "/\xff", 0, &out.writer, err_out));
    REFUSED(sd_write_stream(driver, NULL, NULL, 0, source, NULL, NULL, err_out));
    REFUSED(sd_write_stream(driver, NULL, "/d/f", 0, NULL, NULL, NULL, err_out));
    BAD_PATH(sd_write_stream(driver, NULL, "/\xff", 0, source, NULL, NULL, err_out));
    for (uint32_t flag = 2; flag; flag <<= 1) {
        REFUSED(sd_writer_open(driver, NULL, "/d/f", flag, &out.writer, err_out));
        REFUSED(sd_write_stream(driver, NULL, "/d/f", flag, source, NULL, NULL, err_out));
    }
    REFUSED(sd_writer_write(writer, NULL, 1, err_out));
    REFUSED(sd_writer_write(writer, "x", SIZE_MAX, err_out));
    REFUSED(sd_writer_write(writer, "x", SIZE_MAX / 2 + 1, err_out));
    CHECK_STATUS(sd_writer_write(writer, NULL, 0, NULL), SD_OK);
    CHECK(sd_writer_size(writer) == 0);
}

static void walking_refuses_what_it_must(void)
{
    sd_walk_options options = {sizeof options, "/\xff", 0};
    EACH_WRONG(driver)
    {
        REFUSED(sd_walk(h, NULL, "/", NULL, visit, NULL, err_out));
        REFUSED(sd_walker_open(h, NULL, "/", NULL, &out.walker, err_out));
    }
    EACH_WRONG_CONTEXT()
    {
        REFUSED(sd_walk(driver, h, "/", NULL, visit, NULL, err_out));
        REFUSED(sd_walker_open(driver, h, "/", NULL, &out.walker, err_out));
    }
    EACH_WRONG(walker)
    {
        REFUSED(sd_walker_next(h, &out.info, err_out));
        REFUSED_PLAINLY(sd_walker_skip_dir(h));
    }
    REFUSED(sd_walk(driver, NULL, NULL, NULL, visit, NULL, err_out));
    REFUSED(sd_walk(driver, NULL, "/", NULL, NULL, NULL, err_out));
    BAD_PATH(sd_walk(driver, NULL, "/\xff", NULL, visit, NULL, err_out));
    BAD_PATH(sd_walk(driver, NULL, "/", &options, visit, NULL, err_out));
    REFUSED(sd_walker_open(driver, NULL, NULL, NULL, &out.walker, err_out));
    REFUSED(sd_walker_open(driver, NULL, "/", NULL, NULL, err_out));
    BAD_PATH(sd_walker_open(driver, NULL, "/\xff", NULL, &out.walker, err_out));
    BAD_PATH(sd_walker_open(driver, NULL, "/", &options, &out.walker, err_out));
    REFUSED(sd_walker_next(walker, NULL, err_out));
}

static void the_queue_refuses_null_and_other_handles(void)
{
    char buf[8] = "";
    EACH_WRONG(cq)
    {
        NEUTRAL(sd_cq_fd(h) == -1);
        NEUTRAL(sd_cq_in_flight(h) == 0);
        REFUSED(sd_cq_next(h, 0, &out.completion, err_out));
        REFUSED(sd_submit_get_content(h, 1, driver, NULL, "/d/f", err_out));
        REFUSED(sd_submit_put_content(h, 1, driver, NULL, "/d/f", "x", 1, err_out));
        REFUSED(sd_submit_stat(h, 1, driver, NULL, "/d/f", err_out));
        REFUSED(sd_submit_list(h, 1, driver, NULL, "/d", err_out));
        REFUSED(sd_submit_list_page(h, 1, driver, NULL, "/d", NULL, 0, err_out));
        REFUSED(sd_submit_move(h, 1, driver, NULL, "/d/f", "/d/g", err_out));
        REFUSED(sd_submit_delete(h, 1, driver, NULL, "/d/f", err_out));
        REFUSED(sd_submit_redirect_url(h, 1, driver, NULL, "/d/f", NULL, err_out));
        REFUSED(sd_submit_reader_open(h, 1, driver, NULL, "/d/f", 0, err_out));
        REFUSED(sd_submit_writer_open(h, 1, driver, NULL, "/d/f", 0, err_out));
        REFUSED(sd_submit_writer_write(h, 1, writer, "x", 1, err_out));
        REFUSED(sd_submit_writer_commit(h, 1, writer, NULL, err_out));
        REFUSED(sd_submit_writer_cancel(h, 1, writer, NULL, err_out));
        REFUSED(sd_submit_writer_close(h, 1, writer, NULL, err_out));
        REFUSED(sd_submit_reader_read(h, 1, reader, buf, 1, err_out));
        REFUSED(sd_submit_walker_next(h, 1, walker, err_out));
    }
    REFUSED(sd_cq_new(NULL, err_out));
    REFUSED(sd_cq_next(cq, 0, NULL, err_out));
    EACH_WRONG(completion)
    {
        NEUTRAL(sd_completion_tag(h) == 0);
        NEUTRAL(sd_completion_status(h) == SD_ERR_INVALID_ARGUMENT);
        NEUTRAL(sd_completion_count(h) == 0);
        NEUTRAL(sd_completion_error(h) == NULL);
        NEUTRAL(sd_completion_take_error(h) == NULL);
        NEUTRAL(sd_completion_take_buffer(h) == NULL);
        NEUTRAL(sd_completion_take_file_info(h) == NULL);
        NEUTRAL(sd_completion_take_names(h) == NULL);
        NEUTRAL(sd_completion_take_reader(h) == NULL);
        NEUTRAL(sd_completion_take_writer(h) == NULL);
    }
}

static void submissions_refuse_what_they_must(void)
{
    char buf[8] = "";
    EACH_WRONG(driver)
    {
        REFUSED(sd_submit_get_content(cq, 1, h, NULL, "/d/f", err_out));
        REFUSED(sd_submit_put_content(cq, 1, h, NULL, "/d/f", "x", 1, err_out));
        REFUSED(sd_submit_stat(cq, 1, h, NULL, "/d/f", err_out));
        REFUSED(sd_submit_list(cq, 1, h, NULL, "/d", err_out));
        REFUSED(sd_submit_list_page(cq, 1, h, NULL, "/d", NULL, 0, err_out));
        REFUSED(sd_submit_move(cq, 1, h, NULL, "/d/f", "/d/g", err_out));
        REFUSED(sd_submit_delete(cq, 1, h, NULL, "/d/f", err_out));
        REFUSED(sd_submit_redirect_url(cq, 1, h, NULL, "/d/f", NULL, err_out));
        REFUSED(sd_submit_reader_open(cq, 1, h, NULL, "/d/f", 0, err_out));
        REFUSED(sd_submit_writer_open(cq, 1, h, NULL, "/d/f", 0, err_out));
    }
    EACH_WRONG_CONTEXT()
    {
        REFUSED(sd_submit_get_content(cq, 1, driver, h, "/d/f", err_out));
        REFUSED(sd_submit_put_content(cq, 1, driver, h, "/d/f", "x", 1, err_out));
        REFUSED(sd_submit_stat(cq, 1, driver, h, "/d/f", err_out));
        REFUSED(sd_submit_list(cq, 1, driver, h, "/d", err_out));
        REFUSED(sd_submit_list_page(cq, 1, driver, h, "/d", NULL, 0, err_out));
        REFUSED(sd_submit_move(cq, 1, driver, h, "/d/f", "/d/g", err_out));
        REFUSED(sd_submit_delete(cq, 1, driver, h, "/d/f", err_out));
        REFUSED(sd_submit_redirect_url(cq, 1, driver, h, "/d/f", NULL, err_out));
        REFUSED(sd_submit_reader_open(cq, 1, driver, h, "/d/f", 0, err_out));
        REFUSED(sd_submit_writer_open(cq, 1, driver, h, "/d/f", 0, err_out));
        REFUSED(sd_submit_writer_commit(cq, 1, writer, h, err_out));
        REFUSED(sd_submit_writer_cancel(cq, 1, writer, h, err_out));
        REFUSED(sd_submit_writer_close(cq, 1, writer, h, err_out));
    }
    EACH_WRONG(reader) REFUSED(sd_submit_reader_read(cq, 1, h, buf, 1, err_out));
    EACH_WRONG(writer)
    {
        REFUSED(sd_submit_writer_write(cq, 1, h, "x", 1, err_out));
        REFUSED(sd_submit_writer_commit(cq, 1, h, NULL, err_out));
        REFUSED(sd_submit_writer_cancel(cq, 1, h, NULL, err_out));
        REFUSED(sd_submit_writer_close(cq, 1, h, NULL, err_out));
    }
    EACH_WRONG(walker) REFUSED(sd_submit_walker_next(cq, 1, h, err_out));
    REFUSED(sd_submit_get_content(cq, 1, driver, NULL, NULL, err_out));
    REFUSED(sd_submit_put_content(cq, 1, driver, NULL, NULL, "x", 1, err_out));
    REFUSED(sd_submit_stat(cq, 1, driver, NULL, NULL, err_out));
    REFUSED(sd_submit_list(cq, 1, driver, NULL, NULL, err_out));
    REFUSED(sd_submit_list_page(cq, 1, driver, NULL, NULL, NULL, 0, err_out));
    REFUSED(sd_submit_move(cq, 1, driver, NULL, NULL, "/d/g", err_out));
    REFUSED(sd_submit_delete(cq, 1, driver, NULL, NULL, err_out));
    REFUSED(sd_submit_redirect_url(cq, 1, driver, NULL, NULL, NULL, err_out));
    REFUSED(sd_submit_reader_open(cq, 1, driver, NULL, NULL, 0, err_out));
    REFUSED(sd_submit_writer_open(cq, 1, driver, NULL, NULL, 0, err_out));
    REFUSED(sd_submit_move(cq, 1, driver, NULL, "/d/f", NULL, err_out));
    BAD_PATH(sd_submit_list_page(cq, 1, driver, NULL, "/d", "/\xff", 0, err_out));
    REFUSED(sd_submit_put_content(cq, 1, driver, NULL, "/d/f", NULL, 1, err_out));
    REFUSED(sd_submit_put_content(cq, 1, driver, NULL, "/d/f", "x", SIZE_MAX, err_out));
    for (uint32_t flag = 2; flag; flag <<= 1)
        REFUSED(sd_submit_writer_open(cq, 1, driver, NULL, "/d/f", flag, err_out));
    REFUSED(sd_submit_reader_read(cq, 1, reader, NULL, 1, err_out));
    REFUSED(sd_submit_reader_read(cq, 1, reader, buf, 0, err_out));
    REFUSED(sd_submit_reader_read(cq, 1, reader, buf, SIZE_MAX, err_out));
    REFUSED(sd_submit_writer_write(cq, 1, writer, NULL, 1, err_out));
    REFUSED(sd_submit_writer_write(cq, 1, writer, "x", SIZE_MAX, err_out));
    /* None of all that was accepted. */
    CHECK(sd_cq_in_flight(cq) == 0);
    CHECK_STATUS(sd_cq_next(cq, 0, &out.completion, NULL), SD_EMPTY);
}

static void logs_and_runtime_refuse_what_they_must(void)
{
    sd_runtime_options options = {sizeof options, 0, 0, "\xff", NULL, 0};
    REFUSED(sd_metrics_text(NULL, err_out));
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 99), SD_OK);
    CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
    REFUSED(sd_runtime_configure(NULL, err_out));
    REFUSED(sd_runtime_configure(&options, err_out));
    options.thread_name = NULL;
    options.driver_path = "\xff";
    REFUSED(sd_runtime_configure(&options, err_out));
}

/* A struct with as many bytes behind it as an absurd version of it would have. */
static union {
    size_t struct_size;
    sd_redirect_request redirect;
    sd_walk_options walk;
    sd_runtime_options runtime;
    unsigned char bytes[8192];
} any;

static sd_status redirect(void)
{
    sd_buffer *url = NULL;
    return sd_redirect_url(driver, NULL, "/d/f", &any.redirect, &url, err_out);
}
static sd_status walk(void)
{
    return sd_walk(driver, NULL, "/", &any.walk, visit, NULL, err_out);
}
static sd_status open_walker(void)
{
    sd_walker *opened = NULL;
    sd_status status = sd_walker_open(driver, NULL, "/", &any.walk, &opened, err_out);
    sd_walker_free(opened);
    return status;
}
static sd_status configure(void)
{
    return sd_runtime_configure(&any.runtime, err_out);
}

static void structs_of_every_size_are_judged_by_it(void)
{
    static const struct {
        size_t size;
        sd_status good;
        sd_status (*call)(void);
    } all[] = {
        {sizeof any.redirect, SD_OK, redirect},
        {sizeof any.walk, SD_OK, walk},
        {sizeof any.walk, SD_OK, open_walker},
        /* A driver is in use. */
        {sizeof any.runtime, SD_ERR_INVALID_STATE, configure},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t small[] = {0, 1, sizeof(size_t), all[i].size - 8, all[i].size - 1};
        const size_t absurd[] = {4097, sizeof any, SIZE_MAX / 2, SIZE_MAX / 2 + 1,
                                 SIZE_MAX};
        memset(&any, 0, sizeof any);
        for (size_t s = 0; s < sizeof small / sizeof *small; s++) {
            any.struct_size = small[s];
            REFUSED(all[i].call());
        }
        for (size_t s = 0; s < sizeof absurd / sizeof *absurd; s++) {
            any.struct_size = absurd[s];
            REFUSED_AS(SD_ERR_STRUCT_SIZE, all[i].call());
        }
        any.struct_size = all[i].size;
        CHECK_STATUS(all[i].call(), all[i].good);
        /* A newer struct that does not use what is new. */
        any.struct_size = all[i].size + 1;
        CHECK_STATUS(all[i].call(), all[i].good);
        any.struct_size = 4096;
        CHECK_STATUS(all[i].call(), all[i].good);
        /* One that does. */
        any.bytes[4095] = 1;
        REFUSED_AS(SD_ERR_STRUCT_SIZE, all[i].call());
        any.bytes[4095] = 0;
        any.bytes[all[i].size] = 0x80;
        REFUSED_AS(SD_ERR_STRUCT_SIZE, all[i].call());
        /* What lies behind the struct is none of ours. */
        any.struct_size = all[i].size;
        CHECK_STATUS(all[i].call(), all[i].good);
    }
}

static void unknown_flags_in_structs_are_refused(void)
{
    memset(&any, 0, sizeof any);
    for (uint32_t flag = 2; flag; flag <<= 1) {
        any.walk.struct_size = sizeof any.walk;
        any.walk.flags = flag | SD_WALK_SKIP_START_SUBTREE;
        REFUSED(walk());
        REFUSED(open_walker());
        any.walk.flags = 0;
        any.runtime.struct_size = sizeof any.runtime;
        any.runtime.flags = flag | SD_RUNTIME_NO_CHILDREN;
        REFUSED(configure());
        any.runtime.flags = 0;
    }
    any.redirect.struct_size = sizeof any.redirect;
    any.redirect.method = "\xff";
    REFUSED(redirect());
    any.redirect.method = NULL;
    any.redirect.remote_addr = "\xff";
    REFUSED(redirect());
}

static void freeing_null_or_another_type_does_nothing(void)
{
    EACH_WRONG(driver) sd_driver_free(h);
    EACH_WRONG(params) sd_params_free(h);
    EACH_WRONG(names) sd_names_free(h);
    EACH_WRONG(buffer) sd_buffer_free(h);
    EACH_WRONG(error) sd_error_free(h);
    EACH_WRONG(ctx) sd_context_free(h);
    EACH_WRONG(reader) sd_reader_free(h);
    EACH_WRONG(writer) sd_writer_free(h);
    EACH_WRONG(walker) sd_walker_free(h);
    EACH_WRONG(info) sd_file_info_free(h);
    EACH_WRONG(cq) sd_cq_free(h);
    EACH_WRONG(completion) sd_completion_free(h);
}

static void after_all_that_every_handle_works(void)
{
    char buf[8] = "";
    size_t len = 0;
    sd_file_info *first = NULL;
    sd_buffer *content = NULL;
    CHECK_STATUS(sd_get_content(driver, ctx, "/d/f", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "content");
    sd_buffer_free(content);
    CHECK_TEXT(sd_params_get_string(params, "k"), "v");
    CHECK_TEXT(sd_names_get(names, 0), "n");
    CHECK_TEXT((const char *)sd_buffer_data(buffer), "b");
    CHECK_TEXT(sd_error_message(error), "e");
    CHECK_STATUS(sd_reader_read(reader, buf, sizeof buf - 1, &len, NULL), SD_OK);
    CHECK_TEXT(buf, "content");
    CHECK(sd_completion_tag(completion) == 5);
    CHECK((content = sd_completion_take_buffer(completion)) != NULL);
    sd_buffer_free(content);
    sd_completion_free(completion);
    CHECK_STATUS(sd_submit_writer_write(cq, 6, writer, "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_cq_next(cq, -1, &completion, NULL), SD_OK);
    CHECK(sd_completion_tag(completion) == 6 && sd_completion_count(completion) == 1);
    CHECK_STATUS(sd_writer_commit(writer, ctx, NULL), SD_OK);
    CHECK_STATUS(sd_walker_next(walker, &first, NULL), SD_OK);
    CHECK_TEXT(first->path, "/d");
    sd_file_info_free(first);
    CHECK_TEXT(info->path, "/i");
}

static void a_success_does_not_touch_err(void)
{
    sd_error *sentinel = (sd_error *)&any, *place = sentinel;
    char buf[8];
    size_t len = 0;
    CHECK_STATUS(sd_params_from_json("{}", &out.params, &place), SD_OK);
    CHECK_STATUS(sd_params_set_json(out.params, "k", "1", &place), SD_OK);
    sd_params_free(out.params);
    CHECK_STATUS(sd_factory_create("inmemory", NULL, NULL, &out.driver, &place), SD_OK);
    CHECK_STATUS(sd_factory_names(&out.names, &place), SD_OK);
    sd_names_free(out.names);
    CHECK_STATUS(sd_put_content(out.driver, NULL, "/a", "x", 1, &place), SD_OK);
    CHECK_STATUS(sd_get_content(out.driver, NULL, "/a", &out.buffer, &place), SD_OK);
    sd_buffer_free(out.buffer);
    CHECK_STATUS(sd_stat(out.driver, NULL, "/a", &out.info, &place), SD_OK);
    sd_file_info_free(out.info);
    CHECK_STATUS(sd_list(out.driver, NULL, "/", &out.names, &place), SD_OK);
    sd_names_free(out.names);
    CHECK_STATUS(sd_list_page(out.driver, NULL, "/", NULL, 0, &out.names, &place), SD_OK);
    sd_names_free(out.names);
    CHECK_STATUS(sd_check_path("/a", &place), SD_OK);
    CHECK_STATUS(sd_redirect_url(out.driver, NULL, "/a", NULL, &out.buffer, &place), SD_OK);
    CHECK_STATUS(sd_reader_open(out.driver, NULL, "/a", 0, &out.reader, &place), SD_OK);
    CHECK_STATUS(sd_reader_read(out.reader, buf, sizeof buf, &len, &place), SD_OK);
    sd_reader_free(out.reader);
    CHECK_STATUS(sd_read_stream(out.driver, NULL, "/a", 0, sink, NULL, NULL, &place),
                 SD_OK);
    CHECK_STATUS(sd_writer_open(out.driver, NULL, "/b", 0, &out.writer, &place), SD_OK);
    CHECK_STATUS(sd_writer_write(out.writer, "x", 1, &place), SD_OK);
    CHECK_STATUS(sd_writer_commit(out.writer, NULL, &place), SD_OK);
    CHECK_STATUS(sd_writer_close(out.writer, NULL, &place), SD_OK);
    sd_writer_free(out.writer);
    CHECK_STATUS(sd_write_stream(out.driver, NULL, "/c", 0, source, NULL, NULL, &place),
                 SD_OK);
    CHECK_STATUS(sd_walk(out.driver, NULL, "/", NULL, visit, NULL, &place), SD_OK);
    CHECK_STATUS(sd_walker_open(out.driver, NULL, "/", NULL, &out.walker, &place), SD_OK);
    CHECK_STATUS(sd_walker_next(out.walker, &out.info, &place), SD_OK);
    sd_file_info_free(out.info);
    sd_walker_free(out.walker);
    CHECK_STATUS(sd_move(out.driver, NULL, "/a", "/z", &place), SD_OK);
    CHECK_STATUS(sd_delete(out.driver, NULL, "/z", &place), SD_OK);
    CHECK_STATUS(sd_metrics_text(&out.buffer, &place), SD_OK);
    sd_buffer_free(out.buffer);
    CHECK_STATUS(sd_cq_new(&out.cq, &place), SD_OK);
    CHECK_STATUS(sd_submit_stat(out.cq, 1, out.driver, NULL, "/c", &place), SD_OK);
    CHECK_STATUS(sd_cq_next(out.cq, -1, &out.completion, &place), SD_OK);
    CHECK_STATUS(sd_cq_next(out.cq, 0, &out.completion, &place), SD_EMPTY);
    sd_completion_free(out.completion);
    sd_cq_free(out.cq);
    sd_driver_free(out.driver);
    CHECK_STATUS(sd_runtime_shutdown(1000, &place), SD_OK);
    CHECK(place == sentinel);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    make_handles();
    RUN(errors_refuse_null_and_other_handles);
    RUN(values_refuse_null_and_other_handles);
    RUN(parameters_refuse_null_and_other_handles);
    RUN(contexts_refuse_other_handles);
    RUN(the_factory_refuses_null_and_other_handles);
    RUN(operations_refuse_null_and_other_handles);
    RUN(operations_refuse_bad_paths_and_bytes);
    RUN(reading_refuses_what_it_must);
    RUN(writing_refuses_what_it_must);
    RUN(walking_refuses_what_it_must);
    RUN(the_queue_refuses_null_and_other_handles);
    RUN(submissions_refuse_what_they_must);
    RUN(logs_and_runtime_refuse_what_they_must);
    RUN(structs_of_every_size_are_judged_by_it);
    RUN(unknown_flags_in_structs_are_refused);
    RUN(freeing_null_or_another_type_does_nothing);
    RUN(after_all_that_every_handle_works);
    RUN(a_success_does_not_touch_err);
    free_handles();
    return end_tests();
}
