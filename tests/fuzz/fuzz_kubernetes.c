/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses of an API server of Kubernetes: the first byte says which, and the next ones are lines.
 */
#include <string.h>

#include "artemis-server/cluster/providers/kubernetes/kubernetes_view.h"
#include "tests/fuzz/support/fuzz.h"

static struct kubernetes_view view;
static struct kubernetes_event event;
static struct config config;

static void check_endpoint(const struct kubernetes_endpoint *endpoint)
{
    assert(memchr(endpoint->address, '\0', sizeof(endpoint->address)));
    assert(strlen(endpoint->address) >= 2); /* "::" */
    assert(!endpoint->address[strspn(endpoint->address, "0123456789abcdef.:")]);
    assert(memchr(endpoint->pod, '\0', sizeof(endpoint->pod)));
    assert(memchr(endpoint->zone, '\0', sizeof(endpoint->zone)));
}

static void check_view(void)
{
    struct member_list members;
    char problem[KUBERNETES_PROBLEM_BYTES];
    assert(view.endpoint_count <= KUBERNETES_ENDPOINTS_MAX);
    assert(view.lease_count <= KUBERNETES_LEASES_MAX);
    assert(view.departed_count <= view.endpoint_count);
    for (size_t i = 0; i < view.endpoint_count; i++)
        check_endpoint(&view.endpoints[i].endpoint);
    for (size_t i = 0; i < view.lease_count; i++)
        assert(view.leases[i].ttl_ms >= 1000 && view.leases[i].ttl_ms <= 3600000);
    (void)kubernetes_view_members(&view, &config, &members);
    assert(members.count <= MEMBERS_MAX && members.count <= view.endpoint_count);
    (void)kubernetes_view_problem(&view, &config, problem);
}

static void read_line(struct slice line, bool is_list, const struct kubernetes_source *source,
                      uint64_t now_ms)
{
    char version[KUBERNETES_VERSION_BYTES] = "";
    struct kubernetes_status status;
    kubernetes_read_status(line, &status);
    if (is_list) {
        if (kubernetes_view_list(&view, source, line, &event.object, now_ms, now_ms, version))
            assert(version[0] && !strpbrk(version, "&?#/ %"));
    } else if (kubernetes_read_event(source, line, &event)) {
        assert(event.type == KUBERNETES_ERROR || event.object.version[0]);
        kubernetes_view_event(&view, source->kind, &event, now_ms);
    }
    check_view();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ports[] = {"", "peer", "8080", "0"};
    if (size == 0)
        return 0;
    uint64_t now_ms = 1000;
    const struct kubernetes_source source = {data[0] & 1 ? KUBERNETES_LEASES : KUBERNETES_SLICES,
                                             ports[data[0] >> 2 & 3]};
    const char *at = (const char *)data + 1;
    const char *end = (const char *)data + size;
    bool is_list = data[0] & 2;
    view = (struct kubernetes_view){0};
    for (; at < end; is_list = false, now_ms += 20000) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        read_line((struct slice){at, (size_t)(line_end - at)}, is_list, &source, now_ms);
        at = line_end + 1;
    }
    return 0;
}
