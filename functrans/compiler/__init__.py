"""Program → machine code: simplify, fuse, plan memory, emit, cache, run."""
