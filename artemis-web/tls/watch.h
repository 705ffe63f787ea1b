/* SPDX-License-Identifier: Apache-2.0
 *
 * watch - a descriptor whose events a web thread with TLS handles, in addition to those of
 * libmicrohttpd. It belongs to that thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch {
    int fd;
    bool is_added;
    uint32_t events;                       /* of epoll */
    void (*on_event)(struct watch *watch); /* on the web thread */
    void *context;
};
