"""What tests are built from: worlds, shops, files to drop, people, and processes that die.

README.md says which to take.
"""
