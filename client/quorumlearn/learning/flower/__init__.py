"""Flower apps as workloads: a ClientApp runs unchanged, in an interpreter of its own.

`app` says what a node's file names and makes the workload, `process` talks to the app's process, and `worker` is what runs there.
"""
