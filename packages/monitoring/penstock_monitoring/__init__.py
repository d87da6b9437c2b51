"""Every limit, pool and task as metrics, alerts, dashboards and a live view.

A monitor reads the plain counters that limits, pools and tasks keep anyway; nothing is pushed on their hot paths.
"""

from penstock_monitoring._alerts.defaults import default_alerts
from penstock_monitoring._alerts.hooks import log_hook, webhook_hook
from penstock_monitoring._alerts.rule import Alert, AlertRule
from penstock_monitoring._monitor import ConcurrencyMonitor
from penstock_monitoring._opentelemetry.bridge import OpenTelemetryBridge
from penstock_monitoring._perf.measured import measured
from penstock_monitoring._prometheus.collector import PrometheusCollector
from penstock_monitoring._reading.lag import LoopStatistics
from penstock_monitoring._reading.read import ResourceReading
from penstock_monitoring._reading.snapshot import ProcessReading, Snapshot, Utilisation
from penstock_monitoring._registry.catalogue import METRICS
from penstock_monitoring._registry.metric import Metric
from penstock_monitoring._view.page_server import PageServer

__all__ = [
    "METRICS",
    "Alert",
    "AlertRule",
    "ConcurrencyMonitor",
    "LoopStatistics",
    "Metric",
    "OpenTelemetryBridge",
    "PageServer",
    "ProcessReading",
    "PrometheusCollector",
    "ResourceReading",
    "Snapshot",
    "Utilisation",
    "default_alerts",
    "log_hook",
    "measured",
    "webhook_hook",
]
