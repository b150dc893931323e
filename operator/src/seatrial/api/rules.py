"""What the schema can't say as bounds: CEL rules that the API server checks, as one table.

Each hangs on the field that the refusal names; `[]` stands for the items of a list. `schema` puts them in place.
Two facts of the API server shape the expressions:
- It checks an object's default (`{}`) before filling it, so rules over several fields ask `has()` first.
- It refuses expressions that could be costly; the bounds of strings and lists are what keeps these cheap.
"""

from __future__ import annotations

import msgspec

from .placement import OWN_KEYS, RESERVED_ENV
from .spec import MIN_DURATION
from .values import DURATION_PATTERN


class Form(msgspec.Struct, frozen=True):
    """What a text must look like: a CEL expression on `self`, and how the sentence "must be ..." goes on."""

    holds: str
    words: str

    @classmethod
    def of(cls, pattern: str, words: str, *, value: str = "self") -> Form:
        """`value`: the text that the pattern is about."""
        return cls(f"{value}.matches({_quoted(pattern)})", words)


def _quoted(pattern: str) -> str:
    """As a CEL string, which reads escapes in it."""
    return "'" + pattern.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _span(value: str) -> str:
    """A duration as CEL's; no time at all for a text that is none, which is refused where it stands."""
    return f"duration({value}.matches({_quoted(DURATION_PATTERN)}) ? {value} : '0s')"


class Rule(msgspec.Struct, frozen=True):
    """A CEL expression on `self`, the value at `field`, and what the user reads when it is false."""

    field: str
    expression: str
    message: str


def _duration(field: str, low: str, high: str) -> Rule:
    return Rule(
        field,
        f"duration(self) >= duration('{low}') && duration(self) <= duration('{high}')",
        f"{field} must be a duration between {low} and {high}",
    )


def _percentage(field: str, *, above: int | None = None, at_most: int) -> Rule:
    """A ratio is never negative, so only a bound that excludes 0 needs a comparison."""
    value = "double(self.replace('%', ''))"
    if above is None:
        return Rule(field, f"{value} <= {at_most}.0", f"{field} must be between 0% and {at_most}%")
    return Rule(
        field,
        f"{value} > {above}.0 && {value} <= {at_most}.0",
        f"{field} must be greater than {above}% and at most {at_most}%",
    )


def _between(field: str, low: str, high: str) -> Rule:
    value = "double(self.replace('%', ''))"
    return Rule(
        field,
        f"{value} >= {float(low)} && {value} <= {float(high)}",
        f"{field} must be between {low}% and {high}%",
    )


def _size(field: str, low: str, high: str) -> Rule:
    """`string(self)`: a quantity may be a number."""
    value = "quantity(string(self))"
    return Rule(
        field,
        f"{value}.compareTo(quantity('{low}')) >= 0 && {value}.compareTo(quantity('{high}')) <= 0",
        f"{field} must be between {low} and {high}",
    )


def _not_ours(field: str) -> Rule:
    """Services and counters find the pods by these keys."""
    each = " && ".join(f"!key.startsWith('{one}')" for one in OWN_KEYS)
    return Rule(
        field,
        f"self.all(key, {each})",
        f"{field} must not have the operator's own keys: {', '.join(OWN_KEYS)}",
    )


def _requests_fit(resource: str) -> Rule:
    """Else the API server refuses the pods, far from the place where the mistake was made."""
    member = resource.replace("-", "__dash__")  # how CEL spells it
    parts = ("self.requests", "self.limits", f"self.requests.{member}", f"self.limits.{member}")
    request, limit = (f"quantity(string({part}))" for part in parts[2:])
    there = [f"has({part})" for part in parts] + [f"isQuantity(string({part}))" for part in parts[2:]]
    return Rule(
        "spec.serving.resources",
        f"!({' && '.join(there)}) || {request}.compareTo({limit}) <= 0",
        f"spec.serving.resources.requests.{resource} must be at most limits.{resource}",
    )


def _address(field: str) -> tuple[Rule, ...]:
    """What each store needs of an address."""
    return (
        Rule(
            field,
            "!self.startsWith('oci://') || "
            "self.matches('^oci://[^/@]+/[^@]+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][-A-Za-z0-9_.]*)$')",
            f"{field} must be oci://registry/repository@sha256:<64 hex digits> or oci://registry/repository:<tag>",
        ),
        Rule(
            field,
            "!self.startsWith('pvc://') || "
            "self.matches('^pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[^/]') && !self.contains('/../')",
            f"{field} must be pvc://claim/path, with the name of a PersistentVolumeClaim and without ..",
        ),
        Rule(
            field,
            "!self.matches('^(s3|gs|az)://') || self.matches('^(s3|gs|az)://[^/]+/[^/]')",
            f"{field} must be s3://bucket/key, gs://bucket/key or az://container/path",
        ),
    )


