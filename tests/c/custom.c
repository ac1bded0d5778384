/* Section 11: drivers written in C. */
#include "custom_driver.h"

#include <stddef.h>
#include <sys/wait.h>

static void a_driver_in_c_is_a_driver(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_buffer *content = NULL;
    sd_file_info *info = NULL;
    sd_names *names = NULL;
    CHECK_TEXT(sd_driver_name(driver), "mine");
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/e/empty", NULL, 0, NULL), SD_OK);
    CHECK_STATUS(sd_get_content(driver, NULL, "/d/file", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "content");
    CHECK_STATUS(sd_stat(driver, NULL, "/d/file", &info, NULL), SD_OK);
    CHECK(info->size == 7 && info->mtime_ns == 1000 && info->flags == 0);
    sd_file_info_free(info);
    CHECK_STATUS(sd_stat(driver, NULL, "/", &info, NULL), SD_OK);
    CHECK(info->flags == SD_INFO_DIR && info->size == 0);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/e/other", "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_list(driver, NULL, "/d", &names, NULL), SD_OK);
    CHECK(sd_names_count(names) == 2); /* sorted, and /d/e once */
    CHECK_TEXT(sd_names_get(names, 0), "/d/e");
    CHECK_STATUS(sd_move(driver, NULL, "/d/file", "/moved", NULL), SD_OK);
    CHECK_STATUS(sd_delete(driver, NULL, "/d", NULL), SD_OK);
    sd_names_free(names);
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    CHECK(sd_names_count(names) == 1);
    CHECK_TEXT(sd_names_get(names, 0), "/moved");
    sd_names_free(names);
    sd_buffer_free(content);
    sd_file_info_free(info);
    sd_driver_free(driver);
    end_store(s, 1);
}

static void streams_go_through_it(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_writer *writer = NULL;
    sd_reader *reader = NULL;
    char buf[16];
    size_t len = 0;
    CHECK_STATUS(sd_writer_open(driver, NULL, "/u", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(writer, NULL, 0, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(writer, "one ", 4, NULL), SD_OK);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    CHECK(sd_writer_size(writer) == 4);
    sd_writer_free(writer);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/u", SD_WRITER_APPEND, &writer, NULL),
                 SD_OK);
    CHECK(sd_writer_size(writer) == 4);
    CHECK_STATUS(sd_writer_write(writer, "two", 3, NULL), SD_OK);
    CHECK_STATUS(sd_writer_commit(writer, NULL, NULL), SD_OK);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/u", 2, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_reader_read(reader, buf, sizeof buf, &len, NULL), SD_OK);
    CHECK(len == 5 && memcmp(buf, "e two", 5) == 0);
    CHECK_STATUS(sd_reader_read(reader, buf, sizeof buf, &len, NULL), SD_OK);
    CHECK(len == 0);
    sd_reader_free(reader);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/u", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(writer, "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_writer_cancel(writer, NULL, NULL), SD_OK);
    sd_writer_free(writer);
    sd_driver_free(driver);
    end_store(s, 1);
}

static sd_status note(void *user, const sd_file_info *info)
{
    strcat(user, info->path);
    strcat(user, " ");
    return SD_OK;
}
static void a_walk_goes_through_list_and_stat(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    char seen[200] = "";
    put(s, "/d-", "", 0, 0), put(s, "/a", "", 0, 0);
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, note, seen, NULL), SD_OK);
    CHECK_TEXT(seen, "/a /d /d/file /d- ");
    sd_driver_free(driver);
    end_store(s, 1);
}

/* What is wrong about a call of sd_driver_new, and that nothing was taken over. */
static void check_refused(const char *name, const sd_driver_vtable *v, sd_status want,
                          const char *word)
{
    struct store *s = new_store();
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_driver_new(name, v, s, &driver, &err), want);
    if (!CHECK(err != NULL && strstr(sd_error_message(err), word) != NULL))
        printf("# no \"%s\" in: %s\n", word, err ? sd_error_message(err) : "");
    CHECK(driver == NULL);
    sd_error_free(err);
    end_store(s, 0);
}

