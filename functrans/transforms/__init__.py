"""Program → Program: forward mode, linearisation, transposition, batching; and grad on top."""
