/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/record_order.h"

#include "artemis-core/base/sim_bug.h"

int record_order_compare(struct record_order a, struct record_order b)
{
    int by_stamp = stamp_compare(a.stamp, b.stamp);
    if (SIM_BUG(9)) /* a change that was executed late wins */
        return by_stamp;
    if (by_stamp == 0 || !a.client_revision || !b.client_revision ||
        a.client_revision == b.client_revision)
        return by_stamp;
    return a.client_revision < b.client_revision ? -1 : 1;
}
