/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/settings.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis/host_addresses.h"

static const char prefix[] = "ARTEMIS_";
static const char suffix[] = ".toml";

/* The object to fill, and where to report. */
struct loading {
    struct config *config;
    struct config_problem *problem;
    struct text *warnings; /* or NULL */
};

/* --- files ------------------------------------------------------------------------------------ */

static enum error cannot_read(const struct loading *loading, const char *path, const char *why)
{
    snprintf(loading->problem->text, sizeof(loading->problem->text), "cannot read %s: %s", path,
             why);
    return ERR_SYSTEM;
}

static enum error no_memory(const struct loading *loading)
{
    snprintf(loading->problem->text, sizeof(loading->problem->text), "out of memory");
    return ERR_NO_MEMORY;
}

/* Reads to the end of the file, whatever its size was before. */
static enum error read_all(const struct loading *loading, const char *path, int fd,
                           struct text *content)
{
    for (;;) {
        char *to = text_reserve(content, BUFSIZ);
        if (!to)
            return no_memory(loading);
        ssize_t got = read(fd, to, BUFSIZ);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cannot_read(loading, path, strerror(errno));
        if (got == 0)
            return ERR_NONE;
        content->size += (size_t)got;
        if (content->size > SETTINGS_FILE_BYTES_MAX)
            return cannot_read(loading, path, "it is larger than 1 MiB");
    }
}

/* Only regular files are read: a FIFO without a writer would block for ever. */
static enum error read_file(const struct loading *loading, const char *path, struct text *content)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return cannot_read(loading, path, strerror(errno));
    enum error code;
    if (fstat(fd, &status) != 0)
        code = cannot_read(loading, path, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        code = cannot_read(loading, path, strerror(EISDIR));
    else if (!S_ISREG(status.st_mode))
        code = cannot_read(loading, path, "it is not a regular file");
    else
        code = read_all(loading, path, fd, content);
    close(fd);
    return code;
}

struct file_visit {
    const struct loading *loading;
    const char *path;
};

static enum error visit_leaf(void *context, const char *key, const struct toml_value *value,
                             uint32_t line)
{
    const struct file_visit *visit = context;
    char source[PATH_MAX + 16];
    snprintf(source, sizeof(source), "%s:%u", visit->path, line);
    return config_set(visit->loading->config, key, value, source, visit->loading->problem);
}

static enum error load_file(const struct loading *loading, const char *path)
{
    struct text content = {0};
    struct file_visit visit = {loading, path};
    enum error code = read_file(loading, path, &content);
    if (code == ERR_NONE)
        code = toml_read(path, (struct slice){content.data, content.size}, visit_leaf, &visit,
                         loading->problem->text, sizeof(loading->problem->text));
    text_free(&content);
    return code;
}

