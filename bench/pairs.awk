# SPDX-License-Identifier: Apache-2.0
#
# pairs.awk - medians over the pairs of rounds of one comparison.
#
# A line of input is one pair, a round of each server: requests a second, CPU time a request in us,
# p50 and p99 in us, bytes an answer; first the server's five, then the yardstick's. Prints
# "name=value ..." on one line; ratios are medians of the quotients of neighbours.

# The median of column over below; below 0 takes the column alone.
function median(column, below, i, k, v, t) {
    for (i = 1; i <= NR; i++) {
        t = cell[i, column] / (below ? cell[i, below] : 1)
        for (k = i; k > 1 && v[k - 1] > t; k--)
            v[k] = v[k - 1]
        v[k] = t
    }
    return (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2
}

{
    for (i = 1; i <= NF; i++)
        cell[NR, i] = $i
}

END {
    printf "ratio=%.3f rate=%d yardstick_rate=%d ", median(1, 6), median(1, 0), median(6, 0)
    printf "cpu_ratio=%.3f ", median(2, 7)
    printf "cpu_us=%.1f yardstick_cpu_us=%.1f ", median(2, 0), median(7, 0)
    printf "p50_ms=%.2f p99_ms=%.2f ", median(3, 0) / 1e3, median(4, 0) / 1e3
    printf "yardstick_p50_ms=%.2f yardstick_p99_ms=%.2f ", median(8, 0) / 1e3, median(9, 0) / 1e3
    printf "bytes=%.0f yardstick_bytes=%.0f\n", median(5, 0), median(10, 0)
}
