/* Section 13: logs and metrics. */
#include "harness.h"

#include <pthread.h>
#include <time.h>

/* What a hook notes. Freed or poisoned when the hook is gone, so that a late call
 * of it is seen here, by valgrind and by the sanitizers. */
struct notes {
    pthread_mutex_t lock;
    int calls, bad, dead;
    sd_status inner;
    int32_t worst_level;
    char last[512];
};

static struct notes *new_notes(void)
{
    struct notes *notes = calloc(1, sizeof *notes);
    pthread_mutex_init(&notes->lock, NULL);
    return notes;
}
static void free_notes(struct notes *notes)
{
    CHECK(!notes->bad);
    notes->dead = 1;
    pthread_mutex_destroy(&notes->lock);
    free(notes);
}
static int is_one_line(const char *text)
{
    return text && !strpbrk(text, "\n\r");
}

static void on_log(void *user, const sd_log_record *record)
{
    struct notes *notes = user;
    pthread_mutex_lock(&notes->lock);
    notes->calls++;
    notes->bad |= notes->dead || record->struct_size != sizeof *record ||
                  record->time_ns <= 0 || record->level < SD_LOG_ERROR ||
                  record->level > SD_LOG_TRACE || !is_one_line(record->target) ||
                  !is_one_line(record->message) || record->fields_json[0] != '{';
    if (record->level > notes->worst_level)
        notes->worst_level = record->level;
    snprintf(notes->last, sizeof notes->last, "%s %s", record->message,
             record->fields_json);
    pthread_mutex_unlock(&notes->lock);
}
static void on_metric(void *user, const sd_metric *metric)
{
    struct notes *notes = user;
    pthread_mutex_lock(&notes->lock);
    notes->calls++;
    notes->bad |= notes->dead || metric->struct_size != sizeof *metric;
    snprintf(notes->last, sizeof notes->last, "%s %s %d %d", metric->driver, metric->action,
             (int)metric->status, (int)metric->bytes);
    pthread_mutex_unlock(&notes->lock);
}
static void touch(sd_driver *driver)
{
    sd_file_info *info = NULL;
    CHECK_STATUS(sd_stat(driver, NULL, "/", &info, NULL), SD_OK);
    sd_file_info_free(info);
}

static void a_hook_is_set_replaced_and_removed(sd_driver *driver)
{
    struct notes *first = new_notes(), *second = new_notes();
    CHECK_STATUS(sd_log_set_hook(on_log, first, SD_LOG_DEBUG), SD_OK);
    touch(driver);
    CHECK(first->calls == 1);
    CHECK_STATUS(sd_log_set_hook(on_log, second, SD_LOG_TRACE), SD_OK);
    touch(driver);
    CHECK(first->calls == 1 && second->calls >= 1);
    int calls = second->calls;
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
    touch(driver);
    CHECK(second->calls == calls);
    free_notes(first);
    free_notes(second);
}

static void a_hook_gets_its_level_and_what_is_worse(sd_driver *driver)
{
    struct notes *notes = new_notes();
    sd_writer *writer = NULL;
    CHECK_STATUS(sd_log_set_hook(on_log, notes, SD_LOG_WARN), SD_OK);
    touch(driver);
    CHECK(notes->calls == 0);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/w", 0, &writer, NULL), SD_OK);
    sd_writer_free(writer);
    CHECK(notes->calls == 1 && notes->worst_level == SD_LOG_WARN);
    CHECK(strstr(notes->last, "freed before") && strstr(notes->last, "\"path\":\"/w\""));
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
    free_notes(notes);
}

static void a_level_that_is_none_is_refused_and_the_hook_stays(sd_driver *driver)
{
    struct notes *notes = new_notes();
    CHECK_STATUS(sd_log_set_hook(on_log, notes, SD_LOG_DEBUG), SD_OK);
    CHECK_STATUS(sd_log_set_hook(on_log, notes, 0), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_log_set_hook(on_log, notes, 6), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_log_set_hook(on_log, notes, INT32_MIN), SD_ERR_INVALID_ARGUMENT);
    touch(driver);
    CHECK(notes->calls == 1);
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, -1), SD_OK);
    free_notes(notes);
}

static void fields_of_the_context_are_in_its_records(sd_driver *driver)
{
    struct notes *notes = new_notes();
    sd_context *ctx = sd_context_new(NULL), *child = sd_context_new(ctx);
    sd_file_info *info = NULL;
    sd_context_set_field(ctx, "request", "r-1");
    sd_context_set_field(ctx, "step", "parent");
    sd_context_set_field(child, "step", "a \"child\"");
    CHECK_STATUS(sd_log_set_hook(on_log, notes, SD_LOG_DEBUG), SD_OK);
    CHECK_STATUS(sd_stat(driver, child, "/", &info, NULL), SD_OK);
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
    CHECK(strstr(notes->last, "\"request\":\"r-1\"") != NULL);
    CHECK(strstr(notes->last, "\"step\":\"a \\\"child\\\"\"") != NULL);
    CHECK(strstr(notes->last, "parent") == NULL);
    sd_file_info_free(info);
    sd_context_free(ctx);
    sd_context_free(child);
    free_notes(notes);
}

struct hammer {
    sd_driver *driver;
    volatile int stop;
};

static void *hammer(void *user)
{
    struct hammer *work = user;
    while (!work->stop) {
        sd_file_info *info = NULL;
        sd_stat(work->driver, NULL, "/", &info, NULL);
        sd_file_info_free(info);
    }
    return NULL;
}