static int is_fragment(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size >= sizeof(suffix) &&
           strcmp(entry->d_name + size - (sizeof(suffix) - 1), suffix) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum error load_fragments(const struct loading *loading, const char *file)
{
    struct text directory = {0};
    struct dirent **entries = NULL;
    const char *slash = strrchr(file, '/');
    text_append(&directory, file, slash ? (size_t)(slash - file) + 1 : 0);
    text_append_string(&directory, "config.d");
    int count = scandir(text_string(&directory), &entries, is_fragment, by_name);
    enum error code = ERR_NONE;
    if (text_failed(&directory))
        code = no_memory(loading);
    else if (count < 0 && errno != ENOENT)
        code = cannot_read(loading, text_string(&directory), strerror(errno));
    for (int i = 0; i < count; i++) {
        struct text path = {0};
        text_printf(&path, "%s/%s", text_string(&directory), entries[i]->d_name);
        if (code == ERR_NONE)
            code = text_failed(&path) ? no_memory(loading) : load_file(loading, text_string(&path));
        text_free(&path);
        free(entries[i]);
    }
    free(entries);
    text_free(&directory);
    return code;
}

/* --- the environment -------------------------------------------------------------------------- */

/* LEASE_TTL_SECS becomes lease.ttl_secs, URL becomes url. False: too long. */
static bool key_of(struct slice name, char *key, size_t key_size)
{
    if (name.size >= key_size)
        return false;
    for (size_t i = 0; i < name.size; i++)
        key[i] = (char)tolower((unsigned char)name.data[i]);
    key[name.size] = '\0';
    char *underscore = strchr(key, '_');
    if (underscore)
        *underscore = '.';
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* True for variables that Kubernetes and Docker links set for a service named ARTEMIS or
 * ARTEMIS-SERVER: ..._SERVICE_HOST, ..._SERVICE_PORT[_NAME], ..._PORT=tcp://IP:N, ..._PORT_N_TCP. A
 * plain number in ..._PORT was set by the operator, and is refused. */
static bool is_injected(struct slice name, const char *value)
{
    char lower[CONFIG_TEXT_BYTES];
    size_t size = name.size < sizeof(lower) - 2 ? name.size : sizeof(lower) - 2;
    lower[0] = '_';
    for (size_t i = 0; i < size; i++)
        lower[i + 1] = (char)tolower((unsigned char)name.data[i]);
    lower[size + 1] = '\0';
    if (ends_with(lower, "_service_host") || strstr(lower, "_service_port"))
        return true;
    const char *port = strstr(lower, "_port_");
    return (port && isdigit((unsigned char)port[strlen("_port_")])) ||
           (ends_with(lower, "_port") && strstr(value, "://"));
}

/* Warns about a variable that is not of a known section. Each setting has a section and a name, so
 * a variable of one part belongs to another program, unless it resembles a setting. */
static void warn_about(const struct loading *loading, struct slice name, const char *key)
{
    const char *meant = config_nearest(key);
    bool is_of_client = slice_equal(name, SLICE("TOKEN")) || slice_equal(name, SLICE("TOKEN_FILE"));
    if (!loading->warnings || is_of_client || (!meant && !strchr(key, '.')))
        return;
    char shown[CONFIG_TEXT_BYTES];
    char near[CONFIG_VARIABLE_BYTES];
    if (meant)
        config_variable(meant, near);
    text_quote(shown, sizeof(shown), name);
    shown[strlen(shown) - 1] = '\0'; /* the quotes */
    text_printf(loading->warnings, "environment %s%s: not a setting, ignored%s%s%s\n", prefix,
                shown + 1, meant ? "; did you mean " : "", meant ? near : "", meant ? "?" : "");
}

static enum error load_variable(const struct loading *loading, const char *variable)
{
    const size_t prefix_size = sizeof(prefix) - 1;
    const char *equals = strchr(variable, '=');
    if (!equals || strncmp(variable, prefix, prefix_size) != 0)
        return ERR_NONE;
    char key[CONFIG_TEXT_BYTES];
    struct slice name = {variable + prefix_size, (size_t)(equals - variable) - prefix_size};
    const struct config_setting *setting = config_find_variable(name);
    if (setting)
        snprintf(key, sizeof(key), "%s", setting->key);
    else if (!key_of(name, key, sizeof(key)) || is_injected(name, equals + 1))
        return ERR_NONE;
    if (!strchr(key, '.') || !config_has_section((struct slice){key, strcspn(key, ".")})) {
        warn_about(loading, name, key);
        return ERR_NONE;
    }
    char source[CONFIG_TEXT_BYTES + 32];
    snprintf(source, sizeof(source), CONFIG_SOURCE_ENVIRONMENT "%.*s", (int)(equals - variable),
             variable);
    return config_set_text(loading->config, key, equals + 1, source, loading->problem);
}

static enum error load_environment(const struct loading *loading, char *const *environment)
{
    enum error code = ERR_NONE;
    for (char *const *variable = environment; variable && *variable && code == ERR_NONE; variable++)
        code = load_variable(loading, *variable);
    return code;
}

/* --- the command line ------------------------------------------------------------------------- */

static enum error load_set(const struct loading *loading, const char *set)
{
    const char *equals = strchr(set, '=');
    if (!equals || equals == set) {
        char shown[CONFIG_TEXT_BYTES];
        text_quote(shown, sizeof(shown), slice_of(set));
        snprintf(loading->problem->text, sizeof(loading->problem->text),
                 "--set: must be section.key=value, is %s", shown);
        return ERR_INVALID_FIELD;
    }
    char *key = strndup(set, (size_t)(equals - set));
    enum error code =
        key ? config_set_text(loading->config, key, equals + 1, CONFIG_SOURCE_SET, loading->problem)
            : no_memory(loading);
    free(key);
    return code;
}

static enum error load_command_line(const struct loading *loading,
                                    const struct settings_input *input)
{
    for (size_t i = 0; i < input->set_count; i++) {
        enum error code = load_set(loading, input->sets[i]);
        if (code != ERR_NONE)
            return code;
    }
    if (!input->addr)
        return ERR_NONE;
    return config_set_text(loading->config, "server.listen_addr", input->addr, "--addr",
                           loading->problem);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* Looks up the addresses of the host only if the settings need them. */
static enum error advertise(const struct loading *loading)
{
    char name[HOST_NAME_MAX + 1] = "localhost";
    struct host_addresses addresses = {0};
    if (loading->config->cluster.advertise_addr[0] != '\0')
        return ERR_NONE;
    if (host_addresses_list(&addresses) != ERR_NONE) {
        snprintf(loading->problem->text, sizeof(loading->problem->text),
                 "cannot list the addresses of this host: %s; set cluster.advertise_addr",
                 strerror(errno));
        return ERR_SYSTEM;
    }
    (void)gethostname(name, sizeof(name) - 1);
    struct config_host host = {name, addresses.items, addresses.count};
    return config_advertise(loading->config, &host, loading->problem);
}

/* Puts the setting that names a file before the problem of the file. */
static enum error of_setting(const struct loading *loading, const char *key, enum error code)
{
    struct config_problem problem = *loading->problem;
    snprintf(loading->problem->text, sizeof(problem.text), "%s: %.*s", key,
             (int)(sizeof(problem.text) - strlen(key) - 3), problem.text);
    return code;
}

/* Reads the secret of cluster.token_file into cluster.token. */
static enum error load_token_file(const struct loading *loading)
{
    struct config *config = loading->config;
    struct text content = {0};
    struct stat status;
    if (!config->cluster.token_file[0])
        return ERR_NONE;
    enum error code = read_file(loading, config->cluster.token_file, &content);
    while (content.size && isspace((unsigned char)content.data[content.size - 1]))
        content.size--;
    if (code == ERR_NONE)
        code = config_set_text(config, "cluster.token", text_string(&content),
                               config->cluster.token_file, loading->problem);
    if (code == ERR_NONE && !config->cluster.token[0])
        code = cannot_read(loading, config->cluster.token_file, "it is empty");
    if (code == ERR_SYSTEM || code == ERR_INVALID_FIELD)
        code = of_setting(loading, "cluster.token_file", code);
    if (code == ERR_NONE && loading->warnings && stat(config->cluster.token_file, &status) == 0 &&
        status.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH))
        text_printf(loading->warnings,
                    "cluster.token_file: %s can be read or changed by other users; run chmod 600\n",
                    config->cluster.token_file);
    if (content.data)
        explicit_bzero(content.data, content.size);
    text_free(&content);
    return code;
}

static enum error load_layers(const struct loading *loading, const struct settings_input *input)
{
    enum error code = input->file ? load_file(loading, input->file) : ERR_NONE;
    if (code == ERR_NONE && input->file)
        code = load_fragments(loading, input->file);
    if (code == ERR_NONE)
        code = load_environment(loading, input->environment);
    if (code == ERR_NONE)
        code = load_command_line(loading, input);
    if (code == ERR_NONE)
        code = config_validate(loading->config, loading->problem);
    if (code == ERR_NONE)
        code = load_token_file(loading);
    return code == ERR_NONE ? advertise(loading) : code;
}

void settings_defaults(struct config *config)
{
    char host[HOST_NAME_MAX + 1] = "";
    cpu_set_t cores;
    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    int count = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
    config_init(config, host, (uint32_t)count);
}

enum error settings_load(struct config *config, const struct settings_input *input,
                         struct config_problem *problem)
{
    struct config loaded;
    struct loading loading = {&loaded, problem, input->warnings};
    settings_defaults(&loaded);
    enum error code = load_layers(&loading, input);
    if (code != ERR_NONE) {
        config_free(&loaded);
        return code;
    }
    if (input->warnings)
        config_warn(&loaded, input->warnings);
    *config = loaded;
    return ERR_NONE;
}
