"""Routes connector.h.*."""

from tests.support.probe.answers import H as H
