// The header in C++11: included twice, wrapped in smart pointers, with the host's own
// exceptions passing around the library (never through it).
#include <storagedriver.h>
#include <storagedriver.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

template <typename T, void (*Free)(T *)> struct Deleter {
    void operator()(T *object) const
    {
        Free(object);
    }
};
template <typename T, void (*Free)(T *)> using Owned = std::unique_ptr<T, Deleter<T, Free>>;

using Driver = Owned<sd_driver, sd_driver_free>;
using Buffer = Owned<sd_buffer, sd_buffer_free>;
using Error = Owned<sd_error, sd_error_free>;
using Reader = Owned<sd_reader, sd_reader_free>;
using Writer = Owned<sd_writer, sd_writer_free>;

struct Failure : std::runtime_error {
    sd_status status;
    Failure(sd_status s, const Error &error)
        : std::runtime_error(sd_error_message(error.get())), status(s)
    {
    }
};

// By address: the call that fills it and this argument are evaluated in any order.
void must(sd_status status, sd_error **err)
{
    if (status != SD_OK)
        throw Failure(status, Error(*err));
}

Driver make(const char *name)
{
    sd_driver *driver = nullptr;
    sd_error *err = nullptr;
    must(sd_factory_create(name, nullptr, nullptr, &driver, &err), &err);
    return Driver(driver);
}

void put(const Driver &driver, const char *path, const std::string &text)
{
    sd_error *err = nullptr;
    must(sd_put_content(driver.get(), nullptr, path, text.data(), text.size(), &err), &err);
}

std::string get(const Driver &driver, const char *path)
{
    sd_buffer *content = nullptr;
    sd_error *err = nullptr;
    must(sd_get_content(driver.get(), nullptr, path, &content, &err), &err);
    Buffer owned(content);
    return std::string(reinterpret_cast<const char *>(sd_buffer_data(content)),
                       sd_buffer_len(content));
}

int tests = 0, failed = 0;

void report(bool good, const char *name)
{
    std::printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
    failed += good ? 0 : 1;
}

bool a_failure_becomes_an_exception()
{
    Driver driver = make("inmemory");
    try {
        get(driver, "/none");
    } catch (const Failure &failure) {
        return failure.status == SD_ERR_PATH_NOT_FOUND &&
               std::strstr(failure.what(), "/none") != nullptr;
    }
    return false;
}

bool exceptions_free_what_is_open()
{
    // Handles go in the order of their destructors, which is not the order of need.
    try {
        Reader reader;
        Writer writer;
        Driver driver = make("inmemory");
        put(driver, "/a", "text");
        sd_reader *r = nullptr;
        sd_writer *w = nullptr;
        sd_error *err = nullptr;
        must(sd_reader_open(driver.get(), nullptr, "/a", 0, &r, &err), &err);
        reader.reset(r);
        must(sd_writer_open(driver.get(), nullptr, "/b", 0, &w, &err), &err);
        writer.reset(w);
        throw std::logic_error("of the host");
    } catch (const std::logic_error &error) {
        return std::string(error.what()) == "of the host";
    }
}

// What a callback meets is kept and thrown when the call has returned.
struct Collector {
    std::string text;
    std::exception_ptr thrown;
};

extern "C" sd_status collect(void *user, const void *data, size_t len)
{
    Collector *collector = static_cast<Collector *>(user);
    try {
        collector->text.append(static_cast<const char *>(data), len);
        if (collector->text.find("bad") != std::string::npos)
            throw std::out_of_range("bad");
        return SD_OK;
    } catch (...) {
        collector->thrown = std::current_exception();
        return -42;
    }
}

bool an_exception_in_a_callback_is_carried_around_the_library()
{
    Driver driver = make("inmemory");
    put(driver, "/a", "good");
    put(driver, "/b", "bad");
    Collector collector;
    sd_error *err = nullptr;
    must(sd_read_stream(driver.get(), nullptr, "/a", 0, collect, &collector, nullptr, &err),
         &err);
    sd_status status =
        sd_read_stream(driver.get(), nullptr, "/b", 0, collect, &collector, nullptr, &err);
    Error error(err);
    if (status != SD_ERR_CALLBACK || sd_error_callback_result(err) != -42)
        return false;
    try {
        std::rethrow_exception(collector.thrown);
    } catch (const std::out_of_range &) {
        return collector.text == "goodbad";
    }
}

extern "C" void count(void *user, const sd_metric *metric)
{
    ++*static_cast<int *>(user);
    (void)metric;
}

bool exceptions_work_before_and_after_the_library_ran_hooks()
{
    int calls = 0, caught = 0;
    sd_metrics_set_hook(count, &calls);
    for (int i = 0; i < 100; i++) {
        try {
            Driver driver = make("inmemory");
            put(driver, "/a", std::string(1000, 'x'));
            throw std::vector<int>(3);
        } catch (const std::vector<int> &thrown) {
            caught += thrown.size() == 3;
        }
    }
    sd_metrics_set_hook(nullptr, nullptr);
    return caught == 100 && calls == 100;
}

bool constants_can_be_used_at_compile_time()
{
    static_assert(SD_OK == 0 && SD_ERR_PATH_NOT_FOUND == -100, "codes are constants");
    static_assert(SD_VERSION_MAJOR >= 1 && SD_ABI_VERSION >= 1, "versions are constants");
    static_assert(sizeof(sd_status) == 4, "a status has 32 bits");
    sd_walk_options options = {};
    options.struct_size = sizeof options;
    options.flags = SD_WALK_SKIP_START_SUBTREE;
    return options.flags != 0;
}

} // namespace

int main()
{
    report(a_failure_becomes_an_exception(), "a failure becomes an exception");
    report(exceptions_free_what_is_open(), "exceptions free what is open");
    report(an_exception_in_a_callback_is_carried_around_the_library(),
           "an exception in a callback is carried around the library");
    report(exceptions_work_before_and_after_the_library_ran_hooks(),
           "exceptions work before and after the library ran hooks");
    report(constants_can_be_used_at_compile_time(),
           "constants can be used at compile time");
    std::printf("1..%d\n", tests);
    return failed ? 1 : 0;
}
