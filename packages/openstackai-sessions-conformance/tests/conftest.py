"""Fixtures of these tests."""

pytest_plugins = ["pytester"]
