/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - brings the settings of a node together, from wherever they are given.
 *
 * Four layers, of which the later wins, setting by setting:
 *   1. the file of --config;
 *   2. the fragments config.d/NAME.toml beside that file, by name (bytes, not locale); hidden ones
 * and what does not end in .toml is passed over, and so is a missing config.d;
 *   3. the environment: ARTEMIS_LEASE_TTL_SECS is lease.ttl_secs. A name that begins with a section
 * but goes on with no setting of it is refused. Any other ARTEMIS_ name is worth a warning, but for
 * ARTEMIS_URL and what an orchestrator sets for a service of that name (ARTEMIS_SERVICE_HOST,
 * ARTEMIS_PORT_8080_TCP), also where it looks like a section (ARTEMIS_SERVER_SERVICE_HOST);
 *   4. the command line: each --set section.key=value in its order, then --addr HOST:PORT.
 *
 * What is allowed is not known here: artemis-core/config checks. The first thing wrong ends the
 * loading, with a sentence that begins with where it is.
 *
 * Reads files, the host name and the number of cores that this process may use; keeps nothing.
 * Thread-safe as long as nobody changes the environment.
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
    struct text *warnings; /* what is odd but stops nothing is appended, a line each; or NULL */
};

/* Fills `config`, which is freed with config_free. Fails with ERR_INVALID_FIELD (a setting),
 * ERR_SYSTEM (a file) or ERR_NO_MEMORY; then `problem` says why, and `config` holds nothing to
 * free. */
MUST_USE enum error settings_load(struct config *config, const struct settings_input *input,
                                  struct config_problem *problem);

/* The defaults on this host, which no layer has touched. */
void settings_defaults(struct config *config);
