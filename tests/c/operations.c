/* Section 7: driver operations. */
#include "harness.h"

static void put(sd_driver *driver, const char *path, const char *text)
{
    CHECK_STATUS(sd_put_content(driver, NULL, path, text, strlen(text), NULL), SD_OK);
}
static void check_content(sd_driver *driver, const char *path, const char *text)
{
    sd_buffer *content = NULL;
    CHECK_STATUS(sd_get_content(driver, NULL, path, &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), text);
    sd_buffer_free(content);
}
/* The names, each followed by a space. */
static void check_names(sd_names *names, const char *expected)
{
    char text[256] = "";
    for (size_t i = 0; i < sd_names_count(names); i++) {
        strcat(text, sd_names_get(names, i));
        strcat(text, " ");
    }
    CHECK_TEXT(text, expected);
    sd_names_free(names);
}

static void what_was_put_is_got_byte_for_byte(sd_driver *driver)
{
    static unsigned char data[300000];
    sd_buffer *content = NULL;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", data, sizeof data, NULL), SD_OK);
    CHECK_STATUS(sd_get_content(driver, NULL, "/d/f", &content, NULL), SD_OK);
    CHECK(sd_buffer_len(content) == sizeof data);
    CHECK(memcmp(sd_buffer_data(content), data, sizeof data) == 0);
    CHECK(sd_buffer_data(content)[sizeof data] == '\0');
    sd_buffer_free(content);
    put(driver, "/d/f", "short");
    check_content(driver, "/d/f", "short");
}

static void no_bytes_are_an_empty_file(sd_driver *driver)
{
    sd_file_info *info = NULL;
    CHECK_STATUS(sd_put_content(driver, NULL, "/e", NULL, 0, NULL), SD_OK);
    check_content(driver, "/e", "");
    CHECK_STATUS(sd_stat(driver, NULL, "/e", &info, NULL), SD_OK);
    CHECK(info->size == 0 && info->flags == 0);
    sd_file_info_free(info);
}

static void stat_tells_files_from_directories(sd_driver *driver)
{
    sd_file_info *info = NULL;
    sd_error *err = NULL;
    put(driver, "/d/f", "12345");
    CHECK_STATUS(sd_stat(driver, NULL, "/d/f", &info, NULL), SD_OK);
    CHECK(info->struct_size == sizeof *info && info->size == 5 && info->flags == 0);
    CHECK(info->mtime_ns > 1600000000000000000);
    CHECK_TEXT(info->path, "/d/f");
    sd_file_info_free(info);
    CHECK_STATUS(sd_stat(driver, NULL, "/d", &info, NULL), SD_OK);
    CHECK(info->size == 0 && info->flags == SD_INFO_DIR);
    sd_file_info_free(info);
    CHECK_ERROR(sd_stat(driver, NULL, "/d/f/x", &info, &err), SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_stat(driver, NULL, "/dd", &info, &err), SD_ERR_PATH_NOT_FOUND);
}

static void the_root_of_an_empty_store_exists_and_has_no_children(sd_driver *driver)
{
    sd_file_info *info = NULL;
    sd_names *names = NULL;
    CHECK_STATUS(sd_stat(driver, NULL, "/", &info, NULL), SD_OK);
    CHECK(info->flags == SD_INFO_DIR);
    sd_file_info_free(info);
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    check_names(names, "");
}

static void a_list_has_full_paths_of_children_in_byte_order(sd_driver *driver)
{
    sd_names *names = NULL;
    sd_error *err = NULL;
    put(driver, "/d/b", "");
    put(driver, "/d/a/deep", "");
    put(driver, "/d/B", "");
    put(driver, "/d/a-b", "");
    put(driver, "/dd", "");
    CHECK_STATUS(sd_list(driver, NULL, "/d", &names, NULL), SD_OK);
    check_names(names, "/d/B /d/a /d/a-b /d/b ");
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    check_names(names, "/d /dd ");
    CHECK_ERROR(sd_list(driver, NULL, "/none", &names, &err), SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_list(driver, NULL, "/dd", &names, &err), SD_ERR_NOT_DIRECTORY);
}

