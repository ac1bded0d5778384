/* Calls of sections 1 to 6, 13 and 15: values, contexts, the factory, hooks, the runtime.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "drivers.h"

#include <ftw.h>
#include <unistd.h>

/* ---- 1 to 3: version, errors, small objects ---- */

static void call_version(struct frame *f)
{
    (void)f;
    PROMISE(CALL(sd_version, ) == (SD_VERSION_MAJOR << 16 | SD_VERSION_MINOR << 8));
    PROMISE(CALL(sd_abi_version, ) == SD_ABI_VERSION);
    check_text(CALL(sd_version_string, ));
    check_text(CALL(sd_features, ));
    check_text(CALL(sd_status_name, (sd_status)draw_number()));
}
static void call_error_new(struct frame *f)
{
    (void)f;
    keep(ERROR, any_error());
}
/* All that looks at an error, at whatever handle there is. */
static void call_error_getters(struct frame *f)
{
    sd_error *error = any(f, ERROR);
    if (!f->wrong) {
        check_error(error);
        return;
    }
    int64_t offset = 77;
    check_text(sd_error_message(error));
    check_text(sd_error_driver(error));
    check_text(sd_error_path(error));
    check_text(sd_error_request_id(error));
    check_text(sd_error_json(error));
    PROMISE(!sd_error_offset(error, draw() % 2 ? &offset : NULL) && offset == 77);
    sd_error_code(error);
    sd_error_http_status(error);
    sd_error_callback_result(error);
    sd_error_is_retryable(error);
    sd_error_retry_after_ms(error);
}
/* An error that a call gave is immutable; one of our own is not handed over yet. */
static void call_error_setters(struct frame *f)
{
    sd_error *error = any(f, ERROR);
    sd_error_set_path(error, draw_text(f));
    sd_error_set_offset(error, (int64_t)draw_number());
    sd_error_set_http_status(error, (int32_t)draw_number());
    sd_error_set_retry_after_ms(error, (int64_t)draw_number());
    sd_error_set_request_id(error, draw_text(f));
}
static void call_buffer_new(struct frame *f)
{
    size_t len;
    void *data = draw_bytes(f, &len);
    sd_buffer *buffer = CALL(sd_buffer_new, data, len);
    PROMISE((buffer == NULL) == f->wrong);
    if (buffer)
        check_object(BUFFER, buffer);
    keep(BUFFER, buffer);
}
static void call_value_getters(struct frame *f)
{
    enum kind kind = draw() % 2 ? BUFFER : NAMES;
    void *handle = any(f, kind);
    if (!f->wrong) {
        check_object(kind, handle);
        PROMISE(sd_names_get(handle, kind == NAMES ? (size_t)-1 : 0) == NULL);
        return;
    }
    PROMISE(sd_buffer_len(handle) == 0 || f->pins);
    sd_buffer_data(handle);
    sd_names_count(handle);
    sd_names_get(handle, (size_t)draw_number());
}
static void call_names(struct frame *f)
{
    if (draw() % 2)
        keep(NAMES, CALL(sd_names_new, ));
    sd_names *names = any(f, NAMES);
    known(f, CALL(sd_names_push, names, draw_text(f)));
}
static void call_file_info_new(struct frame *f)
{
    const char *path = draw_text(f);
    uint64_t size = draw_number();
    uint32_t flags = draw() % 8;
    int64_t mtime = (int64_t)draw_number();
    sd_file_info *info = CALL(sd_file_info_new, path, size, mtime, flags);
    PROMISE(!info || (!f->wrong && flags <= SD_INFO_DIR));
    if (info) {
        PROMISE(strcmp(info->path, path) == 0 && info->size == size);
        PROMISE(info->mtime_ns == mtime && info->flags == flags);
        check_object(INFO, info);
    }
    keep(INFO, info);
}
/* What is of another kind stays as it is. */
static void call_wrong_free(struct frame *f)
{
    struct live *l = pin(f, KINDS, draw());
    enum kind kind = draw_below(KINDS);
    if (l && l->kind != kind && kind != QUEUE)
        free_handle(kind, l->handle);
    free_handle(kind, NULL);
}
static void call_free(struct frame *f)
{
    enum kind kind = draw_below(QUEUE);
    (void)f;
    free_handle(kind, unpinned(&kind, draw()));
}

