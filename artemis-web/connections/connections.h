/* SPDX-License-Identifier: Apache-2.0
 *
 * connections - the table of open connections: their limit and their timeouts.
 *
 * libmicrohttpd has a timeout for idle connections only, for which it reads the clock eight times
 * for each request. Connections have none of it until the table ends them. The table has these:
 *
 *   - A request must arrive within REQUEST_SECS plus one second for each BODY_BYTES_PER_SEC of body
 *     received so far. Otherwise it gets 408 and the connection is closed. The first one includes
 *     the handshake of TLS, which is ended without a response.
 *   - A request is dropped when its client disconnects before it is complete.
 *   - A request of which nothing is read for BLOCKED_CHECKS sweeps, although more has arrived, gets
 *     431: the header of a chunk exceeds the buffer of libmicrohttpd, which then reads no more.
 *   - A connection is reset when its client does not acknowledge the pending bytes of a response,
 *     or of the messages of a WebSocket, within STALLED_SECS, plus one second for each
 *     RESPONSE_BYTES_PER_SEC that it acknowledges. At most ACKNOWLEDGED_STEP_BYTES count at a time.
 *     Acknowledgements of the client's kernel count.
 *   - A connection without a request is closed after IDLE_SECS.
 *   - At the limit a new connection displaces the one that has been idle for longest, and for
 *     IDLE_BEFORE_DISPLACED_MS at least. If there is none, the new connection gets 503 and never
 *     reaches libmicrohttpd. With TLS, some more are admitted and get 503 for their first request;
 *     beyond that they are closed.
 *   - connections_limit_addresses limits the connections of one address, and those in a TLS
 *     handshake. At that limit a new connection displaces one of its own address, as above, or gets
 *     503; with TLS it is closed. Without a limit in the settings, an address that is not loopback
 *     may have ADDRESS_SHARE_PERCENT of the table.
 *
 * Web threads create and end the connections. To end one from another thread, the table shuts its
 * socket down; libmicrohttpd notices the end of the stream. It does not while the header of a chunk
 * fills its buffer, if the connection was suspended before: it reads nothing then, and gets no
 * event of that socket. The thread of a connection that is ended within a request therefore gives
 * it a timeout of ENDED_SECS. Only that thread can send on a connection with TLS, so the table has
 * it send an error response and shut the socket down, too.
 *
 * The connections of a web thread are a group with a lock of its own, so that the requests of one
 * thread do not wait for those of another. The lock of the table protects what all groups share.
 * Adding, removing and ending a connection takes both, that of the table first; a request takes
 * that of its group alone. Both are held for a few steps at a time. A request is therefore either
 * served or timed out, never both, and no socket is shut down after it was closed.
 *
 * Any thread may call these functions unless stated otherwise. Times are milliseconds of the
 * monotonic clock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "artemis-core/base/error.h"
#include "artemis-server/limits/client.h"

enum {
    REQUEST_SECS = 10,
    BODY_BYTES_PER_SEC = 16 * 1024,
    IDLE_SECS = 75,
    STALLED_SECS = 10,
    RESPONSE_BYTES_PER_SEC = 4 * 1024,
    /* While a program reads slowly, its kernel acknowledges in steps: on loopback 93 KiB with the
     * default receive buffer of Linux, and 640 KiB when a fast reader has grown it to 6 MiB. */
    ACKNOWLEDGED_STEP_BYTES = 256 * 1024,
    CONNECTIONS_REPORT_MS = 10 * 1000, /* between two lines of the log about refused connections */
    BLOCKED_CHECKS = 3,
    ENDED_SECS = 1, /* until libmicrohttpd ends a connection that the table has ended */
    IDLE_BEFORE_DISPLACED_MS = 1000,
    ADDRESS_SHARE_PERCENT = 80,
    CONNECTION_GROUPS = 16,
};

enum connection_state {
    CONNECTION_NEW,     /* no request yet */
    CONNECTION_IDLE,    /* between two requests */
    CONNECTION_READING, /* a request is being received */
    CONNECTION_SERVING, /* a request is complete, its response not yet sent */
    CONNECTION_CLOSING, /* the table has shut it down */
    CONNECTION_STATES,
};

struct connection;
struct connection_address;

