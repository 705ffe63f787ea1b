/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the responses of DNS servers: each record that is read has a host that fits and is valid.
 * The first byte selects the type.
 */
#include "artemis-server/cluster/providers/dns_response.h"

#include <arpa/inet.h>
#include <string.h>

#include "tests/fuzz/support/fuzz.h"

static void check_record(const struct dns_record *record, enum dns_type type)
{
    struct in6_addr address;
    size_t size = strnlen(record->host, DNS_HOST_BYTES);
    assert(size > 0 && size < DNS_HOST_BYTES);
    if (type == DNS_SRV)
        assert(record->port != 0 && !strpbrk(record->host, " :/@[]\\%"));
    else
        assert(inet_pton(type == DNS_A ? AF_INET : AF_INET6, record->host, &address) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV};
    struct dns_response response;
    if (size == 0)
        return 0;
    enum dns_type type = types[data[0] % 3];
    if (!dns_response_read(data + 1, size - 1, type, &response))
        return 0;
    assert(response.count <= DNS_RECORDS_MAX);
    assert(response.left_out == 0 || response.count == DNS_RECORDS_MAX);
    for (size_t i = 0; i < response.count; i++)
        check_record(&response.records[i], type);
    return 0;
}
