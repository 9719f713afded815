"""One module per function, same name: what the system does, in terms of the ports."""
