/* SPDX-License-Identifier: Apache-2.0
 *
 * request_address - the address of a client as text, for the log.
 */
#pragma once

#include <arpa/inet.h>

struct MHD_Connection;

enum { REQUEST_ADDRESS_BYTES = INET6_ADDRSTRLEN + sizeof("[]:65535") };

/* Writes "127.0.0.1:4711" or "[::1]:4711"; "" when the address is unknown. */
void request_address_write(struct MHD_Connection *mhd, char out[REQUEST_ADDRESS_BYTES]);