/* Where a connection comes from. */
struct connection_origin {
    struct client_address address;
    bool has_tls;
};

/* Has the thread of a connection end it, after the table has listed it as closing. With TLS the
 * thread sends connection_write_end_error, if there is an error, and shuts the socket down. The
 * locks of the table and of the group are held. */
typedef void connection_ender(struct connection *connection);

/* Guarded by the lock of its group, except where it says so. */
struct connection {
    TAILQ_ENTRY(connection) link; /* in the list of its state */
    /* Guarded by the lock of the table: */
    TAILQ_ENTRY(connection) address_link;
    struct connection_address *address; /* NULL: not counted */
    struct connection_group *group;     /* constant */
    connection_ender *end_later;        /* constant; NULL: none, in tests */
    uint64_t since_ms;                  /* when it got into its state */
    uint64_t ended_ms; /* when a sweep first found its client gone in this state; 0: not found */
    /* From the sweeps while serving: */
    uint64_t checked_ms;  /* the last check for a client that is too slow; 0: none */
    uint64_t acked_bytes; /* acknowledged since it connected, at that check */
    union {
        struct {
            _Atomic uint64_t body_bytes; /* of the current request; its web thread counts */
            uint64_t read_bytes;         /* from the socket since it connected; from the sweeps */
        } reading;
        struct {                /* set by the first check */
            uint64_t due_bytes; /* to be acknowledged since it connected, */
            uint64_t due_ms;    /* until then */
        } serving;
    };
    int socket;
    enum error end_error;          /* why the table has ended it; ERR_NONE: without a response */
    struct connection_origin from; /* constant */
    enum connection_state state : 8;
    bool is_excess;    /* constant; beyond the limit: its request must be refused */
    bool timed_out;    /* the table has ended it for that */
    bool in_handshake; /* counted as such: it has TLS and had no request yet. Only its own thread
                        * changes it, with the lock of the table */
    _Atomic bool has_read_all; /* with TLS, by its thread: nothing that arrived is unread */
    uint8_t blocked_checks; /* while reading: sweeps in a row with unread bytes and no progress */
};

/* The connections of one state, the oldest of it first; or of one address. */
TAILQ_HEAD(connection_list, connection);
LIST_HEAD(connection_address_list, connection_address);

/* The addresses that have connections. */
struct connection_addresses {
    struct connection_address_list *buckets; /* NULL: they are not counted */
    uint32_t bucket_count;                   /* a power of two */
    uint64_t hash_seed;
    uint32_t connections_max, handshakes_max;
    bool exempts_loopback;     /* from connections_max */
    uint32_t reports;          /* lines of the log so far */
    uint64_t heaviest_refused; /* connections since the last one, of: */
    struct client_address heaviest;
};

struct connection_counters {
    uint64_t accepted, displaced, timed_out;
    uint64_t refused;            /* at the limit of the table */
    uint64_t refused_by_address; /* at the limit of their address */
    uint64_t handshakes_refused; /* at the limit of TLS handshakes of their address */
    uint64_t closed_slow;        /* of timed_out: the client read too slowly */
};

/* The connections of one web thread, or of some. */
struct connection_group {
    pthread_mutex_t lock;
    struct connection_list lists[CONNECTION_STATES];
    uint32_t counts[CONNECTION_STATES];
    char unused[64]; /* no cache line is shared with the next group */
};

struct connections {
    uint32_t limit;
    struct connection_group groups[CONNECTION_GROUPS];
    struct {
        pthread_mutex_t lock;
        uint32_t admitted; /* all but those that are closing, listed or about to be */
        uint32_t closing;  /* of all groups */
        struct connection_counters counters;
        struct connection_addresses addresses;
    } _shared;
    /* Of the thread that sweeps. */
    struct connection_counters reported;
    uint64_t reported_ms;
    bool has_reported;
};

/* Returns the limit of a table: `wanted`, or less where `files` descriptors do not suffice for it.
 * `reserved` of these are for everything else, but half of all at most. */
uint32_t connections_limit(uint32_t wanted, uint64_t files, uint32_t reserved);
/* Returns how many descriptors a table of `limit` connections needs with `reserved` others. */
uint64_t connections_files(uint32_t limit, uint32_t reserved);

