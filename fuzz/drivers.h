/* Callbacks and drivers that answer anything. All their choices are the input's. */
#ifndef DRIVERS_H
#define DRIVERS_H

#include "model.h"

/* One more call of the library, from inside a callback. */
static void call_back(void);
/* How deep this thread is inside callbacks, and inside slots, which hold the driver. */
static _Thread_local int inside, inside_slot;
/* What was handed over and must come back: selves, readers, writers. */
static int given;

static void *give(size_t size)
{
    __atomic_add_fetch(&given, 1, __ATOMIC_RELAXED);
    return calloc(1, size);
}
static void given_back(void *what)
{
    PROMISE(what != NULL);
    free(what);
    PROMISE(__atomic_fetch_sub(&given, 1, __ATOMIC_RELAXED) > 0);
}

/* ---- wrong handles stay the driver's: kept until the run ends ---- */

/* Never of the kind that is asked for: that one would be taken over. */
static void *stray(enum kind asked)
{
    enum kind kind = draw() % 2 ? CONTEXT : PARAMS;
    void *handle = kind == CONTEXT ? (void *)sd_context_new(NULL) : sd_params_new();
    PROMISE(kind != asked);
    return keep_as(kind, handle, NOBODY) ? handle : NULL;
}

static sd_status any_status(void)
{
    static const sd_status statuses[] = {SD_OK,
                                         SD_STOP,
                                         SD_SKIP_DIR,
                                         SD_EMPTY,
                                         7,
                                         INT32_MAX,
                                         INT32_MIN,
                                         -50,
                                         -9999,
                                         SD_ERR_CANCELLED,
                                         SD_ERR_DEADLINE,
                                         SD_ERR_PATH_NOT_FOUND,
                                         SD_ERR_IS_DIRECTORY,
                                         SD_ERR_NOT_DIRECTORY,
                                         SD_ERR_NO_SPACE,
                                         SD_ERR_UNAVAILABLE,
                                         SD_ERR_CALLBACK,
                                         SD_ERR_STRUCT_SIZE,
                                         SD_ERR_SHUTDOWN,
                                         SD_ERR_INVALID_OFFSET,
                                         SD_ERR_UNSUPPORTED};
    return statuses[draw_below(COUNT(statuses))];
}
static sd_error *any_error(void)
{
    struct frame f = {0};
    sd_status status = draw() % 2 ? any_status() : (sd_status)draw_number();
    sd_error *error = CALL(sd_error_new, status, draw_text(&f));
    unsigned more = draw();
    if (more & 1)
        CALL(sd_error_set_path, error, draw_text(&f));
    if (more & 2)
        CALL(sd_error_set_offset, error, (int64_t)draw_number());
    if (more & 4)
        CALL(sd_error_set_http_status, error, (int32_t)draw_number());
    if (more & 8)
        CALL(sd_error_set_retry_after_ms, error, (int64_t)draw_number());
    if (more & 16)
        CALL(sd_error_set_request_id, error, draw_text(&f));
    if (error)
        check_error(error);
    leave_frame(&f);
    return error;
}
/* Calls that are made from callbacks now; none begins once a run is ending. */
static int going_back, ending;

static void go_back_in(void)
{
    __atomic_add_fetch(&going_back, 1, __ATOMIC_SEQ_CST);
    if (draw() >= 160 && inside < 3 && !__atomic_load_n(&ending, __ATOMIC_SEQ_CST)) {
        inside++;
        call_back();
        inside--;
    }
    __atomic_sub_fetch(&going_back, 1, __ATOMIC_SEQ_CST);
}
static void stay_out(void)
{
    __atomic_store_n(&ending, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&going_back, __ATOMIC_SEQ_CST))
        sched_yield();
}

/* ---- callbacks ---- */

static sd_status any_sink(void *user, const void *data, size_t len)
{
    PROMISE(user == UNTOUCHED && data && len > 0);
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i += 64)
        sum ^= ((const uint8_t *)data)[i];
    __asm__ volatile("" ::"r"(sum)); /* it was read */
    go_back_in();
    return draw() % 4 ? SD_OK : any_status();
}
static sd_status any_source(void *user, void *buf, size_t cap, size_t *len)
{
    PROMISE(user == UNTOUCHED && buf && cap > 0);
    go_back_in();
    unsigned n = draw();
    *len = n == 0 ? 0 : n < 200 ? n : n < 220 ? cap : n < 240 ? cap + 1 : SIZE_MAX;
    memset(buf, 'w', *len <= cap ? *len : cap);
    return n % 8 < 6 ? SD_OK : any_status();
}
static sd_status any_visit(void *user, const sd_file_info *info)
{
    PROMISE(user == UNTOUCHED && info->struct_size >= sizeof *info);
    check_text(info->path);
    PROMISE(sd_check_path(info->path, NULL) == SD_OK);
    if (draw() % 8 == 7)
        sd_file_info_free((sd_file_info *)(uintptr_t)info); /* lent: nothing happens */
    go_back_in();
    check_text(info->path);
    return draw() % 4 ? SD_OK : any_status();
}
static void any_case(void *user, const char *name, sd_status status, const char *detail)
{
    PROMISE(user == UNTOUCHED && strchr(name, '/') && !strstr(detail, "panicked"));
    PROMISE(status == SD_OK || status == SD_ERR_CONFORMANCE ||
            status == SD_ERR_UNSUPPORTED);
    check_text(detail);
    go_back_in();
}

