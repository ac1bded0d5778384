/* Section 12 where the system refuses the library a thread. */
#define _GNU_SOURCE
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

/* ---- every thread of this program is started here ---- */

#define ANY 1000000

static int allowed = ANY; /* threads that may still be started */

typedef int create_fn(pthread_t *thread, const pthread_attr_t *attributes,
                      void *(*run)(void *), void *user);

create_fn pthread_create;
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*run)(void *), void *user)
{
    create_fn *next;
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    if (__atomic_fetch_sub(&allowed, 1, __ATOMIC_SEQ_CST) <= 0)
        return EAGAIN;
    memcpy(&next, &found, sizeof next);
    return next(thread, attributes, run, user);
}

/* ---- tests ---- */

static sd_error *err;

static void ends(sd_cq *cq, uint64_t tag)
{
    sd_completion *c = NULL;
    CHECK_STATUS(sd_cq_next(cq, 60000, &c, &err), SD_OK);
    CHECK(sd_completion_tag(c) == tag);
    CHECK_STATUS(sd_completion_status(c), SD_OK);
    sd_completion_free(c);
}
static void end_threads(void)
{
    allowed = ANY;
    CHECK_STATUS(sd_runtime_shutdown(60000, NULL), SD_OK);
}

static void a_submission_without_a_thread_fails_and_has_no_completion(void)
{
    sd_completion *c = NULL;
    sd_reader *reader = NULL;
    sd_writer *writer = NULL;
    sd_cq *cq = NULL;
    char room[4] = "";
    sd_driver *driver = make_driver("inmemory");
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "abc", 3, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/w", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_cq_new(&cq, &err), SD_OK);
    allowed = 0;
    for (uint64_t tag = 1; tag < 4; tag++)
        CHECK_ERROR(sd_submit_put_content(cq, tag, driver, NULL, "/never", "x", 1, &err),
                    SD_ERR_DRIVER);
    CHECK_ERROR(sd_submit_reader_read(cq, 4, reader, room, 3, &err), SD_ERR_DRIVER);
    CHECK_ERROR(sd_submit_writer_write(cq, 5, writer, "abc", 3, &err), SD_ERR_DRIVER);
    CHECK(sd_cq_in_flight(cq) == 0);
    CHECK_STATUS(sd_cq_next(cq, 0, &c, &err), SD_EMPTY);

    /* Later on, nothing of them comes to light; and the handles are as they were. */
    allowed = ANY;
    CHECK_STATUS(sd_submit_stat(cq, 6, driver, NULL, "/a", &err), SD_OK);
    ends(cq, 6);
    CHECK_STATUS(sd_submit_reader_read(cq, 7, reader, room, 3, &err), SD_OK);
    ends(cq, 7);
    CHECK_TEXT(room, "abc");
    CHECK_STATUS(sd_submit_writer_write(cq, 8, writer, "abc", 3, &err), SD_OK);
    ends(cq, 8);
    CHECK(sd_writer_size(writer) == 3);
    CHECK_STATUS(sd_cq_next(cq, 20, &c, &err), SD_EMPTY);
    sd_file_info *info = NULL;
    CHECK_STATUS(sd_stat(driver, NULL, "/never", &info, NULL), SD_ERR_PATH_NOT_FOUND);
    sd_reader_free(reader);
    sd_writer_free(writer);
    sd_cq_free(cq);
    sd_driver_free(driver);
    end_threads();
}

static void one_thread_answers_everything(void)
{
    sd_cq *cq = NULL;
    sd_driver *driver = make_driver("inmemory");
    CHECK_STATUS(sd_cq_new(&cq, &err), SD_OK);
    allowed = 1;
    for (uint64_t tag = 0; tag < 500; tag++)
        CHECK_STATUS(sd_submit_stat(cq, tag, driver, NULL, "/", &err), SD_OK);
    for (uint64_t tag = 0; tag < 500; tag++)
        ends(cq, tag);
    CHECK(sd_cq_in_flight(cq) == 0);
    sd_cq_free(cq);
    sd_driver_free(driver);
    end_threads();
}

static void a_shutdown_needs_no_thread(void)
{
    sd_cq *cq = NULL;
    sd_completion *c = NULL;
    sd_driver *driver = make_driver("inmemory");
    CHECK_STATUS(sd_cq_new(&cq, &err), SD_OK);
    CHECK_STATUS(sd_submit_stat(cq, 1, driver, NULL, "/", &err), SD_OK);
    allowed = 0;
    CHECK_STATUS(sd_runtime_shutdown(60000, &err), SD_OK);
    CHECK_STATUS(sd_cq_next(cq, 60000, &c, &err), SD_OK);
    sd_completion_free(c);
    CHECK_STATUS(sd_cq_next(cq, 0, &c, &err), SD_EMPTY);
    sd_cq_free(cq);
    sd_driver_free(driver);
    allowed = ANY;
}

int main(void)
{
    RUN(a_submission_without_a_thread_fails_and_has_no_completion);
    RUN(one_thread_answers_everything);
    RUN(a_shutdown_needs_no_thread);
    return end_tests();
}
