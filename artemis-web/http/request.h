/* SPDX-License-Identifier: Apache-2.0
 *
 * request - an HTTP request as the handlers see it, and the response they fill in.
 *
 * Handlers do not use libmicrohttpd. They read the request through the functions below, call the
 * engine, and fill in the response. Where a handler returns an error, response.c writes the body in
 * the dialect of the client with the handler's message.
 *
 * A request belongs to the web thread that serves its connection.
 */
#pragma once

#include "artemis-core/base/websocket_handshake.h"
#include "artemis-core/json/codec.h"
#include "artemis-server/engine.h"
#include "artemis-web/connections/framing.h"
#include "artemis-web/push/push.h"

struct MHD_Connection;
struct long_poll_share;
struct reload_job;
struct web;
struct route;

struct request {
    struct web *web;
    struct engine *engine;
    struct push *push;
    struct long_poll_share *long_poll_share; /* of its web thread */
    struct MHD_Connection *mhd;              /* for the files of the HTTP server only */
    struct framing *header;                  /* NULL: the connection has become a WebSocket */
    const struct route *route;               /* NULL: no such path */
    const struct token *token;               /* of the client; NULL: none, or none is needed */
    const char *http_version;                /* "HTTP/1.1" */
    uint64_t discarded_bytes;                /* of the body, since it was refused */
    uint64_t buffered_bytes;                 /* share of this request in web.buffered_bytes */
    struct text body;                        /* as received; inflated before a handler sees it */
    struct moment now; /* when it was complete; before that, only mono_ms of its start */
    uint64_t started_ns;
    enum name_casing names; /* that were read so far, in the query or the body */
    enum error refused;     /* the handler is not called, and the rest of the body is discarded */
    bool is_get;            /* GET or HEAD; else POST */
    bool is_head;
    bool java;            /* the path begins with /artemis/ */
    bool was_silent;      /* the connection had been without a request for over SILENT_MS */
    bool write_delayed;   /* the request was suspended once, to find out whether its client left */
    bool long_poll_done;  /* the request was suspended once; it is not suspended again */
    bool is_deferred;     /* a long poll that a turn of the web thread has deferred */
    bool failure_counted; /* the authentication failed, and that is counted */
    bool has_reservation; /* by request_reserve; the push thread has not taken it over yet */
    struct reload_job *reload; /* whose end the request waits for; NULL: none */
    uint64_t reload_until_ms;  /* for so long at most */
};

/* A body that is produced while it is sent. */
struct response_stream {
    /* Appends the next piece; sets *ended with the last one. An error closes the connection. */
    enum error (*next)(void *context, struct text *piece, bool *ended);
    void (*free)(void *context);
    void *context;
};

/* The handshake of a WebSocket. */
struct response_upgrade {
    char accept[WEBSOCKET_ACCEPT_BYTES]; /* Sec-WebSocket-Accept */
    enum endpoint endpoint;
};

/* Selects the member of the union in struct response. */
enum response_kind {
    RESPONSE_TEXT,      /* body */
    RESPONSE_CONSTANT,  /* constant: a body that lives as long as the process */
    RESPONSE_CACHED,    /* cached */
    RESPONSE_STREAM,    /* stream */
    RESPONSE_UPGRADE,   /* upgrade: the connection becomes a WebSocket */
    RESPONSE_LONG_POLL, /* long_poll: the request is suspended and handled once more */
    RESPONSE_DEFERRED,  /* a long poll that is handled in a later turn, see long_poll_share.h */
    RESPONSE_LATER,     /* later_ms: the request is suspended until then and handled once more */
};

struct response {
    enum error outcome; /* for the metrics; a batch may be answered and yet have failed items */
    unsigned status;    /* HTTP; 0: the status of `outcome` */
    const char *content_type; /* NULL: JSON */
    bool identity_headers;    /* X-Artemis-Node, -Cluster, -State */
    bool send_etag;           /* of the cached response */
    bool send_epoch;          /* X-Artemis-Run */
    bool not_modified;        /* 304 instead of the body */
    enum response_kind kind;
    union {
        struct text body;
        struct slice constant;
        struct cached_response *cached; /* a reference */
        struct response_stream stream;
        struct response_upgrade upgrade;
        struct long_poll_condition long_poll;
        uint64_t later_ms;
    };
};

/* Makes a response an empty text. The other members of the union, which are large, stay as they
 * are. */
void response_init(struct response *response);
/* Makes a cached response the body; takes over the reference. The response is empty before. */
void response_set_cached(struct response *response, struct cached_response *cached);
/* Frees the body and leaves an empty text. */
void response_clear(struct response *response);

/* Fills in the response, or returns an error with *message ("" for the error's own message). */
typedef enum error route_handler(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES]);

enum dialect request_dialect(const struct request *request);
struct slice request_body(const struct request *request);
/* A query parameter by its snake_case name, in either spelling. Absent leaves *out alone.
 * ERR_INVALID_FIELD when it is no UTF-8 or is given in both spellings. */
MUST_USE enum error request_query(struct request *request, const char *snake_name,
                                  struct slice *out, char message[MESSAGE_BYTES]);
/* Calls `visit` for each argument of the query until it returns false. An argument without '=' has
 * a value without data. */
typedef bool request_visit_argument(void *context, struct slice name, struct slice value);
void request_each_argument(const struct request *request, request_visit_argument *visit,
                           void *context);
enum { REQUEST_ADDRESS_BYTES = 64 };
/* Writes the address of a client, "127.0.0.1:4711" or "[::1]:4711"; "" when it is unknown. */
void request_address_write(struct MHD_Connection *mhd, char out[REQUEST_ADDRESS_BYTES]);
/* Records in the audit log what a request of an operator has done. `event` lacks its origin; its
 * outcome becomes that of `error`. */
void request_audit(const struct request *request, struct audit_event event, enum error error);
/* Identifies the address of the client, without its port; never 0. */
uint32_t request_client_hash(const struct request *request);
/* The value of the first field of a name, or NULL. */
const char *request_header(const struct request *request, enum header_field field);
/* Whether the node that names itself in the request is blocked. */
bool request_is_of_blocked(const struct request *request);
bool request_accepts_gzip(const struct request *request);

/* Reads a gzip-encoded body in place. ERR_INVALID_JSON, ERR_INVALID_FIELD (another encoding),
 * ERR_BODY_TOO_LARGE, with *message; ERR_NO_MEMORY. */
MUST_USE enum error request_inflate(struct request *request, char message[MESSAGE_BYTES]);

/* Checks that the token of the client lets it see a service (canonical id), or all of them if the
 * id is "*". ERR_NO_PERMISSION with *message. */
MUST_USE enum error request_check_read(const struct request *request, struct slice service_id,
                                       char message[MESSAGE_BYTES]);

/* The request does not wait for the end of its reload any more. */
void request_end_reload(struct request *request);

/* Reserves a place of the push thread for a long poll or a WebSocket. ERR_TOO_MANY_SUBSCRIBERS with
 * *message. */
MUST_USE enum error request_reserve(struct request *request, char message[MESSAGE_BYTES]);
