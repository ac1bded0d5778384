/* Section 12: the completion queue, one test for each of its rules. */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>

#define POOL 4 /* threads that calls of local drivers run on, see main */

static sd_error *err;

/* ---- holding calls in flight: a hook that keeps those of one verb inside ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int held, released;
static const char *held_action;

static void hold(void *user, const sd_metric *metric)
{
    (void)user;
    if (strcmp(metric->action, held_action) != 0)
        return;
    pthread_mutex_lock(&lock);
    held++;
    pthread_cond_broadcast(&changed);
    while (!released)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
static void begin_hold(const char *action)
{
    held = released = 0;
    held_action = action;
    CHECK_STATUS(sd_metrics_set_hook(hold, NULL), SD_OK);
}
static void wait_until_held(int calls)
{
    pthread_mutex_lock(&lock);
    while (held < calls)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
static void release(void)
{
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
static void end_hold(void)
{
    release();
    CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
}

/* ---- helpers ---- */

static sd_cq *make_queue(void)
{
    sd_cq *cq = NULL;
    CHECK_STATUS(sd_cq_new(&cq, &err), SD_OK);
    return cq;
}
/* The next completion, which must come. */
static sd_completion *next(sd_cq *cq)
{
    sd_completion *completion = NULL;
    CHECK_STATUS(sd_cq_next(cq, 60000, &completion, &err), SD_OK);
    return completion;
}
/* The next completion is of `tag` and ended so. */
static sd_completion *next_is(sd_cq *cq, uint64_t tag, sd_status status)
{
    sd_completion *c = next(cq);
    CHECK(sd_completion_tag(c) == tag);
    CHECK_STATUS(sd_completion_status(c), status);
    CHECK((sd_completion_error(c) != NULL) == (status != SD_OK));
    return c;
}
static void ends(sd_cq *cq, uint64_t tag, sd_status status)
{
    sd_completion_free(next_is(cq, tag, status));
}
static void is_empty(sd_cq *cq)
{
    sd_completion *none = (sd_completion *)&err;
    CHECK_STATUS(sd_cq_next(cq, 0, &none, &err), SD_EMPTY);
    CHECK(none == (sd_completion *)&err && err == NULL);
}
static int readable(sd_cq *cq, int timeout_ms)
{
    struct pollfd entry = {sd_cq_fd(cq), POLLIN, 0};
    return poll(&entry, 1, timeout_ms) == 1 && (entry.revents & POLLIN);
}
static void put(sd_driver *driver, const char *path, const char *text)
{
    CHECK_STATUS(sd_put_content(driver, NULL, path, text, strlen(text), NULL), SD_OK);
}
static void nap(long ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}
static uint64_t count(sd_completion *c)
{
    uint64_t n = sd_completion_count(c);
    sd_completion_free(c);
    return n;
}

/* ---- the rules ---- */

