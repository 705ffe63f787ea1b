/* SPDX-License-Identifier: Apache-2.0
 *
 * client - identifies a client for limits: by the name of its token, else by its address.
 *
 * IPv6 addresses count by their network of 64 bits, because a host can choose the other half. An
 * IPv4 address that was mapped into IPv6 counts as IPv4.
 *
 * Pure and thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/auth/token.h"
#include "artemis-core/base/text.h"

struct sockaddr;

enum {
    CLIENT_ADDRESS_SIZE_MAX = 8,
    CLIENT_NAME_BYTES = TOKEN_NAME_BYTES_MAX + 16, /* with the terminating zero */
};

struct client_address {
    uint8_t size; /* 4: IPv4; 8: a network of IPv6; 0: not known */
    uint8_t bytes[CLIENT_ADDRESS_SIZE_MAX];
};

/* `address` may be NULL. */
struct client_address client_address_of(const struct sockaddr *address);
/* The bytes that identify the address, borrowed. */
struct slice client_address_bytes(const struct client_address *address);
uint64_t client_address_hash(const struct client_address *address, uint64_t seed);
bool client_address_equal(const struct client_address *a, const struct client_address *b);
/* Whether it is an address of the loopback interface: 127.0.0.0/8, or the network of ::1. */
bool client_address_is_loopback(const struct client_address *address);
/* Writes "10.0.0.1", "2001:db8::/64", or "unknown". */
void client_address_write(const struct client_address *address, char out[CLIENT_NAME_BYTES]);

/* Borrows everything. */
struct client {
    const char *token; /* its name; NULL: none */
    const struct client_address *address;
};

/* A client in memory of its own. */
struct client_id {
    bool is_token;
    uint8_t size;
    char bytes[TOKEN_NAME_BYTES_MAX];
};

struct client_id client_id_of(const struct client *client);
bool client_id_equal(const struct client_id *a, const struct client_id *b);
/* Writes "token shop", or the address as above. */
void client_id_write(const struct client_id *id, char out[CLIENT_NAME_BYTES]);
