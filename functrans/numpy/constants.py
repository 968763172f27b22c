"""NumPy's constants and dtypes, and its functions of these and of shapes."""

from __future__ import annotations

import numpy as np

pi = np.pi
e = np.e
euler_gamma = np.euler_gamma
inf = np.inf
nan = np.nan
newaxis = None

ndarray = np.ndarray
dtype = np.dtype
bool_ = np.bool_
bool = np.bool_
int8 = np.int8
int16 = np.int16
int32 = np.int32
int64 = np.int64
int_ = np.int_
uint8 = np.uint8
uint16 = np.uint16
uint32 = np.uint32
uint64 = np.uint64
uint = np.uint
float16 = np.float16
float32 = np.float32
float64 = np.float64
double = np.double
single = np.single
complex64 = np.complex64
complex128 = np.complex128
number = np.number
integer = np.integer
signedinteger = np.signedinteger
unsignedinteger = np.unsignedinteger
inexact = np.inexact
floating = np.floating
complexfloating = np.complexfloating
generic = np.generic
finfo = np.finfo
iinfo = np.iinfo
isdtype = np.isdtype
issubdtype = np.issubdtype
promote_types = np.promote_types
broadcast_shapes = np.broadcast_shapes
isscalar = np.isscalar
errstate = np.errstate
set_printoptions = np.set_printoptions

intp = np.intp
intc = np.intc
half = np.half
csingle = np.csingle
cdouble = np.cdouble

# functions of shapes and known numbers only
diag_indices = np.diag_indices
tril_indices = np.tril_indices
triu_indices = np.triu_indices
einsum_path = np.einsum_path
mask_indices = np.mask_indices
ndindex = np.ndindex
iterable = np.iterable
bartlett = np.bartlett
blackman = np.blackman
hamming = np.hamming
hanning = np.hanning
kaiser = np.kaiser
