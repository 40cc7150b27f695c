"""A Flow with one no-op Executor in a fresh process that imports nothing but what dure needs.

    python noop_flow.py [DOCUMENTS]

Says {"ready_s", "answered_s", "pids"} when the Flow is up and has answered once; with a number it then streams so many
documents, and says {"sent"} at each mark and waits for a line before it goes on.
"""

import json
import sys
import time

_MARKS = (0.01, 0.1, 0.5, 1.0)


def main(count: int) -> None:
    from dure import Flow
    from noop import Noop, documents

    flow = Flow().add(uses=Noop)
    start = time.perf_counter()
    with flow:
        ready_s = time.perf_counter() - start
        flow.post("/", inputs=documents(1))
        answered_s = time.perf_counter() - start
        print(json.dumps({"ready_s": ready_s, "answered_s": answered_s, "pids": flow.pids()}), flush=True)
        sys.stdin.readline()
        marks = [round(count * mark) for mark in _MARKS if count]
        done = 0
        for results in flow.stream("/", documents(count), request_size=32) if count else ():
            done += len(results)
            while marks and done >= marks[0]:
                print(json.dumps({"sent": marks.pop(0)}), flush=True)
                sys.stdin.readline()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
