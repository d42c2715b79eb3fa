"""What the server counts, in Prometheus' form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry per server. `stats` gives the engine's own counters (`Service.stats`) at the time of reading."""

    def __init__(self, stats: Callable[[], dict[str, Any]]) -> None:
        self.registry = CollectorRegistry()
        name = "varco_vision_"
        self.responses = Counter(name + "responses", "HTTP responses", ["path", "status"], registry=self.registry)
        self.answers = Counter(name + "answers", "Answers by how they ended", ["end"], registry=self.registry)
        self.seconds = Histogram(
            name + "request_seconds", "From admission to the last byte", buckets=SECONDS, registry=self.registry
        )
        self.first = Histogram(
            name + "first_token_seconds", "From admission to the first token", buckets=SECONDS, registry=self.registry
        )
        self.prompt = Counter(name + "prompt_tokens", "Tokens of prompts, pictures included", registry=self.registry)
        self.image = Counter(name + "image_tokens", "Tokens of pictures", registry=self.registry)
        self.written = Counter(name + "new_tokens", "Tokens written", registry=self.registry)
        self.admitted = Gauge(name + "admitted", "Requests that wait or are answered", registry=self.registry)
        self.held = Gauge(name + "held_bytes", "Bodies and decoded pictures in memory", registry=self.registry)
        self.registry.register(_Engine(stats))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Engine:
    """Rows and caches of the engine."""

    def __init__(self, stats: Callable[[], dict[str, Any]]) -> None:
        self._stats = stats

    def collect(self) -> list[Any]:
        stats = self._stats()
        rows = GaugeMetricFamily("varco_vision_engine_requests", "Requests in the engine", labels=["state"])
        for state in ("waiting", "running"):
            rows.add_metric([state], stats[state])
        used = CounterMetricFamily("varco_vision_cache_lookups", "Look-ups in the caches", labels=["cache", "result"])
        size = GaugeMetricFamily("varco_vision_cache_bytes", "Bytes in the caches", labels=["cache"])
        for name, cache in stats["caches"].items():
            used.add_metric([name, "hit"], cache["hits"])
            used.add_metric([name, "miss"], cache["misses"])
            size.add_metric([name], cache["bytes"])
        return [rows, used, size]
