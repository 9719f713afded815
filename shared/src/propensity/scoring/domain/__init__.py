"""Decisions about scoring runs that need nothing but numbers."""
