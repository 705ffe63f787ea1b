/* SPDX-License-Identifier: Apache-2.0
 *
 * framing - decides whether the header of a request leaves no doubt where its body ends.
 *
 * Two readers that disagree about the length of a body take different bytes for the next request
 * (request smuggling; RFC 9112, 6.3). A request therefore has at most one Content-Length, which is
 * a number, or one Transfer-Encoding, which is "chunked"; a request of HTTP/1.1 has exactly one
 * Host (RFC 9112, 3.2).
 *
 * Pure functions; a `struct framing` belongs to one request.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    /* A request header with its trailers, counting STORED_FIELD_BYTES for each field. */
    REQUEST_HEADER_BYTES_MAX = 11 * 1024,
    /* Fields of the header, arguments of the query and trailers together. */
    REQUEST_FIELDS_MAX = 80,
    /* Bookkeeping of the HTTP library for a field or an argument. */
    STORED_FIELD_BYTES = 64,
};

#define REQUEST_HEADER_TOO_LARGE                                                                   \
    "request header: must be at most 11 KiB, counting 64 bytes for each field and argument, and "  \
    "have at most 80 of these"

#define CHUNK_HEADER_TOO_LARGE "body: the header of a chunk must be at most 11 KiB"

/* The fields of a header that are read, by the size of their names. */
enum header_field {
    HEADER_HOST,   /* counted */
    HEADER_COOKIE, /* skipped */
    HEADER_EXPECT, /* the value of this and the others is kept */
    HEADER_UPGRADE,
    HEADER_CONNECTION,
    HEADER_AUTHORIZATION,
    HEADER_IF_NONE_MATCH,
    HEADER_CONTENT_LENGTH,
    HEADER_PEER_NODE,
    HEADER_ACCEPT_ENCODING,
    HEADER_PEER_CLOCK,
    HEADER_PEER_STATE,
    HEADER_CONTENT_ENCODING,
    HEADER_PEER_CLUSTER,
    HEADER_TRANSFER_ENCODING,
    HEADER_WEBSOCKET_KEY,
    HEADER_REPLICATION,
    HEADER_WEBSOCKET_VERSION,
    HEADER_FIELDS,
    HEADER_FIRST_KEPT = HEADER_EXPECT,
};

struct framing {
    uint64_t content_length; /* of the body; 0 without the field */
    /* Of the first field of each name, from HEADER_FIRST_KEPT on; NUL-terminated. NULL: absent.
     * Valid as long as the header. */
    const char *values[HEADER_FIELDS - HEADER_FIRST_KEPT];
    const char *first_argument, *first_value; /* of the query, or NULL; valid as the values */
    const char *value_end; /* of the field or trailer that was read last; NULL: none */
    uint32_t bytes;        /* of the request line and all fields, with the bookkeeping */
    uint16_t first_argument_size, first_value_size;
    uint16_t arguments; /* of the query */
    uint16_t fields;    /* fields, arguments and trailers */
    uint8_t content_lengths, transfer_encodings, hosts, authorizations;
    bool stored;           /* the HTTP library has stored a field or an argument */
    bool has_trailers;     /* to be checked when the body is complete */
    bool bad_name;         /* the name of a field or trailer is empty or has a blank at an end */
    bool bad_line;         /* the line of a field or trailer is folded or has a NUL */
    bool bad_length;       /* a Content-Length is not a number */
    bool length_too_large; /* a Content-Length does not fit 64 bits */
    bool unknown_encoding; /* a Transfer-Encoding is not "chunked" */
    bool nul_in_path;      /* the path has an encoded NUL, so that it ends early as a C string */
};

/* What to do with a field that was read. */
enum framing_result {
    FRAMING_STORE,
    FRAMING_SKIP,   /* the HTTP library must not see it */
    FRAMING_REFUSE, /* the header is too large: refuse the request now */
};

/* The value of a field that is kept, or NULL. */
static inline const char *framing_value(const struct framing *framing, enum header_field field)
{
    return framing->values[field - HEADER_FIRST_KEPT];
}

/* Starts a request with the target of its request line. */
void framing_begin(struct framing *framing, const char *target);

/* Checks where a field or trailer was read. Name and value end in a NUL, and the next line is still
 * unchanged; one byte of it is read, or two if `stored`. libmicrohttpd appends the rest of a folded
 * line to the name, and takes a line with an empty name for the end of the header or of the
 * trailers: what follows would be the next request. */
void framing_check_line(struct framing *framing, struct slice name, struct slice value);

/* Checks the end of the header: an empty line follows the last field. Trailers may follow. */
void framing_check_end(struct framing *framing, const char *end);

/* Records an argument of the query. One beyond the limits is skipped: the request line is parsed to
 * its end, and framing_check refuses the request. */
enum framing_result framing_add_argument(struct framing *framing, struct slice name,
                                         struct slice value);

/* The name of a field. */
const char *framing_field_name(enum header_field field);

/* Records a field of the header; its value ends in a NUL. An invalid Content-Length is skipped,
 * since the HTTP library would answer it by itself, and so are cookies, which nothing reads. When
 * the library has stored a field, those that it does not read are skipped too. */
enum framing_result framing_add_field(struct framing *framing, struct slice name,
                                      struct slice value);

/* Records a trailer. */
enum framing_result framing_add_trailer(struct framing *framing, struct slice name,
                                        struct slice value);

/* Checks the whole header, and at the end of the body its trailers; `http_version` is "HTTP/1.1" or
 * "HTTP/1.0". On an error *reason is a constant sentence, or NULL for the error's own.
 * ERR_MALFORMED_REQUEST, ERR_HEADER_TOO_LARGE, ERR_BODY_TOO_LARGE. */
MUST_USE enum error framing_check(const struct framing *framing, const char *http_version,
                                  const char **reason);
