/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_event - the JSON of events: what a client publishes, and what a node sends to its peers.
 *
 * A payload is any JSON value of at most EVENT_PAYLOAD_BYTES_MAX as compact JSON, and of
 * EVENT_PAYLOAD_DEPTH_MAX levels, so that the messages that contain it can be parsed. It is encoded
 * again, without blanks and with the members of objects in their order.
 *
 * Pure.
 */
#pragma once

#include "artemis-core/json/codec.h"

enum {
    EVENT_PAYLOAD_BYTES_MAX = 4096,
    EVENT_PAYLOAD_DEPTH_MAX = 32,
    EVENTS_PER_MESSAGE_MAX = 256,
};

/* Borrowed from what it was read from. */
struct event_item {
    uint64_t number;  /* of its publisher, from 1 on */
    uint64_t wall_ms; /* when it was published */
    struct slice topic;
    struct slice payload; /* compact JSON */
};

struct event_message;

/* Reads {"topic","payload"} of a client. ERR_INVALID_JSON, ERR_INVALID_FIELD, ERR_BODY_TOO_LARGE
 * (the payload), ERR_TOO_MANY_ITEMS, with *message; ERR_NO_MEMORY. */
MUST_USE enum error event_message_read_published(struct slice body, struct event_message **out,
                                                 char message[MESSAGE_BYTES]);
/* Reads {"run","to_run"?,"events":[{"number","time_ms","topic","payload"}]} of a peer, where each
 * payload is a string that contains the JSON: a tree of all payloads together would be too large.
 * Errors as above. One invalid event refuses all. */
MUST_USE enum error event_message_read_peer(struct slice body, struct event_message **out,
                                            char message[MESSAGE_BYTES]);
void event_message_free(struct event_message *message); /* accepts NULL */

/* Reads only a payload. The caller frees *compact. ERR_INVALID_FIELD (it is not JSON, or too deep),
 * ERR_BODY_TOO_LARGE, with *message; ERR_NO_MEMORY. */
MUST_USE enum error event_payload_read(struct slice json, char **compact,
                                       char message[MESSAGE_BYTES]);

size_t event_message_count(const struct event_message *message);
struct event_item event_message_item(const struct event_message *message, size_t index);
/* Of a peer: the process that published the events. */
struct slice event_message_run(const struct event_message *message);
/* Of a peer: the process that they are for; empty: not known to the peer. */
struct slice event_message_to_run(const struct event_message *message);

/* Writes an event for a peer. */
void codec_write_peer_event(struct json_writer *w, const struct event_item *item);
