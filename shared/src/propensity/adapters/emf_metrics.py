"""The Metrics port: Powertools writes CloudWatch's embedded metric format (EMF) to standard output."""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit, single_metric


class EmfMetrics:
    """The environment variable POWERTOOLS_METRICS_NAMESPACE names the namespace."""

    def count(self, name: str, value: float = 1, **dimensions: str) -> None:
        with single_metric(name=name, unit=MetricUnit.Count, value=value) as metric:
            for key, text in sorted(dimensions.items()):
                metric.add_dimension(name=key, value=text)
