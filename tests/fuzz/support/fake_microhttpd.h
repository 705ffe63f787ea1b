/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_microhttpd - a request without a connection: the functions of libmicrohttpd by which
 * handlers read it, on fields that the target sets. It also fixes chance and time. A target
 * includes it in one file.
 */
#pragma once

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "artemis-server/clock.h"
#include "artemis-web/connections/framing.h"

enum { FIELDS_MAX = 16 };

static const struct moment now = {1000000, 1771056000000};

struct field {
    enum MHD_ValueKind kind;
    char *name;
    char *value; /* NULL: an argument without '=' */
    size_t size;
};

/* What the functions of libmicrohttpd below return of the request that is handled. */
static struct {
    struct field fields[FIELDS_MAX];
    size_t count;
} library;

enum MHD_Result MHD_lookup_connection_value_n(struct MHD_Connection *connection,
                                              enum MHD_ValueKind kind, const char *key,
                                              size_t key_size, const char **value, size_t *size)
{
    (void)connection;
    for (size_t i = 0; i < library.count; i++) {
        const struct field *field = &library.fields[i];
        if (field->kind != kind || strlen(field->name) != key_size ||
            strncasecmp(field->name, key, key_size) != 0)
            continue;
        *value = field->value;
        if (size)
            *size = field->size;
        return MHD_YES;
    }
    return MHD_NO;
}

int MHD_get_connection_values_n(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                MHD_KeyValueIteratorN iterator, void *context)
{
    int count = 0;
    (void)connection;
    for (size_t i = 0; i < library.count; i++) {
        const struct field *field = &library.fields[i];
        if (field->kind != kind)
            continue;
        count++;
        if (iterator(context, kind, field->name, strlen(field->name), field->value, field->size) !=
            MHD_YES)
            break;
    }
    return count;
}

/* What the pass over the header has kept of the fields. */
static struct framing *library_header(void)
{
    static struct framing header;
    framing_begin(&header, "/");
    for (size_t i = 0; i < library.count; i++) {
        const struct field *field = &library.fields[i];
        struct slice name = slice_of(field->name);
        struct slice value = {field->value, field->size};
        if (field->kind == MHD_GET_ARGUMENT_KIND)
            (void)framing_add_argument(&header, name, value);
        else
            (void)framing_add_field(&header, name, value);
    }
    return &header;
}

/* The address of the client; nothing else is known of the connection. */
const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    static struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 80};
    static const union MHD_ConnectionInfo info = {.client_addr = (struct sockaddr *)&address};
    (void)connection;
    return type == MHD_CONNECTION_INFO_CLIENT_ADDRESS ? &info : NULL;
}

/* Chance and time are the same in each run. */
uint32_t arc4random(void)
{
    return 4;
}

struct moment clock_now(void)
{
    return now;
}

uint64_t clock_mono_ns(void)
{
    return now.mono_ms * 1000000;
}

static inline void add_field(enum MHD_ValueKind kind, char *name, char *value, size_t size)
{
    if (library.count < FIELDS_MAX)
        library.fields[library.count++] = (struct field){kind, name, value, size};
}

static inline int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes in place, as libmicrohttpd does; returns the new size. */
static inline size_t decode(char *text)
{
    size_t size = 0;
    for (size_t i = 0; text[i]; i++) {
        int high = text[i] == '%' ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            text[size++] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[size++] = text[i];
        }
    }
    text[size] = '\0';
    return size;
}

static inline void read_arguments(char *query)
{
    for (char *at = query; (at = strchr(at, '+'));)
        *at = ' ';
    char *argument;
    while ((argument = strsep(&query, "&"))) {
        char *value = argument;
        strsep(&value, "=");
        size_t size = value ? decode(value) : 0;
        decode(argument);
        if (argument[0])
            add_field(MHD_GET_ARGUMENT_KIND, argument, value, size);
    }
}