_AFFINITY = "spec.serving.affinity"
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_EXPRESSIONS = (
    f"nodeAffinity.{_REQUIRED}.nodeSelectorTerms[].matchExpressions[]",
    f"nodeAffinity.{_PREFERRED}[].preference.matchExpressions[]",
    *(
        f"{kind}.{terms}.labelSelector.matchExpressions[]"
        for kind in ("podAffinity", "podAntiAffinity")
        for terms in (f"{_REQUIRED}[]", f"{_PREFERRED}[].podAffinityTerm")
    ),
)


def _values_fit(path: str) -> Rule:
    """Else the API server refuses the pods, far from the place where the mistake was made."""
    some = "has(self.values) && size(self.values) > 0"
    numbers = (
        "(self.operator in ['Gt', 'Lt'] ? has(self.values) && size(self.values) == 1 && "
        "self.values[0].matches('^-?[0-9]+$') : true)"
    )
    return Rule(
        f"{_AFFINITY}.{path}",
        f"(self.operator in ['Exists', 'DoesNotExist']) != ({some})"
        + (f" && {numbers}" if path.startswith("nodeAffinity") else ""),
        f"{_AFFINITY}.{path} must have values with In and NotIn, none with Exists and DoesNotExist"
        + (", one whole number with Gt and Lt" if path.startswith("nodeAffinity") else ""),
    )