/* ---- a driver ---- */

struct self {
    int handles; /* readers and writers, which go first */
};
struct opened {
    struct self *self;
    const sd_context *ctx;
    int busy;
};

/* Uses its context as a slot may. */
static void enter_slot(const sd_context *ctx, const char *path)
{
    PROMISE(ctx != NULL && path != NULL);
    PROMISE(path[0] == '/' && (path[1] == 0 || sd_check_path(path, NULL) == SD_OK));
    inside_slot++;
    unsigned n = draw();
    if (n > 250)
        sd_context_free((sd_context *)(uintptr_t)ctx); /* lent: nothing happens */
    if (n > 240)
        sd_context_cancel(ctx);
    PROMISE(sd_context_status(ctx) != SD_ERR_INVALID_ARGUMENT);
    go_back_in();
}
static sd_status leave_slot(sd_error **err)
{
    PROMISE(err && *err == NULL);
    unsigned n = draw();
    inside_slot--;
    if (n >= 200)
        *err = n >= 250 ? stray(ERROR) : any_error();
    return n < 160 ? SD_OK : any_status();
}
/* With a failure the outputs are not looked at, and stay ours. */
#define ANSWER(err, out, kind, good)                                                       \
    unsigned n_ = draw();                                                                  \
    *(out) = n_ < 220 ? (good) : n_ < 240 ? NULL : stray(kind);                            \
    sd_status status_ = leave_slot(err);                                                   \
    if (status_ != SD_OK && n_ < 220)                                                      \
        free_handle(kind, *(out));                                                         \
    return status_

static void slot_free(void *self)
{
    PROMISE(((struct self *)self)->handles == 0);
    given_back(self);
}
static sd_status slot_get(void *self, const sd_context *ctx, const char *path,
                          sd_buffer **out, sd_error **err)
{
    PROMISE(self && *out == NULL);
    enter_slot(ctx, path);
    ANSWER(err, out, BUFFER, sd_buffer_new(path, strlen(path)));
}
static sd_status slot_put(void *self, const sd_context *ctx, const char *path,
                          const void *data, size_t len, sd_error **err)
{
    PROMISE(self && data);
    PROMISE(len == 0 || ((const uint8_t *)data)[len - 1] <= 255);
    enter_slot(ctx, path);
    return leave_slot(err);
}
static sd_status slot_stat(void *self, const sd_context *ctx, const char *path,
                           sd_file_info **out, sd_error **err)
{
    PROMISE(self && *out == NULL);
    enter_slot(ctx, path);
    unsigned n = draw();
    int file = path[1] && n % 2;
    ANSWER(err, out, INFO,
           n >= 240 ? sd_file_info_new("/a", draw_number(), (int64_t)draw_number(), n & 1)
                    : sd_file_info_new(path, file * 7, n, file ? 0 : SD_INFO_DIR));
}
static sd_status slot_list(void *self, const sd_context *ctx, const char *path,
                           sd_names **out, sd_error **err)
{
    static const char *const names[] = {"a", "b", "b", ".", "x y", "n/o", "", "\xff"};
    PROMISE(self && *out == NULL);
    enter_slot(ctx, path);
    sd_names *list = sd_names_new();
    for (unsigned n = draw() % 5; n > 0 && strlen(path) < 40; n--) {
        char name[64];
        const char *root = draw() > 250 ? "/else" : path[1] ? path : "";
        snprintf(name, sizeof name, "%s/%s", root, names[draw() % (n == 4 ? 8 : 2)]);
        sd_names_push(list, name);
    }
    unsigned drop = draw();
    if (drop >= 220)
        sd_names_free(list);
    *out = drop < 220 ? list : drop < 240 ? NULL : stray(NAMES);
    sd_status status = leave_slot(err);
    if (status != SD_OK && drop < 220)
        sd_names_free(list);
    return status;
}
static sd_status slot_move(void *self, const sd_context *ctx, const char *source,
                           const char *dest, sd_error **err)
{
    PROMISE(self && sd_check_path(dest, NULL) == SD_OK);
    enter_slot(ctx, source);
    return leave_slot(err);
}
static sd_status slot_remove(void *self, const sd_context *ctx, const char *path,
                             sd_error **err)
{
    PROMISE(self != NULL);
    enter_slot(ctx, path);
    return leave_slot(err);
}
static sd_status slot_redirect(void *self, const sd_context *ctx, const char *path,
                               const sd_redirect_request *request, sd_buffer **out,
                               sd_error **err)
{
    static const char *const urls[] = {"", "http://x/", "\xff", "a\0b", "x\ny"};
    PROMISE(self && *out == NULL && request->struct_size == sizeof *request);
    check_text(request->method);
    enter_slot(ctx, path);
    unsigned n = draw_below(COUNT(urls));
    ANSWER(err, out, BUFFER, sd_buffer_new(urls[n], n == 3 ? 3 : strlen(urls[n])));
}
static sd_status open_answer(struct self *self, const sd_context *ctx, void **opened,
                             sd_error **err)
{
    PROMISE(*opened == NULL);
    sd_status status = leave_slot(err);
    if (draw() >= 240) { /* nothing, or on failure an address that is none */
        *opened = status == SD_OK ? NULL : UNTOUCHED;
        return status;
    }
    if (status != SD_OK)
        return status;
    struct opened *made = *opened = give(sizeof *made);
    made->self = self;
    made->ctx = ctx;
    __atomic_add_fetch(&self->handles, 1, __ATOMIC_RELAXED);
    return status;
}
static void slot_close(void *opened)
{
    struct opened *o = opened;
    PROMISE(o->busy == 0);
    __atomic_sub_fetch(&o->self->handles, 1, __ATOMIC_RELAXED);
    given_back(o);
}
/* Slots of one reader or writer come one after another, with its context alive. */
static void enter_opened(struct opened *o)
{
    PROMISE(__atomic_add_fetch(&o->busy, 1, __ATOMIC_RELAXED) == 1);
    enter_slot(o->ctx, "/");
}
static sd_status leave_opened(struct opened *o, sd_error **err)
{
    __atomic_sub_fetch(&o->busy, 1, __ATOMIC_RELAXED);
    return leave_slot(err);
}
static sd_status slot_reader_open(void *self, const sd_context *ctx, const char *path,
                                  int64_t offset, void **reader, sd_error **err)
{
    PROMISE(self && offset >= 0);
    enter_slot(ctx, path);
    return open_answer(self, ctx, reader, err);
}
static sd_status slot_read(void *reader, void *buf, size_t cap, size_t *len, sd_error **err)
{
    PROMISE(buf && cap > 0);
    enter_opened(reader);
    unsigned n = draw();
    *len = n < 16    ? 0
           : n < 220 ? (n < cap ? n : cap)
           : n < 240 ? cap
           : n < 248 ? cap + 1
                     : SIZE_MAX;
    memset(buf, 'r', *len <= cap && n >= 16 ? *len : 0);
    return leave_opened(reader, err);
}
static sd_status slot_writer_open(void *self, const sd_context *ctx, const char *path,
                                  uint32_t flags, void **writer, sd_error **err)
{
    PROMISE(self && (flags & ~SD_WRITER_APPEND) == 0);
    enter_slot(ctx, path);
    return open_answer(self, ctx, writer, err);
}
static sd_status slot_write(void *writer, const void *data, size_t len, sd_error **err)
{
    PROMISE(data && len > 0);
    PROMISE(((const uint8_t *)data)[len - 1] <= 255);
    enter_opened(writer);
    return leave_opened(writer, err);
}
static uint64_t slot_size(void *writer)
{
    PROMISE(writer != NULL);
    return draw_number();
}
static sd_status slot_end(void *writer, const sd_context *ctx, sd_error **err)
{
    PROMISE(ctx != NULL);
    enter_opened(writer);
    return leave_opened(writer, err);
}

