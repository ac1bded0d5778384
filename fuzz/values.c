/* A fuzz target for what the library reads: parameters, paths, patterns, the starting
 * points of walks, texts of errors and of the log. The first byte chooses; each has a
 * second opinion on what the answer must be. */
#include "checks.h"

#include <stdint.h>

/* ---- pieces of the input, up to each zero byte, as text ---- */

static const char *rest, *rest_end;
static char *piece(void)
{
    size_t len = strnlen(rest, (size_t)(rest_end - rest));
    char *text = calloc(1, len + 1);
    memcpy(text, rest, len);
    rest += len + (rest + len < rest_end);
    return text;
}
static int is_utf8(const char *text)
{
    sd_params *params = sd_params_new();
    int good = sd_params_set_string(params, "k", text) == SD_OK;
    sd_params_free(params);
    return good;
}
/* The one answer that stands for NULL and for text that is not UTF-8. */
static void failed(sd_status status, sd_error *err, sd_status expected)
{
    PROMISE(status == expected && sd_error_code(err) == status);
    check_error(err);
    sd_error_free(err);
}
/* JSON of the library's own making can be read by the library. */
static void check_json(const char *json)
{
    sd_params *params = NULL;
    PROMISE(CALL(sd_params_from_json, json, &params, NULL) == SD_OK);
    sd_params_free(params);
}

/* ---- parameters ---- */

static void check_same(const sd_params *params, const sd_params *copy, const char *key)
{
    sd_buffer *one = CALL(sd_params_get_json, params, key);
    sd_buffer *two = CALL(sd_params_get_json, copy, key);
    PROMISE(one && two && sd_buffer_len(one) == sd_buffer_len(two));
    PROMISE(strcmp((const char *)sd_buffer_data(one), (const char *)sd_buffer_data(two)) ==
            0);
    sd_buffer_free(one);
    sd_buffer_free(two);
}
/* What one key has can be set again and is the same. */
static void check_params(const sd_params *params)
{
    sd_params *copy = CALL(sd_params_new, );
    for (size_t i = 0; i < CALL(sd_params_count, params); i++) {
        const char *key = CALL(sd_params_key, params, i);
        int64_t whole;
        int32_t truth;
        double number;
        check_text(key);
        sd_buffer *json = CALL(sd_params_get_json, params, key);
        const char *text = (const char *)sd_buffer_data(json);
        PROMISE(CALL(sd_params_set_json, copy, key, text, NULL) == SD_OK);
        check_same(params, copy, key);
        sd_buffer_free(json);
        if ((text = CALL(sd_params_get_string, params, key)) && *text)
            PROMISE(CALL(sd_params_set_string, copy, key, text) == SD_OK);
        else if (CALL(sd_params_get_int, params, key, &whole))
            PROMISE(CALL(sd_params_set_int, copy, key, whole) == SD_OK);
        else if (CALL(sd_params_get_bool, params, key, &truth))
            PROMISE(CALL(sd_params_set_bool, copy, key, truth) == SD_OK);
        else if (CALL(sd_params_get_float, params, key, &number))
            PROMISE(CALL(sd_params_set_float, copy, key, number) == SD_OK);
    }
    sd_buffer *masked = CALL(sd_params_to_json, params);
    check_json((const char *)sd_buffer_data(masked));
    sd_buffer_free(masked);
    sd_params_free(copy);
}
static void read_params(void)
{
    sd_params *params = UNTOUCHED;
    sd_error *err = UNTOUCHED;
    char *json = piece();
    sd_status status = CALL(sd_params_from_json, json, &params, &err);
    if (status == SD_OK) {
        check_params(params);
        sd_driver *driver = NULL;
        status = CALL(sd_factory_create, "inmemory", NULL, params, &driver, NULL);
        PROMISE(status == SD_OK || status == SD_ERR_INVALID_PARAMETER);
        PROMISE(status != SD_OK || sd_params_count(params) == 0);
        CALL(sd_driver_free, driver);
        CALL(sd_params_free, params);
    } else {
        PROMISE(params == UNTOUCHED);
        failed(status, err,
               is_utf8(json) ? SD_ERR_INVALID_PARAMETER : SD_ERR_INVALID_ARGUMENT);
    }
    free(json);
}
static void set_params(void)
{
    sd_params *params = CALL(sd_params_new, );
    while (rest < rest_end) {
        char *key = piece(), *json = piece();
        sd_status status = CALL(sd_params_set_json, params, key, json, NULL);
        PROMISE(status == SD_OK || status == SD_ERR_INVALID_PARAMETER ||
                status == SD_ERR_INVALID_ARGUMENT);
        if (CALL(sd_params_set_string, params, key, json) == SD_OK)
            PROMISE(strcmp(CALL(sd_params_get_string, params, key), json) == 0);
        if (status == SD_OK)
            CALL(sd_params_set_json, params, key, json, NULL);
        free(key);
        free(json);
    }
    check_params(params);
    sd_params_free(params);
}

