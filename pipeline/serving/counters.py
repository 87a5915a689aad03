"""What the service counts, for Prometheus."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from models.drift import QUIET
from pipeline.serving.answers import Answer

_PATHS = ("/predict", "/info", "/healthz", "/metrics", "/")
_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0)


class Counters:
    """Requests by path and status, answers by their status, and how long their parts took."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        known = self._registry
        self._requests = Counter("requests_total", "Requests", ["path", "status"], registry=known)
        self._answers = Counter(
            "answers_total", "Answers by what became of the picture", ["status"], registry=known
        )
        self._seconds = Histogram(
            "answer_seconds", "Seconds of the parts of an answer", ["part"], buckets=_SECONDS, registry=known
        )
        self.drift = Gauge(
            "drift_evidence", f"Evidence that the pictures drift; {QUIET} is an alarm", registry=known
        )
        self.waiting = Gauge("requests_in_progress", "Requests that are answered or wait", registry=known)

    def count(self, path: str, status: int) -> None:
        """Count a request; paths that there are not are counted together."""
        self._requests.labels(path if path in _PATHS else "other", str(status)).inc()

    def observe(self, answer: Answer) -> None:
        """Count an answer and its times."""
        self._answers.labels(answer.status).inc()
        for part, seconds in answer.seconds.model_dump().items():
            self._seconds.labels(part).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the format of Prometheus."""
        return generate_latest(self._registry)
