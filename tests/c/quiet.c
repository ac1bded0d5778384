/* The library writes nothing to standard output or standard error, and leaves no
 * descriptor open. */
#include "harness.h"

#include <fcntl.h>

static sd_status refuse(void *user, const void *data, size_t len)
{
    (void)user, (void)data, (void)len;
    return -1;
}

static void do_a_bit_of_everything(const char *kind)
{
    sd_driver *driver = make_driver(kind), *none = NULL;
    sd_context *ctx = sd_context_new(NULL);
    sd_params *params = NULL;
    sd_writer *writer = NULL;
    sd_buffer *buffer = NULL;
    sd_names *names = NULL;
    sd_file_info *info = NULL;
    sd_params_from_json("{broken", &params, NULL);
    sd_factory_create("no-such-driver", NULL, NULL, &none, NULL);
    sd_factory_create(kind, NULL, (const sd_params *)ctx, &none, NULL);
    sd_put_content(driver, ctx, "/a", "x", 1, NULL);
    sd_put_content(driver, ctx, "/a/b", "x", 1, NULL);
    sd_put_content(driver, ctx, "/c", NULL, SIZE_MAX, NULL);
    sd_buffer_new("x", SIZE_MAX / 2);
    sd_get_content(driver, ctx, "/none", &buffer, NULL);
    sd_get_content(driver, ctx, "not a path\n", &buffer, NULL);
    sd_read_stream(driver, ctx, "/a", 0, refuse, NULL, NULL, NULL);
    if (sd_list(driver, ctx, "/", &names, NULL) == SD_OK)
        sd_names_free(names);
    if (sd_stat(driver, ctx, "/", &info, NULL) == SD_OK)
        sd_file_info_free(info);
    /* This one is worth a warning to a log hook, and nothing without one. */
    if (sd_writer_open(driver, ctx, "/w", 0, &writer, NULL) == SD_OK) {
        sd_writer_write(writer, "lost", 4, NULL);
        sd_writer_free(writer);
    }
    sd_context_cancel(ctx);
    sd_stat(driver, ctx, "/", &info, NULL);
    if (sd_metrics_text(&buffer, NULL) == SD_OK)
        sd_buffer_free(buffer);
    sd_runtime_shutdown(1000, NULL);
    sd_stat(driver, NULL, "/", &info, NULL);
    sd_context_free(ctx);
    sd_driver_free(driver);
    remove_files();
}

static int lowest_free_descriptor(void)
{
    int fd = dup(STDIN_FILENO);
    close(fd);
    return fd;
}

static const char *kind;

static void nothing_is_printed_and_no_descriptor_stays_open(void)
{
    FILE *file = tmpfile();
    int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int before = lowest_free_descriptor();
    do_a_bit_of_everything(kind);
    int after = lowest_free_descriptor();
    fflush(stdout);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_err, STDERR_FILENO);
    close(saved_out);
    close(saved_err);
    long size = lseek(fileno(file), 0, SEEK_END);
    if (!CHECK(size == 0)) {
        char line[256];
        rewind(file);
        while (fgets(line, sizeof line, file))
            printf("# said: %s", line);
    }
    CHECK(before == after);
    fclose(file);
}

static void on_each(sd_driver *driver)
{
    kind = strcmp(sd_driver_name(driver), "filesystem") ? "inmemory" : "filesystem";
    remove_files();
    nothing_is_printed_and_no_descriptor_stays_open();
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    run_on_each("nothing_is_printed_and_no_descriptor_stays_open", on_each);
    return end_tests();
}
