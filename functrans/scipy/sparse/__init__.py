"""`functrans.scipy.sparse`: solvers that need only products with a matrix."""

from functrans.scipy.sparse import linalg as linalg