static void every_missing_slot_is_named_at_creation(void)
{
    const struct {
        size_t at;
        const char *name;
    } mandatory[] = {
#define SLOT(name) {offsetof(sd_driver_vtable, name), #name}
        SLOT(get_content),   SLOT(put_content),   SLOT(stat),         SLOT(list),
        SLOT(move),          SLOT(remove),        SLOT(reader_open),  SLOT(reader_read),
        SLOT(reader_free),   SLOT(writer_open),   SLOT(writer_write), SLOT(writer_size),
        SLOT(writer_commit), SLOT(writer_cancel), SLOT(writer_close), SLOT(writer_free),
        SLOT(redirect_url),
    };
    for (size_t i = 0; i < sizeof mandatory / sizeof *mandatory; i++) {
        sd_driver_vtable v = slots; /* redirect_url is mandatory with SD_CAP_REDIRECT */
        memset((char *)&v + mandatory[i].at, 0, sizeof v.free);
        check_refused("mine", &v, SD_ERR_INVALID_ARGUMENT, mandatory[i].name);
    }
}

static void free_and_redirect_url_are_optional(void)
{
    sd_driver_vtable v = slots;
    struct store *s = new_store();
    sd_driver *driver = NULL;
    sd_buffer *url = NULL;
    v.free = NULL, v.redirect_url = NULL, v.capabilities = 0;
    CHECK_STATUS(sd_driver_new("mine", &v, s, &driver, NULL), SD_OK);
    CHECK_STATUS(sd_redirect_url(driver, NULL, "/d/file", NULL, &url, NULL), SD_OK);
    CHECK(url == NULL);
    sd_driver_free(driver);
    end_store(s, 0);
}

static void a_vtable_is_copied_and_its_size_respected(void)
{
    struct {
        sd_driver_vtable known;
        void *later;
    } longer = {slots, NULL};
    struct store *s = new_store();
    sd_driver *driver = NULL;
    longer.known.struct_size = sizeof longer;
    CHECK_STATUS(sd_driver_new("mine", &longer.known, s, &driver, NULL), SD_OK);
    longer.later = &longer;
    check_refused("mine", &longer.known, SD_ERR_STRUCT_SIZE, "sd_driver_vtable");
    memset(&longer, 0xff, sizeof longer);
    CHECK_STATUS(sd_delete(driver, NULL, "/d", NULL), SD_OK);
    sd_driver_free(driver);
    end_store(s, 1);
    sd_driver_vtable v = slots;
    v.struct_size = 0;
    check_refused("mine", &v, SD_ERR_INVALID_ARGUMENT, "struct_size");
    v.struct_size = sizeof v - 1;
    check_refused("mine", &v, SD_ERR_INVALID_ARGUMENT, "struct_size");
    v = slots, v.capabilities |= 0x40;
    check_refused("mine", &v, SD_ERR_INVALID_ARGUMENT, "0x40");
    check_refused("mine", NULL, SD_ERR_INVALID_ARGUMENT, "vtable");
}

