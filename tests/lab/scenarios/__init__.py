"""What is tried in the lab: a function a scenario, which runs inside the kernel and returns its findings.

A scenario records and judges nothing; the tests beside the lab judge what it returns.
"""