static void every_verb_has_its_twin(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_completion *c;
    sd_walker *walker = NULL;
    char buf[16] = "";

    CHECK_STATUS(sd_submit_put_content(cq, 1, driver, NULL, "/d/a", "abc", 3, &err), SD_OK);
    ends(cq, 1, SD_OK);
    CHECK_STATUS(sd_submit_get_content(cq, 2, driver, NULL, "/d/a", &err), SD_OK);
    sd_buffer *content = sd_completion_take_buffer(c = next_is(cq, 2, SD_OK));
    CHECK_TEXT((const char *)sd_buffer_data(content), "abc");
    sd_buffer_free(content);
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_stat(cq, 3, driver, NULL, "/d/a", &err), SD_OK);
    sd_file_info *info = sd_completion_take_file_info(c = next_is(cq, 3, SD_OK));
    CHECK(info && info->size == 3);
    sd_file_info_free(info);
    sd_completion_free(c);
    put(driver, "/d/b", "b");
    CHECK_STATUS(sd_submit_list(cq, 4, driver, NULL, "/d", &err), SD_OK);
    sd_names *names = sd_completion_take_names(c = next_is(cq, 4, SD_OK));
    CHECK(sd_names_count(names) == 2);
    CHECK_TEXT(sd_names_get(names, 0), "/d/a");
    sd_names_free(names);
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_list_page(cq, 5, driver, NULL, "/d", "/d/a", 9, &err), SD_OK);
    names = sd_completion_take_names(c = next_is(cq, 5, SD_OK));
    CHECK(sd_names_count(names) == 1);
    CHECK_TEXT(sd_names_get(names, 0), "/d/b");
    sd_names_free(names);
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_redirect_url(cq, 6, driver, NULL, "/d/a", NULL, &err), SD_OK);
    CHECK(sd_completion_take_buffer(c = next_is(cq, 6, SD_OK)) == NULL);
    sd_completion_free(c);

    CHECK_STATUS(sd_submit_reader_open(cq, 7, driver, NULL, "/d/a", 1, &err), SD_OK);
    sd_reader *reader = sd_completion_take_reader(c = next_is(cq, 7, SD_OK));
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_reader_read(cq, 8, reader, buf, sizeof buf, &err), SD_OK);
    CHECK(count(next_is(cq, 8, SD_OK)) == 2);
    CHECK_TEXT(buf, "bc");
    CHECK_STATUS(sd_submit_reader_read(cq, 9, reader, buf, sizeof buf, &err), SD_OK);
    CHECK(count(next_is(cq, 9, SD_OK)) == 0);
    sd_reader_free(reader);

    CHECK_STATUS(sd_submit_writer_open(cq, 10, driver, NULL, "/d/w", 0, &err), SD_OK);
    sd_writer *writer = sd_completion_take_writer(c = next_is(cq, 10, SD_OK));
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_writer_write(cq, 11, writer, "12345", 5, &err), SD_OK);
    CHECK(count(next_is(cq, 11, SD_OK)) == 5);
    CHECK(sd_writer_size(writer) == 5);
    CHECK_STATUS(sd_submit_writer_close(cq, 12, writer, NULL, &err), SD_OK);
    ends(cq, 12, SD_OK);
    sd_writer_free(writer);
    CHECK_STATUS(
        sd_submit_writer_open(cq, 13, driver, NULL, "/d/w", SD_WRITER_APPEND, &err), SD_OK);
    writer = sd_completion_take_writer(c = next_is(cq, 13, SD_OK));
    sd_completion_free(c);
    CHECK(sd_writer_size(writer) == 5);
    CHECK_STATUS(sd_submit_writer_commit(cq, 14, writer, NULL, &err), SD_OK);
    ends(cq, 14, SD_OK);
    sd_writer_free(writer);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/d/x", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_submit_writer_cancel(cq, 15, writer, NULL, &err), SD_OK);
    ends(cq, 15, SD_OK);
    sd_writer_free(writer);

    CHECK_STATUS(sd_submit_move(cq, 16, driver, NULL, "/d/w", "/d/z", &err), SD_OK);
    ends(cq, 16, SD_OK);
    CHECK_STATUS(sd_submit_delete(cq, 17, driver, NULL, "/d/z", &err), SD_OK);
    ends(cq, 17, SD_OK);
    CHECK_STATUS(sd_walker_open(driver, NULL, "/d", NULL, &walker, NULL), SD_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(sd_submit_walker_next(cq, 18, walker, &err), SD_OK);
        info = sd_completion_take_file_info(c = next_is(cq, 18, SD_OK));
        CHECK((info == NULL) == (i == 2));
        if (info)
            CHECK_TEXT(info->path, i ? "/d/b" : "/d/a");
        sd_file_info_free(info);
        sd_completion_free(c);
    }
    sd_walker_free(walker);
    is_empty(cq);
    sd_cq_free(cq);
}

#define SUBMITTERS 8
#define EACH       200

