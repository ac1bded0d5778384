/* Section 4: parameters. */
#include "harness.h"

static void values_come_back_as_they_were_set(void)
{
    sd_params *params = sd_params_new();
    int64_t whole = 0;
    int32_t truth = 7;
    double number = 0;
    CHECK(sd_params_count(params) == 0 && sd_params_key(params, 0) == NULL);
    CHECK_STATUS(sd_params_set_string(params, "text", "t"), SD_OK);
    CHECK_STATUS(sd_params_set_int(params, "int", INT64_MIN), SD_OK);
    CHECK_STATUS(sd_params_set_float(params, "float", 0.5), SD_OK);
    CHECK_STATUS(sd_params_set_bool(params, "bool", -3), SD_OK);
    CHECK_TEXT(sd_params_get_string(params, "text"), "t");
    CHECK(sd_params_get_int(params, "int", &whole) && whole == INT64_MIN);
    CHECK(sd_params_get_float(params, "float", &number) && number == 0.5);
    CHECK(sd_params_get_bool(params, "bool", &truth) && truth == 1);
    CHECK(sd_params_count(params) == 4);
    CHECK_TEXT(sd_params_key(params, 0), "bool");
    CHECK_TEXT(sd_params_key(params, 3), "text");
    CHECK(sd_params_key(params, 4) == NULL && sd_params_key(params, SIZE_MAX) == NULL);
    sd_params_free(params);
}

static void a_getter_of_another_type_writes_nothing(void)
{
    sd_params *params = sd_params_new();
    int64_t whole = 42;
    int32_t truth = 42;
    double number = 42;
    sd_params_set_string(params, "text", "1");
    sd_params_set_bool(params, "bool", 0);
    CHECK(!sd_params_get_int(params, "text", &whole) && whole == 42);
    CHECK(!sd_params_get_int(params, "none", &whole) && whole == 42);
    CHECK(!sd_params_get_bool(params, "text", &truth) && truth == 42);
    CHECK(!sd_params_get_float(params, "bool", &number) && number == 42);
    CHECK(sd_params_get_string(params, "bool") == NULL);
    CHECK(sd_params_get_string(params, "none") == NULL);
    CHECK(sd_params_get_json(params, "none") == NULL);
    sd_params_free(params);
}

static void texts_live_as_long_as_the_parameters(void)
{
    sd_params *params = sd_params_new();
    sd_params_set_string(params, "k", "first");
    const char *first = sd_params_get_string(params, "k");
    const char *key = sd_params_key(params, 0);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof text, "v%d", i);
        sd_params_set_string(params, "k", text);
        sd_params_set_string(params, text, "v");
        CHECK_TEXT(sd_params_get_string(params, "k"), text);
    }
    CHECK_TEXT(first, "first");
    CHECK_TEXT(key, "k");
    CHECK_STATUS(sd_params_set_string(params, key, first), SD_OK);
    CHECK_TEXT(sd_params_get_string(params, "k"), "first");
    sd_params_free(params);
}

static void json_makes_parameters_and_parameters_make_json(void)
{
    sd_params *params = NULL;
    sd_error *err = NULL;
    int64_t whole = 0;
    int32_t truth = 0;
    const char *json =
        "{\"rootdirectory\":\"/srv\",\"maxthreads\":50,\"l\":[1,{\"a\":null}],\"b\":true}";
    CHECK_STATUS(sd_params_from_json(json, &params, &err), SD_OK);
    CHECK_TEXT(sd_params_get_string(params, "rootdirectory"), "/srv");
    CHECK(sd_params_get_int(params, "maxthreads", &whole) && whole == 50);
    CHECK(sd_params_get_bool(params, "b", &truth) && truth == 1);
    sd_buffer *list = sd_params_get_json(params, "l");
    CHECK_TEXT((const char *)sd_buffer_data(list), "[1,{\"a\":null}]");
    sd_buffer_free(list);
    CHECK_STATUS(sd_params_set_json(params, "l", "\"x\"", &err), SD_OK);
    CHECK_TEXT(sd_params_get_string(params, "l"), "x");
    CHECK(err == NULL);
    sd_params_free(params);
}

