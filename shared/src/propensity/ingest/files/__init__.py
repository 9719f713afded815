"""One landed file of any format is read, and its rows are checked; `reading.read_upload` is the one entry."""
