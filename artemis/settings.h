/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - loads the settings of a node from all their sources.
 *
 * There are four layers. For each setting the last layer that sets it wins:
 *   1. the file of --config;
 *   2. the fragments config.d/NAME.toml beside that file, ordered by the bytes of their names.
 *      Hidden files, other suffixes and a missing config.d are ignored;
 *   3. the environment: ARTEMIS_LEASE_TTL_SECS is lease.ttl_secs. A name of a section without a
 *      setting of that name is refused. Any other ARTEMIS_ name of two parts, or one that resembles
 *      a setting, causes a warning. Names of other programs (ARTEMIS_URL, ARTEMIS_BINARY) and the
 *      variables that an orchestrator sets for a service named ARTEMIS or ARTEMIS-SERVER
 *      (ARTEMIS_SERVICE_HOST, ARTEMIS_PORT_8080_TCP, ARTEMIS_SERVER_SERVICE_HOST) do not;
 *   4. the command line: each --set section.key=value in its order, then --addr HOST:PORT.
 *
 * If the server listens on every interface and cluster.advertise_addr is not set, it is derived
 * from the addresses of the host.
 *
 * Only regular files are read. artemis-core/config checks the values. The first error ends the
 * loading, with a message that starts with its source.
 *
 * Reads files, the host name, the addresses of the host and the number of cores that this process
 * may use; has no state.
 * Thread-safe as long as no thread changes the environment.
 */
#pragma once

#include "artemis-core/config/config.h"

enum { SETTINGS_FILE_BYTES_MAX = 1 << 20 };

struct settings_input {
    const char *file;         /* of --config; NULL: no layers 1 and 2 */
    char *const *environment; /* as environ(7); NULL: no layer 3 */
    const char *const *sets;  /* the texts of --set */
    size_t set_count;
    const char *addr;      /* of --addr, or NULL */
    struct text *warnings; /* warnings are appended, one line each; or NULL */
};

/* Fills `config`, which is freed with config_free. Fails with ERR_INVALID_FIELD (a setting),
 * ERR_SYSTEM (a file) or ERR_NO_MEMORY; then `problem` states the cause, and `config` holds nothing
 * to free. */
MUST_USE enum error settings_load(struct config *config, const struct settings_input *input,
                                  struct config_problem *problem);

/* The defaults on this host, without any layer. */
void settings_defaults(struct config *config);
