/* walk - list everything below a path of a store: size, time, path.
 *
 *   walk filesystem '{"rootdirectory":"/srv/store"}' /docker
 *
 * Directories whose name starts with "_" are named but not entered. */
#include <stdio.h>
#include <string.h>
#include <storagedriver.h>
#include <time.h>

static sd_status show(void *user, const sd_file_info *info)
{
    unsigned long long *total = user;
    char when[32] = "-";
    time_t seconds = (time_t)(info->mtime_ns / 1000000000);

    if (info->flags & SD_INFO_DIR) {
        printf("%12s  %-20s  %s/\n", "", "", info->path);
        return strrchr(info->path, '/')[1] == '_' ? SD_SKIP_DIR : SD_OK;
    }
    if (info->mtime_ns != 0) /* 0: the back end does not tell */
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds));
    printf("%12llu  %-20s  %s\n", (unsigned long long)info->size, when, info->path);
    *total += info->size;
    return SD_OK;
}

static int fail(const char *what, sd_error *err)
{
    fprintf(stderr, "walk: %s: %s\n", what, sd_error_message(err));
    sd_error_free(err);
    return 1;
}

int main(int argc, char **argv)
{
    sd_error *err = NULL;
    sd_params *params = NULL;
    sd_driver *driver = NULL;
    unsigned long long total = 0;
    int code = 0;

    if (argc != 4)
        return fprintf(stderr, "usage: walk DRIVER PARAMS-JSON PATH\n"), 2;
    if (sd_params_from_json(argv[2], &params, &err) != SD_OK)
        return fail("parameters", err);
    if (sd_factory_create(argv[1], NULL, params, &driver, &err) != SD_OK)
        code = fail(argv[1], err);
    else if (sd_walk(driver, NULL, argv[3], NULL, show, &total, &err) != SD_OK)
        code = fail(argv[3], err);
    else
        printf("%12llu  bytes in all\n", total);
    sd_driver_free(driver);
    sd_params_free(params);
    return code;
}
