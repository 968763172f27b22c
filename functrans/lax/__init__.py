"""Structured control flow and low-level operations, under JAX's names."""

from functrans.lax.branches import cond as cond
from functrans.lax.branches import switch as switch
from functrans.lax.loops import fori_loop as fori_loop
from functrans.lax.loops import map as map
from functrans.lax.loops import scan as scan
from functrans.lax.loops import while_loop as while_loop