RULES = (
    Rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be lower-case letters, digits and hyphens, starting with a letter: a Service gets it",
    ),
    *_address("spec.model.uri"),
    _percentage("spec.quantization.maxDisagreement", at_most=100),
    _requests_fit("cpu"),
    _requests_fit("memory"),
    _requests_fit("ephemeral-storage"),
    _duration("spec.serving.limits.timeout", "10ms", "10m"),
    _size("spec.serving.limits.maxBodyBytes", "1Ki", "1Gi"),
    _size("spec.serving.cache.maxBytes", "64Ki", "16Gi"),
    _duration("spec.serving.cache.ttl", "1s", "24h"),
    *(_values_fit(path) for path in _EXPRESSIONS),
    Rule(
        "spec.serving.env",
        "self.all(a, self.exists_one(b, b.name == a.name))",
        "spec.serving.env must have each name once",
    ),
    Rule(
        "spec.serving.env[]",
        f"!self.name.matches('{RESERVED_ENV}')",
        "spec.serving.env[].name must not be a variable that the linker, the interpreter or the server reads (PATH, "
        "HOME, TMPDIR, LD_*, PYTHON*, OPENSSL_*, ORT_*, SEATRIAL_* and the like)",
    ),
    _not_ours("spec.serving.podLabels"),
    _not_ours("spec.serving.podAnnotations"),
    Rule(
        "spec.serving.tolerations[]",
        "has(self.key) ? !(has(self.operator) && self.operator == 'Exists' && has(self.value)) : "
        "has(self.operator) && self.operator == 'Exists' && !has(self.value)",
        "spec.serving.tolerations[] must have a key or operator: Exists, and no value with Exists",
    ),
    _duration("spec.serving.terminationGracePeriod", "1s", "1h"),
    _duration("spec.trial.timeout", "1s", "24h"),
    Rule(
        "spec.trial.datasets",
        "self.all(a, self.exists_one(b, b.name == a.name))",
        "spec.trial.datasets must have a name each that no other has",
    ),
    Rule(
        "spec.trial.datasets[].name",
        "!(self in ['calibration', 'reference', 'holdout', 'regressions'])",
        "spec.trial.datasets[].name must not be calibration, reference, holdout or regressions: packages have files so",
    ),
    *_address("spec.trial.datasets[].uri"),
    Rule(
        "spec.rollout.steps",
        "self.map(s, s.weight).isSorted() && self.all(a, self.exists_one(b, b.weight == a.weight))",
        "spec.rollout.steps must have strictly increasing weights, such as 10, 50, 100",
    ),
    Rule(
        "spec.rollout.steps",
        "size(self) == 0 || self[size(self) - 1].weight > 0",
        "spec.rollout.steps must end with a weight above 0: nobody has had an answer of the version before that",
    ),
    Rule(
        "spec.rollout.steps[]",
        "self.weight > 0 || (has(self.shadow) && self.shadow > 0)",
        "spec.rollout.steps[] must have a weight above 0, or a shadow above 0",
    ),
    _duration("spec.rollout.steps[].minDuration", "1s", "168h"),
    _duration("spec.rollout.stepTimeout", "1s", "720h"),
    Rule(
        "spec.rollout",
        "!(has(self.stepTimeout) && has(self.steps)) || self.steps.all(s, "
        f"(has(s.minDuration) ? {_span('s.minDuration')} : duration('{MIN_DURATION}')) <= {_span('self.stepTimeout')})",
        "spec.rollout.stepTimeout must be at least the minDuration of every step",
    ),
    Rule(
        "spec.rollout",
        "!(has(self.traffic) && has(self.traffic.provider) && self.traffic.provider != 'Relay') || !has(self.steps) "
        "|| self.steps.all(s, !has(s.shadow) || s.shadow == 0)",
        "spec.rollout.steps[].shadow must be left out unless spec.rollout.traffic.provider is Relay",
    ),
    Rule(
        "spec.rollout.traffic",
        "!has(self.provider) || self.provider == 'Relay' || "
        "!(has(self.sticky) || has(self.coverAfter) || (has(self.cover) && !self.cover) || "
        "(has(self.trustClientChoice) && self.trustClientChoice))",
        "spec.rollout.traffic must have sticky, cover, coverAfter and trustClientChoice only with provider Relay",
    ),
    Rule(
        "spec.rollout.traffic",
        "has(self.gateway) == (has(self.provider) && self.provider == 'GatewayAPI')",
        "spec.rollout.traffic must have a gateway with provider GatewayAPI, and with no other",
    ),
    Rule(
        "spec.rollout.traffic.gateway.hostnames",
        "self.all(a, self.exists_one(b, b == a))",
        "spec.rollout.traffic.gateway.hostnames must have each host once",
    ),
    Rule(
        "spec.rollout.traffic.sticky",
        "!self.startsWith('seatrial-')",
        "spec.rollout.traffic.sticky must not be one of the serving pods' own headers, seatrial-*",
    ),
    _duration("spec.rollout.traffic.coverAfter", "1ms", "10m"),
    _duration("spec.rollout.startTimeout", "1s", "24h"),
    _duration("spec.rollout.soak", "1s", "168h"),
    Rule(
        "spec.analysis.prometheus",
        "has(self.url) || has(self.secretRef)",
        "spec.analysis.prometheus must have a url, a secretRef or both",
    ),
    Rule(
        "spec.analysis.prometheus.url",
        "self.matches('^https?://[^/?#@]+(/[^?#%]*)?$')",
        "spec.analysis.prometheus.url must have no ?, no # and no user: credentials belong into secretRef",
    ),
    Rule(
        "spec.analysis.metrics",
        "self.all(a, self.exists_one(b, b.name == a.name))",
        "spec.analysis.metrics must have a name each that no other has",
    ),
    Rule(
        "spec.analysis.metrics[]",
        "has(self.max) || has(self.min)",
        "spec.analysis.metrics[] must have a max, a min or both",
    ),
    _duration("spec.analysis.interval", "1s", "10m"),
    _duration("spec.analysis.blindTimeout", "1s", "24h"),
    Rule(
        "spec.analysis",
        f"!(has(self.interval) && has(self.blindTimeout)) || {_span('self.interval')} <= {_span('self.blindTimeout')}",
        "spec.analysis.blindTimeout must be at least spec.analysis.interval",
    ),
    _percentage("spec.analysis.falseRollbackRate", above=0, at_most=20),
    _percentage("spec.analysis.errors.max", at_most=100),
    _duration("spec.analysis.latency.threshold", "1ms", "10m"),
    _percentage("spec.analysis.latency.max", at_most=100),
    Rule(
        "spec.retraining.triggers",
        "self.all(a, self.exists_one(b, b == a))",
        "spec.retraining.triggers must have each of Quality, Drift and Age once",
    ),
    Rule(
        "spec.retraining",
        "(has(self.triggers) && 'Age' in self.triggers) == has(self.maxAge)",
        "spec.retraining.maxAge must be given with trigger Age, and with no other",
    ),
    Rule(
        "spec.retraining",
        "(has(self.adopt) && self.adopt == 'External') || has(self.uriPrefix)",
        "spec.retraining.uriPrefix must be given unless spec.retraining.adopt is External",
    ),
    Rule(
        "spec",
        "!(has(self.retraining) && has(self.retraining.triggers) && 'Drift' in self.retraining.triggers) || "
        "!(has(self.monitoring) && has(self.monitoring.drift) && has(self.monitoring.drift.mode)) || "
        "self.monitoring.drift.mode == 'Watch'",
        "spec.monitoring.drift.mode must be Watch where spec.retraining.triggers has Drift",
    ),
    Rule(
        "spec",
        "!(has(self.retraining) && has(self.retraining.triggers) && 'Quality' in self.retraining.triggers) || "
        "(has(self.monitoring) && has(self.monitoring.quality))",
        "spec.monitoring.quality must be there where spec.retraining.triggers has Quality",
    ),
    _duration("spec.retraining.maxAge", "24h", "8760h"),
    _duration("spec.retraining.minInterval", "1h", "720h"),
    Rule(
        "spec.retraining",
        "!(has(self.maxAge) && has(self.minInterval)) || duration(self.minInterval) <= duration(self.maxAge)",
        "spec.retraining.minInterval must be at most spec.retraining.maxAge",
    ),
    _duration("spec.retraining.timeout", "1m", "168h"),
    Rule(
        "spec.retraining.uriPrefix",
        "!self.startsWith('oci://') || self.matches('^oci://[^/@]+/[^@:]+$')",
        "spec.retraining.uriPrefix must name a repository, such as oci://registry.example.com/churn",
    ),
    Rule(
        "spec.retraining.uriPrefix",
        "!self.contains('/../') && !self.contains('/./') && !self.endsWith('/..')",
        "spec.retraining.uriPrefix must have no . and no .. as names in it",
    ),
    _percentage("spec.monitoring.samples.share", above=0, at_most=100),
    _percentage("spec.analysis.quality.tolerance", at_most=1000),
    _percentage("spec.analysis.outcomes[].tolerance", at_most=1000),
    _duration("spec.analysis.outcomes[].delay", "0s", "24h"),
    _duration("spec.monitoring.feedback.horizon", "30m", "1440h"),
    Rule(
        "spec.analysis.outcomes",
        "self.all(a, self.exists_one(b, b.name == a.name)) && "
        "self.all(a, !(a.name in ['errors', 'latency', 'rejections', 'degraded', 'shed', 'disagreement', 'quality']))",
        "spec.analysis.outcomes must have a name each that no other outcome or metric has",
    ),
    Rule(
        "spec.analysis.outcomes[]",
        "has(self.source) && self.source == 'Prometheus' ? has(self.selector) && has(self.label) && !has(self.event) : "
        "has(self.event) && !has(self.selector) && !has(self.label)",
        "spec.analysis.outcomes[] must have selector and label with source Prometheus, else an event",
    ),
    Rule(
        "spec.analysis.outcomes[]",
        "!has(self.selector) || !(self.selector.contains('[') || self.selector.contains('('))",
        "spec.analysis.outcomes[].selector must be a counter with its labels, without a range or function",
    ),
    Rule(
        "spec.monitoring.feedback.events",
        "self.all(a, self.exists_one(b, b == a))",
        "spec.monitoring.feedback.events must have each event once",
    ),
    Rule(
        "spec.monitoring.feedback.valueCap",
        "!string(self).startsWith('-') && double(string(self)) > 0.0",
        "spec.monitoring.feedback.valueCap must be greater than 0",
    ),
    Rule(
        "spec.monitoring.feedback.within",
        "!string(self).startsWith('-')",
        "spec.monitoring.feedback.within must not be negative",
    ),
    Rule(
        "spec",
        "!(has(self.analysis) && has(self.analysis.quality)) || "
        "(has(self.monitoring) && has(self.monitoring.feedback))",
        "spec.analysis.quality must have spec.monitoring.feedback beside it",
    ),
    Rule(
        "spec",
        "!has(self.analysis) || !has(self.analysis.outcomes) || "
        "self.analysis.outcomes.all(one, !has(one.event) || (has(self.monitoring) && has(self.monitoring.feedback) && "
        "has(self.monitoring.feedback.events) && one.event in self.monitoring.feedback.events))",
        "spec.analysis.outcomes[].event must be one of spec.monitoring.feedback.events",
    ),
    _percentage("spec.monitoring.quality.max", above=0, at_most=100),
    _percentage("spec.monitoring.quality.tolerance", at_most=1000),
    Rule(
        "spec.monitoring",
        "!has(self.quality) || has(self.feedback)",
        "spec.monitoring.quality must have spec.monitoring.feedback beside it",
    ),
    _between("spec.analysis.answers.tolerance", "1", "95"),
    _between("spec.monitoring.drift.tolerance", "1", "50"),
    _between("spec.monitoring.drift.invalid", "0.1", "50"),
    _percentage("spec.monitoring.drift.gross", above=0, at_most=95),
    _percentage("spec.monitoring.drift.falseAlarmRate", above=0, at_most=50),
    Rule(
        "spec.monitoring.drift",
        "!(has(self.gross) && has(self.tolerance)) || "
        "double(self.gross.replace('%', '')) > double(self.tolerance.replace('%', ''))",
        "spec.monitoring.drift.gross must be greater than spec.monitoring.drift.tolerance",
    ),
    Rule(
        "spec.monitoring.drift.ignore",
        "self.all(a, self.exists_one(b, b == a))",
        "spec.monitoring.drift.ignore must have each column once",
    ),
)