static void malformed_json_is_refused_by_place_and_not_quoted(void)
{
    sd_params *params = NULL, *kept = sd_params_new();
    sd_error *err = NULL;
    const char *bad[] = {"", "[]", "1", "\"S3CRET\"", "{\"k\": S3CRET}", "{\"k\":1} S3CRET",
                         "{"};
    sd_params_set_int(kept, "k", 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STATUS(sd_params_from_json(bad[i], &params, &err), SD_ERR_INVALID_PARAMETER);
        CHECK(strstr(sd_error_message(err), "S3CRET") == NULL);
        CHECK(params == NULL);
        sd_error_free(err);
        err = NULL;
    }
    CHECK_STATUS(sd_params_set_json(kept, "k", "{S3CRET", &err), SD_ERR_INVALID_PARAMETER);
    CHECK(strstr(sd_error_message(err), "S3CRET") == NULL);
    sd_error_free(err);
    sd_buffer *json = sd_params_get_json(kept, "k");
    CHECK_TEXT((const char *)sd_buffer_data(json), "1");
    sd_buffer_free(json);
    sd_params_free(kept);
}

static void json_for_logs_hides_every_text_that_may_be_secret(void)
{
    sd_params *params = sd_params_new();
    sd_params_set_string(params, "secretkey", "S3CRET");
    sd_params_set_string(params, "unheard-of", "S3CRET");
    sd_params_set_string(params, "rootdirectory", "/srv");
    sd_params_set_int(params, "maxthreads", 5);
    sd_buffer *json = sd_params_to_json(params);
    const char *text = (const char *)sd_buffer_data(json);
    CHECK(strstr(text, "S3CRET") == NULL);
    CHECK(strstr(text, "\"rootdirectory\":\"/srv\"") && strstr(text, "\"maxthreads\":5"));
    sd_buffer_free(json);
    json = sd_params_get_json(params, "secretkey");
    CHECK_TEXT((const char *)sd_buffer_data(json), "\"S3CRET\"");
    sd_buffer_free(json);
    sd_params_free(params);
}

static void what_is_no_number_counts_as_not_set(void)
{
    sd_params *params = sd_params_new();
    double number = 42;
    sd_params_set_float(params, "n", 1e308 * 10);
    CHECK(!sd_params_get_float(params, "n", &number) && number == 42);
    sd_buffer *json = sd_params_get_json(params, "n");
    CHECK_TEXT((const char *)sd_buffer_data(json), "null");
    sd_buffer_free(json);
    sd_params_free(params);
}

static void text_that_is_not_utf8_is_refused_and_changes_nothing(void)
{
    sd_params *params = sd_params_new();
    CHECK_STATUS(sd_params_set_string(params, "k", "\xff"), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_params_set_string(params, "\xff", "v"), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_params_set_int(params, "\xff", 1), SD_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(sd_params_set_json(params, "k", "\"\xff\"", NULL),
                 SD_ERR_INVALID_ARGUMENT);
    CHECK(sd_params_get_string(params, "\xff") == NULL);
    CHECK(sd_params_count(params) == 0);
    sd_params_free(params);
}

static void nesting_without_end_is_refused(void)
{
    static char json[200001];
    sd_params *params = NULL;
    sd_error *err = NULL;
    memset(json, '[', sizeof json - 1);
    CHECK_ERROR(sd_params_from_json(json, &params, &err), SD_ERR_INVALID_PARAMETER);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(values_come_back_as_they_were_set);
    RUN(a_getter_of_another_type_writes_nothing);
    RUN(texts_live_as_long_as_the_parameters);
    RUN(json_makes_parameters_and_parameters_make_json);
    RUN(malformed_json_is_refused_by_place_and_not_quoted);
    RUN(json_for_logs_hides_every_text_that_may_be_secret);
    RUN(what_is_no_number_counts_as_not_set);
    RUN(text_that_is_not_utf8_is_refused_and_changes_nothing);
    RUN(nesting_without_end_is_refused);
    return end_tests();
}