static sd_driver_vtable any_vtable(void)
{
    sd_driver_vtable v = {sizeof v,    0x3f,          0,
                          slot_free,   slot_get,      slot_put,
                          slot_stat,   slot_list,     slot_move,
                          slot_remove, slot_redirect, slot_reader_open,
                          slot_read,   slot_close,    slot_writer_open,
                          slot_write,  slot_size,     slot_end,
                          slot_end,    slot_end,      slot_close};
    unsigned n = draw();
    v.capabilities = n & (draw() > 250 ? 0xff : 0x3f);
    v.max_concurrency = draw_below(4);
    if (draw() > 240) /* free and redirect_url may be missing, no other slot */
        memset((char *)&v.free + 8 * (1 + draw_below(17)), 0, 8);
    return v;
}

/* ---- a factory ---- */

static sd_status any_create(void *user, const sd_context *ctx, const sd_params *params,
                            const sd_driver_vtable **vtable, void **self, sd_error **err)
{
    static _Thread_local sd_driver_vtable v;
    static _Thread_local uint8_t newer[5000];
    PROMISE(user && params && sd_params_count(params) < 1000);
    enter_slot(ctx, "/");
    sd_buffer *json = sd_params_to_json(params);
    check_text((const char *)sd_buffer_data(json));
    sd_buffer_free(json);
    unsigned n = draw();
    v = any_vtable();
    *vtable = n < 248 ? &v : NULL;
    if (n >= 240 && n < 248) { /* a driver for a later library */
        memset(newer, n < 242 ? 0 : 1, sizeof newer);
        memcpy(newer, &v, sizeof v);
        *(size_t *)(void *)newer = n % 2 ? sizeof v + 16 : sizeof newer;
        *vtable = (const void *)newer;
    } else if (n >= 232 && n < 240) {
        v.struct_size = n - 232; /* too little for a free to be there */
    }
    sd_status status = leave_slot(err);
    if (status != SD_OK)
        return status;
    if (n < 232 || (n >= 240 && n < 248))
        *self = give(sizeof(struct self));
    return status;
}

#endif
