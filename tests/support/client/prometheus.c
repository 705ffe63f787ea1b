/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/prometheus.h"

#include "tests/support/cmocka_all.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024, NAME_MAX_BYTES = 200 };

struct sample {
    char name[NAME_MAX_BYTES];
    char labels[LINE_MAX_BYTES]; /* what stands between the braces */
    double value;
};

static const char *next_line(const char *text, char line[LINE_MAX_BYTES])
{
    size_t size = strcspn(text, "\n");
    if (size >= LINE_MAX_BYTES || text[size] != '\n') {
        fail_msg("a line of /metrics is too long, or has no end: %.200s", text);
    }
    memcpy(line, text, size);
    line[size] = '\0';
    return text + size + 1;
}

/* The end of `name="value",...`, after its closing brace; NULL when it is malformed. */
static const char *end_of_labels(const char *at)
{
    while (*at != '}') {
        size_t size = 0;
        while (isalnum((unsigned char)at[size]) || at[size] == '_') {
            size++;
        }
        if (size == 0 || at[size] != '=' || at[size + 1] != '"') {
            return NULL;
        }
        for (at += size + 2; *at != '"'; at++) {
            at += *at == '\\';
            if (*at == '\0') {
                return NULL;
            }
        }
        at++;
        at += *at == ',';
    }
    return at + 1;
}

static bool read_sample(const char *line, struct sample *sample)
{
    size_t size = 0;
    while (isalnum((unsigned char)line[size]) || line[size] == '_' || line[size] == ':') {
        size++;
    }
    if (size == 0 || size >= sizeof sample->name || isdigit((unsigned char)line[0])) {
        return false;
    }
    snprintf(sample->name, sizeof sample->name, "%.*s", (int)size, line);
    sample->labels[0] = '\0';
    const char *at = line + size;
    if (*at == '{') {
        const char *end = end_of_labels(at + 1);
        if (end == NULL) {
            return false;
        }
        snprintf(sample->labels, sizeof sample->labels, "%.*s", (int)(end - at - 2), at + 1);
        at = end;
    }
    char *rest;
    if (*at != ' ') {
        return false;
    }
    sample->value = strtod(at + 1, &rest);
    return rest > at + 1 && *rest == '\0';
}

/* HELP and TYPE of the family stand somewhere before `at`. */
static void check_family(const char *text, const char *at, const struct sample *sample)
{
    static const char *const suffixes[] = {"", "_bucket", "_sum", "_count"};
    size_t length = strlen(sample->name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t cut = strlen(suffixes[i]);
        if (cut > length || strcmp(sample->name + length - cut, suffixes[i]) != 0) {
            continue;
        }
        char help[NAME_MAX_BYTES + 16];
        char type[NAME_MAX_BYTES + 16];
        snprintf(help, sizeof help, "# HELP %.*s ", (int)(length - cut), sample->name);
        snprintf(type, sizeof type, "# TYPE %.*s ", (int)(length - cut), sample->name);
        const char *found_help = strstr(text, help);
        const char *found_type = strstr(text, type);
        if (found_help != NULL && found_help < at && found_type != NULL && found_type < at) {
            return;
        }
    }
    fail_msg("the metric %s has no HELP and TYPE before it", sample->name);
}

static void check_once(const char *text, const char *line, const char *series_end)
{
    size_t size = (size_t)(series_end - line);
    int count = 0;
    char each[LINE_MAX_BYTES];
    for (const char *at = text; *at != '\0';) {
        at = next_line(at, each);
        count += strncmp(each, line, size) == 0 && each[size] == ' ';
    }
    if (count != 1) {
        fail_msg("the series %.*s comes %d times", (int)size, line, count);
    }
}

/* The buckets of a histogram come in order, never fall, and the last of them is the count. */
static void check_buckets(const struct sample *before, const struct sample *now)
{
    size_t length = strlen(before->name);
    bool was_bucket = length > 7 && strcmp(before->name + length - 7, "_bucket") == 0;
    if (!was_bucket) {
        return;
    }
    if (strcmp(before->name, now->name) == 0 && strstr(before->labels, "\"+Inf\"") == NULL) {
        assert_true(now->value >= before->value);
    } else {
        assert_non_null(strstr(before->labels, "\"+Inf\""));
    }
    if (strncmp(before->name, now->name, length - 7) == 0 &&
        strcmp(now->name + length - 7, "_count") == 0) {
        assert_true(now->value == before->value);
    }
}

static bool ends_with(const char *text, size_t size, const char *end)
{
    size_t length = strlen(end);
    return size >= length && strncmp(text + size - length, end, length) == 0;
}

/* A "# TYPE name type" line: the name of a counter ends in _total, and no other name does. */
static void check_type(const char *line)
{
    const char *name = line + strlen("# TYPE ");
    size_t size = strcspn(name, " ");
    bool is_counter = strcmp(name + size, " counter") == 0;
    if (is_counter != ends_with(name, size, "_total"))
        fail_msg("only the name of a counter ends in _total: %s", line);
}

/* The same by the checker of Prometheus, where it is installed. */
static void check_with_promtool(const char *text)
{
    if (system("command -v promtool >/dev/null") != 0)
        return;
    FILE *promtool = popen("promtool check metrics", "w");
    assert_non_null(promtool);
    fputs(text, promtool);
    if (pclose(promtool) != 0)
        fail_msg("promtool check metrics has findings, see above");
}

void prometheus_check(const char *text)
{
    char line[LINE_MAX_BYTES];
    struct sample last_bucket = {0};
    for (const char *at = text; *at != '\0';) {
        const char *start = at;
        struct sample sample;
        at = next_line(at, line);
        if (strncmp(line, "# TYPE ", 7) == 0) {
            check_type(line);
        }
        if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0) {
            continue;
        }
        if (!read_sample(line, &sample)) {
            fail_msg("/metrics has a line that cannot be read: \"%s\"", line);
        }
        check_family(text, start, &sample);
        check_once(text, line, strrchr(line, ' '));
        if (strstr(sample.name, "_sum") == NULL) {
            check_buckets(&last_bucket, &sample);
            last_bucket = sample;
        }
    }
    check_with_promtool(text);
}

bool prometheus_has(const char *text, const char *part)
{
    char line[LINE_MAX_BYTES];
    struct sample sample;
    for (const char *at = text; *at != '\0';) {
        at = next_line(at, line);
        if (line[0] != '#' && read_sample(line, &sample) && strstr(sample.name, part) != NULL) {
            return true;
        }
    }
    return false;
}

double prometheus_sum(const char *text, const char *name, const char *labels)
{
    char line[LINE_MAX_BYTES];
    struct sample sample;
    double sum = 0;
    bool found = false;
    for (const char *at = text; *at != '\0';) {
        at = next_line(at, line);
        if (line[0] != '#' && read_sample(line, &sample) && strcmp(sample.name, name) == 0 &&
            strstr(sample.labels, labels) != NULL) {
            found = true;
            sum += sample.value;
        }
    }
    return found ? sum : -1;
}
