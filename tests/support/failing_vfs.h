/* SPDX-License-Identifier: Apache-2.0
 *
 * failing_vfs - a file system for SQLite whose writes can be made to fail, as on a full or broken
 * disk.
 *
 * It passes every call to the default file system. failing_vfs_install makes it the default for
 * databases that are opened afterwards.
 */
#pragma once

#include <stdbool.h>

/* SQLITE_OK: writes succeed. SQLITE_FULL, SQLITE_IOERR_WRITE, ...: each write and sync returns that
 * code. Any thread. */
void failing_vfs_set(int code);
/* While it hangs, each write and sync waits, as on a disk that does not respond. Any thread. */
void failing_vfs_hang(bool on);
/* Whether a write or sync is waiting. */
bool failing_vfs_hangs(void);
void failing_vfs_install(void);
