"""Every limit, pool and task as metrics, alerts, dashboards and a live view."""

__all__: list[str] = []
