/* Calls of sections 7 to 10 and 14: what a driver does, in one call or in several. */
#ifndef VERBS_H
#define VERBS_H

#include "objects.h"

/* ---- 7: operations ---- */

static void call_get_content(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    sd_buffer **place = out_of(f, &out);
    got(BUFFER, FALLIBLE(f, sd_get_content, driver, ctx, path, place), out, 0);
}
static void call_put_content(struct frame *f)
{
    size_t len;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    const void *data = draw_bytes(f, &len);
    FALLIBLE(f, sd_put_content, driver, ctx, path, data, len);
}
static void call_stat(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    sd_file_info **place = out_of(f, &out);
    sd_status status = FALLIBLE(f, sd_stat, driver, ctx, path, place);
    if (status == SD_OK)
        PROMISE(strcmp(((sd_file_info *)out)->path, path) == 0);
    got(INFO, status, out, 0);
}
/* Direct children, in byte order, none twice. */
static void check_children(const sd_names *names, const char *directory)
{
    size_t len = strlen(directory) == 1 ? 0 : strlen(directory);
    const char *last = "";
    for (size_t i = 0; i < sd_names_count(names); i++) {
        const char *name = sd_names_get(names, i);
        PROMISE(strcmp(last, name) < 0 && sd_check_path(name, NULL) == SD_OK);
        PROMISE(strncmp(name, directory, len) == 0 && strrchr(name, '/') == name + len);
        last = name;
    }
}
static void call_list(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    sd_names **place = out_of(f, &out);
    sd_status status;
    if (draw() % 2) {
        status = FALLIBLE(f, sd_list, driver, ctx, path, place);
    } else {
        const char *after = optional_text(f);
        size_t limit = (size_t)draw_number();
        status = FALLIBLE(f, sd_list_page, driver, ctx, path, after, limit, place);
        if (status == SD_OK && limit)
            PROMISE(sd_names_count(out) <= limit);
        if (status == SD_OK && after && sd_names_count(out))
            PROMISE(strcmp(sd_names_get(out, 0), after) > 0);
    }
    if (status == SD_OK)
        check_children(out, path);
    got(NAMES, status, out, 0);
}
static void call_check_path(struct frame *f)
{
    FALLIBLE(f, sd_check_path, draw_text(f));
}
static void call_move(struct frame *f)
{
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *source = draw_text(f);
    FALLIBLE(f, sd_move, driver, ctx, source, draw_text(f));
}
static void call_delete(struct frame *f)
{
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    FALLIBLE(f, sd_delete, driver, ctx, draw_text(f));
}
static const sd_redirect_request *any_request(struct frame *f)
{
    const char *method = optional_text(f), *address = optional_text(f);
    sd_redirect_request request = {sizeof request, method, address, draw()};
    return optional_struct(f, &request, sizeof request);
}
static void call_redirect_url(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    const sd_redirect_request *request = any_request(f);
    sd_buffer **place = out_of(f, &out);
    got(BUFFER, FALLIBLE(f, sd_redirect_url, driver, ctx, path, request, place), out, 1);
}

/* ---- 8: reading ---- */

static void call_reader_open(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    int64_t offset = draw() % 2 ? 0 : (int64_t)draw_number();
    sd_reader **place = out_of(f, &out);
    got(READER, FALLIBLE(f, sd_reader_open, driver, ctx, path, offset, place), out, 0);
}
static void call_reader_read(struct frame *f)
{
    size_t cap, len = 77;
    sd_reader *reader = any(f, READER);
    void *buf = draw_bytes(f, &cap);
    size_t *place = f->odd && draw() > 240 ? NULL : &len;
    f->wrong |= cap == 0 || !place;
    if (FALLIBLE(f, sd_reader_read, reader, buf, cap, place) == SD_OK)
        PROMISE(len <= cap);
    else
        PROMISE(len == 77);
}
static void call_read_stream(struct frame *f)
{
    uint64_t total = 77;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    int64_t offset = draw() % 2 ? 0 : (int64_t)draw_number();
    sd_sink_fn sink = f->odd && draw() > 240 ? NULL : any_sink;
    f->wrong |= !sink;
    FALLIBLE(f, sd_read_stream, driver, ctx, path, offset, sink, UNTOUCHED,
             draw() % 2 ? &total : NULL);
}

/* ---- 9: writing ---- */

