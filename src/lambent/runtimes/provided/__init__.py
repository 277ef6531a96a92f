"""The `provided` runtimes: the customer brings the process, as a file named `bootstrap`; `launch` finds it.

What is said where there is none is the data plane's business (`invoke.launch.entrypoint_fault`).
"""
