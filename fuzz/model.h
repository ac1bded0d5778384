/* What the fuzz targets share: the input as a stream of choices, a table of live handles
 * that keeps to the caller's side of the header, and what holds after every call. */
#ifndef MODEL_H
#define MODEL_H
#include "checks.h"

#include <pthread.h>

/* ---- the input ---- */

/* Each thread of a run has its own part. Threads of the library have none and draw
 * pseudo-random numbers, so many in a run that every loop ends. After the end come
 * zeros, which are always the choice that ends something. */
static _Thread_local const uint8_t *input, *input_end;
static unsigned drawn;

static unsigned draw(void)
{
    if (input)
        return input < input_end ? *input++ : 0;
    unsigned n = __atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED);
    return n > 4000 ? 0 : (n * 2654435761u) >> 24;
}
static unsigned draw_below(unsigned n)
{
    return draw() % n;
}
static uint64_t draw_number(void)
{
    static const uint64_t numbers[] = {
        0,          1,         2,         7,          25,
        200,        503,       4096,      70000,      1u << 31,
        UINT32_MAX, INT64_MAX, INT64_MIN, UINT64_MAX, (uint64_t)-1000};
    unsigned n = draw();
    return n < 128 ? numbers[n % COUNT(numbers)] : n - 128;
}

/* ---- live handles ---- */

enum kind {
    ERROR,
    BUFFER,
    NAMES,
    INFO,
    PARAMS,
    COMPLETION,
    CONTEXT,
    DRIVER,
    READER,
    WRITER,
    WALKER,
    QUEUE,
    KINDS
};
/* A handle is used by calls that are running (`pins`) or freed, never both. The kinds
 * before CONTEXT belong to one thread; the others any thread may use. */
struct live {
    void *handle;
    enum kind kind;
    int owner, pins, taking;
};
enum { NOBODY = -1 }; /* an owner: kept until the run ends, used by no call */

static struct live table[128];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int this_thread;

static void queue_is_gone(void *queue);

static void free_handle(enum kind kind, void *handle)
{
    switch (kind) {
    case ERROR: CALL(sd_error_free, handle); break;
    case BUFFER: CALL(sd_buffer_free, handle); break;
    case NAMES: CALL(sd_names_free, handle); break;
    case INFO: CALL(sd_file_info_free, handle); break;
    case PARAMS: CALL(sd_params_free, handle); break;
    case COMPLETION: CALL(sd_completion_free, handle); break;
    case CONTEXT: CALL(sd_context_free, handle); break;
    case DRIVER: CALL(sd_driver_free, handle); break;
    case READER: CALL(sd_reader_free, handle); break;
    case WRITER: CALL(sd_writer_free, handle); break;
    case WALKER: CALL(sd_walker_free, handle); break;
    case QUEUE:
        CALL(sd_cq_free, handle);
        queue_is_gone(handle);
        break;
    case KINDS: abort();
    }
}
static int keep_as(enum kind kind, void *handle, int owner)
{
    struct live *place = NULL;
    if (!handle)
        return 0;
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; i < COUNT(table) && !place; i++)
        if (!table[i].handle)
            place = &table[i];
    if (place)
        *place = (struct live){handle, kind, owner, 0, 0};
    pthread_mutex_unlock(&table_lock);
    if (!place)
        free_handle(kind, handle);
    return place != NULL;
}
static void keep(enum kind kind, void *handle)
{
    keep_as(kind, handle, this_thread);
}

/* One call: what it uses, and memory that goes with it. */
struct frame {
    struct live *pinned[8];
    void *memory[16];
    size_t pins, blocks;
    sd_error *err;
    int odd;   /* NULLs, wrong handles and the like may occur */
    int wrong; /* one did, so that the call must fail */
};

