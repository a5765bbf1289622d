"""The chaos suite: real processes, real servers, and a seeded plan of what breaks while work is going on.

`make chaos` runs every case and prints a table; `make test` runs the short selection (test_chaos.py). A case is a function
in one of the cases_*.py; load.py makes the work, judge.py says afterwards from the database whether anything was lost.
"""
