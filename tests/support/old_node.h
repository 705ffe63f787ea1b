/* SPDX-License-Identifier: Apache-2.0
 *
 * old_node - a node of the older Rust Artemis, as far as a peer can tell: it answers /health with
 * no more than OK, knows the plain calls of replication, and cannot read what its types do not
 * name: five status words, all five parts of a key, no compression. What it could not have read, it
 * complains about, and a test that ends looks for complaints.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { OLD_NODE_KEYS_MAX = 64 };

struct old_node;

/* It holds these services already: text for JSON with ' for ", an array of services, or NULL. */
struct old_node *old_node_start(const char *services);
uint16_t old_node_port(const struct old_node *node);
/* Has it been told of this instance, and not of its end? And how often was it renewed? */
bool old_node_has(struct old_node *node, const char *service_id, const char *instance_id);
int old_node_renewals(struct old_node *node, const char *service_id, const char *instance_id);
/* Fails the test when there was a complaint. */
void old_node_stop(struct old_node *node);
