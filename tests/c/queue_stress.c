/* Section 12 under load: threads that submit everything there is, cancel at random, free
 * handles and the queue early, and a shutdown in the middle. SD_STRESS multiplies the
 * work; under valgrind it is less. */
#include "custom_driver.h"

#include <poll.h>

#define THREADS 4
#define MOST    (each * THREADS * 3) /* submissions of one round */

static sd_error *err;
static int each = 1000; /* calls of one thread in one round */

/* ---- what was submitted ---- */

enum state { HANDED_IN, ACCEPTED, REFUSED, ANSWERED };
struct submission {
    int state;
    unsigned char *lent; /* given back when its completion is taken */
    size_t len;
};
enum how { DRAIN, FREE_EARLY, SHUT_DOWN };
struct round {
    sd_cq *cq;
    sd_driver *driver;
    sd_context *all; /* the parent of every context */
    struct submission *made;
    unsigned next;
    int accepted, taken, faults, stop;
    enum how how;
};
struct submitter {
    struct round *round;
    int number;
    uint64_t seed;
    sd_context *ctx;
    sd_reader *reader;
    sd_writer *writer;
    int writes; /* of this writer: the driver in C has little room */
    sd_walker *walker;
};

static int add(int *number, int more)
{
    return __atomic_add_fetch(number, more, __ATOMIC_SEQ_CST);
}
static unsigned chance(struct submitter *s, unsigned of)
{
    s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(s->seed >> 33) % of;
}
static void fault(struct round *r, const char *what, uint64_t tag)
{
    if (add(&r->faults, 1) < 10)
        printf("# %s: %llu\n", what, (unsigned long long)tag);
}
static uint64_t hand_in(struct round *r, size_t len)
{
    uint64_t tag = __atomic_fetch_add(&r->next, 1, __ATOMIC_SEQ_CST);
    struct submission *s = &r->made[tag];
    if (tag >= (uint64_t)MOST)
        abort();
    s->state = HANDED_IN;
    s->len = len;
    s->lent = len ? memset(malloc(len), 'w', len) : NULL;
    return tag;
}
/* What the call that submits it returned; the completion may have been taken already. */
static int submitted(struct round *r, uint64_t tag, sd_status status)
{
    struct submission *s = &r->made[tag];
    int was = HANDED_IN;
    int known =
        __atomic_compare_exchange_n(&s->state, &was, status == SD_OK ? ACCEPTED : REFUSED,
                                    0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (status == SD_OK)
        add(&r->accepted, 1);
    else if (!known)
        fault(r, "a completion of what was refused", tag);
    else
        free(s->lent);
    return status == SD_OK;
}
/* After this the memory belongs to its owner: who still uses it is seen by a checker of
 * memory, or spoils a file, which has no other bytes than 'w'. */
static void taken(struct round *r, sd_completion *c)
{
    uint64_t tag = sd_completion_tag(c);
    struct submission *s = &r->made[tag];
    if (tag >= r->next ||
        __atomic_exchange_n(&s->state, ANSWERED, __ATOMIC_SEQ_CST) > ACCEPTED) {
        fault(r, "a completion too many", tag);
        return;
    }
    if (sd_completion_count(c) > s->len || sd_completion_status(c) > 0 ||
        sd_completion_status(c) == SD_ERR_INTERNAL ||
        (sd_completion_status(c) != SD_OK) != (sd_completion_error(c) != NULL))
        fault(r, sd_status_name(sd_completion_status(c)), tag);
    if (s->len)
        memset(s->lent, 'X', s->len);
    free(s->lent);
    add(&r->taken, 1);
}

/* ---- the threads ---- */

static void submit_verb(struct submitter *s, const char *path, const char *other)
{
    struct round *r = s->round;
    uint64_t tag = hand_in(r, 0);
    sd_status status = SD_ERR_INTERNAL;
    sd_cq *cq = r->cq;
    sd_driver *d = r->driver;
    switch (chance(s, 10)) {
    case 0: status = sd_submit_get_content(cq, tag, d, s->ctx, path, NULL); break;
    case 1: status = sd_submit_put_content(cq, tag, d, s->ctx, path, "www", 3, NULL); break;
    case 2: status = sd_submit_stat(cq, tag, d, s->ctx, path, NULL); break;
    case 3: status = sd_submit_list(cq, tag, d, s->ctx, "/p", NULL); break;
    case 4: status = sd_submit_list_page(cq, tag, d, s->ctx, "/p", path, 2, NULL); break;
    case 5: status = sd_submit_move(cq, tag, d, s->ctx, path, other, NULL); break;
    case 6: status = sd_submit_delete(cq, tag, d, s->ctx, path, NULL); break;
    case 7: status = sd_submit_redirect_url(cq, tag, d, s->ctx, path, NULL, NULL); break;
    case 8: status = sd_submit_reader_open(cq, tag, d, s->ctx, path, 0, NULL); break;
    case 9: status = sd_submit_writer_open(cq, tag, d, s->ctx, other, 0, NULL); break;
    }
    submitted(r, tag, status);
}
static void submit_read(struct submitter *s, const char *path)
{
    struct round *r = s->round;
    if (!s->reader && sd_reader_open(r->driver, s->ctx, path, 0, &s->reader, NULL) != SD_OK)
        return;
    size_t len = 1 + chance(s, 100);
    uint64_t tag = hand_in(r, len);
    void *room = r->made[tag].lent;
    submitted(r, tag, sd_submit_reader_read(r->cq, tag, s->reader, room, len, NULL));
    if (chance(s, 4) == 0) { /* in flight or not */
        sd_reader_free(s->reader);
        s->reader = NULL;
    }
}
static void submit_write(struct submitter *s)
{
    struct round *r = s->round;
    char path[16];
    size_t len = 1 + chance(s, 100);
    sd_status status = SD_ERR_INTERNAL;
    uint64_t tag;
    snprintf(path, sizeof path, "/p/w%d", s->number);
    if (!s->writer && sd_writer_open(r->driver, s->ctx, path, 0, &s->writer, NULL) != SD_OK)
        return;
    unsigned what = chance(s, 8);
    tag = hand_in(r, what > 2 ? len : 0);
    switch (what) {
    case 0: status = sd_submit_writer_commit(r->cq, tag, s->writer, s->ctx, NULL); break;
    case 1: status = sd_submit_writer_cancel(r->cq, tag, s->writer, s->ctx, NULL); break;
    case 2: status = sd_submit_writer_close(r->cq, tag, s->writer, s->ctx, NULL); break;
    default: {
        const void *load = r->made[tag].lent;
        status = sd_submit_writer_write(r->cq, tag, s->writer, load, len, NULL);
    }
    }
    submitted(r, tag, status);
    if (chance(s, 8) == 0 || ++s->writes == 30) {
        sd_writer_free(s->writer);
        s->writer = NULL;
        s->writes = 0;
    }
}
static void submit_step(struct submitter *s)
{
    struct round *r = s->round;
    if (!s->walker &&
        sd_walker_open(r->driver, s->ctx, "/p", NULL, &s->walker, NULL) != SD_OK)
        return;
    uint64_t tag = hand_in(r, 0);
    submitted(r, tag, sd_submit_walker_next(r->cq, tag, s->walker, NULL));
    if (chance(s, 8) == 0) {
        sd_walker_free(s->walker);
        s->walker = NULL;
    }
}
static void new_context(struct submitter *s)
{
    if (chance(s, 4) == 0)
        sd_context_cancel(s->ctx);
    sd_context_free(s->ctx);
    s->ctx = sd_context_new(s->round->all);
    if (chance(s, 4) == 0)
        sd_context_set_timeout_ms(s->ctx, chance(s, 3));
}
static void *submit(void *of)
{
    struct submitter *s = of;
    char path[16], other[16];
    new_context(s);
    for (int i = 0; i < each; i++) {
        snprintf(path, sizeof path, "/p/%u", chance(s, 8));
        snprintf(other, sizeof other, "/p/%u", chance(s, 8));
        switch (chance(s, 6)) {
        case 0: submit_read(s, path); break;
        case 1:
        case 2: submit_write(s); break;
        case 3: submit_step(s); break;
        default: submit_verb(s, path, other);
        }
        if (chance(s, 16) == 0)
            new_context(s);
        if (chance(s, 64) == 0)
            sched_yield();
    }
    sd_reader_free(s->reader);
    sd_writer_free(s->writer);
    sd_walker_free(s->walker);
    sd_context_free(s->ctx);
    return NULL;
}
/* One more call on what a completion brought, from the thread that took it. */
static void use(struct round *r, sd_completion *c, unsigned n)
{
    sd_reader *reader = sd_completion_take_reader(c);
    sd_writer *writer = n % 2 ? sd_completion_take_writer(c) : NULL;
    if (n % 3 == 0)
        sd_error_free(sd_completion_take_error(c));
    if (reader) {
        uint64_t tag = hand_in(r, 10);
        void *room = r->made[tag].lent;
        submitted(r, tag, sd_submit_reader_read(r->cq, tag, reader, room, 10, NULL));
    }
    sd_reader_free(reader);
    sd_writer_free(writer);
}
static void *take(void *of)
{
    struct round *r = of;
    struct pollfd entry = {sd_cq_fd(r->cq), POLLIN, 0};
    unsigned n = 0;
    while (!__atomic_load_n(&r->stop, __ATOMIC_SEQ_CST)) {
        sd_completion *c = NULL;
        poll(&entry, 1, 5);
        while (sd_cq_next(r->cq, n % 2, &c, NULL) == SD_OK) {
            taken(r, c);
            if (n++ % 4 == 0)
                use(r, c, n);
            sd_completion_free(c);
        }
    }
    return NULL;
}
static void *disturb(void *of)
{
    struct round *r = of;
    while (!__atomic_load_n(&r->stop, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&r->next, __ATOMIC_SEQ_CST) < (unsigned)(each * THREADS / 2))
        nanosleep(&(struct timespec){0, 200000}, NULL);
    if (r->how == SHUT_DOWN)
        CHECK_STATUS(sd_runtime_shutdown(60000, NULL), SD_OK);
    else
        sd_context_cancel(r->all);
    return NULL;
}

/* ---- a round ---- */

static void drain(struct round *r)
{
    sd_completion *c = NULL;
    struct pollfd entry = {sd_cq_fd(r->cq), POLLIN, 0};
    while (r->taken < r->accepted && CHECK(sd_cq_next(r->cq, 60000, &c, &err) == SD_OK)) {
        taken(r, c);
        sd_completion_free(c);
    }
    CHECK(sd_cq_in_flight(r->cq) == 0);
    CHECK(poll(&entry, 1, 0) == 0);
    CHECK_STATUS(sd_cq_next(r->cq, 10, &c, &err), SD_EMPTY);
    CHECK(r->taken == r->accepted);
}
static void all_answered(struct round *r)
{
    int open = 0;
    for (unsigned i = 0; i < r->next; i++)
        open += r->made[i].state == ACCEPTED || r->made[i].state == HANDED_IN;
    CHECK(open == (r->how == FREE_EARLY ? r->accepted - r->taken : 0));
    for (unsigned i = 0; i < r->next; i++) { /* the queue is gone: nobody uses it */
        struct submission *s = &r->made[i];
        if (s->state == ACCEPTED && s->len)
            memset(s->lent, 'X', s->len);
        if (s->state == ACCEPTED)
            free(s->lent);
    }
}
/* What was written never came from memory that had been given back. */
static void only_what_was_lent_is_stored(sd_driver *driver)
{
    sd_names *names = NULL;
    if (sd_list(driver, NULL, "/p", &names, NULL) != SD_OK)
        return;
    for (size_t i = 0; i < sd_names_count(names); i++) {
        sd_buffer *content = NULL;
        if (sd_get_content(driver, NULL, sd_names_get(names, i), &content, NULL) == SD_OK)
            CHECK(memchr(sd_buffer_data(content), 'X', sd_buffer_len(content)) == NULL);
        sd_buffer_free(content);
    }
    sd_names_free(names);
}
static void run_round(sd_driver *driver, enum how how, uint64_t seed)
{
    struct round r = {.driver = driver, .how = how};
    struct submitter all[THREADS];
    pthread_t threads[THREADS], taker, disturber;
    r.made = calloc((size_t)MOST, sizeof *r.made);
    r.all = sd_context_new(NULL);
    CHECK_STATUS(sd_cq_new(&r.cq, &err), SD_OK);
    CHECK(!pthread_create(&taker, NULL, take, &r));
    for (int i = 0; i < THREADS; i++) {
        all[i] = (struct submitter){.round = &r, .number = i, .seed = seed + (uint64_t)i};
        CHECK(!pthread_create(&threads[i], NULL, submit, &all[i]));
    }
    CHECK(!pthread_create(&disturber, NULL, disturb, &r));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&r.stop, 1, __ATOMIC_SEQ_CST);
    pthread_join(taker, NULL);
    pthread_join(disturber, NULL);
    if (how != FREE_EARLY)
        drain(&r);
    sd_cq_free(r.cq);
    all_answered(&r);
    CHECK(r.faults == 0 && r.accepted > 0);
    sd_context_free(r.all);
    free(r.made);
}

