/* SPDX-License-Identifier: Apache-2.0
 *
 * credential_check - checks the certificates that the settings name, as the start of a node does.
 *
 * Reads files; has no state. Any thread may call it.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-server/tls/credentials.h"

/* Reads the files of each listener with TLS. *warnings gets a line for each certificate that
 * expires soon, and for each key that other users can read. Fails as credentials_load. */
MUST_USE enum error credential_check(const struct config *config, uint64_t wall_ms,
                                     struct text *warnings,
                                     char problem[CREDENTIALS_PROBLEM_BYTES]);
/* The same for the files of one source. */
MUST_USE enum error credential_check_source(const struct credential_source *source,
                                            uint64_t wall_ms, struct text *warnings,
                                            char problem[CREDENTIALS_PROBLEM_BYTES]);
