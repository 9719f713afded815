"""One landed file read, checked and staged, whatever its format."""
