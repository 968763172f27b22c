"""What a program is: types, Program, Primitive, Trace and Tracer, trees, errors, source lines."""
