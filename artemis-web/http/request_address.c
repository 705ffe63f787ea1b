/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/request_address.h"

#include <microhttpd.h>
#include <stdio.h>

void request_address_write(struct MHD_Connection *mhd, char out[REQUEST_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr *address =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    out[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *ip = (const void *)address;
        inet_ntop(AF_INET, &ip->sin_addr, host, sizeof(host));
        snprintf(out, REQUEST_ADDRESS_BYTES, "%s:%u", host, ntohs(ip->sin_port));
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ip = (const void *)address;
        inet_ntop(AF_INET6, &ip->sin6_addr, host, sizeof(host));
        snprintf(out, REQUEST_ADDRESS_BYTES, "[%s]:%u", host, ntohs(ip->sin6_port));
    }
}
