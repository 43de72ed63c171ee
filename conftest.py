"""What pytest must not import where Triton, which only the kernels need, is not installed."""

import importlib.util

collect_ignore = (
    []
    if importlib.util.find_spec("triton")
    else [
        f"src/whyloss/stats/kernels/{name}.py"
        for name in ("functions", "handles", "launch", "means", "plain", "region", "region_kernels")
    ]
)
