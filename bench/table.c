/* The results as Markdown or JSON. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>

static const char *const SIDE_NAMES[SIDES] = {"library", "floor", "plain"};

static const char *time_text(const struct side_result *side, char out[32])
{
    double ns = side->min_ns;
    if (!side->present)
        return "";
    if (ns < 100e3)
        snprintf(out, 32, "%.2f us", ns / 1e3);
    else if (ns < 100e6)
        snprintf(out, 32, "%.2f ms", ns / 1e6);
    else
        snprintf(out, 32, "%.2f s", ns / 1e9);
    return out;
}

static const char *calls_text(const struct result *result, char out[64])
{
    size_t used = 0;
    out[0] = 0;
    for (int side = 0; side < SIDES; side++) {
        const struct side_result *from = &result->side[side];
        if (!from->present)
            continue;
        const char *slash = side > 0 ? " / " : "";
        if (from->calls < 0)
            used += (size_t)snprintf(out + used, 64 - used, "%s?", slash);
        else
            used += (size_t)snprintf(
                out + used, 64 - used, "%s%.*f", slash,
                from->calls < 100 && from->calls - (int)from->calls > 0.05, from->calls);
    }
    return out;
}

static double ratio(const struct result *result)
{
    return result->side[LIBRARY].min_ns / result->side[FLOOR].min_ns;
}

/* What the object itself takes of the process' memory. */
static size_t object_size(const struct result *result)
{
    return strcmp(result->work->driver, "inmemory") == 0 ? result->scale : 0;
}

static const char *rss_text(const struct result *result, char out[48])
{
    out[0] = 0;
    if (result->side[LIBRARY].peak_rss == 0)
        return out;
    size_t used = 0;
    for (int side = 0; side < PLAIN; side++) {
        if (!result->side[side].present)
            continue;
        double above = (double)result->side[side].peak_rss - (double)object_size(result);
        used += (size_t)snprintf(out + used, 48 - used, "%s%.1f MiB", side ? " / " : "",
                                 above / (double)MIB);
    }
    return out;
}

static const char *verdict(const struct result *result, bool quick, char out[96])
{
    const struct bench_case *work = result->work;
    bool met = true;
    size_t used = 0;
    out[0] = 0;
    if (work->max_ratio > 0) {
        used += (size_t)snprintf(out + used, 96 - used, "<= %.2fx", work->max_ratio);
        met = met && ratio(result) <= work->max_ratio;
    }
    if (work->max_ns > 0) {
        struct side_result target = {.present = true, .min_ns = work->max_ns};
        char text[32];
        used += (size_t)snprintf(out + used, 96 - used, "< %s", time_text(&target, text));
        met = met && result->side[LIBRARY].min_ns < work->max_ns;
    }
    if (work->max_rss > 0 && object_size(result) > 0) {
        used +=
            (size_t)snprintf(out + used, 96 - used, ", RSS + %zu MiB", work->max_rss / MIB);
        met = met && result->side[LIBRARY].peak_rss <= object_size(result) + work->max_rss;
    }
    /* A quick run shows that everything works, and no more. */
    if (used > 0 && !quick)
        snprintf(out + used, 96 - used, met ? ": met" : ": **missed**");
    return out;
}

static void heading(const struct result *result)
{
    printf("\n### %s%s%s\n\n", result->work->group, result->where[0] ? ", on " : "",
           result->where);
}

static void print_row(const struct result *result, bool quick)
{
    char time[SIDES][32], calls[64], rss[48], met[96], share[16] = "";
    if (result->side[FLOOR].present)
        snprintf(share, sizeof share, "%.2f", ratio(result));
    printf("| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", result->work->name,
           time_text(&result->side[LIBRARY], time[0]),
           time_text(&result->side[FLOOR], time[1]), share,
           time_text(&result->side[PLAIN], time[2]), calls_text(result, calls),
           rss_text(result, rss), result->work->upstream ? result->work->upstream : "",
           verdict(result, quick, met));
}

static void per_unit(const struct result *results, enum side side)
{
    bool bytes = results->work->piece > 0;
    double unit = bytes ? (double)MIB : 1;
    double cost[SCALES];
    printf("| %s%s | ", results->work->name, side == FLOOR ? ", the floor" : "");
    for (int i = 0; i < SCALES; i++) {
        cost[i] = results[i].side[side].min_ns / ((double)results[i].scale / unit) / 1e3;
        if (bytes)
            printf("%zu MiB: %.1f us/MiB | ", results[i].scale / MIB, cost[i]);
        else
            printf("%zu: %.2f us each | ", results[i].scale, cost[i]);
    }
    printf("%.2f |\n", cost[SCALES - 1] / cost[0]);
}

void print_table(const struct result *results, size_t count, bool quick)
{
    const char *group = "", *where = "";
    for (size_t i = 0; i < count; i++) {
        const struct result *result = &results[i];
        bool growth = result->work->scales[1] > 0;
        if (strcmp(group, result->work->group) != 0 || strcmp(where, result->where) != 0) {
            group = result->work->group;
            where = result->where;
            heading(result);
            if (growth)
                printf("| work | size 1 | size 2 | size 3 | growth per unit |\n"
                       "|---|---|---|---|---|\n");
            else
                printf(
                    "| operation | library | floor | ratio | plain C "
                    "| system calls: library / floor / plain | peak RSS above the object "
                    "| Go, elsewhere | target |\n|---|---|---|---|---|---|---|---|---|\n");
        }
        if (!growth) {
            print_row(result, quick);
            continue;
        }
        per_unit(result, LIBRARY);
        if (result->side[FLOOR].present)
            per_unit(result, FLOOR);
        i += SCALES - 1;
    }
}

void print_json(const struct result *results, size_t count)
{
    printf("[");
    for (size_t i = 0; i < count; i++) {
        const struct result *result = &results[i];
        printf("%s\n {\"group\": \"%s\", \"name\": \"%s\", \"file_system\": \"%s\", "
               "\"scale\": %zu, \"sides\": {",
               i ? "," : "", result->work->group, result->work->name, result->where,
               result->scale);
        for (int side = 0, shown = 0; side < SIDES; side++) {
            const struct side_result *from = &result->side[side];
            if (!from->present)
                continue;
            printf("%s\"%s\": {\"min_ns\": %.1f, \"median_ns\": %.1f, \"peak_rss\": %zu, "
                   "\"system_calls\": %.3f, \"calls\": \"%s\"}",
                   shown++ ? ", " : "", SIDE_NAMES[side], from->min_ns, from->median_ns,
                   from->peak_rss, from->calls, from->call_names);
        }
        printf("}}");
    }
    printf("\n]\n");
}
