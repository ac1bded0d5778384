/* Calls of section 12. Each submission is noted: one that was accepted has exactly one
 * completion, and what was lent to it is freed as soon as that is taken. */
#ifndef QUEUE_H
#define QUEUE_H

#include "verbs.h"

enum state { UNUSED, HANDED_IN, ACCEPTED, ANSWERED };
struct submission {
    void *queue, *lent;
    size_t len;
    enum state state;
    uint32_t turn;
};
static struct submission submissions[256];

static uint64_t tag_of(const struct submission *s)
{
    return (uint64_t)s->turn << 32 | (uint64_t)(s - submissions);
}
static struct submission *hand_in(void *queue, void *lent, size_t len)
{
    struct submission *s = NULL;
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; i < COUNT(submissions) && !s; i++)
        if (submissions[i].state == UNUSED)
            s = &submissions[i];
    if (s)
        *s = (struct submission){queue, lent, len, HANDED_IN, s->turn + 1};
    pthread_mutex_unlock(&table_lock);
    return s;
}
static void was_submitted(struct submission *s, sd_status status)
{
    pthread_mutex_lock(&table_lock);
    if (status == SD_OK && s->state == HANDED_IN) {
        s->state = ACCEPTED;
    } else {
        /* One that fails has no completion; this one's was quicker than we. */
        PROMISE(s->state == (status == SD_OK ? ANSWERED : HANDED_IN));
        if (status != SD_OK)
            free(s->lent);
        s->state = UNUSED;
    }
    pthread_mutex_unlock(&table_lock);
}
static void was_answered(void *queue, const sd_completion *completion)
{
    uint64_t tag = CALL(sd_completion_tag, completion);
    sd_status status = CALL(sd_completion_status, completion);
    uint64_t count = CALL(sd_completion_count, completion);
    PROMISE(strcmp(sd_status_name(status), "SD_UNKNOWN") != 0 && status <= 0);
    PROMISE(status != SD_ERR_INTERNAL);
    const sd_error *error = CALL(sd_completion_error, completion);
    PROMISE((error != NULL) == (status != SD_OK));
    if (error) {
        PROMISE(sd_error_code(error) == status);
        check_error(error);
    }
    pthread_mutex_lock(&table_lock);
    PROMISE((uint32_t)tag < COUNT(submissions));
    struct submission *s = &submissions[(uint32_t)tag];
    PROMISE(tag == tag_of(s) && s->queue == queue && count <= s->len);
    PROMISE(s->state == HANDED_IN || s->state == ACCEPTED);
    free(s->lent);
    s->lent = NULL;
    s->state = s->state == ACCEPTED ? UNUSED : ANSWERED;
    pthread_mutex_unlock(&table_lock);
}
/* It was freed: no memory is in use any more. */
static void queue_is_gone(void *queue)
{
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; queue && i < COUNT(submissions); i++) {
        struct submission *s = &submissions[i];
        if (s->state != UNUSED && s->queue == queue) {
            PROMISE(s->state == ACCEPTED);
            free(s->lent);
            s->state = UNUSED;
        }
    }
    pthread_mutex_unlock(&table_lock);
}
static int is_owed(void *queue)
{
    int owed = 0;
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; i < COUNT(submissions); i++)
        owed += submissions[i].state == ACCEPTED && submissions[i].queue == queue;
    pthread_mutex_unlock(&table_lock);
    return owed;
}

static void call_cq_new(struct frame *f)
{
    void *out;
    sd_cq **place = out_of(f, &out);
    got(QUEUE, FALLIBLE(f, sd_cq_new, place), out, 0);
}
static void call_cq_state(struct frame *f)
{
    const sd_cq *queue = any(f, QUEUE);
    PROMISE((CALL(sd_cq_fd, queue) >= 0) == !f->wrong);
    size_t count = CALL(sd_cq_in_flight, queue);
    PROMISE(count <= COUNT(submissions) && (!f->wrong || count == 0));
}
static void call_cq_free(struct frame *f)
{
    enum kind kind = QUEUE;
    (void)f;
    free_handle(QUEUE, unpinned(&kind, draw()));
}

/* Without what is lent, which comes with the two calls below. */
#define SUBMIT(f, lent, len, function, queue, ...)                                         \
    ({                                                                                     \
        struct submission *s_ = hand_in(queue, lent, len);                                 \
        if (!s_)                                                                           \
            free(lent);                                                                    \
        else                                                                               \
            was_submitted(s_, FALLIBLE(f, function, queue, tag_of(s_), __VA_ARGS__));      \
    })