static void pages_join_to_the_whole_list(sd_driver *driver)
{
    sd_names *names = NULL;
    put(driver, "/d/1", "");
    put(driver, "/d/2", "");
    put(driver, "/d/3", "");
    CHECK_STATUS(sd_list_page(driver, NULL, "/d", NULL, 2, &names, NULL), SD_OK);
    check_names(names, "/d/1 /d/2 ");
    CHECK_STATUS(sd_list_page(driver, NULL, "/d", "/d/2", 2, &names, NULL), SD_OK);
    check_names(names, "/d/3 ");
    CHECK_STATUS(sd_list_page(driver, NULL, "/d", "/d/3", 2, &names, NULL), SD_OK);
    check_names(names, "");
    CHECK_STATUS(sd_list_page(driver, NULL, "/d", "/d/1x", 0, &names, NULL), SD_OK);
    check_names(names, "/d/2 /d/3 ");
    CHECK_STATUS(sd_list_page(driver, NULL, "/d", NULL, SIZE_MAX, &names, NULL), SD_OK);
    check_names(names, "/d/1 /d/2 /d/3 ");
}

static void the_path_grammar_is_one_for_all(sd_driver *driver)
{
    const char *good[] = {"/a", "/0-9/abc.D_e", "/...", "/-", "/a-.b"};
    const char *bad[] = {"",     "a",         "/",     "//a",  "/a/",  "/a//b",
                         "/.",   "/..",       "/a/..", "/./a", "/a b", "/a\n",
                         "/a~b", "/\xc3\xa4", "/\xff", "/a:b"};
    sd_error *err = NULL;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_STATUS(sd_check_path(good[i], &err), SD_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERROR(sd_check_path(bad[i], &err), SD_ERR_INVALID_PATH);
        CHECK_ERROR(sd_put_content(driver, NULL, bad[i], "x", 1, &err),
                    SD_ERR_INVALID_PATH);
        CHECK_ERROR(sd_delete(driver, NULL, bad[i], &err), SD_ERR_INVALID_PATH);
        CHECK_ERROR(sd_move(driver, NULL, bad[i], "/a", &err), SD_ERR_INVALID_PATH);
        CHECK_ERROR(sd_move(driver, NULL, "/a", bad[i], &err), SD_ERR_INVALID_PATH);
    }
}

static void a_move_replaces_and_makes_directories(sd_driver *driver)
{
    put(driver, "/a", "A");
    put(driver, "/b", "B");
    CHECK_STATUS(sd_move(driver, NULL, "/a", "/b", NULL), SD_OK);
    check_content(driver, "/b", "A");
    CHECK_STATUS(sd_stat(driver, NULL, "/a", NULL, NULL), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_delete(driver, NULL, "/a", NULL), SD_ERR_PATH_NOT_FOUND);
    CHECK_STATUS(sd_move(driver, NULL, "/b", "/new/dir/c", NULL), SD_OK);
    check_content(driver, "/new/dir/c", "A");
    CHECK_STATUS(sd_move(driver, NULL, "/new/dir/c", "/new/dir/c", NULL), SD_OK);
    check_content(driver, "/new/dir/c", "A");
}

