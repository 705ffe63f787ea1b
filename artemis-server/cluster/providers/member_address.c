/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/member_address.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/config/config_value.h"

enum error member_address_add(struct member_list *members, const struct config *config,
                              const char *address, const char *name)
{
    char url[MEMBER_URL_BYTES];
    bool has_scheme = strstr(address, "://") != NULL;
    bool has_tls = config->cluster.tls.cert[0];
    int size =
        snprintf(url, sizeof(url), "%s%s", has_tls && !has_scheme ? "https://" : "", address);
    if (size < 0 || (size_t)size >= sizeof(url))
        return ERR_INVALID_FIELD;
    return member_list_add_named(members, url, has_tls ? name : "");
}

bool member_address_is_url(const struct config *config, const char *text)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < (config->cluster.tls.cert[0] ? 1 : 2); i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return config_value_is_address(text + strlen(schemes[i]), 0);
    return false;
}
