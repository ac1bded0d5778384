/* Section 3: small value objects. */
#include "harness.h"

static void a_buffer_copies_its_bytes_and_ends_with_a_nul(void)
{
    char data[] = {'a', '\0', 'b'};
    sd_buffer *buffer = sd_buffer_new(data, sizeof data);
    memset(data, 'x', sizeof data);
    CHECK(sd_buffer_len(buffer) == 3);
    CHECK(memcmp(sd_buffer_data(buffer), "a\0b\0", 4) == 0);
    sd_buffer_free(buffer);
}

static void an_empty_buffer_has_data_that_is_not_null(void)
{
    sd_buffer *buffer = sd_buffer_new(NULL, 0);
    CHECK(buffer != NULL && sd_buffer_len(buffer) == 0);
    CHECK_TEXT((const char *)sd_buffer_data(buffer), "");
    sd_buffer_free(buffer);
}

static void a_buffer_of_no_data_with_a_length_is_refused(void)
{
    CHECK(sd_buffer_new(NULL, 1) == NULL);
    CHECK(sd_buffer_new("x", SIZE_MAX) == NULL);
    CHECK(sd_buffer_new("x", SIZE_MAX / 2 + 1) == NULL);
}

static void names_keep_their_order_and_number(void)
{
    sd_names *names = sd_names_new();
    CHECK(sd_names_count(names) == 0 && sd_names_get(names, 0) == NULL);
    CHECK_STATUS(sd_names_push(names, "/b"), SD_OK);
    CHECK_STATUS(sd_names_push(names, ""), SD_OK);
    CHECK_STATUS(sd_names_push(names, "/a"), SD_OK);
    CHECK(sd_names_count(names) == 3);
    CHECK_TEXT(sd_names_get(names, 0), "/b");
    CHECK_TEXT(sd_names_get(names, 1), "");
    CHECK_TEXT(sd_names_get(names, 2), "/a");
    CHECK(sd_names_get(names, 3) == NULL && sd_names_get(names, SIZE_MAX) == NULL);
    sd_names_free(names);
}

static void a_name_may_be_pushed_to_the_list_it_comes_from(void)
{
    sd_names *names = sd_names_new();
    int same = 1;
    CHECK_STATUS(sd_names_push(names, "/a-name-that-is-not-short-at-all"), SD_OK);
    for (size_t i = 0; i < 1000; i++)
        same &= !sd_names_push(names, sd_names_get(names, i));
    for (size_t i = 0; i < 1000; i++)
        same &= !strcmp(sd_names_get(names, i), "/a-name-that-is-not-short-at-all");
    CHECK(same && sd_names_count(names) == 1001);
    sd_names_free(names);
}

static void a_name_that_is_not_utf8_is_refused(void)
{
    sd_names *names = sd_names_new();
    CHECK_STATUS(sd_names_push(names, "\xc3"), SD_ERR_INVALID_ARGUMENT);
    CHECK(sd_names_count(names) == 0);
    sd_names_free(names);
}

static void an_info_says_what_it_was_made_from(void)
{
    char path[] = "/a";
    sd_file_info *info = sd_file_info_new(path, 5, -7, 0);
    path[1] = 'x';
    CHECK(info->struct_size == sizeof *info);
    CHECK_TEXT(info->path, "/a");
    CHECK(info->size == 5 && info->mtime_ns == -7 && info->flags == 0);
    sd_file_info_free(info);
    info = sd_file_info_new("/", 0, 0, SD_INFO_DIR);
    CHECK(info->flags == SD_INFO_DIR);
    sd_file_info_free(info);
}

static void an_info_with_unknown_flags_or_a_bad_path_is_refused(void)
{
    CHECK(sd_file_info_new("/a", 0, 0, 2) == NULL);
    CHECK(sd_file_info_new("/a", 0, 0, SD_INFO_DIR | 0x80000000u) == NULL);
    CHECK(sd_file_info_new(NULL, 0, 0, 0) == NULL);
    CHECK(sd_file_info_new("\xff", 0, 0, 0) == NULL);
}

static sd_status free_it(void *user, const sd_file_info *info)
{
    ++*(int *)user;
    sd_file_info_free((sd_file_info *)info);
    return SD_OK;
}

static void freeing_an_info_that_is_only_lent_does_nothing(sd_driver *driver)
{
    int seen = 0;
    CHECK_STATUS(sd_put_content(driver, NULL, "/d/f", "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_walk(driver, NULL, "/", NULL, free_it, &seen, NULL), SD_OK);
    CHECK(seen == 2);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(a_buffer_copies_its_bytes_and_ends_with_a_nul);
    RUN(an_empty_buffer_has_data_that_is_not_null);
    RUN(a_buffer_of_no_data_with_a_length_is_refused);
    RUN(names_keep_their_order_and_number);
    RUN(a_name_may_be_pushed_to_the_list_it_comes_from);
    RUN(a_name_that_is_not_utf8_is_refused);
    RUN(an_info_says_what_it_was_made_from);
    RUN(an_info_with_unknown_flags_or_a_bad_path_is_refused);
    RUN_ON_EACH(freeing_an_info_that_is_only_lent_does_nothing);
    return end_tests();
}