/* ---- drivers, and each kind of round on each of them ---- */

static void run_rounds(const char *name, const char *kind, enum how how)
{
    static const enum fault faults[] = {NONE, STATUS_KNOWN, READ_LONG, SIZE_LIES};
    int in_c = strcmp(kind, "c") == 0;
    for (unsigned round = 0; round < (in_c ? 4 : 2); round++) {
        struct store *store = in_c ? new_store() : NULL;
        sd_driver *driver = in_c ? new_driver(store) : make_driver(kind);
        for (int i = 0; i < 8; i++) {
            char path[16];
            snprintf(path, sizeof path, "/p/%d", i);
            CHECK_STATUS(sd_put_content(driver, NULL, path, "wwww", 4, NULL), SD_OK);
        }
        if (in_c)
            store->slow = 1, store->fault = faults[round];
        run_round(driver, how, round * 1000 + (unsigned)how);
        if (in_c)
            store->slow = 0, store->fault = NONE;
        if (how != SHUT_DOWN)
            only_what_was_lent_is_stored(driver);
        sd_driver_free(driver);
        if (in_c)
            end_store(store, 1);
        remove_files();
    }
    end_test(name, kind);
}
static void run_on_all(const char *name, enum how how)
{
    const char *all[] = {"inmemory", "filesystem", "c", NULL};
    const char *const *kind = *kinds_wanted ? (const char *const *)kinds_wanted : all;
    for (; *kind; kind++)
        if (strcmp(*kind, "c") == 0 || strstr(sd_features(), *kind))
            run_rounds(name, *kind, how);
}

int main(int argc, char **argv)
{
    const char *preload = getenv("LD_PRELOAD"), *times = getenv("SD_STRESS");
    (void)argc;
    begin_tests(argv);
    if (preload && strstr(preload, "valgrind"))
        each = 60;
    if (times)
        each *= atoi(times);
    run_on_all("every_accepted_submission_has_one_completion", DRAIN);
    run_on_all("a_queue_freed_early_leaves_nothing_in_use", FREE_EARLY);
    run_on_all("a_shutdown_in_the_middle_answers_all", SHUT_DOWN);
    CHECK_STATUS(sd_runtime_shutdown(60000, NULL), SD_OK);
    return end_tests();
}
