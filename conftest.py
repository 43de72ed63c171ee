"""What pytest must not import where Triton, which only the kernels need, is not installed."""

import importlib.util

collect_ignore = (
    []
    if importlib.util.find_spec("triton")
    else ["src/whyloss/stats/kernels/functions.py", "src/whyloss/stats/kernels/launch.py"]
)