static void *hold(struct frame *f, size_t size)
{
    PROMISE(f->blocks < COUNT(f->memory));
    return f->memory[f->blocks++] = calloc(1, size);
}
static void leave_frame(struct frame *f)
{
    pthread_mutex_lock(&table_lock);
    while (f->pins)
        f->pinned[--f->pins]->pins--;
    pthread_mutex_unlock(&table_lock);
    while (f->blocks)
        free(f->memory[--f->blocks]);
}
/* The `n`th handle that fits, with the lock held. */
static struct live *find_live(enum kind kind, unsigned n, int to_free)
{
    struct live *fit[COUNT(table)];
    size_t fits = 0;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct live *l = &table[i];
        if (l->handle && (kind == KINDS || l->kind == kind) && !(to_free && l->pins) &&
            (l->owner == this_thread || (l->kind >= CONTEXT && l->owner != NOBODY)))
            fit[fits++] = l;
    }
    return fits ? fit[n % fits] : NULL;
}
static struct live *pin(struct frame *f, enum kind kind, unsigned n)
{
    pthread_mutex_lock(&table_lock);
    struct live *l = find_live(kind, n, 0);
    if (l) {
        l->pins++;
        PROMISE(f->pins < COUNT(f->pinned));
        f->pinned[f->pins++] = l;
    }
    pthread_mutex_unlock(&table_lock);
    return l;
}
/* A handle of that kind, or NULL; in an odd call also whatever else is there. */
static void *any_or_null(struct frame *f, enum kind kind)
{
    unsigned n = draw();
    if (n >= 248 && f->odd) {
        if (n >= 252)
            return NULL;
        struct live *l = pin(f, KINDS, n);
        f->wrong |= l && l->kind != kind;
        return l ? l->handle : NULL;
    }
    struct live *l = pin(f, kind, n);
    return l ? l->handle : NULL;
}
static void *any(struct frame *f, enum kind kind)
{
    void *handle = any_or_null(f, kind);
    f->wrong |= handle == NULL;
    return handle;
}
static const sd_context *any_context(struct frame *f)
{
    return draw() < 128 ? NULL : any_or_null(f, CONTEXT);
}
/* Takes a handle that no call uses out of the table. */
static void *unpinned(enum kind *kind, unsigned n)
{
    pthread_mutex_lock(&table_lock);
    struct live *l = find_live(*kind, n, 1);
    void *handle = l ? l->handle : NULL;
    if (l) {
        *kind = l->kind;
        l->handle = NULL;
    }
    pthread_mutex_unlock(&table_lock);
    return handle;
}

/* ---- text, bytes, structs: as long as they say and no longer ---- */

static const char *const texts[] = {"/a",
                                    "/a/b",
                                    "/a/b/c",
                                    "/",
                                    "/d/e",
                                    "/d",
                                    "/d/e/f/g",
                                    "/new",
                                    "",
                                    "a",
                                    "/a/",
                                    "//",
                                    "/..",
                                    "/a/../b",
                                    "/\xff\xfe",
                                    "/a b",
                                    "/\xc3\xa9",
                                    "inmemory",
                                    "own",
                                    "own-2",
                                    "{}",
                                    "[1,null]",
                                    "{\"k\":1}",
                                    "{\"k\":\"v\",\"secret\":\"x\"}",
                                    "rootdirectory",
                                    "maxthreads",
                                    "fsync",
                                    "GET",
                                    "x\ny\x1b",
                                    "127.0.0.1",
                                    "\xed\xa0\x80",
                                    "filesystem"};

static char *optional_text(struct frame *f)
{
    unsigned n = draw();
    if (n < 176) { /* paths that can be, as a rule */
        const char *text = texts[n % 8];
        return strcpy(hold(f, strlen(text) + 1), text);
    }
    if (n < 224) {
        const char *text = texts[n % COUNT(texts)];
        return strcpy(hold(f, strlen(text) + 1), text);
    }
    if (n >= 252)
        return NULL;
    if (n >= 250) { /* long: one component, or many */
        char *text = hold(f, 5001);
        for (int i = 0; i < 5000; i++)
            text[i] = i % (n == 250 ? 5000 : 9) == 0 ? '/' : 'x';
        return text;
    }
    char *text = hold(f, n - 224 + 1);
    for (unsigned i = 0; i < n - 224; i++)
        text[i] = (char)draw();
    return text;
}
static char *draw_text(struct frame *f)
{
    char *text = optional_text(f);
    f->wrong |= text == NULL;
    return text;
}
/* A block of its own for each, so that one byte too many is seen. */
static void *draw_bytes(struct frame *f, size_t *len)
{
    static const size_t lengths[] = {0, 1, 7, 100, 4096, 70000};
    unsigned n = draw();
    if (n >= 240 && f->odd) { /* what no call can accept, or nothing of no length */
        *len = n >= 252 ? 0 : n >= 246 ? 1 : SIZE_MAX;
        f->wrong |= *len > 0;
        return n < 246 && n % 2 ? hold(f, 1) : NULL;
    }
    *len = lengths[n % COUNT(lengths)];
    return memset(hold(f, *len), (int)n, *len);
}
/* A copy of a struct that starts with its size, in a block of just the size it claims,
 * which in an odd call need not be its own. */
