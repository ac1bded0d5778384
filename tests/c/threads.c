/* What threads may share, and what happens when they share what they may not. */
#include "harness.h"

#include <pthread.h>

#define THREADS 32

struct worker {
    sd_driver *driver;
    int number;
    int faults;
};

static void *work(void *user)
{
    struct worker *worker = user;
    sd_driver *driver = worker->driver;
    char file[32], moved[32], text[32];
    for (int i = 0; i < 30; i++) {
        sd_buffer *content = NULL;
        sd_file_info *info = NULL;
        sd_names *names = NULL;
        sd_error *err = NULL;
        snprintf(file, sizeof file, "/t/%d/f", worker->number);
        snprintf(moved, sizeof moved, "/t/%d/m", worker->number);
        snprintf(text, sizeof text, "%d-%d", worker->number, i);
        worker->faults +=
            sd_put_content(driver, NULL, file, text, strlen(text), NULL) != SD_OK;
        worker->faults +=
            sd_put_content(driver, NULL, "/shared", text, strlen(text), NULL) != SD_OK;
        worker->faults += sd_move(driver, NULL, file, moved, NULL) != SD_OK;
        worker->faults += sd_get_content(driver, NULL, moved, &content, NULL) != SD_OK ||
                          strcmp((const char *)sd_buffer_data(content), text) != 0;
        worker->faults += sd_stat(driver, NULL, "/shared", &info, NULL) != SD_OK;
        worker->faults += sd_list(driver, NULL, "/t", &names, NULL) != SD_OK;
        worker->faults += sd_get_content(driver, NULL, file, NULL, NULL) == SD_OK;
        worker->faults += sd_delete(driver, NULL, file, &err) != SD_ERR_PATH_NOT_FOUND ||
                          strcmp(sd_error_path(err), file) != 0;
        sd_buffer_free(content);
        sd_file_info_free(info);
        sd_names_free(names);
        sd_error_free(err);
    }
    return NULL;
}

static void many_threads_use_one_driver(sd_driver *driver)
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    sd_names *names = NULL;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){driver, i, 0};
        CHECK(!pthread_create(&threads[i], NULL, work, &workers[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(workers[i].faults == 0);
    }
    CHECK_STATUS(sd_list(driver, NULL, "/t", &names, NULL), SD_OK);
    CHECK(sd_names_count(names) == THREADS);
    sd_names_free(names);
}

/* A metrics hook that holds a call inside the library until it is let go. */
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
    held = 1;
    pthread_cond_broadcast(&changed);
    while (!released)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

struct held_call {
    sd_reader *reader;
    sd_writer *writer;
    sd_walker *walker;
    sd_status status;
};

static void *call_and_be_held(void *user)
{
    struct held_call *call = user;
    sd_file_info *info = NULL;
    char buf[2];
    size_t len = 0;
    if (call->reader)
        call->status = sd_reader_read(call->reader, buf, 2, &len, NULL);
    if (call->writer)
        call->status = sd_writer_write(call->writer, "ab", 2, NULL);
    if (call->walker)
        call->status = sd_walker_next(call->walker, &info, NULL);
    sd_file_info_free(info);
    return NULL;
}
static pthread_t begin_held(struct held_call *call, const char *action)
{
    pthread_t thread;
    held = released = 0;
    held_action = action;
    CHECK_STATUS(sd_metrics_set_hook(hold, NULL), SD_OK);
    CHECK(!pthread_create(&thread, NULL, call_and_be_held, call));
    pthread_mutex_lock(&lock);
    while (!held)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return thread;
}
static void end_held(struct held_call *call, pthread_t thread)
{
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    CHECK_STATUS(call->status, SD_OK);
    CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
}

static void a_reader_in_use_refuses_a_second_call(sd_driver *driver)
{
    struct held_call call = {NULL, NULL, NULL, SD_EMPTY};
    sd_error *err = NULL;
    char buf[8];
    size_t len = 0;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "abcd", 4, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &call.reader, NULL), SD_OK);
    pthread_t thread = begin_held(&call, "Read");
    CHECK_ERROR(sd_reader_read(call.reader, buf, sizeof buf, &len, &err),
                SD_ERR_INVALID_STATE);
    end_held(&call, thread);
    CHECK_STATUS(sd_reader_read(call.reader, buf, sizeof buf, &len, NULL), SD_OK);
    CHECK(len == 2 && memcmp(buf, "cd", 2) == 0);
    sd_reader_free(call.reader);
}

