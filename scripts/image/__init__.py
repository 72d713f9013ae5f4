"""Builds and runs a container image on a machine without a container engine: `core` of docker/Dockerfile, for the tests.

It carries out a Dockerfile's instructions one by one in folders of its own, with chroot and the kernel's namespaces. It is no
container engine: no layers, no cache, no networks. Needs root on Linux. Standard library only.
"""
