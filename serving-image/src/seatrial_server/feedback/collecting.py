"""Tokens for the answers of this process, and the counting of what comes back for them.

Off until the live settings ask for feedback and there is a key; the infer path then looks at one attribute. Belongs to
the event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import orjson

from seatrial_server.feedback import codes, entries, tokens
from seatrial_server.host import errors, logs
from seatrial_server.model import session
from seatrial_server.observe import cohorts

log = logging.getLogger(__name__)
PARAMETER = "feedback"
_AFTER = b'"}'
_AHEAD_SECONDS = 60
"""How far ahead the clock of the pod that answered may be."""
_REMEMBERED = 65_536
Event = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,40}$")]


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    """The key `feedback` of the live settings.

    `horizon_seconds`: how late labels may come; 0 is off. `always`: also for requests that do not ask for a token.
    `within`: numbers that are as near to the label are right.
    """

    horizon_seconds: Annotated[int, msgspec.Meta(ge=0, le=60 * 86_400)] = 0
    always: bool = False
    events: Annotated[tuple[Event, ...], msgspec.Meta(max_length=4)] = ()
    value_cap: Annotated[float, msgspec.Meta(gt=0)] | None = None
    within: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Collecting:
    """For one model of one revision. `on`: tokens are given; `always`: to every answer."""

    def __init__(
        self,
        coder: codes.Coder,
        *,
        deployment: str,
        revision: str,
        nonce: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.on = self.always = False
        self._coder, self._now = coder, now
        self._deployment, self._revision, self._nonce = deployment, revision, nonce
        self._settings: Settings | None = None
        self._signer: tokens.Signer | None = None
        self._cohorts: cohorts.Cohorts | None = None
        self._refused: dict[cohorts.Reason, int] = dict.fromkeys(cohorts.REASONS, 0)
        self._given: dict[int, None] = {}
        self._before = b',"parameters":{"revision":%b,"feedback":"' % orjson.dumps(revision)

    # What is switched on

    def follow(self, settings: Settings) -> None:
        """These settings from now on; what was counted stays unless it is counted otherwise now."""
        self._settings = settings if settings.horizon_seconds else None
        if self._settings is None:
            self._cohorts = None
        elif self._cohorts is None or self._cohorts.shape != self._shape(settings):
            self._cohorts = cohorts.Cohorts(self._shape(settings), own=self._revision)
        self._switch()

    def use(self, keys: Sequence[bytes]) -> None:
        """These keys from now on, the first to sign with."""
        fitting = [key for key in keys if tokens.LEAST_KEY <= len(key) <= tokens.MOST_KEY]
        if len(fitting) < len(keys):
            logs.warning(log, "feedback key not used", bytes_allowed=f"{tokens.LEAST_KEY} to {tokens.MOST_KEY}")
        self._signer = None
        if fitting:
            self._signer = tokens.Signer(
                fitting,
                deployment=self._deployment,
                revision=self._revision,
                nonce=self._nonce,
                around=(self._before, _AFTER),
            )
        self._switch()

    def _switch(self) -> None:
        before, self.on = self.on, self._settings is not None and self._signer is not None
        self.always = self.on and self._settings is not None and self._settings.always
        if self.on != before:
            logs.info(log, "feedback", on=self.on, always=self.always)

    def _shape(self, settings: Settings) -> cohorts.Shape:
        return cohorts.Shape(
            length=cohorts.length(settings.horizon_seconds),
            events=settings.events,
            values=settings.value_cap is not None,
            classes=self._coder.named,
        )

    # Out

    def wants(self, asked: bool) -> bool:
        """Whether an answer gets a token, when its request asked for one or not."""
        return self.always or (asked and self.on)

    def token(self, outputs: Sequence[session.Array], rows: int) -> str:
        """For the whole answer to one request; empty where it has too many rows, or where nothing is given."""
        if self._signer is None or self._cohorts is None or not 0 < rows <= tokens.MAX_ROWS:
            return ""
        packed = self._coder.pack(outputs)
        if len(packed) != tokens.CODE * rows:
            return ""
        second = int(self._now())
        self._cohorts.answered(second, rows)
        [text] = self._signer.sign(second, packed, rows=rows)
        return text.decode()

    def mark(self, outputs: Sequence[session.Array], rows: int) -> bytes:
        """The same as the parameters of an answer in JSON."""
        token = self.token(outputs, rows)
        return self._before + token.encode() + _AFTER if token else b""

    def marks(self, outputs: Sequence[session.Array], wanted: Sequence[bool]) -> list[bytes]:
        """The parameters of each of several answers of one row; empty for those that want no token."""
        if self._signer is None or self._cohorts is None:
            return [b""] * len(wanted)
        packed, now, given = self._coder.pack(outputs), int(self._now()), sum(wanted)
        self._cohorts.answered(now, given)
        if self._coder.kind == "number":  # seldom equal
            marks = [self._before + text + _AFTER for text in self._signer.sign(now, packed, rows=1)]
        else:
            marks = self._signer.in_turn(now, packed)
        return marks if given == len(marks) else [mark * wants for mark, wants in zip(marks, wanted, strict=True)]

    # In

    def take(self, body: bytes) -> dict[str, Any]:
        """Count what a client sends back; the answer to it. Raises `RequestError`."""
        settings, signer, counts = self._settings, self._signer, self._cohorts
        if settings is None or counts is None:
            raise errors.RequestError(
                409, "feedback is not switched on: set spec.monitoring.feedback", code="FeedbackOff"
            )
        if signer is None:
            raise errors.RequestError(
                503, "there is no key for tokens yet", code="NoKey", headers=b"Retry-After: 10\r\n"
            )
        accepted, refused = 0, []
        for index, entry in enumerate(entries.read(body)):
            try:
                if isinstance(entry, entries.Refused):
                    raise entry
                self._count(entry, settings, signer, counts)
                accepted += 1
            except entries.Refused as refusal:
                self._refused[refusal.reason] += 1
                refused.append({"index": index, "reason": refusal.reason, "message": str(refusal)})
        return {"accepted": accepted, "refused": refused}

    def _count(self, entry: entries.Entry, settings: Settings, signer: tokens.Signer, counts: cohorts.Cohorts) -> None:
        token = signer.read(entry.token)
        now = int(self._now())
        if token is None or token.second > now + _AHEAD_SECONDS:
            raise entries.Refused("BadToken", "the token is not one of this deployment, or its key is gone")
        if now - token.second > settings.horizon_seconds:
            raise entries.Refused(
                "Late", f"the answer is {now - token.second} s old, labels may come {settings.horizon_seconds} s after"
            )
        if entry.row >= len(token.codes):
            raise entries.Refused("BadEntry", f"the answer has {len(token.codes)} rows, there is no row {entry.row}")
        unknown = [event for event in entry.events if event not in settings.events]
        if unknown:
            raise entries.Refused("UnknownEvent", f"event {unknown[0][:40]!r} is none of {list(settings.events)}")
        if entry.value is not None and settings.value_cap is None:
            raise entries.Refused("BadEntry", "values are not counted: set spec.monitoring.feedback.valueCap")
        code = token.codes[entry.row]
        right = self._judged(entry.label, code, settings) if entry.labelled else None
        self._remember(token, entry)
        arm = counts.arm(token.revision, token.second)
        if right is not None:
            counts.labelled(arm, token.second, right=right)
            self._confuse(counts, arm, code, entry.label)
        for event in entry.events:
            counts.happened(arm, token.second, event)
        if entry.value is not None and settings.value_cap is not None:
            counts.valued(arm, token.second, min(entry.value, settings.value_cap))

    def _judged(self, given: object, code: bytes, settings: Settings) -> bool:
        try:
            label = self._coder.label(given)
        except codes.Unfit as unfit:
            raise entries.Refused("BadLabel", str(unfit)) from None
        if isinstance(label, bytes):
            return label == code
        if settings.within is None:
            raise entries.Refused("BadLabel", "labels of numbers need spec.monitoring.feedback.within")
        return abs(label - self._coder.number(code)) <= settings.within

    def _confuse(self, counts: cohorts.Cohorts, arm: Any, code: bytes, given: object) -> None:
        if counts.shape.classes:
            label = self._coder.label(given)
            if isinstance(label, bytes):
                counts.confused(arm, self._coder.name(code), self._coder.name(label))

    def _remember(self, token: tokens.Token, entry: entries.Entry) -> None:
        """Refuse what this pod has counted before, each part of an entry by itself."""
        parts = [
            *entry.events,
            *(["/label"] if entry.labelled else []),
            *(["/value"] if entry.value is not None else []),
        ]
        keys = [hash((token.mark, entry.row, part)) for part in parts]
        if len(set(keys)) < len(keys) or any(key in self._given for key in keys):
            raise entries.Refused("Duplicate", "the same was said of this row before")
        self._given.update(dict.fromkeys(keys))
        while len(self._given) > _REMEMBERED:
            del self._given[next(iter(self._given))]

    # For Prometheus

    def exposition(self, pairs: str) -> str:
        """The series, once there are settings; `pairs` are the labels that all have."""
        if self._cohorts is None:
            return ""
        self._cohorts.roll(int(self._now()))
        return "".join([*self._cohorts.lines(pairs), *cohorts.refusals(self._refused, pairs)])
