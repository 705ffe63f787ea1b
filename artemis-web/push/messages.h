/* SPDX-License-Identifier: Apache-2.0
 *
 * messages - the texts that are sent on WebSockets: changes, in the form of a subscription, and
 * responses to messages of clients. Pure; a failed allocation shows in text_failed.
 *
 * A subscription to /ws whose message has a camelCase name gets camelCase. Others get snake_case
 * and, where a name differs, also the camelCase name: the newer Rust client subscribes in
 * snake_case and reads camelCase, and every client ignores unknown names.
 */
#pragma once

#include "artemis-core/json/codec.h"
#include "artemis-server/events/event.h"

enum push_form {
    FORM_NATIVE, /* snake_case and camelCase names */
    FORM_CAMEL,  /* camelCase names */
    FORM_JAVA,   /* one change per message, without an envelope */
    FORM_COUNT,
};

/* The limit of the Java clients, and of Tomcat for their messages. */
enum { JAVA_MESSAGE_BYTES_MAX = 8191 };

enum { RETRY_AFTER_SECS = 1 }; /* as in the header of an HTTP response */

/* Appends a change, after a comma where the text is not empty. */
void message_change(struct text *changes, enum push_form form, const struct instance *instance,
                    enum change_type type, uint64_t wall_ms);
/* Appends a reload: the client must discard the state of the service that it has. */
void message_reload(struct text *changes, enum push_form form, struct slice service_id,
                    uint64_t wall_ms);
/* Appends a message of /ws with changes. `partial`: the state is not complete, and the client
 * requests it by HTTP. */
void message_service_change(struct text *out, struct slice service_id, uint64_t revision,
                            struct slice changes, bool partial);

/* Append responses of /ws. */
void message_subscribed(struct text *out, struct slice service_id, uint64_t revision,
                        const char *epoch, bool filtered);
void message_unsubscribed(struct text *out, struct slice service_id);
void message_pong(struct text *out);
void message_subscribed_topic(struct text *out, struct slice topic);
void message_unsubscribed_topic(struct text *out, struct slice topic);
/* Appends an event, as subscribers of its topic get it. */
void message_event(struct text *out, const struct event *event);
/* Appends the number of events that the subscriber of a topic has lost. */
void message_events_lost(struct text *out, struct slice topic, uint64_t count);
/* `service_id` and `topic` are what the client sent; they are left out if they are NULL or too
 * long. */
void message_error(struct text *out, const char *message, struct slice service_id,
                   struct slice topic);
/* The same for a message that a rate limit refuses. */
void message_refused(struct text *out, enum error error, const char *message,
                     struct slice service_id, struct slice topic);