static void a_replaced_hook_never_runs_again(sd_driver *driver)
{
    struct hammer work = {driver, 0};
    pthread_t threads[3];
    int calls = 0;
    for (int i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, hammer, &work));
    for (int i = 0; i < 200; i++) {
        struct notes *log = new_notes(), *metric = new_notes();
        struct timespec moment = {0, 100000};
        CHECK_STATUS(sd_log_set_hook(on_log, log, SD_LOG_DEBUG), SD_OK);
        CHECK_STATUS(sd_metrics_set_hook(on_metric, metric), SD_OK);
        nanosleep(&moment, NULL);
        CHECK_STATUS(sd_log_set_hook(i % 2 ? on_log : NULL, metric, SD_LOG_ERROR), SD_OK);
        calls += log->calls;
        free_notes(log);
        CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
        CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
        calls += metric->calls;
        free_notes(metric);
    }
    work.stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(calls > 0);
}

static void log_that_sets_a_hook(void *user, const sd_log_record *record)
{
    struct notes *notes = user;
    (void)record;
    notes->calls++;
    notes->inner = sd_log_set_hook(NULL, NULL, 0);
    notes->bad |= sd_metrics_set_hook(NULL, NULL) != notes->inner;
}
static void metric_that_sets_a_hook(void *user, const sd_metric *metric)
{
    struct notes *notes = user;
    (void)metric;
    notes->calls++;
    notes->inner = sd_metrics_set_hook(NULL, NULL);
    notes->bad |= sd_log_set_hook(NULL, NULL, 0) != notes->inner;
}

static void a_hook_cannot_set_a_hook(sd_driver *driver)
{
    struct notes *notes = new_notes();
    CHECK_STATUS(sd_log_set_hook(log_that_sets_a_hook, notes, SD_LOG_DEBUG), SD_OK);
    touch(driver);
    CHECK_STATUS(notes->inner, SD_ERR_INVALID_STATE);
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
    CHECK_STATUS(sd_metrics_set_hook(metric_that_sets_a_hook, notes), SD_OK);
    notes->inner = SD_OK;
    touch(driver);
    CHECK_STATUS(notes->inner, SD_ERR_INVALID_STATE);
    CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
    CHECK(notes->calls == 2);
    free_notes(notes);
}

struct caller {
    sd_driver *driver;
    int calls;
};

static void log_that_calls(void *user, const sd_log_record *record)
{
    struct caller *caller = user;
    sd_file_info *info = NULL;
    (void)record;
    caller->calls++;
    sd_stat(caller->driver, NULL, "/", &info, NULL);
    sd_file_info_free(info);
}

static void records_that_a_hook_causes_are_dropped(sd_driver *driver)
{
    struct caller caller = {driver, 0};
    CHECK_STATUS(sd_log_set_hook(log_that_calls, &caller, SD_LOG_TRACE), SD_OK);
    touch(driver);
    CHECK_STATUS(sd_log_set_hook(NULL, NULL, 0), SD_OK);
    CHECK(caller.calls == 1);
}

static void a_metric_tells_driver_action_outcome_and_bytes(sd_driver *driver)
{
    struct notes *notes = new_notes();
    char expected[64];
    CHECK_STATUS(sd_metrics_set_hook(on_metric, notes), SD_OK);
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "12345", 5, NULL), SD_OK);
    snprintf(expected, sizeof expected, "%s PutContent 0 5", sd_driver_name(driver));
    CHECK_TEXT(notes->last, expected);
    CHECK_STATUS(sd_delete(driver, NULL, "/none", NULL), SD_ERR_PATH_NOT_FOUND);
    snprintf(expected, sizeof expected, "%s Delete -100 0", sd_driver_name(driver));
    CHECK_TEXT(notes->last, expected);
    CHECK(notes->calls == 2);
    CHECK_STATUS(sd_metrics_set_hook(NULL, NULL), SD_OK);
    touch(driver);
    CHECK(notes->calls == 2);
    free_notes(notes);
}

static void metrics_as_text_have_distributions_name_and_labels(sd_driver *driver)
{
    sd_buffer *text = NULL;
    char label[64];
    touch(driver);
    CHECK_STATUS(sd_metrics_text(&text, NULL), SD_OK);
    const char *all = (const char *)sd_buffer_data(text);
    CHECK(strlen(all) == sd_buffer_len(text));
    CHECK(strstr(all, "# TYPE registry_storage_action_seconds histogram") != NULL);
    CHECK(strstr(all, "registry_storage_action_seconds_count{") != NULL);
    snprintf(label, sizeof label, "driver=\"%s\",action=\"Stat\"", sd_driver_name(driver));
    CHECK(strstr(all, label) != NULL);
    sd_buffer_free(text);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(a_hook_is_set_replaced_and_removed);
    RUN_ON_EACH(a_hook_gets_its_level_and_what_is_worse);
    RUN_ON_EACH(a_level_that_is_none_is_refused_and_the_hook_stays);
    RUN_ON_EACH(fields_of_the_context_are_in_its_records);
    RUN_ON_EACH(a_replaced_hook_never_runs_again);
    RUN_ON_EACH(a_hook_cannot_set_a_hook);
    RUN_ON_EACH(records_that_a_hook_causes_are_dropped);
    RUN_ON_EACH(a_metric_tells_driver_action_outcome_and_bytes);
    RUN_ON_EACH(metrics_as_text_have_distributions_name_and_labels);
    return end_tests();
}