void connections_init(struct connections *table, uint32_t limit);
/* Limits the connections of each address (0: to ADDRESS_SHARE_PERCENT of the table, except for
 * loopback), and those of them with TLS that have not sent their first request (0: no limit). To be
 * called before the first connection. ERR_NO_MEMORY. */
MUST_USE enum error connections_limit_addresses(struct connections *table, uint32_t connections_max,
                                                uint32_t handshakes_max, uint64_t hash_seed);
void connections_free(struct connections *table); /* must be empty */

enum { ERROR_RESPONSE_BYTES = 768, LIMIT_MESSAGE_BYTES = 128 };

/* Writes the bytes of an error response; returns their number, 0 if they do not fit. `message` may
 * be NULL. */
size_t connection_write_error(enum error error, const char *message,
                              char out[ERROR_RESPONSE_BYTES]);
/* Writes an error response to a plain socket without libmicrohttpd, which must not be sending on
 * it. Drops what does not fit the buffer of the socket, since the connection is about to end.
 * `message` may be NULL. */
void connection_refuse(int socket, enum error error, const char *message);

/* Writes the error response of a connection that the table has ended, as above. */
size_t connection_write_end_error(const struct connection *connection,
                                  char out[ERROR_RESPONSE_BYTES]);

/* Admits a connection that was just accepted. At a limit it ends an idle connection in exchange.
 * Without one it admits some more with TLS, unless their address is at its limit; to others it
 * sends 503 and returns false, and the caller closes the socket. The caller adds or cancels an
 * admitted connection. */
bool connections_admit(struct connections *table, int socket, const struct connection_origin *from,
                       uint64_t now_ms);
void connections_cancel(struct connections *table, const struct connection_origin *from);
/* Writes the message of ERR_TOO_MANY_CONNECTIONS. */
void connections_describe_limit(const struct connections *table, char out[LIMIT_MESSAGE_BYTES]);
/* Adds an admitted connection of the web thread with this number. `connection` is the caller's
 * memory until it is removed. */
void connections_add(struct connections *table, struct connection *connection, int socket,
                     const struct connection_origin *from, connection_ender *end_later,
                     uint32_t thread, uint64_t now_ms);
void connections_remove(struct connections *table, struct connection *connection);

/* The next three are called by the web thread of the connection.
 *
 * A request begins. Returns how long the connection had been without one before. */
uint64_t connection_reading(struct connections *table, struct connection *connection,
                            uint64_t now_ms);
/* A part of its body was received. */
void connection_received(struct connection *connection, uint64_t body_bytes);
/* The request is complete. Returns false when a sweep has ended the connection before. */
bool connection_serving(struct connection *connection, uint64_t now_ms);
/* Its response was sent. */
void connection_idle(struct connection *connection, uint64_t now_ms);

/* Returns true when the client has closed or reset the connection, or its sending side. */
bool connection_has_ended(int socket);
/* Returns when the kernel received the last bytes of the connection; 0: not known. */
uint64_t connection_received_ms(int socket, uint64_t now_ms);
/* Returns for how long the end of the connection can be behind a request: twice the smallest round
 * trip that the kernel has measured lately, 500 ms at most. */
uint64_t connection_end_delay_ms(int socket);
/* The same from the smoothed and the smallest round trip that the kernel measured. The smoothed one
 * includes the time for which the client delays its acknowledgements, 40 ms on Linux. */
uint64_t connection_two_round_trips_ms(uint32_t smoothed_us, uint32_t smallest_us);

/* Ends the connections whose timeouts have passed. One thread calls it every second. */
void connections_sweep(struct connections *table, uint64_t now_ms);
/* Logs the connections that limits have refused or ended since the last line, at most once in
 * CONNECTIONS_REPORT_MS; with `at_end` in any case. The thread that sweeps calls it. */
void connections_report(struct connections *table, uint64_t now_ms, bool at_end);
/* Ends the connections without a request. Requests that were sent before are still answered. */
void connections_close_idle(struct connections *table);

struct connections_view {
    uint32_t open; /* without those that the table is closing */
    uint32_t closing;
    uint32_t busy; /* reading or serving */
    struct connection_counters counters;
};
void connections_view(struct connections *table, struct connections_view *view);
