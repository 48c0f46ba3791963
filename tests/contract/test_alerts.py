"""What the operator's alerts take for granted of a pod's metrics."""

from __future__ import annotations

import re

from model_server.metrics import REQUEST_SECONDS
from model_server.protocols.tensorflow_rest import Method
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.spec import LONGEST_LATENCY
from modeldeployment_operator.core.alerts import alerts

from tests.support.observations import an_observation


def test_no_latency_can_be_demanded_that_the_histogram_does_not_tell() -> None:
    assert seconds(LONGEST_LATENCY) == max(REQUEST_SECONDS)


def test_methods_that_alerts_ask_for_are_those_of_the_server() -> None:
    asked = {
        method
        for alert in alerts(an_observation().obj())
        for methods in re.findall(r'method=~?"([^"]*)"', alert.expression)
        for method in methods.split("|")
    }

    assert asked == {Method.PREDICT, Method.FEEDBACK}
