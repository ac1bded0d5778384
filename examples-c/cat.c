/* cat - write one object of a store to standard output.
 *
 *   cat filesystem '{"rootdirectory":"/srv/store"}' /path/of/object */
#include <stdio.h>
#include <storagedriver.h>

/* Called with each piece, in order, on this thread. */
static sd_status to_stdout(void *user, const void *data, size_t len)
{
    (void)user;
    return fwrite(data, 1, len, stdout) == len ? SD_OK : -1;
}

static int fail(const char *what, sd_error *err)
{
    fprintf(stderr, "cat: %s: %s\n", what, sd_error_message(err));
    sd_error_free(err);
    return 1;
}

int main(int argc, char **argv)
{
    sd_error *err = NULL;
    sd_params *params = NULL;
    sd_driver *driver = NULL;
    int code = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: cat DRIVER PARAMS-JSON PATH\n");
        return 2;
    }
    if (sd_params_from_json(argv[2], &params, &err) != SD_OK)
        return fail("parameters", err);
    if (sd_factory_create(argv[1], NULL, params, &driver, &err) != SD_OK)
        code = fail(argv[1], err);
    else if (sd_read_stream(driver, NULL, argv[3], 0, to_stdout, NULL, NULL, &err) != SD_OK)
        code = fail(argv[3], err);
    sd_driver_free(driver);
    sd_params_free(params);
    return fflush(stdout) == 0 ? code : 1;
}
