/* Section 12 where the system refuses the library a thread. */
#define _GNU_SOURCE
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

/* ---- every thread of this program is started here ---- */

#define ANY 1000000
/* This program as a driver's */
#define SERVED "registry-storage-refused"

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

static void a_driver_in_a_process_without_more_threads_answers(void)
{
    char folder[] = "/tmp/refused-XXXXXX", self[4096] = "", link[64];
    char *big = calloc(1, 3000000);
    sd_driver *driver = NULL;
    sd_buffer *content = NULL;
    CHECK(mkdtemp(folder) != NULL);
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(link, sizeof link, "%s/%s", folder, SERVED);
    CHECK(symlink(self, link) == 0);
    setenv("SD_DRIVER_PATH", folder, 1);
    CHECK_STATUS(sd_factory_create("refused", NULL, NULL, &driver, &err), SD_OK);
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", big, 3000000, &err), SD_OK);
    for (int i = 0; i < 100; i++) { /* one after another, as somebody would watch */
        CHECK_STATUS(sd_get_content(driver, NULL, "/a", &content, &err), SD_OK);
        CHECK(sd_buffer_len(content) == 3000000);
        sd_buffer_free(content);
    }
    sd_driver_free(driver);
    end_threads();
    unsetenv("SD_DRIVER_PATH");
    CHECK(unlink(link) == 0 && rmdir(folder) == 0);
    free(big);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    if (name && strcmp(name + 1, SERVED) == 0) {
        allowed = 0;
        return sd_driver_main(argc, argv, "inmemory", NULL, NULL);
    }
    RUN(a_submission_without_a_thread_fails_and_has_no_completion);
    RUN(one_thread_answers_everything);
    RUN(a_shutdown_needs_no_thread);
    RUN(a_driver_in_a_process_without_more_threads_answers);
    return end_tests();
}
