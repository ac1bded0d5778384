/* custom_main - put the driver of custom_driver.c through the conformance suite.
 *
 *   custom FILE [CASES]    on a database that may exist already; CASES is a glob */
#include <stdio.h>
#include <storagedriver.h>

sd_status register_sqlite_driver(sd_error **err); /* custom_driver.c */

static void print(void *user, const char *name, sd_status status, const char *detail)
{
    if (status == SD_ERR_CONFORMANCE)
        printf("%s: %s\n", name, detail);
    ((int *)user)[status == SD_ERR_CONFORMANCE ? 1 : 0] += status != SD_ERR_UNSUPPORTED;
}

static int failed(const char *what, sd_error *err)
{
    fprintf(stderr, "custom: %s: %s\n", what, sd_error_message(err));
    sd_error_free(err);
    return 1;
}

int main(int argc, char **argv)
{
    int counts[2] = {0, 0}; /* passed, failed */
    sd_error *err = NULL;
    sd_driver *driver = NULL;
    sd_params *params = sd_params_new();
    sd_conformance_options options = {
        .struct_size = sizeof options, .on_case = print, .user = counts};

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: custom FILE [CASES]\n");
        return 2;
    }
    options.filter = argv[2]; /* NULL: all */
    sd_params_set_string(params, "path", argv[1]);
    if (register_sqlite_driver(&err) != SD_OK)
        return failed("register", err);
    if (sd_factory_create("sqlite", NULL, params, &driver, &err) != SD_OK)
        return failed(argv[1], err);
    sd_status status = sd_conformance_run(driver, NULL, &options, NULL, &err);
    printf("%d passed, %d failed\n", counts[0], counts[1]);
    if (status != SD_OK)
        failed("conformance", err);
    sd_driver_free(driver);
    sd_params_free(params);
    sd_runtime_shutdown(1000, NULL);
    return status == SD_OK ? 0 : 1;
}