static void call_submit_verb(struct frame *f)
{
    size_t len = 0;
    sd_cq *queue = any(f, QUEUE);
    const sd_driver *driver = any(f, DRIVER);
    const sd_context *ctx = any_context(f);
    unsigned verb = draw_below(10);
    const char *path = draw_text(f);
#define SUBMIT_VERB(function, ...)                                                         \
    SUBMIT(f, NULL, 0, function, queue, driver, ctx, __VA_ARGS__)
    switch (verb) {
    case 0: SUBMIT_VERB(sd_submit_get_content, path); break;
    case 1: {
        const void *data = draw_bytes(f, &len);
        SUBMIT_VERB(sd_submit_put_content, path, data, len);
        break;
    }
    case 2: SUBMIT_VERB(sd_submit_stat, path); break;
    case 3: SUBMIT_VERB(sd_submit_list, path); break;
    case 4: {
        const char *after = optional_text(f);
        SUBMIT_VERB(sd_submit_list_page, path, after, (size_t)draw_number());
        break;
    }
    case 5: {
        const char *dest = draw_text(f);
        SUBMIT_VERB(sd_submit_move, path, dest);
        break;
    }
    case 6: SUBMIT_VERB(sd_submit_delete, path); break;
    case 7: {
        const sd_redirect_request *request = any_request(f);
        SUBMIT_VERB(sd_submit_redirect_url, path, request);
        break;
    }
    case 8: SUBMIT_VERB(sd_submit_reader_open, path, (int64_t)draw()); break;
    case 9: {
        uint32_t flags = writer_flags(f);
        SUBMIT_VERB(sd_submit_writer_open, path, flags);
        break;
    }
    }
}
/* Memory that outlives this call; NULL with a length in an odd one. */
static void *lend(struct frame *f, size_t *len)
{
    static const size_t lengths[] = {1, 7, 100, 4096, 0, 70000};
    unsigned n = draw();
    *len = lengths[n % COUNT(lengths)];
    if (f->odd && n > 240) {
        f->wrong |= *len > 0;
        return NULL;
    }
    return memset(malloc(*len), (int)n, *len);
}
static void call_submit_read(struct frame *f)
{
    size_t len;
    sd_cq *queue = any(f, QUEUE);
    sd_reader *reader = any(f, READER);
    void *room = lend(f, &len);
    f->wrong |= len == 0;
    SUBMIT(f, room, len, sd_submit_reader_read, queue, reader, room, len);
}
static void call_submit_write(struct frame *f)
{
    size_t len;
    sd_cq *queue = any(f, QUEUE);
    sd_writer *writer = any(f, WRITER);
    void *load = lend(f, &len);
    SUBMIT(f, load, len, sd_submit_writer_write, queue, writer, load, len);
}
static void call_submit_writer_end(struct frame *f)
{
    sd_cq *queue = any(f, QUEUE);
    sd_writer *writer = any(f, WRITER);
    const sd_context *ctx = any_context(f);
    switch (draw_below(3)) {
    case 0: SUBMIT(f, NULL, 0, sd_submit_writer_commit, queue, writer, ctx); break;
    case 1: SUBMIT(f, NULL, 0, sd_submit_writer_cancel, queue, writer, ctx); break;
    case 2: SUBMIT(f, NULL, 0, sd_submit_writer_close, queue, writer, ctx); break;
    }
}
static void call_submit_walker_next(struct frame *f)
{
    sd_cq *queue = any(f, QUEUE);
    SUBMIT(f, NULL, 0, sd_submit_walker_next, queue, any(f, WALKER));
}

/* Takes one; waits without end for what is owed, if nothing else waits for this thread. */
static void call_cq_next(struct frame *f)
{
    void *out;
    struct live *l = pin(f, QUEUE, draw());
    if (!l)
        return;
    pthread_mutex_lock(&table_lock);
    int ours = !l->taking;
    l->taking = 1;
    pthread_mutex_unlock(&table_lock);
    if (!ours)
        return; /* one takes at a time */
    int wait = !inside && !inside_slot && is_owed(l->handle);
    sd_completion **place = out_of(f, &out);
    sd_status status = FALLIBLE(f, sd_cq_next, l->handle, wait ? -1 : draw() % 2, place);
    PROMISE(status == SD_OK || status == SD_EMPTY || f->wrong);
    PROMISE(status != SD_EMPTY || !wait);
    if (status == SD_OK)
        was_answered(l->handle, out);
    __atomic_store_n(&l->taking, 0, __ATOMIC_RELEASE);
    got(COMPLETION, status, out, 0);
}
static void call_completion(struct frame *f)
{
    sd_completion *c = any(f, COMPLETION);
    CALL(sd_completion_tag, c);
    sd_status status = CALL(sd_completion_status, c);
    void *taken = NULL;
    enum kind kind = KINDS;
    switch (draw_below(6)) {
    case 0: kind = ERROR, taken = CALL(sd_completion_take_error, c); break;
    case 1: kind = BUFFER, taken = CALL(sd_completion_take_buffer, c); break;
    case 2: kind = INFO, taken = CALL(sd_completion_take_file_info, c); break;
    case 3: kind = NAMES, taken = CALL(sd_completion_take_names, c); break;
    case 4: kind = READER, taken = CALL(sd_completion_take_reader, c); break;
    case 5: kind = WRITER, taken = CALL(sd_completion_take_writer, c); break;
    }
    PROMISE(!taken || (!f->wrong && (kind == ERROR) == (status != SD_OK)));
    got(kind, SD_OK, taken, 1);
}
static void call_wrong_completion(struct frame *f)
{
    void *c = pin(f, KINDS, draw()) ? f->pinned[0]->handle : NULL;
    if (c && f->pinned[0]->kind == COMPLETION)
        return;
    sd_completion_count(c);
    sd_completion_error(c);
    PROMISE(!sd_completion_take_error(c) && !sd_completion_take_buffer(c));
    PROMISE(!sd_completion_take_file_info(c) && !sd_completion_take_names(c));
    PROMISE(!sd_completion_take_reader(c) && !sd_completion_take_writer(c));
}

/* Every call that was accepted is answered, once, and nothing is left. */
static void drain(struct live *queue)
{
    sd_completion *c;
    while (is_owed(queue->handle)) {
        PROMISE(CALL(sd_cq_next, queue->handle, -1, &c, NULL) == SD_OK);
        was_answered(queue->handle, c);
        CALL(sd_completion_free, c);
    }
    PROMISE(CALL(sd_cq_in_flight, queue->handle) == 0);
    PROMISE(CALL(sd_cq_next, queue->handle, 0, &c, NULL) == SD_EMPTY);
}

#endif
