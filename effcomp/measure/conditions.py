"""Row of the Record about the other activity of the machine during a measurement."""

import os
from collections import Counter
from collections.abc import Sequence

from effcomp.core.device import Device
from effcomp.measure.activity import Activity, throttled
from effcomp.measure.quiet import QuietWait
from effcomp.measure.timing import Timed
from effcomp.record import Conditions


def conditions(device: Device, timed: Sequence[Timed], quiet_wait: QuietWait) -> Conditions:
    """Return the other activity of the machine while the pairs were timed, and the reasons to call it noise.

    Args:
        device: resolved.
        timed: times of all pairs, with their traces: a GPU throttled under load is not throttled before and after.
        quiet_wait: waiting before the pairs.
    """
    activity = Activity.total([Activity.between(one.before, one.after) for one in timed])
    counts = [one.disturbed_turns for one in timed]
    repeated, disturbed = sum(one.repeated for one in counts), sum(one.disturbed for one in counts)
    noise = activity.noise()
    if disturbed:
        noise.append(f"{disturbed} turns count although they were disturbed, besides {repeated} repeated")
    if not activity.gpu_throttled and any(throttled(sample.gpu) for one in timed for sample in one.trace):
        noise.append("the GPU was throttled")
    if quiet_wait.in_vain:
        noise.append(f"not quiet after {quiet_wait.waited_s:.0f} s of waiting: {quiet_wait.in_vain}")
    return Conditions(
        other_busy_cores=activity.other_cores,
        free_cores=max(0.0, len(device.cores or os.sched_getaffinity(0)) - activity.other_cores),
        waited_s=quiet_wait.waited_s,
        repeated_turns=repeated,
        disturbed_turns=disturbed,
        disturbances=dict(sum((one.reasons for one in counts), Counter())),
        waiting_counted=all(one.counted for one in counts),
        stolen_share=activity.stolen_share,
        clock_before_mhz=timed[0].before.mhz,
        clock_after_mhz=timed[-1].after.mhz,
        throttle_events=activity.throttle_events,
        noise=noise,
    )
