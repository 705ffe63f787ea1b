/* SPDX-License-Identifier: Apache-2.0
 *
 * wire - what the client and its servers say to each other: JSON to records, and back.
 *
 * Fields are those of the contract, in snake_case. What a server says is foreign: what cannot be
 * read is ERR_INVALID_JSON, and an instance that cannot be right is passed over. Pure.
 */
#pragma once

#include "libartemis/record.h"

#include "artemis-core/json/codec.h"

enum { WIRE_RUN_MAX = 80, WIRE_WORD_MAX = 48, WIRE_MESSAGE_MAX = 384 };

/* --- said by the client ----------------------------------------------------------------------- */

/* {"instances":[..]}, or {"instance_keys":[..]} of the same. Ask text_failed. */
void wire_write_instances(struct text *out, struct instance *const *instances, size_t count);
void wire_write_keys(struct text *out, struct instance *const *instances, size_t count);

/* Of the service, or "*"; `run` "": from now on. Ask text_failed. */
void wire_write_subscribe(struct text *out, const char *service_id, uint64_t version,
                          const char *run);
void wire_write_unsubscribe(struct text *out, const char *service_id);

/* The path at which the state of a service (or of "*") is asked for. Ask text_failed. */
void wire_write_state_path(struct text *out, const char *service_id);

/* --- answers ---------------------------------------------------------------------------------- */

struct wire_failure {
    struct instance_key key;
    char reason[WIRE_WORD_MAX];
    char message[WIRE_MESSAGE_MAX];
};

/* What became of a request of the registry. */
struct wire_outcome {
    bool done; /* all of it */
    char reason[WIRE_WORD_MAX];
    char message[WIRE_MESSAGE_MAX];
    struct wire_failure *failures; /* the items that were not */
    size_t failure_count;
};

/* ERR_INVALID_JSON: this is no answer of an Artemis server. ERR_NO_MEMORY. */
MUST_USE enum error wire_read_outcome(struct slice body, struct wire_outcome *outcome);
void wire_free_outcome(struct wire_outcome *outcome);

/* The answer to a question for the state. `outcome` tells if it was answered. */
struct wire_state {
    struct wire_outcome outcome;
    uint64_t version;
    struct record **records; /* with a reference each */
    size_t count;
    size_t passed_over; /* instances that cannot be right */
};

MUST_USE enum error wire_read_state(struct slice body, struct wire_state *state);
void wire_free_state(struct wire_state *state);

/* --- pushed ----------------------------------------------------------------------------------- */

enum push_type { PUSH_OTHER, PUSH_SUBSCRIBED, PUSH_PONG, PUSH_ERROR, PUSH_CHANGE };

struct push_change {
    enum change_type type;
    struct record *record; /* one reference; NULL for a reload */
    int64_t time_ms;       /* ms since 1970; 0: not said */
};

struct push_message {
    enum push_type type;
    char service_id[ID_BYTES_MAX + 1]; /* in lower case; or "*" */
    uint64_t version;
    char run[WIRE_RUN_MAX]; /* as JSON; "" where none was said */
    bool incomplete;        /* of a reload: what follows is not the whole state */
    struct push_change *changes;
    size_t count;
    size_t passed_over;             /* changes that cannot be read */
    char message[WIRE_MESSAGE_MAX]; /* of an error */
};

MUST_USE enum error wire_read_push(struct slice body, struct push_message *message);
void wire_free_push(struct push_message *message);

/* "2026-02-14T08:00:00.123Z" in ms since 1970; 0 for what is none. */
int64_t wire_read_time(const char *text);
