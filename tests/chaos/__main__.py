"""`python -m tests.chaos --seed 1 [case …]`: runs the cases and prints the table. Exit code 1 if one does not hold."""

import argparse
import sys
import time

from tests.chaos.cases import CASES, EVERY
from tests.chaos.run import HEADINGS, line, row, run_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"by default all: {', '.join(CASES)}")
    parser.add_argument("--seed", type=int, default=1, help="decides the load and which process is hit")
    chosen = parser.parse_args()
    if unknown := set(chosen.cases) - EVERY.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    started, held, failed = time.monotonic(), 0, 0
    print(line(HEADINGS), flush=True)
    began = time.monotonic()
    wanted = {name: EVERY[name] for name in chosen.cases or CASES}
    for verdict in run_all(wanted, seed=chosen.seed):
        print(line(row(verdict)), flush=True)
        print(
            f"    {verdict.webhooks_seconds:.0f} s more for webhooks, after {time.monotonic() - began:.0f} s",
            file=sys.stderr,
        )
        began = time.monotonic()
        for remark in verdict.slow:
            print(f"    slow: {remark}", flush=True)
        for problem in verdict.problems:
            print(f"    {problem}", flush=True)
        held, failed = held + (not verdict.problems), failed + bool(verdict.problems)
    print(f"{held} of {len(wanted)} cases hold; seed {chosen.seed}; {time.monotonic() - started:.0f} s")
    return 1 if failed or held < len(wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
