/* SPDX-License-Identifier: Apache-2.0
 *
 * response_faults - faulty HTTP responses, for tests of what reads responses of other programs.
 *
 * Each fault is one way in which a response can be wrong: cut, dripped, too large, of a wrong
 * length, of wrong types, packed badly, redirected, or no HTTP at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Sends the response; returns when the client has closed the connection, or when there is nothing
 * more to send and the connection is to be closed. `elsewhere` is the URL of redirects. */
typedef void response_fault_send(int fd, const char *elsewhere);

struct response_fault {
    const char *name;
    response_fault_send *send;
};

extern const struct response_fault response_faults[];
extern const size_t response_fault_count;
