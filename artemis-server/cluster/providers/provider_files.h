/* SPDX-License-Identifier: Apache-2.0
 *
 * provider_files - checks the files that the settings of the membership providers in use name:
 * secrets, certificates and keys.
 *
 * A provider reads them when a request needs them, and fails then; this is the check beforehand.
 * Reads files; has no state. Any thread may call it. Nothing of a content is shown.
 */
#pragma once

#include "artemis-server/tls/credentials.h"

/* A secret must be a regular file of one line, and a certificate must be valid and have its key.
 * The default folder of the Kubernetes service account is checked where it exists; its namespace
 * only where cluster.kubernetes.service has none. *warnings gets a line for each secret that other
 * users can read or change, and for each certificate that expires soon. On failure *problem names
 * setting, file and reason. ERR_INVALID_FIELD, ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error provider_files_check(const struct config *config, uint64_t wall_ms,
                                         struct text *warnings,
                                         char problem[CREDENTIALS_PROBLEM_BYTES]);
