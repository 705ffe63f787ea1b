/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/long_poll_share.h"

void long_poll_share_begin(struct long_poll_share *share)
{
    uint32_t wanted = share->deferred / LONG_POLL_TURNS;
    if (wanted < LONG_POLL_SHARE_MIN)
        wanted = LONG_POLL_SHARE_MIN;
    if (wanted > share->size || share->deferred == 0 || share->turns_left == 0) {
        share->size = wanted;
        share->turns_left = LONG_POLL_TURNS;
    }
    share->turns_left--;
    share->left = share->size;
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
