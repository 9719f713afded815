"""Ports in memory and in a folder, for tests.

The same suites (tests/contract/ports) run against these and the real ones.
"""
