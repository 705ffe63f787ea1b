/* SPDX-License-Identifier: Apache-2.0
 *
 * provider_kubernetes_settings - where the Kubernetes API server is, and how this node proves to it
 * what it is: from the settings, the environment and the files of the service account. Reads files,
 * and has no state. The main thread calls it at the start, later the thread of the provider.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/providers/provider_http.h"

enum {
    KUBERNETES_CONNECT_MS = 3000,
    KUBERNETES_LABEL_BYTES = 64,
    KUBERNETES_SERVER_BYTES = CONFIG_TEXT_BYTES + 16,
    KUBERNETES_PATH_BYTES = CONFIG_TEXT_BYTES + 16,
};

struct kubernetes_settings {
    char server[KUBERNETES_SERVER_BYTES]; /* "https://10.96.0.1:443" */
    char namespace[KUBERNETES_LABEL_BYTES], service[KUBERNETES_LABEL_BYTES];
    char ca_file[KUBERNETES_PATH_BYTES], token_file[KUBERNETES_PATH_BYTES]; /* "": none */
};

/* Reads them, at the start and after a reload. Returns what is missing, a sentence; NULL: nothing
 * is. */
const char *kubernetes_settings_read(struct kubernetes_settings *settings,
                                     const struct config *config);
/* A client that sends the token and trusts the authorities. The settings are borrowed; the thread
 * of the client may change them between two requests. ERR_NO_MEMORY. */
MUST_USE enum error kubernetes_settings_open(const struct kubernetes_settings *settings,
                                             struct provider_http **out);