static void a_move_that_fails_says_which_path_and_changes_nothing(sd_driver *driver)
{
    sd_error *err = NULL;
    put(driver, "/f", "F");
    put(driver, "/d/x", "X");
    CHECK_STATUS(sd_move(driver, NULL, "/none", "/f", &err), SD_ERR_PATH_NOT_FOUND);
    CHECK_TEXT(sd_error_path(err), "/none");
    sd_error_free(err);
    CHECK_STATUS(sd_move(driver, NULL, "/d", "/f", &err), SD_ERR_IS_DIRECTORY);
    CHECK_TEXT(sd_error_path(err), "/d");
    sd_error_free(err);
    CHECK_STATUS(sd_move(driver, NULL, "/f", "/d", &err), SD_ERR_IS_DIRECTORY);
    CHECK_TEXT(sd_error_path(err), "/d");
    sd_error_free(err);
    err = NULL;
    CHECK_ERROR(sd_move(driver, NULL, "/f", "/d/x/y", &err), SD_ERR_NOT_DIRECTORY);
    CHECK_ERROR(sd_move(driver, NULL, "/none", "/none", &err), SD_ERR_PATH_NOT_FOUND);
    check_content(driver, "/f", "F");
    check_content(driver, "/d/x", "X");
}

static void a_delete_takes_what_is_below_and_nothing_beside(sd_driver *driver)
{
    sd_names *names = NULL;
    sd_error *err = NULL;
    put(driver, "/a/b/c", "");
    put(driver, "/a/d", "");
    put(driver, "/ab", "");
    CHECK_STATUS(sd_delete(driver, NULL, "/a", NULL), SD_OK);
    CHECK_STATUS(sd_list(driver, NULL, "/", &names, NULL), SD_OK);
    check_names(names, "/ab ");
    CHECK_ERROR(sd_delete(driver, NULL, "/a", &err), SD_ERR_PATH_NOT_FOUND);
    CHECK_ERROR(sd_delete(driver, NULL, "/", &err), SD_ERR_INVALID_PATH);
}

static void files_and_directories_are_not_mixed_up(sd_driver *driver)
{
    sd_buffer *content = NULL;
    sd_error *err = NULL;
    put(driver, "/d/f", "x");
    CHECK_ERROR(sd_get_content(driver, NULL, "/d", &content, &err), SD_ERR_IS_DIRECTORY);
    CHECK_ERROR(sd_put_content(driver, NULL, "/d", "x", 1, &err), SD_ERR_IS_DIRECTORY);
    CHECK_ERROR(sd_put_content(driver, NULL, "/d/f/g", "x", 1, &err), SD_ERR_NOT_DIRECTORY);
    CHECK_ERROR(sd_get_content(driver, NULL, "/d/f/g", &content, &err),
                SD_ERR_PATH_NOT_FOUND);
}

static void a_store_without_urls_says_serve_it_yourself(sd_driver *driver)
{
    sd_redirect_request request = {sizeof request, "HEAD", "10.0.0.1", 60};
    sd_buffer *url = (sd_buffer *)&request;
    CHECK_STATUS(sd_redirect_url(driver, NULL, "/none", &request, &url, NULL), SD_OK);
    CHECK(url == NULL);
    url = (sd_buffer *)&request;
    CHECK_STATUS(sd_redirect_url(driver, NULL, "/none", NULL, &url, NULL), SD_OK);
    CHECK(url == NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(what_was_put_is_got_byte_for_byte);
    RUN_ON_EACH(no_bytes_are_an_empty_file);
    RUN_ON_EACH(stat_tells_files_from_directories);
    RUN_ON_EACH(the_root_of_an_empty_store_exists_and_has_no_children);
    RUN_ON_EACH(a_list_has_full_paths_of_children_in_byte_order);
    RUN_ON_EACH(pages_join_to_the_whole_list);
    RUN_ON_EACH(the_path_grammar_is_one_for_all);
    RUN_ON_EACH(a_move_replaces_and_makes_directories);
    RUN_ON_EACH(a_move_that_fails_says_which_path_and_changes_nothing);
    RUN_ON_EACH(a_delete_takes_what_is_below_and_nothing_beside);
    RUN_ON_EACH(files_and_directories_are_not_mixed_up);
    RUN_ON_EACH(a_store_without_urls_says_serve_it_yourself);
    return end_tests();
}