struct submitter {
    sd_cq *cq;
    sd_driver *driver;
    sd_context *cancelled;
    uint64_t first;
};

static void *submit_many(void *user)
{
    struct submitter *s = user;
    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t tag = s->first + i;
        sd_status status = SD_ERR_INTERNAL;
        switch (i % 4) {
        case 0: status = sd_submit_stat(s->cq, tag, s->driver, NULL, "/a", NULL); break;
        case 1: status = sd_submit_stat(s->cq, tag, s->driver, NULL, "/no", NULL); break;
        case 2:
            status = sd_submit_stat(s->cq, tag, s->driver, s->cancelled, "/a", NULL);
            break;
        case 3: status = sd_submit_get_content(s->cq, tag, s->driver, NULL, "bad", NULL);
        }
        if (status != SD_OK)
            return user;
    }
    return NULL;
}

static void one_submission_one_completion(sd_driver *driver)
{
    static const sd_status expected[] = {SD_OK, SD_ERR_PATH_NOT_FOUND, SD_ERR_CANCELLED,
                                         SD_ERR_INVALID_PATH};
    static int seen[SUBMITTERS * EACH];
    pthread_t threads[SUBMITTERS];
    struct submitter all[SUBMITTERS];
    sd_cq *cq = make_queue();
    sd_context *cancelled = sd_context_new(NULL);
    sd_context_cancel(cancelled);
    memset(seen, 0, sizeof seen);
    put(driver, "/a", "abc");
    for (int i = 0; i < SUBMITTERS; i++) {
        all[i] = (struct submitter){cq, driver, cancelled, (uint64_t)i * EACH};
        CHECK(!pthread_create(&threads[i], NULL, submit_many, &all[i]));
    }
    for (int i = 0; i < SUBMITTERS * EACH; i++) {
        sd_completion *c = next(cq);
        uint64_t tag = sd_completion_tag(c);
        CHECK(tag < SUBMITTERS * EACH && seen[tag]++ == 0);
        CHECK_STATUS(sd_completion_status(c), expected[tag % 4]);
        sd_completion_free(c);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        void *fault = NULL;
        pthread_join(threads[i], &fault);
        CHECK(fault == NULL);
    }
    CHECK(sd_cq_in_flight(cq) == 0);
    is_empty(cq);
    sd_context_free(cancelled);
    sd_cq_free(cq);
}

