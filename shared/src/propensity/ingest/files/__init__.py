"""Reads one landed file of any format and checks its rows. `reading.read_upload` is the one entry."""
