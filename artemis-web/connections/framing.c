/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/connections/framing.h"

#include <string.h>
#include <strings.h>

static bool is_chunked(struct slice coding)
{
    const struct slice chunked = SLICE("chunked");
    return coding.size == chunked.size && strncasecmp(coding.data, chunked.data, chunked.size) == 0;
}

void framing_begin(struct framing *framing, const char *target)
{
    size_t size = strlen(target);
    const char *query = memchr(target, '?', size);
    const char *percent = memchr(target, '%', query ? (size_t)(query - target) : size);
    const char *nul = percent ? strstr(percent, "%00") : NULL;
    *framing = (struct framing){
        .bytes = (uint32_t)size,
        .nul_in_path = nul && (!query || nul < query),
    };
}

static bool exceeds_limits(const struct framing *framing)
{
    return framing->bytes > REQUEST_HEADER_BYTES_MAX || framing->fields > REQUEST_FIELDS_MAX;
}

static enum framing_result add(struct framing *framing, size_t bytes)
{
    framing->bytes += (uint32_t)bytes + STORED_FIELD_BYTES;
    framing->fields++;
    return exceeds_limits(framing) ? FRAMING_REFUSE : FRAMING_STORE;
}

enum { LINE_END_BYTES_MAX = 2 }; /* CR LF; a lone LF is one line end, too */

/* Positions are compared as numbers: those of a folded line may be in different buffers. */
static bool is_between(const char *at, const char *from, size_t min, size_t max)
{
    uintptr_t distance = (uintptr_t)at - (uintptr_t)from;
    return distance >= min && distance <= max;
}

void framing_check_line(struct framing *framing, struct slice name, struct slice value)
{
    const char *end = value.data + value.size;
    const char *next = end[1] == '\0' && framing->stored ? end + 2 : end + 1;
    bool follows =
        !framing->value_end || is_between(name.data, framing->value_end, 1, LINE_END_BYTES_MAX);
    framing->value_end = end;
    framing->bad_line |= !follows || value.data <= name.data + name.size;
    framing->bad_name |= *next == ':';
}

void framing_check_end(struct framing *framing, const char *end)
{
    if (framing->value_end)
        framing->bad_line |=
            !is_between(end, framing->value_end, 2, 2 * (size_t)LINE_END_BYTES_MAX);
    framing->value_end = NULL;
}

