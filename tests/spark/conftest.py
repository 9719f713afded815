"""The lakes of the functional tests."""

from tests.functional.conftest import dealers, history, trained

__all__ = ["dealers", "history", "trained"]
