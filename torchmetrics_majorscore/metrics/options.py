"""The options that all metrics of this package have, said once."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from torchmetrics_majorscore.metrics.conditions import Conditions
    from torchmetrics_majorscore.networks import Network
    from torchmetrics_majorscore.networks.synchrony import Sync

NanStrategy = Literal["warn", "ignore", "error"]


class CommonOptions(TypedDict, total=False):
    """Keyword arguments of every metric.

    Args:
        nan_strategy: what ``compute`` does with samples that have no value (missing or not finite): ``"warn"``, the
            default, and ``"ignore"`` leave them out, ``"error"`` raises.
        compute_on_cpu: and those below, see :class:`torchmetrics.Metric`.
    """

    nan_strategy: NanStrategy
    compute_on_cpu: bool
    dist_sync_on_step: bool
    process_group: Any
    dist_sync_fn: Any
    distributed_available_fn: Any
    sync_on_compute: bool
    compute_with_cache: bool


class GivenOptions(CommonOptions, total=False):
    """Keyword arguments of every metric over given features, logits or detections, beside :class:`.CommonOptions`.

    Args:
        network: what made them. A name, best with a digest of its weights, says only that; what :func:`.load_network`
            gives, or an object as :class:`.FeatureNetwork` describes it, also hears raw sounds in ``update``. It
            stands in the signature, and keeps what different networks made apart: states, ranks, reference statistics.
        sample_rate: rate of raw sounds in Hz, whole; needed only for raw sounds.
        cache_conditions: remember what was heard in references beyond ``reset``, by their ids: True or a file, see
            :class:`.Conditions`. From the second epoch on ``target_audio`` may then be left out.
    """

    network: "Network | Sync | None"
    sample_rate: int | None
    cache_conditions: "bool | str | Path | Conditions"


class MetricOptions(CommonOptions, total=False):
    """Keyword arguments of every metric that encodes, and of the collection, beside :class:`.CommonOptions`.

    Args:
        sample_rate: rate of raw audio in Hz, whole; needed only for raw audio.
        fps: frames per second of raw video; needed only for raw video.
        cache_conditions: remember videos and captions beyond ``reset``: True or a file, see :class:`.Conditions`.
    """

    sample_rate: int | None
    fps: float | None
    cache_conditions: "bool | str | Path | Conditions"
