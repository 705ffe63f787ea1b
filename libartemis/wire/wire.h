/* SPDX-License-Identifier: Apache-2.0
 *
 * wire - the JSON between the client and its servers: writes requests, reads responses and pushes.
 *
 * Fields are those of the contract, in snake_case. Servers are not trusted: text that cannot be
 * read is ERR_INVALID_JSON, and invalid instances are ignored and counted. Lists are read item by
 * item (list_reader), so that JSON needs no more memory than the instances that it holds. Pure.
 */
#pragma once

#include "libartemis/base/shared_event.h"
#include "libartemis/base/shared_instance.h"
#include "libartemis/wire/list_reader.h"

#include "artemis-core/json/codec.h"
#include "artemis-core/model/topic_name.h"

enum {
    WIRE_EPOCH_MAX = 80,
    WIRE_WORD_MAX = 48,
    WIRE_MESSAGE_MAX = 384,
    WIRE_FAILURES_MAX = 1000, /* in one response */
};

/* --- requests and messages of the client ------------------------------------------------------ */

/* Append {"instances":[..]}, or {"instance_keys":[..]}, the latter with or without the client
 * revisions. Check text_failed. */
void wire_write_registration(struct text *out, struct instance *const *instances, size_t count);
void wire_write_keys(struct text *out, struct instance *const *instances, size_t count,
                     bool with_revisions);

/* Appends a subscribe message for the service or "*". `epoch` "": without a revision. Check
 * text_failed. */
void wire_write_subscribe(struct text *out, const char *service_id, uint64_t revision,
                          const char *epoch);
void wire_write_unsubscribe(struct text *out, const char *service_id);

/* Appends {"topic","payload"}, the body of a publication; the payload is JSON. Check text_failed.
 */
void wire_write_event(struct text *out, const char *topic, struct slice payload);
/* Appends a message that subscribes to a topic of events, or unsubscribes. Check text_failed. */
void wire_write_topic(struct text *out, const char *topic, bool subscribes);

/* Appends the path of the state of a service (or of "*"), or of the changes of a service after a
 * revision of `epoch`. `epoch` "": the state. An older server sends the state in any case. Check
 * text_failed. */
void wire_write_fetch_path(struct text *out, const char *service_id, uint64_t revision,
                           const char *epoch);
/* Writes the run of a response header as an epoch; "" if it cannot be one. */
void wire_read_run(const char *run, char epoch[WIRE_EPOCH_MAX]);

/* --- responses -------------------------------------------------------------------------------- */

struct wire_failure {
    struct instance_key key;
    uint64_t stored_revision; /* of "stale-revision"; 0: absent */
    char reason[WIRE_WORD_MAX];
    char message[WIRE_MESSAGE_MAX];
};

/* The result of a request. */
struct wire_result {
    bool done; /* the whole request succeeded */
    char reason[WIRE_WORD_MAX];
    char message[WIRE_MESSAGE_MAX];
    struct wire_failure *failures; /* items that failed */
    size_t failure_count;
};

void wire_free_result(struct wire_result *result);

struct push_change {
    enum change_type type;
    struct shared_instance *instance; /* a reference; NULL for CHANGE_RELOAD */
    int64_t time_ms;                  /* ms since 1970; 0: absent */
};

/* The response to a fetch. It has instances, or changes, if `result` is a success. */
struct wire_instances {
    struct wire_result result;
    uint64_t revision;                  /* `version` on the wire */
    struct shared_instance **instances; /* a reference each */
    size_t count;
    size_t skipped; /* invalid instances and changes */
    bool is_delta;  /* it has changes instead of the instances */
    struct push_change *changes;
    size_t change_count;
};

void wire_free_instances(struct wire_instances *instances);

/* Reads a response in pieces. */
struct wire_reader {
    struct list_reader lists;
    struct wire_result *result;
    struct wire_instances *instances;    /* NULL: not a fetch */
    struct artemis_published *published; /* NULL: not a publication */
};

/* Zeroes *result or *instances, which the reader fills. The caller frees them, after errors too. */
void wire_reader_start_result(struct wire_reader *reader, struct wire_result *result);
void wire_reader_start_published(struct wire_reader *reader, struct wire_result *result,
                                 struct artemis_published *published);
void wire_reader_start_instances(struct wire_reader *reader, struct wire_instances *instances);
/* ERR_INVALID_JSON: not a response of an Artemis server. ERR_TOO_MANY_ITEMS, ERR_BODY_TOO_LARGE:
 * over a limit. ERR_NO_MEMORY. */
MUST_USE enum error wire_reader_feed(struct wire_reader *reader, struct slice piece);
/* After the last piece. Errors as wire_reader_feed. */
MUST_USE enum error wire_reader_end(struct wire_reader *reader);
void wire_reader_free(struct wire_reader *reader);

/* --- pushes ----------------------------------------------------------------------------------- */

enum push_type {
    PUSH_OTHER,
    PUSH_SUBSCRIBED,
    PUSH_PONG,
    PUSH_ERROR,
    PUSH_CHANGE,
    PUSH_SUBSCRIBED_TOPIC,
    PUSH_EVENT,
    PUSH_EVENTS_LOST,
};

struct push_message {
    enum push_type type;
    char service_id[ID_BYTES_MAX + 1]; /* in lower case; or "*" */
    uint64_t revision;                 /* `version` on the wire */
    char epoch[WIRE_EPOCH_MAX];        /* `run` on the wire, as JSON; "" if absent */
    bool incomplete;                   /* of a reload: the changes are not the complete state */
    struct push_change *changes;
    size_t count;
    size_t skipped;                  /* invalid changes */
    char message[WIRE_MESSAGE_MAX];  /* of an error */
    bool limited;                    /* an error: a rate limit refuses a message for now */
    char topic[TOPIC_BYTES_MAX + 1]; /* of events; "" if absent or invalid */
    struct shared_event *event;      /* a reference; NULL: absent or invalid */
    uint64_t lost;                   /* number of events */
};

/* ERR_INVALID_JSON; ERR_BODY_TOO_LARGE: a change is too large; ERR_NO_MEMORY. */
MUST_USE enum error wire_read_push(struct slice body, struct push_message *message);
void wire_free_push(struct push_message *message);
