"""Runs the benchmarks and prints one table: `python tests/bench/run.py [NAMES]`. It prints, it never judges by its exit code.

Each benchmark is a module with `measure(folder) -> rows`: real processes, data in a folder of its own that is deleted at the
end, a bounded number of rounds. Ours and the reference take turns within a round where the reference can run here; the ratio
is the median of the rounds' ratios, the spread its least and greatest.
"""

import os
import platform
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from figures import Row, table

NAMES = (
    "gate",
    "throughput",
    "throughput_postgres",
    "command",
    "terminal",
    "bulk",
    "watchers",
    "device_list",
    "signed_in",
    "cold_start",
    "agent_online",
    "agent_memory",
    "idle_memory",
    "fleet",
    "loss",
    "verify",
    "records",
    "search_postgres",
    "plugins",
)


def machine() -> str:
    """Say what this ran on: figures that were measured elsewhere only compare with an idle machine."""
    load, _, _ = os.getloadavg()
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}, {platform.platform(terse=True)}"


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. Choose from: {' '.join(NAMES)}")
    rows: list[Row] = []
    for name in names or NAMES:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"caisey-bench-{name}-", ignore_cleanup_errors=True) as folder:
            try:
                rows += import_module(name).measure(Path(folder))
            except Exception:  # a benchmark that cannot run here must not hide the others
                traceback.print_exc()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"\n{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main(sys.argv[1:])
