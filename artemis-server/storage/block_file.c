/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/storage/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis-server/log.h"

enum { PATH_BYTES = 1024, READ_BYTES = 16 * 1024 };

static bool write_path(const char *folder, const char *end, char out[PATH_BYTES])
{
    int size = snprintf(out, PATH_BYTES, "%s/%s%s", folder, BLOCK_FILE, end);
    return size > 0 && size < PATH_BYTES;
}

/* --- load ------------------------------------------------------------------------------------- */

/* Appends the file. False with errno. */
static bool read_file(const char *path, struct text *out)
{
    ssize_t size = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (size > 0 && out->size <= BLOCKS_JSON_BYTES_MAX) {
        char *end = text_reserve(out, READ_BYTES);
        size = end ? read(fd, end, READ_BYTES) : -1;
        if (size > 0)
            out->size += (size_t)size;
    }
    int reason = size < 0 ? errno : EFBIG;
    close(fd);
    errno = reason;
    return size == 0;
}

void block_file_load(const char *folder, struct blocks *blocks)
{
    char path[PATH_BYTES];
    char message[MESSAGE_BYTES] = "it cannot be read";
    struct text text = {0};
    struct block newest;
    uint64_t hash;
    if (!write_path(folder, "", path))
        return;
    bool is_read = read_file(path, &text);
    bool is_missing = !is_read && errno == ENOENT;
    const struct slice body = {text.data, text.size};
    if (!is_missing &&
        (!is_read || blocks_merge(blocks, body, UINT64_MAX, &newest, &hash, message)))
        log_event(LOG_LEVEL_ERROR,
                  "the list of blocked nodes was not loaded; this node takes that of its peers",
                  LOG_TEXT("file", path), LOG_TEXT("reason", message));
    atomic_store(&blocks->stored, blocks_hash(blocks));
    text_free(&text);
}

/* --- store ------------------------------------------------------------------------------------ */

static bool write_all(int fd, struct slice bytes)
{
    size_t written = 0;
    while (written < bytes.size) {
        ssize_t size = write(fd, bytes.data + written, bytes.size - written);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return false;
        written += (size_t)size;
    }
    return fsync(fd) == 0;
}

static bool replace_file(const char *folder, struct slice bytes)
{
    char path[PATH_BYTES];
    char temporary[PATH_BYTES];
    errno = ENAMETOOLONG;
    if (!write_path(folder, "", path) || !write_path(folder, ".new", temporary))
        return false;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return false;
    bool is_written = write_all(fd, bytes);
    close(fd);
    if (!is_written || rename(temporary, path) != 0)
        return false;
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd >= 0) {
        (void)!fsync(folder_fd);
        close(folder_fd);
    }
    return true;
}

void block_file_store(const char *folder, struct blocks *blocks)
{
    struct text text = {0};
    uint64_t hash = blocks_hash(blocks);
    if (hash == atomic_load(&blocks->stored))
        return;
    blocks_write(blocks, &text); /* of this hash, or of a later list, which is written again */
    if (!text_failed(&text) && replace_file(folder, (struct slice){text.data, text.size})) {
        atomic_store(&blocks->stored, hash);
        blocks->store_fails = false;
    } else if (!blocks->store_fails) {
        blocks->store_fails = true;
        log_event(LOG_LEVEL_ERROR, "the list of blocked nodes cannot be stored",
                  LOG_TEXT("folder", folder), LOG_TEXT("reason", strerror(errno)));
    }
    text_free(&text);
}
