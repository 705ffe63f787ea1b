/* SPDX-License-Identifier: Apache-2.0
 *
 * retrying_client - a plain HTTP client of a cluster: it repeats a request at another node when one
 * does not serve it. It asks the node that it uses for the list of nodes, after each repetition and
 * with every few requests.
 *
 * It never fails a test, so that any thread may own one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct retrying_client;

/* Begins with the node at that port of 127.0.0.1. Unless it follows the cluster, it knows no other.
 * NULL: no memory. */
struct retrying_client *retrying_client_new(uint16_t port, bool follows_cluster);
void retrying_client_free(struct retrying_client *client);

/* Sends a POST, or a GET where `body` is NULL, to the nodes of the list until one has served it.
 * Returns the response, which is valid until the next call. NULL: no node of the list has; see
 * retrying_client_problem. */
const char *retrying_client_send(struct retrying_client *client, const char *path,
                                 const char *body);

/* The number of requests that were repeated at another node. */
size_t retrying_client_retries(const struct retrying_client *client);
const char *retrying_client_problem(const struct retrying_client *client);
