/* SPDX-License-Identifier: Apache-2.0
 *
 * legacy_node - imitates a node of the older Rust Artemis: /health responds only with OK,
 * replication has only the calls of that version, and bodies must have the fields of its types, in
 * one casing: five status words, all five parts of a key, no member twice, no compression. It
 * records what it could not have read as a violation; legacy_node_stop fails the test for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { LEGACY_NODE_KEYS_MAX = 64 };

enum legacy_version {
    LEGACY_SNAKE,   /* of February 2026: snake_case */
    LEGACY_CAMEL,   /* of March 2026: camelCase */
    LEGACY_REJECTS, /* imaginary: it rejects every update with 422, which is no violation */
};

struct legacy_node;

/* `services`: what it holds, a JSON array in its casing with ' instead of ", or NULL for none. */
struct legacy_node *legacy_node_start(enum legacy_version version, const char *services);
uint16_t legacy_node_port(const struct legacy_node *node);
/* Whether it received the instance and no unregistration since; the number of its renewals. */
bool legacy_node_has(struct legacy_node *node, const char *service_id, const char *instance_id);
int legacy_node_renewals(struct legacy_node *node, const char *service_id, const char *instance_id);
/* Fails the test when there was a violation. */
void legacy_node_stop(struct legacy_node *node);
