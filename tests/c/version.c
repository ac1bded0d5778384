/* Section 1: version. */
#include "harness.h"

#if SD_VERSION_MAJOR < 1
#error "the version can be compared by the preprocessor"
#endif

static void header_and_library_have_the_same_version(void)
{
    char text[32];
    CHECK(sd_version() ==
          (SD_VERSION_MAJOR << 16 | SD_VERSION_MINOR << 8 | SD_VERSION_PATCH));
    snprintf(text, sizeof text, "%d.%d.%d", (int)SD_VERSION_MAJOR, (int)SD_VERSION_MINOR,
             (int)SD_VERSION_PATCH);
    CHECK_TEXT(sd_version_string(), text);
    CHECK(sd_abi_version() == SD_ABI_VERSION);
}

static void texts_are_static(void)
{
    CHECK(sd_version_string() == sd_version_string());
    CHECK(sd_features() == sd_features());
}

static void features_name_version_abi_drivers_and_tls(void)
{
    char version[64];
    const char *features = sd_features();
    snprintf(version, sizeof version, "\"version\":\"%s\"", sd_version_string());
    CHECK(features[0] == '{' && features[strlen(features) - 1] == '}');
    CHECK(strstr(features, version) != NULL);
    CHECK(strstr(features, "\"abi\":1") != NULL);
    CHECK(strstr(features, "\"drivers\":[") != NULL);
    CHECK(strstr(features, "\"tls\":") != NULL);
}

static void features_name_every_driver_that_the_factory_knows(void)
{
    sd_names *names = NULL;
    CHECK_STATUS(sd_factory_names(&names, NULL), SD_OK);
    for (size_t i = 0; i < sd_names_count(names); i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\"", sd_names_get(names, i));
        CHECK(strstr(sd_features(), quoted) != NULL);
    }
    sd_names_free(names);
}

int main(int argc, char **argv)
{
    (void)argc;
    begin_tests(argv);
    RUN(header_and_library_have_the_same_version);
    RUN(texts_are_static);
    RUN(features_name_version_abi_drivers_and_tls);
    RUN(features_name_every_driver_that_the_factory_knows);
    return end_tests();
}
