/* put - store standard input as one object.
 *
 *   put filesystem '{"rootdirectory":"/srv/store"}' /path/of/object < file
 *
 * Nothing is readable at the path before sd_writer_commit has returned. */
#include <stdio.h>
#include <storagedriver.h>

static int fail(const char *what, sd_error *err)
{
    fprintf(stderr, "put: %s: %s\n", what, err ? sd_error_message(err) : "cannot be read");
    sd_error_free(err);
    return 1;
}

static int store_stdin(sd_writer *writer, const char *path)
{
    static char buf[256 * 1024];
    size_t len;
    sd_error *err = NULL;

    while ((len = fread(buf, 1, sizeof buf, stdin)) > 0)
        if (sd_writer_write(writer, buf, len, &err) != SD_OK)
            return fail(path, err);
    if (ferror(stdin))
        return fail("standard input", NULL);
    if (sd_writer_commit(writer, NULL, &err) != SD_OK)
        return fail(path, err);
    printf("%llu bytes in %s\n", (unsigned long long)sd_writer_size(writer), path);
    return 0;
}

int main(int argc, char **argv)
{
    sd_error *err = NULL;
    sd_params *params = NULL;
    sd_driver *driver = NULL;
    sd_writer *writer = NULL;
    int code = 0;

    if (argc != 4)
        return fprintf(stderr, "usage: put DRIVER PARAMS-JSON PATH < FILE\n"), 2;
    if (sd_params_from_json(argv[2], &params, &err) != SD_OK)
        return fail("parameters", err);
    if (sd_factory_create(argv[1], NULL, params, &driver, &err) != SD_OK)
        code = fail(argv[1], err);
    else if (sd_writer_open(driver, NULL, argv[3], 0, &writer, &err) != SD_OK)
        code = fail(argv[3], err);
    else if ((code = store_stdin(writer, argv[3])) != 0)
        sd_writer_cancel(writer, NULL, NULL); /* leave nothing half-done behind */
    sd_writer_free(writer);
    sd_driver_free(driver);
    sd_params_free(params);
    return code;
}
