"""Makes what these tests share importable: the readers of the contract, and the vendor of the plugins' tests."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "plugins")]
