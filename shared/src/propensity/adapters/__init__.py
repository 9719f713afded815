"""The ports' implementations over AWS and other libraries. Nothing but adapters and runtime imports those."""
