"""All patterns, one program after the other.

    python main.py [number of documents] [rounds]

Without a number each takes as many as it likes, or as the environment variable DURE_EXAMPLE_DOCS says; without rounds,
one round of each, which shows that it works. Figures to go by take five, and a machine that nobody else uses.
"""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PATTERNS = ("singleton", "jobs", "preprocess", "services", "colocation")


def main() -> None:
    environment = {"DURE_EXAMPLE_ROUNDS": "1", **os.environ}
    for name in PATTERNS:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, str(FOLDER / f"{name}.py"), *sys.argv[1:]], env=environment, check=True)


if __name__ == "__main__":
    main()