static void a_writer_in_use_refuses_all_but_its_size(sd_driver *driver)
{
    struct held_call call = {NULL, NULL, NULL, SD_EMPTY};
    sd_error *err = NULL;
    CHECK_STATUS(sd_writer_open(driver, NULL, "/a", 0, &call.writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_write(call.writer, "12345", 5, NULL), SD_OK);
    pthread_t thread = begin_held(&call, "Write");
    CHECK_ERROR(sd_writer_write(call.writer, "x", 1, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_writer_commit(call.writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_writer_cancel(call.writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK_ERROR(sd_writer_close(call.writer, NULL, &err), SD_ERR_INVALID_STATE);
    CHECK(sd_writer_size(call.writer) == 5);
    end_held(&call, thread);
    CHECK(sd_writer_size(call.writer) == 7);
    CHECK_STATUS(sd_writer_commit(call.writer, NULL, NULL), SD_OK);
    sd_writer_free(call.writer);
}

static void a_walker_in_use_refuses_a_second_call(sd_driver *driver)
{
    struct held_call call = {NULL, NULL, NULL, SD_EMPTY};
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "a", 1, NULL), SD_OK);
    CHECK_STATUS(sd_walker_open(driver, NULL, "/", NULL, &call.walker, NULL), SD_OK);
    pthread_t thread = begin_held(&call, "Walk");
    CHECK_ERROR(sd_walker_next(call.walker, &info, &err), SD_ERR_INVALID_STATE);
    CHECK_STATUS(sd_walker_skip_dir(call.walker), SD_ERR_INVALID_STATE);
    end_held(&call, thread);
    CHECK_STATUS(sd_walker_next(call.walker, &info, NULL), SD_OK);
    CHECK(info == NULL);
    sd_walker_free(call.walker);
}

struct racer {
    sd_reader *reader;
    size_t bytes, refused, faults;
};

static void *race(void *user)
{
    struct racer *racer = user;
    char buf[16];
    for (size_t len = 1; len > 0;) {
        sd_status status = sd_reader_read(racer->reader, buf, sizeof buf, &len, NULL);
        if (status == SD_ERR_INVALID_STATE)
            len = 1, racer->refused++;
        else if (status == SD_OK)
            racer->bytes += len;
        else
            len = 0, racer->faults++;
    }
    return NULL;
}

static void threads_that_fight_for_a_reader_lose_no_byte(sd_driver *driver)
{
    static char data[100000];
    struct racer racers[4];
    pthread_t threads[4];
    sd_reader *reader = NULL;
    size_t bytes = 0;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", data, sizeof data, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){reader, 0, 0, 0};
        CHECK(!pthread_create(&threads[i], NULL, race, &racers[i]));
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK(racers[i].faults == 0);
        bytes += racers[i].bytes;
    }
    CHECK(bytes == sizeof data);
    sd_reader_free(reader);
}

/* Driver, context, reader, writer, walker: freed in every order, those that are
 * left being used after each step. */
static void handles_may_be_freed_in_every_order(sd_driver *unused)
{
    int order[5] = {0, 1, 2, 3, 4}, next[5] = {0};
    for (int level = 0;;) {
        sd_driver *driver = sd_driver_ref(unused);
        sd_context *ctx = sd_context_new(NULL);
        sd_reader *reader = NULL;
        sd_writer *writer = NULL;
        sd_walker *walker = NULL;
        sd_file_info *info = NULL;
        char c;
        size_t len = 0;
        int bad = sd_put_content(driver, ctx, "/a", "abcdefgh", 8, NULL);
        bad |= sd_reader_open(driver, ctx, "/a", 0, &reader, NULL);
        bad |= sd_writer_open(driver, ctx, "/w", 0, &writer, NULL);
        bad |= sd_walker_open(driver, ctx, "/", NULL, &walker, NULL);
        for (int i = 0; i < 5; i++) {
            switch (order[i]) {
            case 0: sd_driver_free(driver); break;
            case 1: sd_context_free(ctx); break;
            case 2: sd_reader_free(reader), reader = NULL; break;
            case 3: sd_writer_free(writer), writer = NULL; break;
            default: sd_walker_free(walker), walker = NULL; break;
            }
            if (reader)
                bad |= sd_reader_read(reader, &c, 1, &len, NULL) || len != 1;
            if (writer)
                bad |= sd_writer_write(writer, "x", 1, NULL);
            if (walker)
                bad |= sd_walker_next(walker, &info, NULL), sd_file_info_free(info);
        }
        if (!CHECK(!bad))
            return;
        /* Heap's algorithm, one step. */
        for (level = 1; level < 5 && next[level] >= level; level++)
            next[level] = 0;
        if (level == 5)
            return;
        int from = level % 2 ? next[level] : 0, kept = order[from];
        order[from] = order[level];
        order[level] = kept;
        next[level]++;
    }
}

static void *free_driver(void *driver)
{
    sd_driver_free(driver);
    return NULL;
}

static void the_last_handle_may_go_on_another_thread(void)
{
    sd_driver *driver = make_driver("inmemory");
    sd_reader *reader = NULL;
    pthread_t thread;
    char c;
    size_t len = 0;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "a", 1, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    CHECK(!pthread_create(&thread, NULL, free_driver, driver));
    CHECK_STATUS(sd_reader_read(reader, &c, 1, &len, NULL), SD_OK);
    pthread_join(thread, NULL);
    sd_reader_free(reader);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(many_threads_use_one_driver);
    RUN_ON_EACH(a_reader_in_use_refuses_a_second_call);
    RUN_ON_EACH(a_writer_in_use_refuses_all_but_its_size);
    RUN_ON_EACH(a_walker_in_use_refuses_a_second_call);
    RUN_ON_EACH(threads_that_fight_for_a_reader_lose_no_byte);
    RUN_ON_EACH(handles_may_be_freed_in_every_order);
    RUN(the_last_handle_may_go_on_another_thread);
    return end_tests();
}
