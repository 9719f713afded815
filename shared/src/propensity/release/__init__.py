"""Register, approve, promote, roll back, recalibrate and replay versions."""
