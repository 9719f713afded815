"""A dropped file becomes Bronze and Silver rows; what is bad goes to quarantine."""
