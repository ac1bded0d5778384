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

/* The middleware over `driver`, with one parameter. */
static sd_driver *wrap(const sd_driver *driver, const char *middleware, const char *key,
                       const char *value)
{
    sd_params *params = sd_params_new();
    sd_driver *wrapped = NULL;
    sd_params_set_string(params, key, value);
    CHECK_STATUS(sd_driver_wrap(driver, middleware, params, &wrapped, NULL), SD_OK);
    sd_params_free(params);
    return wrapped;
}

static void check_url(const sd_driver *driver, const char *path, const char *want)
{
    sd_buffer *url = NULL;
    CHECK_STATUS(sd_redirect_url(driver, NULL, path, NULL, &url, NULL), SD_OK);
    if (want == NULL)
        CHECK(url == NULL);
    else
        CHECK_TEXT((const char *)sd_buffer_data(url), want);
    sd_buffer_free(url);
}

static void a_redirect_gives_urls_on_any_driver(sd_driver *driver)
{
    sd_driver *wrapped =
        wrap(driver, "redirect", "baseurl", "https://example.com:5443/base/");
    check_url(wrapped, "/rick/data", "https://example.com:5443/base/rick/data");
    check_url(driver, "/rick/data", NULL);
    sd_driver_free(wrapped);
}

static void a_rewrite_makes_no_url_up(sd_driver *driver)
{
    sd_driver *wrapped = wrap(driver, "rewrite", "host", "example.com");
    check_url(wrapped, "/a", NULL);
    sd_driver_free(wrapped);
}

static void middleware_lies_over_middleware(sd_driver *driver)
{
    sd_driver *one = wrap(driver, "redirect", "baseurl", "http://some.host/some/path");
    sd_driver *two = wrap(one, "rewrite", "trimpathprefix", "/some/path");
    sd_driver *three = wrap(two, "rewrite", "host", "example.com:8443");
    sd_driver_free(one);
    check_url(two, "/file", "http://some.host/file");
    sd_driver_free(two);
    check_url(three, "/file", "http://example.com:8443/file");
    sd_driver_free(three);
}

static void a_wrapped_driver_is_the_same_store_and_outlives_its_handle(void)
{
    sd_driver *driver = make_driver("inmemory");
    sd_driver *wrapped = wrap(driver, "redirect", "baseurl", "http://example.com");
    sd_buffer *content = NULL;
    sd_error *err = NULL;
    CHECK_TEXT(sd_driver_name(wrapped), "inmemory");
    CHECK_STATUS(sd_put_content(driver, NULL, "/a", "x", 1, NULL), SD_OK);
    sd_driver_free(driver);
    CHECK_STATUS(sd_get_content(wrapped, NULL, "/a", &content, NULL), SD_OK);
    CHECK_TEXT((const char *)sd_buffer_data(content), "x");
    CHECK_STATUS(sd_get_content(wrapped, NULL, "/none", &content, &err),
                 SD_ERR_PATH_NOT_FOUND);
    CHECK_TEXT(sd_error_driver(err), "inmemory");
    sd_error_free(err);
    sd_buffer_free(content);
    sd_driver_free(wrapped);
}

static void middleware_that_cannot_be_made_is_refused(sd_driver *driver)
{
    const char *names[] = {"", "nope", "Redirect", "inmemory"};
    sd_driver *wrapped = NULL;
    sd_error *err = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_ERROR(sd_driver_wrap(driver, names[i], NULL, &wrapped, &err),
                    SD_ERR_INVALID_DRIVER);
    CHECK_STATUS(sd_driver_wrap(driver, "redirect", NULL, &wrapped, &err),
                 SD_ERR_INVALID_PARAMETER);
    CHECK_TEXT(sd_error_message(err), "redirect: parameter baseurl: no baseurl provided");
    CHECK_TEXT(sd_error_driver(err), "redirect");
    sd_error_free(err);

    sd_params *params = sd_params_new();
    sd_params_set_string(params, "basurl", "S3CRET");
    CHECK_STATUS(sd_driver_wrap(driver, "rewrite", params, &wrapped, &err),
                 SD_ERR_INVALID_PARAMETER);
    CHECK(strstr(sd_error_message(err), "basurl") != NULL);
    CHECK(strstr(sd_error_message(err), "S3CRET") == NULL);
    CHECK(wrapped == NULL);
    sd_error_free(err);
    sd_params_free(params);
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
    RUN_ON_EACH(a_redirect_gives_urls_on_any_driver);
    RUN_ON_EACH(a_rewrite_makes_no_url_up);
    RUN_ON_EACH(middleware_lies_over_middleware);
    RUN(a_wrapped_driver_is_the_same_store_and_outlives_its_handle);
    RUN_ON_EACH(middleware_that_cannot_be_made_is_refused);
    return end_tests();
}
