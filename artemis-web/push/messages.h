/* SPDX-License-Identifier: Apache-2.0
 *
 * messages - the texts that are pushed: changes in the form that a subscriber reads, and the
 * answers to what it says. Pure.
 *
 * A subscription to /ws that was written in camelCase gets camelCase. One that was not gets
 * snake_case, with the names that differ in camelCase beside it: the newer Rust client subscribes
 * in snake_case and reads camelCase, and every reader ignores what it does not know.
 */
#pragma once

#include "artemis-core/json/codec.h"

enum push_form {
    FORM_NATIVE, /* snake_case, and camelCase beside it */
    FORM_CAMEL,
    FORM_JAVA, /* bare objects, one a message */
    FORM_COUNT,
};

/* What the Java clients read (and Tomcat's limit for what they say). */
enum { JAVA_MESSAGE_BYTES_MAX = 8191 };

/* Appends a change, after a comma where the text is not empty. */
void message_change(struct text *changes, enum push_form form, const struct instance *instance,
                    enum change_type type, uint64_t wall_ms);
/* Appends the change that says: forget what you know of the service. */
void message_reload(struct text *changes, enum push_form form, struct slice service_id,
                    uint64_t wall_ms);
/* Appends the message of /ws around changes. `partial`: they are not all, ask by HTTP. */
void message_service_change(struct text *out, struct slice service_id, uint64_t version,
                            struct slice changes, bool partial);

/* Answers on /ws. */
void message_subscribed(struct text *out, struct slice service_id, uint64_t version,
                        const char *epoch);
void message_unsubscribed(struct text *out, struct slice service_id);
void message_pong(struct text *out);
void message_error(struct text *out, const char *message);
