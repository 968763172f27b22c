"""What a program can say: every primitive, a file per family."""
