"""The displacement form by hand-written kernels on the CPU (extra ``fast``)."""
