/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/query/query.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    QUOTED_BYTES = 160,
    ACCEPTED_BYTES = 256,
    LOWER_CASE = 0x20, /* the bit of a letter */
};

static const struct slice meta_prefix = {"meta.", sizeof("meta.") - 1};

static const struct parameter {
    struct slice snake;
    struct slice camel; /* data NULL: the name is the same */
} parameters[QUERY_META] = {
    [QUERY_SERVICE_ID] = {{"service_id", 10}, {"serviceId", 9}},
    [QUERY_REGION_ID] = {{"region_id", 9}, {"regionId", 8}},
    [QUERY_ZONE_ID] = {{"zone_id", 7}, {"zoneId", 6}},
    [QUERY_VERSION] = {{"version", 7}, {0}},
    [QUERY_RUN] = {{"run", 3}, {0}},
    [QUERY_WAIT] = {{"wait", 4}, {0}},
    [QUERY_DELTA] = {{"delta", 5}, {0}},
    [QUERY_STATUS] = {{"status", 6}, {0}},
    [QUERY_REGION] = {{"region", 6}, {0}},
    [QUERY_ZONE] = {{"zone", 4}, {0}},
    [QUERY_NEAR] = {{"near", 4}, {0}},
    [QUERY_STRATEGY] = {{"strategy", 8}, {0}},
    [QUERY_HASH_KEY] = {{"hash_key", 8}, {"hashKey", 7}},
};

/* While the arguments of a request are read. */
struct reading {
    struct request *request;
    unsigned accepted;
    struct query *query;
    char *message;
    enum error error;
};

static bool is_name(struct slice name, struct slice of)
{
    return name.size == of.size && strncasecmp(name.data, of.data, of.size) == 0;
}

static bool is_metadata(struct slice name)
{
    return name.size >= meta_prefix.size &&
           strncasecmp(name.data, meta_prefix.data, meta_prefix.size) == 0;
}

/* The parameter of a name; QUERY_NAMES: there is none. */
static enum query_name find(struct slice name, bool *is_camel)
{
    const char first = (char)(name.data[0] | LOWER_CASE); /* both spellings begin alike */
    for (enum query_name each = 0; each < QUERY_META; each++) {
        if (parameters[each].snake.data[0] != first)
            continue;
        *is_camel = is_name(name, parameters[each].camel);
        if (*is_camel || is_name(name, parameters[each].snake))
            return each;
    }
    return is_metadata(name) ? QUERY_META : QUERY_NAMES;
}

static enum error refuse_unknown(const struct reading *reading, struct slice name)
{
    char quoted[QUOTED_BYTES];
    char accepted[ACCEPTED_BYTES] = "";
    size_t size = 0;
    text_quote(quoted, sizeof(quoted), name);
    for (enum query_name each = 0; each < QUERY_META; each++)
        if (reading->accepted >> each & 1)
            size += (size_t)snprintf(accepted + size, sizeof(accepted) - size, "%s%s",
                                     size ? ", " : "", parameters[each].snake.data);
    snprintf(reading->message, MESSAGE_BYTES, "query: this path has no parameter %s; it has %s%s",
             quoted, accepted, reading->accepted >> QUERY_META & 1 ? " and meta.KEY" : "");
    return ERR_INVALID_FIELD;
}

static enum error check_value(const struct reading *reading, struct slice name, struct slice value)
{
    char quoted[QUOTED_BYTES];
    if (text_is_utf8(value))
        return ERR_NONE;
    text_quote(quoted, sizeof(quoted), value);
    snprintf(reading->message, MESSAGE_BYTES, "%.*s: must be valid UTF-8, is %s", (int)name.size,
             name.data, quoted);
    return ERR_INVALID_FIELD;
}

static enum error read_metadata(struct reading *reading, struct slice name, struct slice value)
{
    struct query *query = reading->query;
    struct slice key = {name.data + meta_prefix.size, name.size - meta_prefix.size};
    if (!text_is_utf8(key))
        return refuse_unknown(reading, name);
    enum error error = check_value(reading, SLICE("meta.KEY"), value);
    if (error)
        return error;
    if (query->metadata_count == FILTER_METADATA_MAX) {
        snprintf(reading->message, MESSAGE_BYTES, "meta.KEY: may be given at most %d times",
                 FILTER_METADATA_MAX);
        return ERR_INVALID_FIELD;
    }
    query->metadata[query->metadata_count++] = (struct metadata_entry){key, value};
    return ERR_NONE;
}

static enum error read_argument(struct reading *reading, struct slice name, struct slice value)
{
    bool is_camel;
    if (name.size == 0) /* "a=1&&b=2", "a=1&" */
        return ERR_NONE;
    enum query_name found = find(name, &is_camel);
    if (found == QUERY_NAMES || !(reading->accepted >> found & 1))
        return refuse_unknown(reading, name);
    if (!value.data)
        value = SLICE("");
    if (found == QUERY_META)
        return read_metadata(reading, name, value);
    const struct parameter *parameter = &parameters[found];
    if (parameter->camel.data)
        name_casing_add(&reading->request->names, is_camel ? NAMES_CAMEL : NAMES_SNAKE);
    if (reading->query->value[found].data) {
        snprintf(reading->message, MESSAGE_BYTES, "%s: is given twice", parameter->snake.data);
        return ERR_INVALID_FIELD;
    }
    reading->query->value[found] = value;
    return check_value(reading, parameter->snake, value);
}

static bool visit(void *context, struct slice name, struct slice value)
{
    struct reading *reading = context;
    reading->error = read_argument(reading, name, value);
    return !reading->error;
}

enum error query_read(struct request *request, unsigned accepted, struct query *out,
                      char message[MESSAGE_BYTES])
{
    struct reading reading = {request, accepted, out, message, ERR_NONE};
    memset(out->value, 0, sizeof(out->value));
    out->metadata_count = 0;
    request_each_argument(request, visit, &reading);
    return reading.error;
}