/* ---- 4: parameters ---- */

static void call_params_new(struct frame *f)
{
    void *out;
    if (draw() % 2) {
        keep(PARAMS, CALL(sd_params_new, ));
        return;
    }
    sd_params **place = out_of(f, &out);
    got(PARAMS, FALLIBLE(f, sd_params_from_json, draw_text(f), place), out, 0);
}
static void call_params_set(struct frame *f)
{
    sd_params *params = any(f, PARAMS);
    const char *key = draw_text(f);
    switch (draw_below(5)) {
    case 0: known(f, CALL(sd_params_set_string, params, key, draw_text(f))); break;
    case 1: known(f, CALL(sd_params_set_int, params, key, (int64_t)draw_number())); break;
    case 2: {
        uint64_t bits = draw_number();
        double value;
        memcpy(&value, &bits, sizeof value);
        known(f, CALL(sd_params_set_float, params, key, value));
        break;
    }
    case 3: known(f, CALL(sd_params_set_bool, params, key, (int32_t)draw_number())); break;
    case 4: FALLIBLE(f, sd_params_set_json, params, key, draw_text(f)); break;
    }
}
static void call_params_get(struct frame *f)
{
    const sd_params *params = any(f, PARAMS);
    const char *key = draw_text(f);
    int64_t whole = 77;
    int32_t truth = 77;
    double number = 77;
    const char *text = CALL(sd_params_get_string, params, key);
    if (text)
        check_text(text);
    PROMISE(CALL(sd_params_get_int, params, key, &whole) || whole == 77);
    PROMISE(CALL(sd_params_get_bool, params, key, &truth) ? truth == !!truth : truth == 77);
    PROMISE(CALL(sd_params_get_float, params, key, &number) || number == 77);
    sd_buffer *json = CALL(sd_params_get_json, params, key);
    PROMISE(json || !text);
    keep(BUFFER, json);
    size_t count = CALL(sd_params_count, params);
    const char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *here = CALL(sd_params_key, params, i);
        check_text(here);
        PROMISE(!last || strcmp(last, here) < 0);
        last = here;
    }
    PROMISE(sd_params_key(params, count) == NULL);
    json = CALL(sd_params_to_json, params);
    PROMISE(json ? !strstr((const char *)sd_buffer_data(json), "\"secret\":\"x\"")
                 : f->wrong);
    keep(BUFFER, json);
}

/* ---- 5: contexts ---- */

static void call_context_new(struct frame *f)
{
    keep(CONTEXT, CALL(sd_context_new, any_context(f)));
}
static void call_context(struct frame *f)
{
    sd_context *ctx = any(f, CONTEXT);
    switch (draw_below(5)) {
    case 0: CALL(sd_context_set_timeout_ms, ctx, draw_number()); break;
    case 1: CALL(sd_context_set_deadline_ns, ctx, (int64_t)draw_number()); break;
    case 2: {
        const char *key = draw_text(f);
        known(f, CALL(sd_context_set_field, ctx, key, draw_text(f)));
        break;
    }
    case 3: CALL(sd_context_cancel, ctx); break;
    case 4: {
        sd_status status = CALL(sd_context_status, ctx);
        int64_t left = CALL(sd_context_remaining_ms, ctx);
        PROMISE(left >= -1);
        PROMISE(status == SD_OK || f->wrong || sd_context_remaining_ms(ctx) == 0);
    }
    }
}

/* ---- 6: factory and drivers ---- */

