/* Section 6: factory and driver. */
#include "harness.h"

static void a_driver_is_made_by_its_name(sd_driver *driver)
{
    CHECK(driver != NULL && *sd_driver_name(driver) != '\0');
}

static void names_are_in_byte_order(void)
{
    sd_names *names = NULL;
    CHECK_STATUS(sd_factory_names(&names, NULL), SD_OK);
    CHECK(sd_names_count(names) > 0);
    for (size_t i = 1; i < sd_names_count(names); i++)
        CHECK(strcmp(sd_names_get(names, i - 1), sd_names_get(names, i)) < 0);
    sd_names_free(names);
}

static void an_unknown_name_is_refused(void)
{
    const char *names[] = {"", "nope", "inmemory ", "Inmemory", "../inmemory"};
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_ERROR(sd_factory_create(names[i], NULL, NULL, &driver, &err),
                    SD_ERR_INVALID_DRIVER);
    CHECK(driver == NULL);
}

static void a_misspelt_key_is_found_by_name(void)
{
    sd_params *params = sd_params_new();
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    sd_params_set_string(params, "rootdirektory", "S3CRET");
    CHECK_STATUS(sd_factory_create("inmemory", NULL, params, &driver, &err),
                 SD_ERR_INVALID_PARAMETER);
    CHECK(strstr(sd_error_message(err), "rootdirektory") != NULL);
    CHECK(strstr(sd_error_message(err), "S3CRET") == NULL);
    CHECK_TEXT(sd_error_driver(err), "inmemory");
    CHECK(driver == NULL);
    sd_error_free(err);
    sd_params_free(params);
}

static void an_ended_context_makes_no_driver(void)
{
    sd_context *ctx = sd_context_new(NULL);
    sd_driver *driver = NULL;
    sd_error *err = NULL;
    sd_context_cancel(ctx);
    CHECK_ERROR(sd_factory_create("inmemory", ctx, NULL, &driver, &err), SD_ERR_CANCELLED);
    CHECK(driver == NULL);
    sd_context_free(ctx);
}

static void two_drivers_of_one_name_are_two_stores(void)
{
    sd_driver *one = make_driver("inmemory"), *two = make_driver("inmemory");
    sd_buffer *content = NULL;
    CHECK_STATUS(sd_put_content(one, NULL, "/a", "x", 1, NULL), SD_OK);
    CHECK_STATUS(sd_get_content(two, NULL, "/a", &content, NULL), SD_ERR_PATH_NOT_FOUND);
    sd_driver_free(one);
    sd_driver_free(two);
}

static void another_handle_is_the_same_store_and_lives_on_its_own(sd_driver *driver)
{
    sd_driver *first = sd_driver_ref(driver), *second = sd_driver_ref(first);
    sd_buffer *content = NULL;
    CHECK_STATUS(sd_put_content(first, NULL, "/a", "x", 1, NULL), SD_OK);
    sd_driver_free(first);
    CHECK_STATUS(sd_get_content(second, NULL, "/a", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "x");
    CHECK_TEXT(sd_driver_name(second), sd_driver_name(driver));
    sd_buffer_free(content);
    sd_driver_free(second);
    CHECK(sd_driver_ref(NULL) == NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN_ON_EACH(a_driver_is_made_by_its_name);
    RUN(names_are_in_byte_order);
    RUN(an_unknown_name_is_refused);
    RUN(a_misspelt_key_is_found_by_name);
    RUN(an_ended_context_makes_no_driver);
    RUN(two_drivers_of_one_name_are_two_stores);
    RUN_ON_EACH(another_handle_is_the_same_store_and_lives_on_its_own);
    return end_tests();
}
