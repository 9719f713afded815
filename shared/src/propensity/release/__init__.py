"""The release of versions: register, approve, promote, roll back, recalibrate and replay them."""
