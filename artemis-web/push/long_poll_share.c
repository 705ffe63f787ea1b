/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/long_poll_share.h"

void long_poll_share_begin(struct long_poll_share *share)
{
    uint32_t size = share->deferred / LONG_POLL_TURNS;
    share->left = size > LONG_POLL_SHARE_MIN ? size : LONG_POLL_SHARE_MIN;
    share->deferred = 0;
}

bool long_poll_share_take(struct long_poll_share *share)
{
    if (share->left == 0) {
        share->deferred++;
        return false;
    }
    share->left--;
    return true;
}
