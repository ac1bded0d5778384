/* Section 15: runtime. The tests build on each other: a process configures once. */
#include "harness.h"

static sd_runtime_options options = {sizeof options, 1,    2,
                                     "test",         NULL, SD_RUNTIME_NO_CHILDREN};

static void unknown_flags_are_refused_and_configure_nothing(void)
{
    sd_error *err = NULL;
    options.flags |= 2;
    CHECK_ERROR(sd_runtime_configure(&options, &err), SD_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(sd_runtime_configure(NULL, &err), SD_ERR_INVALID_ARGUMENT);
    options.flags = SD_RUNTIME_NO_CHILDREN;
    options.thread_name = "\xff";
    CHECK_ERROR(sd_runtime_configure(&options, &err), SD_ERR_INVALID_ARGUMENT);
    options.thread_name = "test";
    options.worker_threads = 1025;
    CHECK_ERROR(sd_runtime_configure(&options, &err), SD_ERR_INVALID_ARGUMENT);
    options.worker_threads = 1;
}

static void the_library_is_configured_once(void)
{
    sd_error *err = NULL;
    CHECK_STATUS(sd_runtime_configure(&options, &err), SD_OK);
    CHECK(err == NULL);
    CHECK_ERROR(sd_runtime_configure(&options, &err), SD_ERR_INVALID_STATE);
}

static void a_shutdown_without_any_use_is_fine(void)
{
    sd_error *err = NULL;
    CHECK_STATUS(sd_runtime_shutdown(0, &err), SD_OK);
    CHECK_STATUS(sd_runtime_shutdown(UINT64_MAX, &err), SD_OK);
    CHECK_STATUS(sd_runtime_configure(&options, &err), SD_OK);
    CHECK_STATUS(sd_runtime_shutdown(0, &err), SD_OK);
    CHECK(err == NULL);
}

static void in_use_it_is_not_configured(sd_driver *driver)
{
    sd_error *err = NULL;
    (void)driver;
    CHECK_ERROR(sd_runtime_configure(&options, &err), SD_ERR_INVALID_STATE);
}

static void after_a_shutdown_everything_old_is_refused_and_can_be_freed(sd_driver *driver)
{
    sd_driver *again = sd_driver_ref(driver);
    sd_reader *reader = NULL;
    sd_writer *writer = NULL, *committed = NULL;
    sd_walker *walker = NULL;
    sd_buffer *content = NULL;
    sd_file_info *info = NULL;
    sd_names *names = NULL;
    sd_error *err = NULL;
    char buf[4];
    size_t len = 9;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "abc", 3, NULL), SD_OK);
    CHECK_STATUS(sd_reader_open(driver, NULL, "/a", 0, &reader, NULL), SD_OK);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/b", 0, &writer, NULL), SD_OK);
    CHECK_STATUS(sd_writer_open(driver, NULL, "/c", 0, &committed, NULL), SD_OK);
    CHECK_STATUS(sd_writer_commit(committed, NULL, NULL), SD_OK);
    CHECK_STATUS(sd_walker_open(driver, NULL, "/", NULL, &walker, NULL), SD_OK);

    CHECK_STATUS(sd_runtime_shutdown(1000, &err), SD_OK);

    CHECK_ERROR(sd_get_content(driver, NULL, "/a", &content, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_put_content(driver, NULL, "/a", "x", 1, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_stat(again, NULL, "/", &info, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_list(driver, NULL, "/", &names, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_move(driver, NULL, "/a", "/b", &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_delete(driver, NULL, "/a", &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_reader_read(reader, buf, sizeof buf, &len, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_writer_commit(writer, NULL, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_writer_close(writer, NULL, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_writer_write(writer, "x", 1, &err), SD_ERR_SHUTDOWN);
    CHECK_ERROR(sd_walker_next(walker, &info, &err), SD_ERR_SHUTDOWN);
    /* Nothing is left to do for these. */
    CHECK_STATUS(sd_writer_close(committed, NULL, NULL), SD_OK);
    CHECK(*sd_driver_name(driver) != '\0');
    sd_reader_free(reader);
    sd_writer_free(writer);
    sd_writer_free(committed);
    sd_walker_free(walker);
    sd_driver_free(again);
}

static void after_a_shutdown_the_library_is_configured_and_used_anew(void)
{
    sd_file_info *info = NULL;
    CHECK_STATUS(sd_runtime_shutdown(1000, NULL), SD_OK);
    CHECK_STATUS(sd_runtime_configure(&options, NULL), SD_OK);
    sd_driver *driver = make_driver("inmemory");
    CHECK_STATUS(sd_stat(driver, NULL, "/", &info, NULL), SD_OK);
    sd_file_info_free(info);
    CHECK_STATUS(sd_runtime_configure(&options, NULL), SD_ERR_INVALID_STATE);
    sd_driver_free(driver);
}

static void what_needs_no_driver_works_after_a_shutdown(void)
{
    CHECK_STATUS(sd_runtime_shutdown(1000, NULL), SD_OK);
    sd_params *params = sd_params_new();
    CHECK_STATUS(sd_params_set_int(params, "k", 1), SD_OK);
    CHECK_STATUS(sd_check_path("/a", NULL), SD_OK);
    sd_params_free(params);
}

static sd_status stop_the_library(void *user, const void *data, size_t len)
{
    (void)data, (void)len;
    *(sd_status *)user = sd_runtime_shutdown(1000, NULL);
    return SD_OK;
}

static void a_stream_ends_at_the_step_after_a_shutdown(sd_driver *driver)
{
    sd_status inner = SD_EMPTY;
    sd_error *err = NULL;
    uint64_t total = 9;
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "abc", 3, NULL), SD_OK);
    CHECK_ERROR(
        sd_read_stream(driver, NULL, "/a", 0, stop_the_library, &inner, &total, &err),
        SD_ERR_SHUTDOWN);
    CHECK_STATUS(inner, SD_OK);
    CHECK(total == 3);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(unknown_flags_are_refused_and_configure_nothing);
    RUN(the_library_is_configured_once);
    RUN(a_shutdown_without_any_use_is_fine);
    RUN_ON_EACH(in_use_it_is_not_configured);
    RUN_ON_EACH(after_a_shutdown_everything_old_is_refused_and_can_be_freed);
    RUN(after_a_shutdown_the_library_is_configured_and_used_anew);
    RUN(what_needs_no_driver_works_after_a_shutdown);
    RUN_ON_EACH(a_stream_ends_at_the_step_after_a_shutdown);
    return end_tests();
}
