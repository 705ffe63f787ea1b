/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_response - reads the records of one type from a DNS message.
 *
 * Pure. The message comes from the network: what is not valid is refused or left out, and nothing
 * beyond DNS_RECORDS_MAX records is kept: of more, the first ones in the order of their texts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_RECORDS_MAX = 64, DNS_HOST_BYTES = 256 };

enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33 };

struct dns_record {
    char host[DNS_HOST_BYTES]; /* A, AAAA: the numeric address; SRV: the target, in lower case */
    uint16_t port;             /* of SRV */
};

struct dns_response {
    size_t count;
    size_t left_out;   /* beyond DNS_RECORDS_MAX */
    uint32_t ttl_secs; /* the lowest of the message */
    struct dns_record records[DNS_RECORDS_MAX];
};

/* The records of this type in the answer section; there may be none. Targets that are no host names
 * are left out, such as the root, which says that there is no such service. False: the message is
 * not valid. */
bool dns_response_read(const uint8_t *data, size_t size, enum dns_type type,
                       struct dns_response *out);
