/* SPDX-License-Identifier: Apache-2.0
 *
 * certificates - throw-away authorities and certificates, as PEM files in the folder of a test.
 *
 * An authority NAME is the files NAME.pem and NAME.key, and so is a certificate, whose NAME.pem is
 * followed by no other certificate. Files are replaced at once, as an operator replaces them. Every
 * error fails the test.
 */
#pragma once

#include "tests/support/temp_folder.h"

#include <stdbool.h>

struct certificate_options {
    const char *common_name;   /* NULL: the name of the file */
    const char *const *hosts;  /* DNS names and IP addresses, ended by NULL; NULL: 127.0.0.1 */
    int from_days, until_days; /* relative to now; both 0: from -1 to 100 */
};

/* Makes an authority. */
void certificates_make_authority(const struct temp_folder *folder, const char *name);
/* Makes a certificate that the authority signs; NULL options: the defaults. */
void certificates_make(const struct temp_folder *folder, const char *authority, const char *name,
                       const struct certificate_options *options);
/* The path of a file of the folder: NAME.pem or NAME.key. Valid for the next 16 calls. */
const char *certificates_path(const struct temp_folder *folder, const char *file);
