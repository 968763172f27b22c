"""SciPy's functions under SciPy's names, as `jax.scipy` has them; SciPy itself is not imported."""

from functrans.scipy import linalg as linalg
from functrans.scipy import ndimage as ndimage
from functrans.scipy import optimize as optimize
from functrans.scipy import signal as signal
from functrans.scipy import sparse as sparse
from functrans.scipy import special as special
from functrans.scipy import stats as stats
