"""Tests of the program in the pod: each runs it as a process of its own, in a Kedro project that a test may spoil."""