static void a_failed_submission_gives_none(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    CHECK_ERROR(sd_submit_stat(cq, 1, driver, NULL, NULL, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_submit_stat(cq, 2, driver, NULL, "/\xff", &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_submit_writer_open(cq, 3, driver, NULL, "/a", 2, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_submit_put_content(cq, 4, driver, NULL, "/a", NULL, 1, &err),
                SD_ERR_INVALID_ARGUMENT);
    CHECK(sd_cq_in_flight(cq) == 0);
    CHECK(!readable(cq, 0));
    is_empty(cq);
    sd_cq_free(cq);
}

static void descriptor_is_readable_exactly_while_one_waits(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    CHECK(sd_cq_fd(cq) >= 0);
    CHECK(!readable(cq, 0));
    begin_hold("Stat");
    for (uint64_t tag = 0; tag < 2; tag++)
        CHECK_STATUS(sd_submit_stat(cq, tag, driver, NULL, "/", &err), SD_OK);
    wait_until_held(2);
    CHECK(sd_cq_in_flight(cq) == 2);
    CHECK(!readable(cq, 0));
    end_hold();
    CHECK(readable(cq, 60000));
    while (sd_cq_in_flight(cq))
        nap(1);
    CHECK(readable(cq, 0));
    sd_completion_free(next(cq));
    CHECK(readable(cq, 0));
    sd_completion_free(next(cq));
    CHECK(!readable(cq, 0));
    is_empty(cq);
    CHECK(!readable(cq, 0));
    sd_cq_free(cq);
}

/* An event loop: whoever takes until SD_EMPTY misses nothing, in either mode. */
static void serve_by_epoll(sd_driver *driver, uint32_t mode)
{
    enum { CALLS = 500, AT_ONCE = 7 };
    sd_cq *cq = make_queue();
    struct epoll_event event = {EPOLLIN | mode, {0}};
    int ep = epoll_create1(EPOLL_CLOEXEC), done = 0, asked = 0;
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, sd_cq_fd(cq), &event) == 0);
    for (; asked < AT_ONCE; asked++)
        CHECK_STATUS(sd_submit_stat(cq, 0, driver, NULL, "/", &err), SD_OK);
    while (done < CALLS && CHECK(epoll_wait(ep, &event, 1, 60000) == 1)) {
        sd_completion *c = NULL;
        while (sd_cq_next(cq, 0, &c, &err) == SD_OK) {
            CHECK_STATUS(sd_completion_status(c), SD_OK);
            sd_completion_free(c);
            done++;
            if (asked++ < CALLS)
                CHECK_STATUS(sd_submit_stat(cq, 0, driver, NULL, "/", &err), SD_OK);
        }
    }
    CHECK(epoll_wait(ep, &event, 1, 0) == 0);
    close(ep);
    sd_cq_free(cq);
}
static void epoll_by_level(sd_driver *driver)
{
    serve_by_epoll(driver, 0);
}
static void epoll_by_edge(sd_driver *driver)
{
    serve_by_epoll(driver, EPOLLET);
}

static void tags_come_back_untouched(sd_driver *driver)
{
    static const uint64_t tags[] = {0, 1, 0x8000000000000000u, UINT64_MAX,
                                    0x0123456789abcdefu};
    sd_cq *cq = make_queue();
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        CHECK_STATUS(sd_submit_stat(cq, tags[i], driver, NULL, "/", &err), SD_OK);
        ends(cq, tags[i], SD_OK);
    }
    /* The library does not mind two of the same. */
    CHECK_STATUS(sd_submit_stat(cq, 7, driver, NULL, "/", &err), SD_OK);
    CHECK_STATUS(sd_submit_stat(cq, 7, driver, NULL, "/", &err), SD_OK);
    ends(cq, 7, SD_OK);
    ends(cq, 7, SD_OK);
    sd_cq_free(cq);
}

