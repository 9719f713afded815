"""The ports' implementations over AWS and other libraries. Only adapters and runtime import these libraries."""
