"""Answers for those who ask this machine by its own name, and for nobody else.

A page of somebody else could reach a server on the loopback through a name of its own
that resolves to it (DNS rebinding); such requests name that host. The origin of
websockets is checked by Bokeh.
"""

from collections.abc import Sequence
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.routing import AnyMatches, Matcher, Rule, RuleRouter
from tornado.web import Application, ErrorHandler


class OwnHost(Matcher):
    """Requests whose Host header is one of ``hosts``."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = frozenset(hosts)

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Nothing to pass on where it matches, None where it does not."""
        return {} if request.host in self.hosts else None


def guarded(application: Application, hosts: Sequence[str]) -> RuleRouter:
    """The application for its own hosts, 403 for all others."""
    refusal = Application([(r".*", ErrorHandler, {"status_code": 403})])
    return RuleRouter([Rule(OwnHost(hosts), application), Rule(AnyMatches(), refusal)])
