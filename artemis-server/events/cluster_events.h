/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster_events - publishes what happens in the cluster to the topic artemis.cluster.
 *
 * A subscriber of the topology (topology.h). Each member that joins, leaves or is blocked is an
 * event, and so are the starts, ends and failures of membership providers; the words are those of
 * event_log.h. Every node publishes what it has found out itself.
 */
#pragma once

#include "artemis-server/cluster/topology.h"
#include "artemis-server/events/event_hub.h"

/* The subscriber; the context is the hub. */
void cluster_events_on_event(void *hub, const struct cluster_event *event);