/* ---- paths ---- */

/* The grammar of the header, told once more. */
static int is_path(const char *p)
{
    if (*p != '/')
        return 0;
    while (*p++ == '/') {
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._-");
        if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && !strncmp(p, "..", 2)))
            return 0;
        p += len;
    }
    return p[-1] == 0;
}
/* Slash before all else, so that what is below comes right after its directory. */
static int compare(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    int x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0;
    int y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
    return x - y;
}
static sd_driver *store(void)
{
    sd_driver *driver = NULL;
    PROMISE(CALL(sd_factory_create, "inmemory", NULL, NULL, &driver, NULL) == SD_OK);
    return driver;
}
static void check_paths(void)
{
    sd_driver *driver = store();
    while (rest < rest_end) {
        char *path = piece();
        sd_error *err = UNTOUCHED;
        sd_file_info *info = NULL;
        sd_status status = CALL(sd_check_path, path, &err);
        PROMISE((status == SD_OK) == is_path(path));
        PROMISE(status == SD_OK ? err == UNTOUCHED : sd_error_code(err) == status);
        if (status != SD_OK)
            failed(status, err, SD_ERR_INVALID_PATH);
        sd_status put = CALL(sd_put_content, driver, NULL, path, path, strlen(path), NULL);
        PROMISE((put == SD_ERR_INVALID_PATH) == (status != SD_OK));
        sd_status stat = CALL(sd_stat, driver, NULL, path, &info, NULL);
        PROMISE(put != SD_OK || (stat == SD_OK && info->size == strlen(path)));
        PROMISE((stat == SD_ERR_INVALID_PATH) ==
                (status != SD_OK && strcmp(path, "/") != 0));
        CALL(sd_file_info_free, info);
        free(path);
    }
    CALL(sd_driver_free, driver);
}

/* ---- walks and pages from any starting point ---- */

struct walk {
    char last[4096];
    const char *after;
    uint32_t flags;
    size_t seen;
};
static sd_status visit(void *user, const sd_file_info *info)
{
    struct walk *w = user;
    PROMISE(is_path(info->path) && compare(w->last, info->path) < 0);
    PROMISE(!w->after || compare(w->after, info->path) > 0 ||
            compare(w->after, info->path));
    PROMISE(!w->after || compare(info->path, w->after) > 0);
    size_t len = w->after ? strlen(w->after) : 0;
    if (len && w->flags & SD_WALK_SKIP_START_SUBTREE && w->after[len - 1] != '/')
        PROMISE(strncmp(info->path, w->after, len) != 0 || info->path[len] != '/');
    snprintf(w->last, sizeof w->last, "%s", info->path);
    w->seen++;
    return SD_OK;
}
static void start_walks(void)
{
    sd_driver *driver = store();
    uint32_t flags = rest < rest_end ? *rest++ & 1 : 0;
    char *after = piece();
    while (rest < rest_end) {
        char *path = piece();
        if (strlen(path) < 4000)
            sd_put_content(driver, NULL, path, "", 0, NULL);
        free(path);
    }
    struct walk all = {"", NULL, 0, 0}, some = {"", after, flags, 0};
    PROMISE(CALL(sd_walk, driver, NULL, "/", NULL, visit, &all, NULL) == SD_OK);
    sd_walk_options options = {sizeof options, after, flags};
    sd_status status = CALL(sd_walk, driver, NULL, "/", &options, visit, &some, NULL);
    PROMISE(status == SD_OK || status == SD_ERR_INVALID_PATH ||
            status == SD_ERR_INVALID_ARGUMENT);
    PROMISE(some.seen <= all.seen);
    PROMISE(status == SD_OK || !is_path(after));

    sd_names *names = NULL, *page = NULL;
    PROMISE(CALL(sd_list, driver, NULL, "/", &names, NULL) == SD_OK);
    size_t count = sd_names_count(names), at = 0;
    char *from = NULL;
    while (CALL(sd_list_page, driver, NULL, "/", from, 3, &page, NULL) == SD_OK &&
           sd_names_count(page)) {
        for (size_t i = 0; i < sd_names_count(page); i++)
            PROMISE(at < count &&
                    !strcmp(sd_names_get(page, i), sd_names_get(names, at++)));
        free(from);
        from = strdup(sd_names_get(page, sd_names_count(page) - 1));
        sd_names_free(page);
    }
    PROMISE(at == count);
    sd_names_free(page);
    sd_names_free(names);
    free(from);
    free(after);
    sd_driver_free(driver);
}