static void *draw_struct(struct frame *f, const void *ours, size_t size)
{
    unsigned n = f->odd ? draw() : 0;
    if (n >= 254)
        return NULL;
    size_t claimed = n < 240   ? size
                     : n < 243 ? size + 24
                     : n < 246 ? size + 25
                     : n < 248 ? n - 246
                     : n < 250 ? size - 1
                     : n < 252 ? 5000
                               : SIZE_MAX;
    f->wrong |= claimed != size && claimed != size + 24;
    size_t block = claimed == SIZE_MAX ? size : claimed < 8 ? 8 : claimed;
    uint8_t *made = hold(f, block);
    memcpy(made, ours, size < block ? size : block);
    memcpy(made, &claimed, sizeof claimed);
    if (claimed == size + 25)
        made[size + 24] = 1;
    return made;
}

static void *optional_struct(struct frame *f, const void *ours, size_t size)
{
    return draw() < 64 ? NULL : draw_struct(f, ours, size);
}

/* ---- what holds after every call ---- */

static void check_object(enum kind kind, const void *handle)
{
    if (kind == BUFFER) {
        size_t len = CALL(sd_buffer_len, handle);
        PROMISE(CALL(sd_buffer_data, handle)[len] == 0);
    } else if (kind == NAMES) {
        size_t count = CALL(sd_names_count, handle);
        for (size_t i = 0; i < count; i++)
            check_text(CALL(sd_names_get, handle, i));
        PROMISE(sd_names_get(handle, count) == NULL);
    } else if (kind == INFO) {
        const sd_file_info *info = handle;
        PROMISE(info->struct_size >= sizeof *info);
        check_text(info->path);
    } else if (kind == ERROR) {
        check_error(handle);
    } else if (kind == DRIVER) {
        check_text(CALL(sd_driver_name, handle));
        PROMISE(*sd_driver_name(handle));
    }
}
/* Where a result goes: written on success alone. */
static void *out_of(struct frame *f, void *place)
{
    memcpy(place, &(void *){UNTOUCHED}, sizeof(void *));
    if (!f->odd || draw() < 240)
        return place;
    f->wrong = 1;
    return NULL;
}
static void got(enum kind kind, sd_status status, void *out, int may_be_null)
{
    if (status != SD_OK) {
        PROMISE(out == UNTOUCHED);
        return;
    }
    PROMISE(out != UNTOUCHED && (out || may_be_null));
    if (out) {
        check_object(kind, out);
        keep(kind, out);
    }
}
/* Where the error of a call goes; NULL now and then. */
static sd_error **err_of(struct frame *f)
{
    f->err = UNTOUCHED;
    return f->odd && draw() >= 128 ? NULL : &f->err;
}
/* Not without an error the library could tell, and never one inside the library. */
static sd_status known(struct frame *f, sd_status status)
{
    PROMISE(strcmp(CALL(sd_status_name, status), "SD_UNKNOWN") != 0);
    PROMISE(status != SD_ERR_INTERNAL);
    PROMISE(status < 0 || !f->wrong);
    return status;
}
/* `err` is written if and only if the call failed, with the code it returned. */
static sd_status ended(struct frame *f, sd_error **err, sd_status status)
{
    if (status == SD_ERR_INTERNAL && err)
        fprintf(stderr, "%s\n", sd_error_message(f->err));
    known(f, status);
    if (status >= 0 || !err) {
        PROMISE(!err || f->err == UNTOUCHED);
        return status;
    }
    PROMISE(f->err != UNTOUCHED && f->err != NULL);
    PROMISE(CALL(sd_error_code, f->err) == status);
    check_error(f->err);
    keep(ERROR, f->err);
    f->err = UNTOUCHED;
    return status;
}
#define FALLIBLE(f, function, ...)                                                         \
    ({                                                                                     \
        sd_error **err_ = err_of(f);                                                       \
        ended(f, err_, CALL(function, __VA_ARGS__, err_));                                 \
    })

#endif
