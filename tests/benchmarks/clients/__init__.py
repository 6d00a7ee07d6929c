"""The clients that are compared, each run as a process of its own: `python -m` this package.

A process sends so many pushes and prints what they took as one line of JSON.
"""