static void a_driver_has_a_name_as_a_factory_has(void)
{
    const char *bad[] = {"", "Mine", "my driver", "mine_", "../mine", "m\xc3\xbcne"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(bad[i], &slots, SD_ERR_INVALID_ARGUMENT, "lower-case");
    check_refused(NULL, &slots, SD_ERR_INVALID_ARGUMENT, "name");
    struct store *s = new_store();
    CHECK_STATUS(sd_driver_new("mine", &slots, s, NULL, NULL), SD_ERR_INVALID_ARGUMENT);
    end_store(s, 0);
}

/* Frees in the order of the bits of `order`, and looks after each. */
static void free_in_order(int order)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s), *other = sd_driver_ref(driver);
    sd_context *ctx = sd_context_new(NULL);
    sd_reader *reader = NULL;
    sd_writer *writer = NULL;
    sd_walker *walker = NULL;
    CHECK_STATUS(sd_reader_open(driver, ctx, "/d/file", 0, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_writer_open(driver, ctx, "/w", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_walker_open(driver, ctx, "/", NULL, &walker, NULL), SD_OK);
    sd_context_free(ctx);
    for (int i = 0; i < 5; i++) {
        CHECK(s->frees == 0);
        switch ((i * (order / 5 + 1) + order) % 5) {
        case 0: sd_driver_free(driver); break;
        case 1: sd_driver_free(other); break;
        case 2: sd_reader_free(reader); break;
        case 3: sd_writer_free(writer); break;
        case 4: sd_walker_free(walker); break;
        }
    }
    CHECK(s->reader_frees == 1 && s->writer_frees == 1);
    end_store(s, 1);
}
static void free_is_called_once_in_any_order(void)
{
    for (int order = 0; order < 20; order++)
        free_in_order(order);
}

typedef sd_status (*act_fn)(sd_driver *driver, sd_error **err);

static sd_status act_get(sd_driver *d, sd_error **err)
{
    sd_buffer *out = NULL;
    sd_status status = sd_get_content(d, NULL, "/d/file", &out, err);
    CHECK((out != NULL) == (status == SD_OK));
    sd_buffer_free(out);
    return status;
}
static sd_status act_put(sd_driver *d, sd_error **err)
{
    return sd_put_content(d, NULL, "/d/file", "x", 1, err);
}
static sd_status stat_of(sd_driver *d, const char *path, sd_error **err)
{
    sd_file_info *out = NULL;
    sd_status status = sd_stat(d, NULL, path, &out, err);
    CHECK((out != NULL) == (status == SD_OK));
    sd_file_info_free(out);
    return status;
}
static sd_status act_stat(sd_driver *d, sd_error **err)
{
    return stat_of(d, "/d/file", err);
}
static sd_status act_stat_dir(sd_driver *d, sd_error **err)
{
    return stat_of(d, "/d", err);
}
static sd_status act_list(sd_driver *d, sd_error **err)
{
    sd_names *out = NULL;
    sd_status status = sd_list(d, NULL, "/d", &out, err);
    CHECK((out != NULL) == (status == SD_OK));
    sd_names_free(out);
    return status;
}
static sd_status act_redirect(sd_driver *d, sd_error **err)
{
    sd_buffer *out = NULL;
    sd_status status = sd_redirect_url(d, NULL, "/d/file", NULL, &out, err);
    sd_buffer_free(out);
    return status;
}
static sd_status act_read(sd_driver *d, sd_error **err)
{
    sd_reader *reader = NULL;
    char buf[4];
    size_t len = 0;
    sd_status status = sd_reader_open(d, NULL, "/d/file", 0, &reader, err);
    if (status == SD_OK)
        status = sd_reader_read(reader, buf, sizeof buf, &len, err);
    sd_reader_free(reader);
    return status;
}
static sd_status act_write(sd_driver *d, sd_error **err)
{
    sd_writer *writer = NULL;
    sd_status status = sd_writer_open(d, NULL, "/d/file", 0, &writer, err);
    if (status != SD_OK)
        return status;
    status = sd_writer_write(writer, "12345", 5, err);
    if (status == SD_OK)
        status = sd_writer_close(writer, NULL, err);
    /* What ended is not asked to end again. */
    CHECK(sd_writer_write(writer, "x", 1, NULL) == SD_ERR_INVALID_STATE);
    sd_writer_free(writer);
    return status;
}
static sd_status act_append(sd_driver *d, sd_error **err)
{
    sd_writer *writer = NULL;
    sd_status status = sd_writer_open(d, NULL, "/d/file", SD_WRITER_APPEND, &writer, err);
    if (status != SD_OK)
        return status;
    status = sd_writer_write(writer, "x", 1, err);
    CHECK(sd_writer_commit(writer, NULL, NULL) == SD_ERR_INVALID_STATE);
    sd_writer_free(writer);
    return status;
}

static void every_wrong_answer_is_an_error_with_the_drivers_name(void)
{
    const struct {
        enum fault fault;
        act_fn act;
        const char *word;
    } wrong[] = {
        {GET_NULL, act_get, "without a result"},
        {GET_TYPE, act_get, "no sd_buffer"},
        {STAT_NULL, act_stat, "without a result"},
        {STAT_TYPE, act_stat, "no sd_file_info"},
        {STAT_PATH, act_stat, "/other"},
        {STAT_DIR_SIZE, act_stat_dir, "directory"},
        {STAT_SIZE, act_stat, "negative"},
        {STAT_TIME, act_stat, "negative"},
        {LIST_NULL, act_list, "without a result"},
        {LIST_TYPE, act_list, "no sd_names"},
        {LIST_OUTSIDE, act_list, "/elsewhere/x"},
        {LIST_GRANDCHILD, act_list, "/d/x/y"},
        {LIST_ITSELF, act_list, "no child"},
        {LIST_GRAMMAR, act_list, "/d/a b"},
        {LIST_SIBLING, act_list, "/directory"},
        {READER_NULL, act_read, "without a reader"},
        {READ_LONG, act_read, "5 bytes"},
        {READ_UNSET, act_read, "bytes for a buffer of 4"},
        {WRITER_NULL, act_write, "without a writer"},
        {SIZE_AT_OPEN, act_write, "is 5"},
        {SIZE_SHRINKS, act_append, "is 1"},
        {SIZE_LIES, act_append, "is 9"},
        {SIZE_AT_CLOSE, act_write, "is 0"},
        {REDIRECT_EMPTY, act_redirect, "no url"},
        {REDIRECT_BYTES, act_redirect, "no url"},
        {STATUS_POSITIVE, act_get, "answered 7"},
        {STATUS_POSITIVE, act_put, "answered 7"},
        {STATUS_POSITIVE, act_read, "answered 7"},
        {STATUS_POSITIVE, act_write, "answered 7"},
        {STATUS_UNKNOWN, act_stat, "answered -9999"},
        {STATUS_UNKNOWN, act_list, "strange"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct store *s = new_store();
        sd_driver *driver = new_driver(s);
        sd_error *err = NULL;
        s->fault = wrong[i].fault;
        sd_status status = wrong[i].act(driver, &err);
        const char *text = err ? sd_error_message(err) : "";
        if (!CHECK(status == SD_ERR_DRIVER && strstr(text, wrong[i].word)))
            printf("# case %d: %s: %s\n", (int)i, sd_status_name(status), text);
        CHECK(strncmp(text, "mine: ", 6) == 0);
        CHECK_TEXT(sd_error_driver(err), "mine");
        CHECK(*sd_error_path(err) == '/');
        sd_error_free(err);
        sd_driver_free(driver);
        end_store(s, 1);
    }
}

static void a_root_that_is_a_file_is_a_wrong_answer(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_error *err = NULL;
    put(s, "/", "", 0, 0);
    CHECK_ERROR(stat_of(driver, "/", &err), SD_ERR_DRIVER);
    sd_driver_free(driver);
    end_store(s, 1);
}

static void errors_keep_what_the_driver_said(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_error *err = NULL;
    int64_t offset = 0;
    s->fault = ATTRIBUTES;
    CHECK_STATUS(act_get(driver, &err), SD_ERR_UNAVAILABLE);
    CHECK_TEXT(sd_error_message(err), "mine: out to lunch: /elsewhere");
    CHECK_TEXT(sd_error_driver(err), "mine");
    CHECK_TEXT(sd_error_path(err), "/elsewhere");
    CHECK(sd_error_offset(err, &offset) && offset == 17);
    CHECK(sd_error_http_status(err) == 503 && sd_error_retry_after_ms(err) == 1500);
    CHECK(sd_error_is_retryable(err));
    CHECK_TEXT(sd_error_request_id(err), "req-1");
    sd_error_free(err);
    s->fault = OTHER_CODE; /* the status wins */
    CHECK_STATUS(act_get(driver, &err), SD_ERR_THROTTLED);
    CHECK(sd_error_code(err) == SD_ERR_THROTTLED && sd_error_is_retryable(err));
    CHECK_TEXT(sd_error_message(err), "mine: a cause: /d/file");
    sd_error_free(err);
    s->fault = STATUS_KNOWN; /* no error at all */
    CHECK_STATUS(act_put(driver, &err), SD_ERR_NO_SPACE);
    CHECK_TEXT(sd_error_message(err), "mine: no space left: /d/file");
    sd_error_free(err);
    s->fault = ERROR_ON_SUCCESS; /* freed, as memory checkers see */
    err = NULL;
    CHECK_STATUS(act_get(driver, &err), SD_OK);
    CHECK(err == NULL);
    s->fault = NONE;
    CHECK_STATUS(sd_get_content(driver, NULL, "/gone", &(sd_buffer *){NULL}, &err),
                 SD_ERR_PATH_NOT_FOUND);
    CHECK_TEXT(sd_error_message(err), "mine: Path not found: /gone");
    sd_error_free(err);
    CHECK_STATUS(sd_move(driver, NULL, "/d/file", "/d/file/below", &err),
                 SD_ERR_NOT_DIRECTORY);
    CHECK_TEXT(sd_error_path(err), "/d/file/below");
    sd_error_free(err);
    sd_driver_free(driver);
    end_store(s, 1);
}

static void a_failed_write_keeps_the_true_size(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_writer *writer = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_writer_open(driver, NULL, "/w", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(writer, "1234", 4, NULL), SD_OK);
    s->fault = WRITE_FAILS;
    CHECK_ERROR(sd_writer_write(writer, "123456", 6, &err), SD_ERR_NO_SPACE);
    CHECK(sd_writer_size(writer) == 7);
    CHECK_STATUS(sd_writer_close(writer, NULL, NULL), SD_OK);
    CHECK(sd_writer_size(writer) == 7);
    sd_writer_free(writer);
    sd_driver_free(driver);
    end_store(s, 1);
}

static void base_keeps_nonsense_away_from_it(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_context *ctx = sd_context_new(NULL);
    sd_reader *reader = NULL;
    sd_error *err = NULL;
    CHECK_ERROR(sd_put_content(driver, NULL, "/a/../b", "x", 1, &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_delete(driver, NULL, "/", &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_reader_open(driver, NULL, "/d/file", -1, &reader, &err),
                SD_ERR_INVALID_OFFSET);
    sd_context_cancel(ctx);
    CHECK_ERROR(sd_delete(driver, ctx, "/d", &err), SD_ERR_CANCELLED);
    CHECK(s->calls == 0);
    s->fault = FREES_WHAT_IS_LENT;
    CHECK_STATUS(act_get(driver, NULL), SD_OK);
    sd_context_free(ctx);
    sd_driver_free(driver);
    end_store(s, 1);
}

static sd_status stat_with_deadline(void *self, const sd_context *ctx, const char *path,
                                    sd_file_info **out, sd_error **err)
{
    int64_t left = sd_context_remaining_ms(ctx);
    sd_context *child = sd_context_new(ctx);
    (void)self, (void)err;
    sd_context_cancel(child);
    *out = sd_file_info_new(path, (uint64_t)left, 0, 0);
    sd_context_free(child);
    return sd_context_status(ctx);
}
static void a_slot_sees_the_callers_context(void)
{
    sd_driver_vtable v = slots;
    struct store *s = new_store();
    sd_driver *driver = NULL;
    sd_context *ctx = sd_context_new(NULL);
    sd_file_info *info = NULL;
    v.stat = stat_with_deadline;
    sd_context_set_timeout_ms(ctx, 60000);
    CHECK_STATUS(sd_driver_new("mine", &v, s, &driver, NULL), SD_OK);
    CHECK_STATUS(sd_stat(driver, ctx, "/x", &info, NULL), SD_OK);
    CHECK(info && info->size > 1000 && info->size <= 60000);
    CHECK_STATUS(sd_context_status(ctx), SD_OK);
    sd_file_info_free(info);
    sd_context_free(ctx);
    sd_driver_free(driver);
    end_store(s, 1);
}

static void a_redirect_request_is_complete(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_redirect_request request = {.struct_size = sizeof request,
                                   .method = "HEAD",
                                   .remote_addr = "10.0.0.1",
                                   .expires_s = 60};
    sd_buffer *url = NULL;
    CHECK_STATUS(sd_redirect_url(driver, NULL, "/d/file", &request, &url, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(url), "http://x");
    CHECK_TEXT(s->method, "HEAD");
    CHECK_TEXT(s->address, "10.0.0.1");
    CHECK(s->expires == 60);
    sd_buffer_free(url);
    CHECK_STATUS(sd_redirect_url(driver, NULL, "/none", NULL, &url, NULL), SD_OK);
    CHECK(url == NULL);
    CHECK_TEXT(s->method, "GET");
    sd_driver_free(driver);
    end_store(s, 1);
}

static void *work(void *driver)
{
    long good = 0;
    for (int i = 0; i < 50; i++) {
        char path[32];
        sd_writer *writer = NULL;
        sd_reader *reader = NULL;
        snprintf(path, sizeof path, "/t/%lx", (unsigned long)pthread_self() % 0xffffff);
        good += sd_writer_open(driver, NULL, path, 0, &writer, NULL) == SD_OK;
        good += sd_writer_write(writer, "12345", 5, NULL) == SD_OK;
        good += sd_writer_commit(writer, NULL, NULL) == SD_OK;
        sd_writer_free(writer);
        good += sd_reader_open(driver, NULL, path, 0, &reader, NULL) == SD_OK;
        sd_reader_free(reader);
        good += act_list(driver, NULL) == SD_OK;
    }
    return (void *)good;
}
static void sixteen_threads(uint32_t limit)
{
    sd_driver_vtable v = slots;
    struct store *s = new_store();
    sd_driver *driver = NULL;
    pthread_t threads[16];
    v.max_concurrency = limit;
    CHECK_STATUS(sd_driver_new("mine", &v, s, &driver, NULL), SD_OK);
    s->slow = 1;
    for (int i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, work, driver);
    for (int i = 0; i < 16; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        CHECK((long)good == 250);
    }
    CHECK(limit == 0 || s->most_inside <= (int)limit);
    sd_driver_free(driver);
    end_store(s, 1);
}
static void sixteen_threads_use_one_driver(void)
{
    sixteen_threads(0);
}
static void max_concurrency_is_kept(void)
{
    sixteen_threads(2);
}

static void no_slot_is_called_in_a_child_of_a_fork(void)
{
    struct store *s = new_store();
    sd_driver *driver = new_driver(s);
    sd_reader *reader = NULL;
    int status = 0;
    CHECK_STATUS(sd_reader_open(driver, NULL, "/d/file", 0, &reader, NULL), SD_OK);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int calls = s->calls, good = act_get(driver, NULL) == SD_ERR_FORKED;
        char buf[4];
        size_t len;
        good &= sd_reader_read(reader, buf, 4, &len, NULL) == SD_ERR_FORKED;
        sd_reader_free(reader);
        sd_driver_free(driver);
        good &= s->frees == 0 && s->reader_frees == 0 && s->calls == calls;
        free(s->last_reader); /* for the memory checker in the child */
        _exit(good ? 0 : 1);
    }
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    sd_reader_free(reader);
    sd_driver_free(driver);
    end_store(s, 1);
}

struct factory {
    int creates, frees;
    sd_driver_vtable give;
    const sd_driver_vtable *instead;
    struct store *store;
};

static sd_status create(void *user, const sd_context *ctx, const sd_params *params,
                        const sd_driver_vtable **vtable, void **self, sd_error **err)
{
    struct factory *f = user;
    f->creates++;
    CHECK(ctx != NULL && sd_context_status(ctx) == SD_OK);
    sd_params_free((sd_params *)(uintptr_t)params); /* only lent: does nothing */
    for (size_t i = 0; i < sd_params_count(params); i++) {
        const char *key = sd_params_key(params, i);
        char text[100];
        if (strcmp(key, "host") == 0 || strcmp(key, "port") == 0)
            continue;
        snprintf(text, sizeof text, "parameter %s: is unknown", key);
        *err = sd_error_new(SD_ERR_INVALID_PARAMETER, text);
        return SD_ERR_INVALID_PARAMETER;
    }
    sd_buffer *json = sd_params_to_json(params);
    if (sd_params_count(params) == 2) {
        CHECK_TEXT(sd_params_get_string(params, "host"), "S3CRET");
        CHECK_TEXT((const char *)sd_buffer_data(json), "{\"host\":\"***\",\"port\":5}");
    }
    sd_buffer_free(json);
    *self = f->store = new_store();
    if (f->give.struct_size)
        *vtable = f->instead ? f->instead : &f->give;
    return SD_OK;
}
static void forget(void *user)
{
    ((struct factory *)user)->frees++;
}
static const sd_factory_vtable makes = {
    .struct_size = sizeof makes, .create = create, .free = forget};

static int has_name(const char *name)
{
    sd_names *names = NULL;
    int found = 0;
    CHECK_STATUS(sd_factory_names(&names, NULL), SD_OK);
    for (size_t i = 0; i < sd_names_count(names); i++)
        found |= strcmp(sd_names_get(names, i), name) == 0;
    sd_names_free(names);
    return found;
}

static void a_factory_makes_drivers_by_name_until_shutdown(void)
{
    struct factory f = {.give = slots};
    sd_params *params = sd_params_new();
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_factory_register("my-store", &makes, &f, NULL), SD_OK);
    CHECK(has_name("my-store"));
    sd_params_set_string(params, "host", "S3CRET");
    sd_params_set_int(params, "port", 5);
    CHECK_STATUS(sd_factory_create("my-store", NULL, params, &driver, &err), SD_OK);
    CHECK_TEXT(sd_driver_name(driver), "my-store");
    CHECK_STATUS(act_get(driver, NULL), SD_OK);
    sd_params_set_int(params, "color", 5);
    CHECK_STATUS(sd_factory_create("my-store", NULL, params, &(sd_driver *){NULL}, &err),
                 SD_ERR_INVALID_PARAMETER);
    CHECK_TEXT(sd_error_message(err), "my-store: parameter color: is unknown");
    sd_error_free(err);
    CHECK(f.creates == 2 && f.frees == 0);
    CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
    CHECK(f.frees == 1 && f.store->frees == 0);
    CHECK(!has_name("my-store"));
    CHECK_STATUS(act_get(driver, NULL), SD_ERR_SHUTDOWN);
    sd_driver_free(driver);
    end_store(f.store, 1);
    CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
    CHECK(f.frees == 1);
    CHECK(has_name("inmemory") == (strstr(sd_features(), "inmemory") != NULL));
    sd_params_free(params);
}

static void a_name_can_be_added_again_after_shutdown(void)
{
    struct factory f = {.give = slots};
    for (int i = 1; i <= 2; i++) {
        CHECK_STATUS(sd_factory_register("again", &makes, &f, NULL), SD_OK);
        CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
        CHECK(f.frees == i);
    }
}

static void a_refused_registration_takes_nothing_over(void)
{
    struct factory f = {.give = slots}, g = {.give = slots};
    sd_factory_vtable v = makes;
    sd_error *err = NULL;
    CHECK_STATUS(sd_factory_register("taken", &makes, &g, NULL), SD_OK);
    CHECK_ERROR(sd_factory_register("taken", &makes, &f, &err), SD_ERR_ALREADY_REGISTERED);
    if (has_name("inmemory"))
        CHECK_ERROR(sd_factory_register("inmemory", &makes, &f, &err),
                    SD_ERR_ALREADY_REGISTERED);
    CHECK_ERROR(sd_factory_register("No", &makes, &f, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_factory_register("no", NULL, &f, &err), SD_ERR_INVALID_ARGUMENT);
    v.create = NULL;
    CHECK_ERROR(sd_factory_register("no", &v, &f, &err), SD_ERR_INVALID_ARGUMENT);
    v = makes, v.struct_size = 3;
    CHECK_ERROR(sd_factory_register("no", &v, &f, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
    CHECK(f.frees == 0 && g.frees == 1);
}

static void what_a_factory_gives_is_checked(void)
{
    struct factory f = {.give = slots};
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_factory_register("odd", &makes, &f, NULL), SD_OK);
    f.give.list = NULL;
    CHECK_STATUS(sd_factory_create("odd", NULL, NULL, &driver, &err), SD_ERR_DRIVER);
    CHECK(strstr(sd_error_message(err), "list") != NULL);
    CHECK_TEXT(sd_error_driver(err), "odd");
    sd_error_free(err);
    end_store(f.store, 1);  /* its free was called */
    f.give.struct_size = 0; /* makes create give no vtable */
    CHECK_ERROR(sd_factory_create("odd", NULL, NULL, &driver, &err), SD_ERR_DRIVER);
    end_store(f.store, 0);
    f.give = slots, f.give.struct_size = 1;
    CHECK_ERROR(sd_factory_create("odd", NULL, NULL, &driver, &err), SD_ERR_DRIVER);
    end_store(f.store, 0);
    CHECK(driver == NULL);
    CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
    CHECK(f.frees == 1);
}

static void what_comes_with_a_newer_vtable_is_freed(void)
{
    struct {
        sd_driver_vtable known;
        void *later;
    } newer = {slots, &newer};
    struct factory f = {.give = slots, .instead = &newer.known};
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    newer.known.struct_size = sizeof newer;
    CHECK_STATUS(sd_factory_register("newer", &makes, &f, NULL), SD_OK);
    CHECK_ERROR(sd_factory_create("newer", NULL, NULL, &driver, &err), SD_ERR_DRIVER);
    end_store(f.store, 1);
    newer.known.struct_size = 100000; /* whatever it is, it has a free */
    CHECK_ERROR(sd_factory_create("newer", NULL, NULL, &driver, &err), SD_ERR_DRIVER);
    end_store(f.store, 1);
    CHECK(driver == NULL);
    CHECK_STATUS(sd_runtime_shutdown(5000, NULL), SD_OK);
}

static void a_program_that_cannot_serve_frees_what_it_was_given(void)
{
    sd_factory_vtable v = makes;
    struct factory f = {.give = slots};
    close(3); /* where a host would be */
    CHECK(sd_driver_main(0, NULL, "own", &v, &f) == 2 && f.frees == 1);
    CHECK(sd_driver_main(0, NULL, "No Name", &v, &f) == 2 && f.frees == 2);
    CHECK(sd_driver_main(0, NULL, NULL, &v, &f) == 2 && f.frees == 3);
    CHECK(sd_driver_main(0, NULL, "\xff", &v, &f) == 2 && f.frees == 4);
    v.create = NULL;
    CHECK(sd_driver_main(0, NULL, "own", &v, &f) == 2 && f.frees == 5);
    CHECK(f.creates == 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(a_driver_in_c_is_a_driver);
    RUN(streams_go_through_it);
    RUN(a_walk_goes_through_list_and_stat);
    RUN(every_missing_slot_is_named_at_creation);
    RUN(free_and_redirect_url_are_optional);
    RUN(a_vtable_is_copied_and_its_size_respected);
    RUN(a_driver_has_a_name_as_a_factory_has);
    RUN(free_is_called_once_in_any_order);
    RUN(every_wrong_answer_is_an_error_with_the_drivers_name);
    RUN(a_root_that_is_a_file_is_a_wrong_answer);
    RUN(errors_keep_what_the_driver_said);
    RUN(a_failed_write_keeps_the_true_size);
    RUN(base_keeps_nonsense_away_from_it);
    RUN(a_slot_sees_the_callers_context);
    RUN(a_redirect_request_is_complete);
    RUN(sixteen_threads_use_one_driver);
    RUN(max_concurrency_is_kept);
    RUN(no_slot_is_called_in_a_child_of_a_fork);
    RUN(a_factory_makes_drivers_by_name_until_shutdown);
    RUN(a_name_can_be_added_again_after_shutdown);
    RUN(a_refused_registration_takes_nothing_over);
    RUN(what_a_factory_gives_is_checked);
    RUN(what_comes_with_a_newer_vtable_is_freed);
    RUN(a_program_that_cannot_serve_frees_what_it_was_given);
    return end_tests();
}
