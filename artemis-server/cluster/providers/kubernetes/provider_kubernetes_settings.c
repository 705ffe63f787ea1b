/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/kubernetes/provider_kubernetes_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/config/config_value.h"

static bool read_namespace(struct kubernetes_settings *settings, const char *account_dir)
{
    char path[KUBERNETES_PATH_BYTES];
    char name[PROVIDER_HTTP_SECRET_BYTES];
    char problem[PROVIDER_HTTP_PROBLEM_BYTES];
    snprintf(path, sizeof(path), "%s/namespace", account_dir);
    if (!provider_http_read_secret(path, name, problem) || !config_value_is_label(name))
        return false;
    memcpy(settings->namespace, name, strlen(name) + 1);
    return true;
}

static bool read_service(struct kubernetes_settings *settings, const char *service,
                         const char *account_dir)
{
    const char *slash = strchr(service, '/');
    snprintf(settings->service, KUBERNETES_LABEL_BYTES, "%.63s", slash ? slash + 1 : service);
    if (!slash)
        return read_namespace(settings, account_dir);
    snprintf(settings->namespace, KUBERNETES_LABEL_BYTES, "%.*s", (int)(slash - service), service);
    return true;
}

static bool read_server(struct kubernetes_settings *settings, const char *api_server)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    bool has_environment = host && port;
    if (api_server[0])
        snprintf(settings->server, KUBERNETES_SERVER_BYTES, "%s", api_server);
    else if (has_environment)
        snprintf(settings->server, KUBERNETES_SERVER_BYTES,
                 strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
    return api_server[0] || has_environment;
}

const char *kubernetes_settings_read(struct kubernetes_settings *settings,
                                     const struct config *config)
{
    const char *account_dir = config->cluster.kubernetes.account_dir;
    if (!read_server(settings, config->cluster.kubernetes.api_server))
        return "cluster.kubernetes.api_server is not set, and the environment has no "
               "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT";
    if (!read_service(settings, config->cluster.kubernetes.service, account_dir))
        return "cluster.kubernetes.account_dir has no file with the namespace of this node, and "
               "cluster.kubernetes.service has no namespace";
    if (account_dir[0]) {
        snprintf(settings->ca_file, KUBERNETES_PATH_BYTES, "%s/ca.crt", account_dir);
        snprintf(settings->token_file, KUBERNETES_PATH_BYTES, "%s/token", account_dir);
    }
    return NULL;
}

enum error kubernetes_settings_open(const struct kubernetes_settings *settings,
                                    struct provider_http **out)
{
    const struct provider_http_options options = {
        .ca = settings->ca_file,
        .cert = "",
        .key = "",
        .token_file = settings->token_file,
        .token_prefix = "Authorization: Bearer ",
        .connect_timeout_ms = KUBERNETES_CONNECT_MS,
    };
    return provider_http_create(&options, out);
}