static uint32_t writer_flags(struct frame *f)
{
    uint32_t flags = draw() % (f->odd ? 4 : 2);
    f->wrong |= flags > SD_WRITER_APPEND;
    return flags;
}
static void call_writer_open(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    uint32_t flags = writer_flags(f);
    sd_writer **place = out_of(f, &out);
    got(WRITER, FALLIBLE(f, sd_writer_open, driver, ctx, path, flags, place), out, 0);
}
static void call_writer_write(struct frame *f)
{
    size_t len;
    sd_writer *writer = any(f, WRITER);
    const void *data = draw_bytes(f, &len);
    FALLIBLE(f, sd_writer_write, writer, data, len);
}
static void call_writer_size(struct frame *f)
{
    const sd_writer *writer = any(f, WRITER);
    uint64_t size = CALL(sd_writer_size, writer);
    PROMISE(size == 0 || !f->wrong);
}
static void call_writer_end(struct frame *f)
{
    sd_writer *writer = any(f, WRITER);
    const sd_context *ctx = any_context(f);
    switch (draw_below(3)) {
    case 0: FALLIBLE(f, sd_writer_commit, writer, ctx); break;
    case 1: FALLIBLE(f, sd_writer_cancel, writer, ctx); break;
    case 2: FALLIBLE(f, sd_writer_close, writer, ctx); break;
    }
}
static void call_write_stream(struct frame *f)
{
    uint64_t total = 77;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    uint32_t flags = writer_flags(f);
    sd_source_fn source = f->odd && draw() > 240 ? NULL : any_source;
    f->wrong |= !source;
    FALLIBLE(f, sd_write_stream, driver, ctx, path, flags, source, UNTOUCHED,
             draw() % 2 ? &total : NULL);
}

/* ---- 10: walking ---- */

static const sd_walk_options *walk_options(struct frame *f)
{
    sd_walk_options options = {sizeof options, optional_text(f), draw() % (f->odd ? 4 : 2)};
    void *made = optional_struct(f, &options, sizeof options);
    f->wrong |= made && options.flags > SD_WALK_SKIP_START_SUBTREE;
    return made;
}
static void call_walk(struct frame *f)
{
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    const sd_walk_options *options = walk_options(f);
    sd_walk_fn visit = f->odd && draw() > 240 ? NULL : any_visit;
    f->wrong |= !visit;
    FALLIBLE(f, sd_walk, driver, ctx, path, options, visit, UNTOUCHED);
}
static void call_walker_open(struct frame *f)
{
    void *out;
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    const char *path = draw_text(f);
    const sd_walk_options *options = walk_options(f);
    sd_walker **place = out_of(f, &out);
    sd_status status = FALLIBLE(f, sd_walker_open, driver, ctx, path, options, place);
    got(WALKER, status, out, 0);
}
static void call_walker_next(struct frame *f)
{
    void *out;
    sd_walker *walker = any(f, WALKER);
    if (draw() % 4 == 3) {
        known(f, CALL(sd_walker_skip_dir, walker));
        return;
    }
    sd_file_info **place = out_of(f, &out);
    got(INFO, FALLIBLE(f, sd_walker_next, walker, place), out, 1);
}

/* ---- 14: conformance, a few cheap cases of it ---- */

static void call_conformance_run(struct frame *f)
{
    static const char *const filters[] = {"paths/*", "stat/*",    "errors/*",
                                          "list/p*", "delete/a*", "move/*directory*",
                                          "nothing"};
    if (draw() >= 32)
        return; /* seldom: each case is many calls */
    sd_context *ctx = sd_context_new(any_context(f));
    if (f->wrong) /* no context is one without an end */
        ctx = sd_context_new(NULL), f->wrong = 0;
    unsigned n = draw();
    const char *filter = n < 240 ? filters[n % COUNT(filters)] : optional_text(f);
    sd_conformance_options o = {sizeof o, filter, 1000, draw() % 2, any_case, UNTOUCHED};
    void *options = optional_struct(f, &o, sizeof o), *report = UNTOUCHED;
    const sd_driver *driver = any(f, DRIVER);
    sd_context_set_timeout_ms(ctx, 50);
    if (!options || strcmp(filter ? filter : "*", "*") == 0)
        sd_context_cancel(ctx); /* not the whole suite */
    sd_status status = FALLIBLE(f, sd_conformance_run, driver, ctx, options,
                                draw() % 2 ? NULL : (sd_buffer **)&report);
    PROMISE(status == SD_OK || status == SD_ERR_CONFORMANCE || report == UNTOUCHED);
    if (report != UNTOUCHED)
        got(BUFFER, SD_OK, report, 0);
    sd_context_free(ctx);
}

#endif