static char file_root[64];
static int files_used, factories;

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
    (void)s, (void)type;
    return ftw->level == 0 ? 0 : remove(path);
}
static void remove_files(void)
{
    if (files_used)
        nftw(file_root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    files_used = 0;
}
/* Never anywhere else than in a directory of ours, whatever the input says. */
static sd_params *file_params(void)
{
    sd_params *params = sd_params_new();
    unsigned n = draw();
    files_used = 1;
    sd_params_set_string(params, "rootdirectory", file_root);
    sd_params_set_bool(params, "fsync", n > 252);
    sd_params_set_bool(params, "followsymlinks", n & 1);
    if (n & 2)
        sd_params_set_int(params, "maxthreads", n & 4 ? 25 : (int64_t)draw_number());
    return params;
}
static void call_factory_create(struct frame *f)
{
    static const char *const names[] = {"inmemory", "filesystem", "own", "own-2"};
    unsigned n = draw();
    const char *name = n < 224 ? names[n % COUNT(names)] : draw_text(f);
    const sd_context *ctx = any_context(f);
    sd_params *own = NULL;
    const sd_params *params;
    void *out;
    if (name && strcasestr(name, "filesystem"))
        params = own = file_params();
    else
        params = n % 16 < 12 ? NULL : any_or_null(f, PARAMS);
    sd_driver **place = out_of(f, &out);
    got(DRIVER, FALLIBLE(f, sd_factory_create, name, ctx, params, place), out, 0);
    sd_params_free(own);
}
static void call_factory_names(struct frame *f)
{
    void *out;
    sd_names **place = out_of(f, &out);
    got(NAMES, FALLIBLE(f, sd_factory_names, place), out, 0);
}
static void factory_gone(void *user)
{
    __atomic_sub_fetch(&factories, 1, __ATOMIC_RELAXED);
    given_back(user);
}
static void call_factory_register(struct frame *f)
{
    sd_factory_vtable v = {sizeof v, any_create, factory_gone};
    const char *name = draw() < 192 ? draw() % 2 ? "own" : "own-2" : draw_text(f);
    if (f->odd && draw() > 240)
        f->wrong = 1, v.create = NULL;
    void *vtable = draw_struct(f, &v, sizeof v);
    f->wrong |= vtable == NULL;
    void *user = give(1);
    __atomic_add_fetch(&factories, 1, __ATOMIC_RELAXED);
    if (FALLIBLE(f, sd_factory_register, name, vtable, user) != SD_OK)
        factory_gone(user);
}
static void call_driver_new(struct frame *f)
{
    sd_driver_vtable v = any_vtable();
    const char *name = draw() < 224 ? "made" : draw_text(f);
    void *vtable = draw_struct(f, &v, sizeof v);
    f->wrong |= vtable == NULL;
    void *out, *self = give(sizeof(struct self));
    sd_driver **place = out_of(f, &out);
    sd_status status = FALLIBLE(f, sd_driver_new, name, vtable, self, place);
    if (status != SD_OK)
        given_back(self);
    got(DRIVER, status, out, 0);
}
static void call_driver(struct frame *f)
{
    sd_driver *driver = any(f, DRIVER);
    const char *name = CALL(sd_driver_name, driver);
    check_text(name);
    sd_driver *other = CALL(sd_driver_ref, driver);
    PROMISE((other == NULL) == f->wrong);
    keep(DRIVER, other);
}

static void call_driver_wrap(struct frame *f)
{
    static const char *const keys[] = {"baseurl", "host", "scheme", "trimpathprefix"};
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    unsigned n = draw();
    const char *name = n < 224 ? n % 2 ? "redirect" : "rewrite" : draw_text(f);
    sd_params *own = n % 8 < 6 ? sd_params_new() : NULL;
    const sd_params *params = own ? own : any_or_null(f, PARAMS);
    if (own)
        sd_params_set_string(own, keys[n % 2 ? 0 : n / 2 % COUNT(keys)],
                             n % 16 < 12 ? "http://x" : optional_text(f));
    sd_driver **place = out_of(f, &out);
    got(DRIVER, FALLIBLE(f, sd_driver_wrap, driver, name, params, place), out, 0);
    sd_params_free(own);
}

/* ---- 13: hooks ---- */

/* What hooks are given: freed as soon as no hook can run with it any more. */
struct hooked {
    int calls, which;
};
static struct hooked *hooked[2];
static pthread_mutex_t hook_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_hook(struct hooked *h)
{
    if (__atomic_add_fetch(&h->calls, 1, __ATOMIC_RELAXED) % 16)
        return;
    /* Refused, not waited for. */
    if (h->which)
        PROMISE(sd_metrics_set_hook(NULL, NULL) == SD_ERR_INVALID_STATE);
    else
        PROMISE(sd_log_set_hook(NULL, NULL, 1) == SD_ERR_INVALID_STATE);
}
static void any_log(void *user, const sd_log_record *record)
{
    PROMISE(record->struct_size >= sizeof *record);
    PROMISE(record->level >= SD_LOG_ERROR && record->level <= SD_LOG_TRACE);
    check_text(record->target);
    check_text(record->message);
    PROMISE(strpbrk(record->message, "\n\r") == NULL);
    check_text(record->fields_json);
    PROMISE(record->fields_json[0] == '{');
    PROMISE(!strstr(record->fields_json, "panicked"));
    count_hook(user);
}
static void any_metric(void *user, const sd_metric *metric)
{
    PROMISE(metric->struct_size >= sizeof *metric);
    check_text(metric->driver);
    check_text(metric->action);
    PROMISE(metric->status != SD_ERR_INTERNAL);
    count_hook(user);
}
static void set_hook(int which, int remove, int32_t level)
{
    struct hooked *next = remove ? NULL : calloc(1, sizeof *next);
    if (next)
        next->which = which;
    pthread_mutex_lock(&hook_lock);
    sd_status status = which ? CALL(sd_metrics_set_hook, remove ? NULL : any_metric, next)
                             : CALL(sd_log_set_hook, remove ? NULL : any_log, next, level);
    PROMISE(status == SD_OK || (status == SD_ERR_INVALID_ARGUMENT && !which && !remove));
    free(status == SD_OK ? hooked[which] : next);
    if (status == SD_OK)
        hooked[which] = next;
    pthread_mutex_unlock(&hook_lock);
}
static void call_set_hook(struct frame *f)
{
    (void)f;
    unsigned n = draw();
    set_hook(n & 1, n & 2, (int32_t)(n < 224 ? n % 5 + 1 : draw_number()));
}
static void call_metrics_text(struct frame *f)
{
    void *out;
    sd_buffer **place = out_of(f, &out);
    got(BUFFER, FALLIBLE(f, sd_metrics_text, place), out, 0);
}

/* ---- 15: the runtime ---- */

static void call_runtime_configure(struct frame *f)
{
    sd_runtime_options o = {
        sizeof o,         (uint32_t)draw_number(), (uint32_t)draw_number(),
        optional_text(f), optional_text(f),        draw() % 4};
    FALLIBLE(f, sd_runtime_configure, optional_struct(f, &o, sizeof o));
}
static void call_runtime_shutdown(struct frame *f)
{
    if (draw() < 128)
        return; /* seldom: nothing that was made before it works any more */
    sd_status status = FALLIBLE(f, sd_runtime_shutdown, draw() % 2 ? 60000 : 1);
    PROMISE(status == SD_OK || status == SD_ERR_DEADLINE);
}

/* ---- 16: a program of its own, which this one is not ---- */

static void was_freed(void *user)
{
    ++*(int *)user;
}
static void call_driver_main(struct frame *f)
{
    sd_factory_vtable v = {sizeof v, any_create, was_freed};
    char *argv[] = {draw() % 2 ? (char *)"registry-storage-own" : optional_text(f), NULL};
    const char *name = draw() % 2 ? "own" : optional_text(f);
    sd_factory_vtable *vtable = optional_struct(f, &v, sizeof v);
    int freed = 0, argc = draw() % 2;
    int code = CALL(sd_driver_main, argc, argv, name, vtable, &freed);
    PROMISE(code == 2 || (code == 1 && !vtable)); /* no host, or no such driver */
    PROMISE(freed == (vtable != NULL) || (f->odd && freed == 0));
}

#endif
