"""One body of tests over all backends: the asynchronous files are written, their twins generated (tools/twins.py)."""