/* ---- patterns: of names of conformance cases ---- */

static void stop_at_first(void *user, const char *name, sd_status status,
                          const char *detail)
{
    check_text(name);
    check_text(detail);
    PROMISE(!strstr(detail, "panicked"));
    (void)status;
    CALL(sd_context_cancel, user);
}
static void match_patterns(void)
{
    sd_driver *driver = store();
    char *filter = piece();
    sd_context *ctx = CALL(sd_context_new, NULL);
    sd_conformance_options options = {sizeof options, filter, 100, 0, stop_at_first, ctx};
    /* Below a file there is nothing: each case fails at once. */
    sd_context_set_timeout_ms(ctx, 20);
    sd_status status = CALL(sd_conformance_run, driver, ctx, &options, NULL, NULL);
    PROMISE(status == SD_ERR_INVALID_ARGUMENT || status == SD_ERR_CANCELLED ||
            status == SD_ERR_DEADLINE);
    CALL(sd_context_free, ctx);
    sd_driver_free(driver);
    free(filter);
}

/* ---- texts of errors and of the log ---- */

static void make_errors(void)
{
    sd_status code = rest < rest_end ? -(sd_status)(unsigned char)*rest++ : 0;
    char *message = piece(), *path = piece(), *id = piece();
    sd_error *error = CALL(sd_error_new, code, message);
    PROMISE((error != NULL) == is_utf8(message));
    CALL(sd_error_set_path, error, path);
    CALL(sd_error_set_request_id, error, id);
    if (error) {
        check_error(error);
        check_json(sd_error_json(error));
    }
    CALL(sd_error_free, error);
    free(message);
    free(path);
    free(id);
}
static void remember(void *user, const sd_log_record *record)
{
    char **last = user;
    check_text(record->message);
    free(*last);
    *last = strdup(record->fields_json);
}
static void log_fields(void)
{
    sd_driver *driver = store();
    char *last = NULL;
    sd_file_info *info;
    sd_context *ctx = sd_context_new(NULL);
    PROMISE(CALL(sd_log_set_hook, remember, &last, SD_LOG_TRACE) == SD_OK);
    while (rest < rest_end) {
        char *key = piece(), *value = piece();
        sd_status status = CALL(sd_context_set_field, ctx, key, value);
        PROMISE((status == SD_OK) == (is_utf8(key) && is_utf8(value)));
        free(key);
        free(value);
    }
    PROMISE(CALL(sd_stat, driver, ctx, "/none", &info, NULL) == SD_ERR_PATH_NOT_FOUND);
    PROMISE(CALL(sd_log_set_hook, NULL, NULL, 0) == SD_OK);
    PROMISE(last != NULL);
    check_json(last);
    free(last);
    CALL(sd_context_free, ctx);
    sd_driver_free(driver);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    prepare();
    return 0;
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(void) = {read_params, set_params,     check_paths,
                                            start_walks, match_patterns, make_errors,
                                            log_fields};
    if (size == 0)
        return 0;
    rest = (const char *)data + 1, rest_end = (const char *)data + size;
    readers[data[0] % COUNT(readers)]();
    check_leaks();
    return 0;
}