static void what_is_not_lent_is_copied(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_context *ctx = sd_context_new(NULL);
    sd_buffer *content = NULL;
    char path[] = "/copied", data[] = "data";
    begin_hold("Stat");
    for (uint64_t tag = 0; tag < POOL; tag++)
        CHECK_STATUS(sd_submit_stat(cq, 0, driver, NULL, "/", &err), SD_OK);
    wait_until_held(POOL);
    /* It waits for a thread while its arguments go. */
    CHECK_STATUS(sd_submit_put_content(cq, 1, driver, ctx, path, data, 4, &err), SD_OK);
    memset(path, 'x', sizeof path - 1);
    memset(data, 'x', sizeof data - 1);
    sd_context_free(ctx);
    end_hold();
    for (int i = 0; i < POOL + 1; i++) {
        sd_completion *c = next(cq);
        CHECK_STATUS(sd_completion_status(c), SD_OK);
        sd_completion_free(c);
    }
    CHECK_STATUS(sd_get_content(driver, NULL, "/copied", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "data");
    sd_buffer_free(content);
    sd_cq_free(cq);
}

static void a_handle_has_one_call_in_flight(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_reader *reader = NULL;
    sd_writer *writer = NULL;
    sd_walker *walker = NULL;
    sd_file_info *info = NULL;
    char buf[2], other[2];
    size_t len = 0;
    put(driver, "/a", "abcd");
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/w", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_walker_open(driver, NULL, "/", NULL, &walker, NULL), SD_OK);

    begin_hold("Read");
    CHECK_STATUS(sd_submit_reader_read(cq, 1, reader, buf, 2, &err), SD_OK);
    wait_until_held(1);
    CHECK_ERROR(sd_submit_reader_read(cq, 2, reader, other, 2, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_reader_read(reader, other, 2, &len, &err), SD_ERR_INVALID_STATE);
    end_hold();
    CHECK(count(next_is(cq, 1, SD_OK)) == 2);
    CHECK(memcmp(buf, "ab", 2) == 0);
    /* Free again as soon as the completion is there, and for both kinds of call. */
    CHECK_STATUS(sd_reader_read(reader, other, 1, &len, &err), SD_OK);
    CHECK(len == 1 && *other == 'c');
    CHECK_STATUS(sd_submit_reader_read(cq, 3, reader, buf, 2, &err), SD_OK);
    CHECK(count(next_is(cq, 3, SD_OK)) == 1 && *buf == 'd');

    begin_hold("Write");
    CHECK_STATUS(sd_submit_writer_write(cq, 4, writer, "ab", 2, &err), SD_OK);
    wait_until_held(1);
    CHECK_ERROR(sd_submit_writer_write(cq, 5, writer, "x", 1, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_submit_writer_commit(cq, 5, writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_submit_writer_cancel(cq, 5, writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_submit_writer_close(cq, 5, writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_writer_commit(writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK(sd_writer_size(writer) == 0);
    end_hold();
    ends(cq, 4, SD_OK);
    CHECK(sd_writer_size(writer) == 2);
    CHECK_STATUS(sd_writer_commit(writer, NULL, &err), SD_OK);
    /* Its state is seen by the queue. */
    CHECK_STATUS(sd_submit_writer_write(cq, 6, writer, "x", 1, &err), SD_OK);
    ends(cq, 6, SD_ERR_INVALID_STATE);

    begin_hold("Walk");
    CHECK_STATUS(sd_submit_walker_next(cq, 7, walker, &err), SD_OK);
    wait_until_held(1);
    CHECK_ERROR(sd_submit_walker_next(cq, 8, walker, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_walker_next(walker, &info, &err), SD_ERR_INVALID_STATE);
    CHECK_STATUS(sd_walker_skip_dir(walker), SD_ERR_INVALID_STATE);
    end_hold();
    ends(cq, 7, SD_OK);
    is_empty(cq);
    sd_reader_free(reader);
    sd_writer_free(writer);
    sd_walker_free(walker);
    sd_cq_free(cq);
}

static void a_handle_can_be_freed_while_a_call_is_in_flight(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_driver *own = sd_driver_ref(driver);
    sd_context *ctx = sd_context_new(NULL);
    sd_reader *reader = NULL;
    char buf[4] = "";
    put(driver, "/a", "abc");
    CHECK_STATUS(sd_reader_open(own, ctx, "/a", 0, &reader, NULL), SD_OK);
    begin_hold("Read");
    CHECK_STATUS(sd_submit_reader_read(cq, 1, reader, buf, 3, &err), SD_OK);
    wait_until_held(1);
    sd_reader_free(reader);
    sd_context_free(ctx);
    sd_driver_free(own);
    end_hold();
    CHECK(count(next_is(cq, 1, SD_OK)) == 3);
    CHECK_TEXT(buf, "abc");
    sd_cq_free(cq);
}

static void *free_queue(void *cq)
{
    sd_cq_free(cq);
    pthread_mutex_lock(&lock);
    int too_early = !released;
    pthread_mutex_unlock(&lock);
    return too_early ? cq : NULL;
}

static void free_cancels_and_waits(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_reader *reader = NULL;
    sd_file_info *info = NULL;
    pthread_t thread;
    void *fault = NULL;
    char *lent = malloc(3);
    put(driver, "/a", "abc");
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    begin_hold("Read");
    CHECK_STATUS(sd_submit_reader_read(cq, 1, reader, lent, 3, &err), SD_OK);
    wait_until_held(1);
    for (uint64_t tag = 0; tag < POOL; tag++) /* of which one waits for a thread */
        CHECK_STATUS(sd_submit_stat(cq, tag, driver, NULL, "/", &err), SD_OK);
    CHECK(!pthread_create(&thread, NULL, free_queue, cq));
    nap(20);
    release();
    pthread_join(thread, &fault);
    CHECK(fault == NULL);
    free(lent); /* a checker of memory sees whoever still uses it */
    end_hold();

    /* What has not begun is not done. The thread that frees must come first: it gets
     * more and more time for that. */
    sd_status found = SD_OK;
    for (int time = 50; found == SD_OK; time *= 10) {
        sd_delete(driver, NULL, "/never", NULL);
        cq = make_queue();
        begin_hold("List");
        for (uint64_t tag = 0; tag < POOL; tag++)
            CHECK_STATUS(sd_submit_list(cq, tag, driver, NULL, "/", &err), SD_OK);
        wait_until_held(POOL);
        CHECK_STATUS(sd_submit_put_content(cq, 9, driver, NULL, "/never", "x", 1, &err),
                     SD_OK);
        CHECK(!pthread_create(&thread, NULL, free_queue, cq));
        nap(time);
        end_hold();
        pthread_join(thread, &fault);
        found = sd_stat(driver, NULL, "/never", &info, NULL);
        sd_file_info_free(info);
        info = NULL;
        CHECK(found != SD_OK || time < 5000);
    }
    CHECK_STATUS(found, SD_ERR_PATH_NOT_FOUND);
    sd_reader_free(reader);
}

static void take_of_what_is_not_there_is_null(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    CHECK_STATUS(sd_submit_stat(cq, 1, driver, NULL, "/", &err), SD_OK);
    sd_completion *c = next_is(cq, 1, SD_OK);
    CHECK(sd_completion_take_buffer(c) == NULL);
    CHECK(sd_completion_take_names(c) == NULL);
    CHECK(sd_completion_take_reader(c) == NULL);
    CHECK(sd_completion_take_writer(c) == NULL);
    CHECK(sd_completion_take_error(c) == NULL);
    /* All that has taken nothing away. */
    sd_file_info *info = sd_completion_take_file_info(c);
    CHECK(info != NULL && (info->flags & SD_INFO_DIR));
    CHECK(sd_completion_take_file_info(c) == NULL);
    CHECK(sd_completion_count(c) == 0);
    sd_completion_free(c);
    CHECK_TEXT(info->path, "/");
    sd_file_info_free(info);

    CHECK_STATUS(sd_submit_stat(cq, 2, driver, NULL, "/no", &err), SD_OK);
    c = next_is(cq, 2, SD_ERR_PATH_NOT_FOUND);
    CHECK(sd_completion_take_file_info(c) == NULL);
    sd_completion_free(c);
    sd_cq_free(cq);
}

static void untaken_results_are_freed(sd_driver *driver)
{
    /* A checker of leaks sees those that are not. */
    put(driver, "/d/a", "abc");
    for (int taken = 0; taken < 2; taken++) {
        sd_cq *cq = make_queue();
        CHECK_STATUS(sd_submit_get_content(cq, 1, driver, NULL, "/d/a", &err), SD_OK);
        CHECK_STATUS(sd_submit_stat(cq, 2, driver, NULL, "/d/a", &err), SD_OK);
        CHECK_STATUS(sd_submit_list(cq, 3, driver, NULL, "/d", &err), SD_OK);
        CHECK_STATUS(sd_submit_reader_open(cq, 4, driver, NULL, "/d/a", 0, &err), SD_OK);
        CHECK_STATUS(sd_submit_writer_open(cq, 5, driver, NULL, "/d/w", 0, &err), SD_OK);
        CHECK_STATUS(sd_submit_stat(cq, 6, driver, NULL, "/no", &err), SD_OK);
        for (int i = 0; taken && i < 6; i++)
            sd_completion_free(next(cq));
        sd_cq_free(cq);
    }
    sd_completion_free(NULL);
    sd_cq_free(NULL);
}

static void cancelled_through_the_context(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_context *parent = sd_context_new(NULL), *ctx = sd_context_new(parent);
    sd_context *late = sd_context_new(NULL);
    sd_file_info *info = NULL;
    sd_reader *reader = NULL;
    char buf[3];
    put(driver, "/a", "abc");
    CHECK_STATUS(sd_reader_open(driver, ctx, "/a", 0, &reader, NULL), SD_OK);
    begin_hold("List");
    for (uint64_t tag = 0; tag < POOL; tag++)
        CHECK_STATUS(sd_submit_list(cq, 0, driver, NULL, "/", &err), SD_OK);
    wait_until_held(POOL);
    CHECK_STATUS(sd_submit_put_content(cq, 1, driver, ctx, "/never", "x", 1, &err), SD_OK);
    CHECK_STATUS(sd_submit_put_content(cq, 2, driver, late, "/never", "x", 1, &err), SD_OK);
    CHECK_STATUS(sd_submit_reader_read(cq, 3, reader, buf, sizeof buf, &err), SD_OK);
    /* A deadline set later applies, too. */
    sd_context_set_timeout_ms(late, 0);
    sd_context_cancel(parent);
    end_hold();
    for (int i = 0; i < POOL + 3; i++) {
        static const sd_status expected[] = {SD_OK, SD_ERR_CANCELLED, SD_ERR_DEADLINE,
                                             SD_ERR_CANCELLED};
        sd_completion *c = next(cq);
        CHECK_STATUS(sd_completion_status(c), expected[sd_completion_tag(c)]);
        sd_completion_free(c);
    }
    CHECK_STATUS(sd_stat(driver, NULL, "/never", &info, NULL), SD_ERR_PATH_NOT_FOUND);
    sd_reader_free(reader);
    sd_context_free(late);
    sd_context_free(ctx);
    sd_context_free(parent);
    sd_cq_free(cq);
}

static void errors_come_with_the_completion(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    CHECK_STATUS(sd_submit_get_content(cq, 1, driver, NULL, "/no", &err), SD_OK);
    CHECK(err == NULL);
    sd_completion *c = next_is(cq, 1, SD_ERR_PATH_NOT_FOUND);
    const sd_error *lent = sd_completion_error(c);
    CHECK_STATUS(sd_error_code(lent), SD_ERR_PATH_NOT_FOUND);
    CHECK_TEXT(sd_error_path(lent), "/no");
    CHECK_TEXT(sd_error_driver(lent), sd_driver_name(driver));
    sd_error *taken = sd_completion_take_error(c);
    CHECK(taken == lent);
    CHECK(sd_completion_take_error(c) == NULL);
    CHECK(sd_completion_error(c) == NULL);
    CHECK_STATUS(sd_completion_status(c), SD_ERR_PATH_NOT_FOUND);
    sd_completion_free(c);
    CHECK_TEXT(sd_error_path(taken), "/no");
    sd_error_free(taken);
    sd_cq_free(cq);
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void next_waits_as_long_as_it_is_told(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    sd_completion *c = NULL;
    long long began = now_ms();
    CHECK_STATUS(sd_cq_next(cq, 30, &c, &err), SD_EMPTY);
    CHECK(now_ms() - began >= 29 && c == NULL);
    CHECK_STATUS(sd_submit_stat(cq, 1, driver, NULL, "/", &err), SD_OK);
    CHECK_STATUS(sd_cq_next(cq, -1, &c, &err), SD_OK);
    sd_completion_free(c);
    CHECK_STATUS(sd_submit_stat(cq, 1, driver, NULL, "/", &err), SD_OK);
    CHECK_STATUS(sd_cq_next(cq, INT64_MAX, &c, &err), SD_OK);
    sd_completion_free(c);
    sd_cq_free(cq);
}

static void several_queues_do_not_mix(sd_driver *driver)
{
    sd_cq *one = make_queue(), *two = make_queue();
    CHECK(sd_cq_fd(one) != sd_cq_fd(two));
    CHECK_STATUS(sd_submit_stat(one, 1, driver, NULL, "/", &err), SD_OK);
    CHECK_STATUS(sd_submit_stat(two, 2, driver, NULL, "/", &err), SD_OK);
    ends(two, 2, SD_OK);
    CHECK(!readable(two, 0));
    ends(one, 1, SD_OK);
    sd_cq_free(one);
    sd_cq_free(two);
}

static void configure(void)
{
    sd_runtime_options options = {sizeof options, 0, POOL, NULL, NULL, 0};
    CHECK_STATUS(sd_runtime_configure(&options, &err), SD_OK);
}
static void *shut_down(void *user)
{
    return sd_runtime_shutdown(60000, NULL) == SD_OK ? NULL : user;
}
static void a_shutdown_answers_what_is_queued(sd_driver *driver)
{
    sd_cq *cq = make_queue();
    pthread_t thread;
    void *fault = NULL;
    int ok = 0, refused = 0;
    begin_hold("Stat");
    for (uint64_t tag = 0; tag < POOL; tag++)
        CHECK_STATUS(sd_submit_stat(cq, tag, driver, NULL, "/", &err), SD_OK);
    wait_until_held(POOL);
    for (uint64_t tag = POOL; tag < 100; tag++)
        CHECK_STATUS(sd_submit_list(cq, tag, driver, NULL, "/", &err), SD_OK);
    CHECK(!pthread_create(&thread, NULL, shut_down, cq));
    /* From here on it has begun. */
    sd_names *names = NULL;
    while (sd_list(driver, NULL, "/", &names, NULL) == SD_OK)
        sd_names_free(names);
    release();
    pthread_join(thread, &fault);
    CHECK(fault == NULL);
    CHECK_ERROR(sd_submit_stat(cq, 1, driver, NULL, "/", &err), SD_ERR_SHUTDOWN);
    CHECK(sd_cq_in_flight(cq) == 0);
    for (int i = 0; i < 100; i++) {
        sd_completion *c = next(cq);
        sd_status status = sd_completion_status(c);
        CHECK_STATUS(status, sd_completion_tag(c) < POOL ? SD_OK : SD_ERR_SHUTDOWN);
        ok += status == SD_OK;
        refused += status == SD_ERR_SHUTDOWN;
        sd_completion_free(c);
    }
    CHECK(ok == POOL && refused == 100 - POOL);
    is_empty(cq);
    sd_cq_free(cq);
    end_hold();
    configure(); /* for the driver after this one */
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    configure();
    RUN_ON_EACH(every_verb_has_its_twin);
    RUN_ON_EACH(one_submission_one_completion);
    RUN_ON_EACH(a_failed_submission_gives_none);
    RUN_ON_EACH(descriptor_is_readable_exactly_while_one_waits);
    RUN_ON_EACH(epoll_by_level);
    RUN_ON_EACH(epoll_by_edge);
    RUN_ON_EACH(tags_come_back_untouched);
    RUN_ON_EACH(what_is_not_lent_is_copied);
    RUN_ON_EACH(a_handle_has_one_call_in_flight);
    RUN_ON_EACH(a_handle_can_be_freed_while_a_call_is_in_flight);
    RUN_ON_EACH(free_cancels_and_waits);
    RUN_ON_EACH(take_of_what_is_not_there_is_null);
    RUN_ON_EACH(untaken_results_are_freed);
    RUN_ON_EACH(cancelled_through_the_context);
    RUN_ON_EACH(errors_come_with_the_completion);
    RUN_ON_EACH(next_waits_as_long_as_it_is_told);
    RUN_ON_EACH(several_queues_do_not_mix);
    RUN_ON_EACH(a_shutdown_answers_what_is_queued);
    return end_tests();
}