enum framing_result framing_add_argument(struct framing *framing, struct slice name,
                                         struct slice value)
{
    if (framing->arguments++ == 0) {
        framing->first_argument = name.data;
        framing->first_argument_size = (uint16_t)name.size;
        framing->first_value = value.data;
        framing->first_value_size = (uint16_t)value.size;
    }
    return add(framing, 0) == FRAMING_STORE ? FRAMING_STORE : FRAMING_SKIP;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_bad_name(struct slice name)
{
    return name.size == 0 || is_blank(name.data[0]) || is_blank(name.data[name.size - 1]);
}

enum framing_result framing_add_trailer(struct framing *framing, struct slice name,
                                        struct slice value)
{
    framing->has_trailers = true;
    framing->bad_name |= is_bad_name(name);
    return add(framing, name.size + value.size);
}

static bool add_length(struct framing *framing, struct slice value)
{
    uint64_t length = 0;
    framing->content_lengths++;
    if (value.size == 0)
        framing->bad_length = true;
    for (size_t i = 0; i < value.size; i++) {
        unsigned digit = (unsigned char)value.data[i] - (unsigned)'0';
        if (digit > 9) {
            framing->bad_length = true;
            return false;
        }
        if (length > (UINT64_MAX - digit) / 10)
            framing->length_too_large = true;
        length = length * 10 + digit;
    }
    framing->content_length = length;
    return !framing->bad_length && !framing->length_too_large;
}

static const struct known_field {
    struct slice name;
    bool is_stored; /* the HTTP library reads it */
} known_fields[HEADER_FIELDS] = {
#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
    [HEADER_HOST] = {NAME("Host"), true},
    [HEADER_COOKIE] = {NAME("Cookie"), false},
    [HEADER_EXPECT] = {NAME("Expect"), true},
    [HEADER_UPGRADE] = {NAME("Upgrade"), true},
    [HEADER_CONNECTION] = {NAME("Connection"), true},
    [HEADER_AUTHORIZATION] = {NAME("Authorization"), false},
    [HEADER_IF_NONE_MATCH] = {NAME("If-None-Match"), false},
    [HEADER_CONTENT_LENGTH] = {NAME("Content-Length"), true},
    [HEADER_PEER_NODE] = {NAME("X-Artemis-Node"), false},
    [HEADER_ACCEPT_ENCODING] = {NAME("Accept-Encoding"), false},
    [HEADER_PEER_CLOCK] = {NAME("X-Artemis-Clock"), false},
    [HEADER_PEER_STATE] = {NAME("X-Artemis-State"), false},
    [HEADER_CONTENT_ENCODING] = {NAME("Content-Encoding"), false},
    [HEADER_PEER_CLUSTER] = {NAME("X-Artemis-Cluster"), false},
    [HEADER_TRANSFER_ENCODING] = {NAME("Transfer-Encoding"), true},
    [HEADER_WEBSOCKET_KEY] = {NAME("Sec-WebSocket-Key"), false},
    [HEADER_REPLICATION] = {NAME("X-Artemis-Replication"), false},
    [HEADER_WEBSOCKET_VERSION] = {NAME("Sec-WebSocket-Version"), false},
#undef NAME
};

const char *framing_field_name(enum header_field field)
{
    return known_fields[field].name.data;
}

/* The field of a name, or HEADER_FIELDS. */
static enum header_field find_field(struct slice name)
{
    /* The first field whose name has that many bytes, plus 1. */
    static const uint8_t first_of_size[] = {
        [4] = HEADER_HOST + 1,
        [6] = HEADER_COOKIE + 1,
        [7] = HEADER_UPGRADE + 1,
        [10] = HEADER_CONNECTION + 1,
        [13] = HEADER_AUTHORIZATION + 1,
        [14] = HEADER_CONTENT_LENGTH + 1,
        [15] = HEADER_ACCEPT_ENCODING + 1,
        [16] = HEADER_CONTENT_ENCODING + 1,
        [17] = HEADER_PEER_CLUSTER + 1,
        [21] = HEADER_REPLICATION + 1,
    };
    if (name.size >= sizeof(first_of_size) || !first_of_size[name.size])
        return HEADER_FIELDS;
    for (enum header_field field = first_of_size[name.size] - 1U;
         field < HEADER_FIELDS && known_fields[field].name.size == name.size; field++)
        if (strncasecmp(name.data, known_fields[field].name.data, name.size) == 0)
            return field;
    return HEADER_FIELDS;
}

enum framing_result framing_add_field(struct framing *framing, struct slice name,
                                      struct slice value)
{
    if (add(framing, name.size + value.size) == FRAMING_REFUSE)
        return FRAMING_REFUSE;
    framing->bad_name |= is_bad_name(name);
    enum header_field field = find_field(name);
    if (field == HEADER_FIELDS)
        return framing->stored ? FRAMING_SKIP : FRAMING_STORE;
    if (field >= HEADER_FIRST_KEPT && !framing_value(framing, field))
        framing->values[field - HEADER_FIRST_KEPT] = value.data;
    switch ((int)field) {
    case HEADER_HOST:
        framing->hosts++;
        break;
    case HEADER_AUTHORIZATION:
        framing->authorizations++;
        break;
    case HEADER_COOKIE:
        return FRAMING_SKIP;
    case HEADER_CONTENT_LENGTH:
        return add_length(framing, value) ? FRAMING_STORE : FRAMING_SKIP;
    case HEADER_TRANSFER_ENCODING:
        framing->transfer_encodings++;
        framing->unknown_encoding |= !is_chunked(value);
    }
    return known_fields[field].is_stored || !framing->stored ? FRAMING_STORE : FRAMING_SKIP;
}

enum error framing_check(const struct framing *framing, const char *http_version,
                         const char **reason)
{
    bool is_1_1 = strcmp(http_version, "HTTP/1.1") == 0;
    bool has_encoding = framing->transfer_encodings > 0;
    *reason = NULL;
    if (exceeds_limits(framing)) {
        *reason = REQUEST_HEADER_TOO_LARGE;
        return ERR_HEADER_TOO_LARGE;
    }
    if (framing->bad_name)
        *reason = "header or trailer field: its name must not be empty or have a blank at an end";
    else if (framing->bad_line)
        *reason = "header or trailer field: must be on one line, without a NUL";
    else if (framing->hosts > 1 || (is_1_1 && framing->hosts == 0))
        *reason = "request header: must have exactly one Host";
    else if (framing->content_lengths + framing->transfer_encodings > 1)
        *reason = "request header: must have one Content-Length or one Transfer-Encoding";
    else if (framing->bad_length)
        *reason = "Content-Length: must be a decimal number";
    else if (has_encoding && (framing->unknown_encoding || !is_1_1))
        *reason = "Transfer-Encoding: must be chunked, in a request of HTTP/1.1";
    if (*reason)
        return ERR_MALFORMED_REQUEST;
    return framing->length_too_large ? ERR_BODY_TOO_LARGE : ERR_NONE;
}
