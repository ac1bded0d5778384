/* Section 10: walking. */
#include "harness.h"

static char seen[512];

static void fill(sd_driver *driver)
{
    const char *files[] = {"/a/b", "/a/c/d", "/a-b", "/b", "/z/y/x"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        CHECK_STATUS(sd_put_content(driver, NULL, files[i], "12", 2, NULL), SD_OK);
}
static void note(const sd_file_info *info)
{
    CHECK(info->struct_size == sizeof *info);
    CHECK((info->flags & SD_INFO_DIR) ? info->size == 0 : info->size == 2);
    strcat(seen, info->path);
    strcat(seen, " ");
}
static sd_status visit(void *user, const sd_file_info *info)
{
    note(info);
    return user && strcmp(info->path, user) == 0 ? SD_STOP : SD_OK;
}
/* The same walk by callback and by walker. */
static void check_walk(sd_driver *driver, const char *path, const sd_walk_options *options,
                       const char *expected)
{
    sd_walker *walker = NULL;
    sd_file_info *info = NULL;
    *seen = '\0';
    CHECK_STATUS(sd_walk(driver, NULL, path, options, visit, NULL, NULL), SD_OK);
    CHECK_TEXT(seen, expected);
    *seen = '\0';
    CHECK_STATUS(sd_walker_open(driver, NULL, path, options, &walker, NULL), SD_OK);
    while (CHECK_STATUS(sd_walker_next(walker, &info, NULL), SD_OK) && info) {
        note(info);
        sd_file_info_free(info);
    }
    CHECK_TEXT(seen, expected);
    CHECK_STATUS(sd_walker_next(walker, &info, NULL), SD_OK);
    CHECK(info == NULL);
    sd_walker_free(walker);
}

static void directories_come_first_and_siblings_in_byte_order(sd_driver *driver)
{
    fill(driver);
    check_walk(driver, "/", NULL, "/a /a/b /a/c /a/c/d /a-b /b /z /z/y /z/y/x ");
    check_walk(driver, "/a", NULL, "/a/b /a/c /a/c/d ");
}

static void an_empty_store_is_walked_without_a_call(sd_driver *driver)
{
    check_walk(driver, "/", NULL, "");
}

static void a_walk_starts_after_a_path(sd_driver *driver)
{
    sd_walk_options options = {sizeof options, "/a/b", 0};
    fill(driver);
    check_walk(driver, "/", &options, "/a/c /a/c/d /a-b /b /z /z/y /z/y/x ");
    options.start_after = "/a";
    check_walk(driver, "/", &options, "/a/b /a/c /a/c/d /a-b /b /z /z/y /z/y/x ");
    options.flags = SD_WALK_SKIP_START_SUBTREE;
    check_walk(driver, "/", &options, "/a-b /b /z /z/y /z/y/x ");
    options.start_after = "/n/o/n/e";
    check_walk(driver, "/", &options, "/z /z/y /z/y/x ");
    options.start_after = "/zz";
    check_walk(driver, "/", &options, "");
    options.start_after = NULL;
    check_walk(driver, "/z", &options, "/z/y /z/y/x ");
}

static void what_cannot_be_walked_is_refused(sd_driver *driver)
{
    sd_walker *walker = NULL;
    sd_error *err = NULL;
    sd_walk_options options = {sizeof options, "bad", 0};
    fill(driver);
    CHECK_ERROR(sd_walk(driver, NULL, "/none", NULL, visit, NULL, &err),
                SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_walk(driver, NULL, "/b", NULL, visit, NULL, &err), SD_ERR_NOT_DIRECTORY);
    CHECK_ERROR(sd_walk(driver, NULL, "bad", NULL, visit, NULL, &err), SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_walk(driver, NULL, "/", &options, visit, NULL, &err),
                SD_ERR_INVALID_PATH);
    CHECK_ERROR(sd_walker_open(driver, NULL, "/none", NULL, &walker, &err),
                SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_walker_open(driver, NULL, "/b", NULL, &walker, &err),
                SD_ERR_NOT_DIRECTORY);
    CHECK(walker == NULL);
}

static void a_stop_ends_the_walk_as_a_success(sd_driver *driver)
{
    fill(driver);
    *seen = '\0';
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, visit, (void *)"/a/c", NULL), SD_OK);
    CHECK_TEXT(seen, "/a /a/b /a/c ");
}

static sd_status skip(void *user, const sd_file_info *info)
{
    (void)user;
    note(info);
    return SD_SKIP_DIR;
}

static void a_skipped_directory_is_not_descended_into(sd_driver *driver)
{
    sd_walker *walker = NULL;
    sd_file_info *info = NULL;
    fill(driver);
    *seen = '\0';
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, skip, NULL, NULL), SD_OK);
    CHECK_TEXT(seen, "/a /a-b /b /z ");
    *seen = '\0';
    CHECK_STATUS(sd_walker_open(driver, NULL, "/", NULL, &walker, NULL), SD_OK);
    CHECK_STATUS(sd_walker_skip_dir(walker), SD_OK);
    while (CHECK_STATUS(sd_walker_next(walker, &info, NULL), SD_OK) && info) {
        note(info);
        sd_file_info_free(info);
        CHECK_STATUS(sd_walker_skip_dir(walker), SD_OK);
    }
    CHECK_TEXT(seen, "/a /a-b /b /z ");
    sd_walker_free(walker);
}

static sd_status delete_it(void *driver, const sd_file_info *info)
{
    note(info);
    CHECK_STATUS(sd_delete(driver, NULL, info->path, NULL), SD_OK);
    return SD_OK;
}

static void a_callback_may_delete_what_it_is_given(sd_driver *driver)
{
    sd_names *names = NULL;
    fill(driver);
    *seen = '\0';
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, delete_it, driver, NULL), SD_OK);
    CHECK_TEXT(seen, "/a /a-b /b /z ");
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    CHECK(sd_names_count(names) == 0);
    sd_names_free(names);
}

static void a_step_that_failed_may_be_repeated(sd_driver *driver)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_walker *walker = NULL;
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    fill(driver);
    *seen = '\0';
    CHECK_STATUS(sd_walker_open(driver, ctx, "/", NULL, &walker, NULL), SD_OK);
    for (;;) {
        sd_context_set_timeout_ms(ctx, 0);
        CHECK_ERROR(sd_walker_next(walker, &info, &err), SD_ERR_DEADLINE);
        sd_context_set_timeout_ms(ctx, 3600 * 1000);
        if (!CHECK_STATUS(sd_walker_next(walker, &info, NULL), SD_OK) || !info)
            break;
        note(info);
        sd_file_info_free(info);
    }
    CHECK_TEXT(seen, "/a /a/b /a/c /a/c/d /a-b /b /z /z/y /z/y/x ");
    sd_walker_free(walker);
    sd_context_free(ctx);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(directories_come_first_and_siblings_in_byte_order);
    RUN_ON_EACH(an_empty_store_is_walked_without_a_call);
    RUN_ON_EACH(a_walk_starts_after_a_path);
    RUN_ON_EACH(what_cannot_be_walked_is_refused);
    RUN_ON_EACH(a_stop_ends_the_walk_as_a_success);
    RUN_ON_EACH(a_skipped_directory_is_not_descended_into);
    RUN_ON_EACH(a_callback_may_delete_what_it_is_given);
    RUN_ON_EACH(a_step_that_failed_may_be_repeated);
    return end_tests();
}
